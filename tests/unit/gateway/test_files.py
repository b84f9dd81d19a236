"""The bodies of /files, made from a replica that follows a made-up broker."""

import json
import threading
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from zfs_walk.gateway.connections import Connections
from zfs_walk.gateway.files import PIECE, FilePages
from zfs_walk.gateway.lists import Lists
from zfs_walk.gateway.query import Key, Query, Selection
from zfs_walk.gateway.watch import Seen
from zfs_walk.lists.events import Answered, AskClaims, AskPage, Joined
from zfs_walk.lists.replica import Replica
from zfs_walk.protocol.files import ClaimLine, ClaimList, ClaimStatus, FileChanges, FilePage
from zfs_walk.protocol.statistics import Origin

LINE = ClaimLine(
    host="h1", path=b"/spool", scout="scout-1", pid=70, session=3, state="live", since_ms=5000,
    monitor="fanotify", serving=True, why="", generation=2, version=9, files=0,
)  # fmt: skip
ORIGIN = Origin("p", "broker", "b", "broker", 1, 0, "0")


@dataclass
class Heard:
    """A watch that has heard its broker so many seconds ago."""

    age: float = 0.0

    def seen(self) -> Seen:
        return Seen(None, self.age)


@dataclass
class Source:
    """What a follower would feed."""

    replica: Replica
    lock: threading.Lock = field(default_factory=threading.Lock)
    connected: bool = True


def fed(*contents: tuple[ClaimLine, list[bytes]]) -> Replica:
    """A replica of these claims with these names, in order."""
    replica = Replica()
    known = {(line.host, line.path): names for line, names in contents}
    asked = replica.handle(Joined())
    while asked:
        ask = asked.pop(0)
        if isinstance(ask, AskClaims):
            lines = tuple(line for line, _ in contents)
            asked += replica.handle(Answered(ask, ClaimList("r", lines)))
        elif isinstance(ask, AskPage):
            names = tuple(known[ask.host, ask.path])
            ones = (1,) * len(names)
            page = FilePage("r", 2, 9, False, names, ones, ones, (0,) * len(names))
            asked += replica.handle(Answered(ask, page))
    return replica


def lists_of(replica: Replica, watch: Heard | None = None) -> Lists:
    return Lists("boot", Source(replica), watch or Heard())


def body(replica: Replica, query: str) -> bytes:
    pages = FilePages(lists_of(replica), Connections())
    return b"".join(pages.body(Query.parse(query)))


def filenames(replica: Replica, query: str) -> list[str]:
    found: list[dict[str, Any]] = json.loads(body(replica, query))["files"]
    return [file["filename"] for file in found]


def test_names_that_look_like_json_stay_in_their_lines() -> None:
    names = sorted([
        b'},{"filename":"', b"x},{", b'"', b"\\", b'\\"},{"filename":"', b'},{"filename":"x"}',
        b"\n", b'"filename":"', b"},{", b'}\n{"filename":"',
    ])  # fmt: skip
    replica = fed((LINE, names))
    lines = body(replica, "format=ndjson").splitlines()
    assert [json.loads(line)["filename"].encode() for line in lines] == names
    assert [name.encode() for name in filenames(replica, "")] == names


@pytest.mark.parametrize("number", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
def test_whole_lists_of_any_length_are_valid_and_complete(number: int) -> None:
    names = [b"%06d" % count for count in range(number)]
    replica = fed((LINE, names))
    whole = json.loads(body(replica, ""))
    assert [file["filename"].encode() for file in whole["files"]] == names
    assert whole["next"] is None
    lines = body(replica, "format=ndjson").splitlines()
    assert [json.loads(line)["filename"].encode() for line in lines] == names


@pytest.mark.parametrize("limit", [1, 7, PIECE, PIECE + 1])
def test_pages_of_any_size_are_the_whole_list(limit: int) -> None:
    names = [b"%06d" % count for count in range(2 * PIECE + 3)][:: 1 if limit > 10 else 100]
    other = replace(LINE, host="h2")
    replica = fed((LINE, names), (other, names))
    found, after = [], ""
    while True:
        page = json.loads(body(replica, f"limit={limit}{after}"))
        found += [(file["filename"].encode(), file["host"]) for file in page["files"]]
        if page["next"] is None:
            break
        assert len(page["files"]) == limit
        after = f"&after={page['next']}"
    assert found == [(name, host) for name in names for host in ("h1", "h2")]


def test_a_stream_goes_on_from_its_last_name_while_the_list_changes() -> None:
    names = [b"%06d" % count for count in range(2 * PIECE)]
    replica = fed((LINE, names))
    pieces = FilePages(lists_of(replica), Connections()).body(Query.parse("format=ndjson"))
    first = next(pieces)
    gone, late = names[PIECE - 1 :: 2], (b"000000x", b"zzz")
    ones = (1,) * len(late)
    replica.handle(
        FileChanges(ORIGIN, 1, "h1", b"/spool", 2, 10, tuple(gone), late, ones, ones, (0, 0))
    )
    rest = b"".join(pieces)
    told = [json.loads(line)["filename"].encode() for line in (first + rest).splitlines()]
    expected = names[:PIECE] + [name for name in names[PIECE:] if name not in set(gone)] + [b"zzz"]
    assert told == expected


def test_a_list_that_leaves_between_two_pieces_leaves_valid_json() -> None:
    replica = fed((LINE, [b"n%05d" % number for number in range(PIECE + 10)]))
    pieces = FilePages(lists_of(replica), Connections()).body(Query.parse(""))
    first = next(pieces)
    replica.handle(ClaimStatus(ORIGIN, 1, replace(LINE, serving=False, why="unmounted"), False))
    told = json.loads(first + b"".join(pieces))
    assert (len(told["files"]), told["next"]) == (PIECE, None)


def test_every_change_has_another_etag_and_is_told() -> None:
    replica = fed((LINE, [b"a", b"b"]))
    lists = lists_of(replica)
    before, place = lists.stamp, lists.end()
    replica.handle(
        FileChanges(
            ORIGIN, 1, "h1", b"/spool", 2, 10, (b"a", b"x"), (b"b", b"c"), (5, 6), (7, 8), (0, 0)
        )
    )
    assert lists.stamp != before
    changes = lists.changes(place, 10)
    assert changes is not None
    assert [(change.event, change.name) for change in changes] == [
        ("removed", b"a"), ("changed", b"b"), ("added", b"c")
    ]  # fmt: skip
    assert changes[2].fields()["size"] == 6


def test_a_claim_that_goes_takes_its_files_along() -> None:
    replica = fed((LINE, [b"a"]), (replace(LINE, host="h2"), [b"b"]))
    lists = lists_of(replica)
    replica.handle(ClaimStatus(ORIGIN, 1, LINE, gone=True))
    [change] = lists.changes(0, 10) or []
    assert (change.event, change.fields()) == (
        "claim", {"host": "h1", "claim": "/spool", "serving": False, "gone": True},
    )  # fmt: skip
    rows = lists.rows(Selection(b"", ""), None, 10)
    assert [Key(*row[:3]) for row in rows] == [Key(b"b", "h2", b"/spool")]


def test_nothing_is_told_before_all_lists_are_there_or_while_the_broker_is_silent() -> None:
    replica = Replica()
    assert lists_of(replica).unready() == "the lists of the scouts are being read"
    watch = Heard()
    lists = lists_of(fed((LINE, [b"a"])), watch)
    assert lists.unready() == ""
    watch.age = 9.0
    assert lists.unready() == "the broker has been silent for 9 s"
    source = Source(fed((LINE, [b"a"])), connected=False)
    assert Lists("boot", source, Heard()).unready() == "the connection to the broker is being made"


def test_a_claim_that_comes_later_is_left_out_until_its_list_is_there() -> None:
    replica = fed((LINE, [b"a"]))
    lists = lists_of(replica)
    assert lists.unready() == ""
    replica.handle(ClaimStatus(ORIGIN, 1, replace(LINE, host="h2"), gone=False))
    assert not replica.ready
    assert lists.unready() == ""
    assert filenames(replica, "") == ["a"]
