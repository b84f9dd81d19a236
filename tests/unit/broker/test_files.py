"""Rules 2, 3, 5 and 6 of section 7: lists come in pieces, change, and are read."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.broker.making import Broker, claim, files, hello, only
from zfs_walk.protocol.messages import (
    CLIENT,
    SCOUT,
    Claimed,
    ClaimRefused,
    ClaimStatus,
    Error,
    FileChanges,
    FilePage,
    Files,
    FilesAck,
    FilesQuery,
    Message,
    Resync,
    Snapshot,
    SnapshotReply,
)

SCOUT_0 = b"scout-0"


@pytest.fixture
def broker() -> Broker:
    return claimed()


def claimed(**settings: Any) -> Broker:
    """A broker, a scout with a claim, and a client."""
    made = Broker(**settings)
    made.take(b"client", hello("client", role=CLIENT))
    made.join("scout-0", role=SCOUT, host="h1")
    made.take(SCOUT_0, claim())
    made.published.clear()
    return made


def send(broker: Broker, message: Files) -> list[Message]:
    return [m for _, m in broker.take(SCOUT_0, message)]


def query(broker: Broker, prefix: bytes = b"", after: bytes = b"", limit: int = 2_000) -> Any:
    sent = broker.take(b"client", FilesQuery("q", 0, "h1", b"/data", prefix, after, limit))
    (answer,) = [m for to, m in sent if to == b"client"]
    return answer


def names(broker: Broker) -> tuple[bytes, ...]:
    page = query(broker)
    assert isinstance(page, FilePage), page
    return page.names


def changes(broker: Broker) -> list[FileChanges]:
    found = [m for _, m in broker.published if isinstance(m, FileChanges)]
    broker.published.clear()
    return found


def test_a_whole_list_is_built_aside_and_swapped_in(broker: Broker) -> None:
    send(broker, files(1, 1, b"old", whole=True, last=True))
    assert send(broker, files(2, 1, b"a", whole=True)) == [FilesAck(1, 2, 1)]
    assert names(broker) == (b"old",)
    assert send(broker, files(2, 2, b"b", whole=True, last=True)) == [FilesAck(1, 2, 2)]
    assert names(broker) == (b"a", b"b")
    assert only(broker.take(SCOUT_0, claim()), Claimed) == [Claimed(1, 2, 2)]
    assert not changes(broker)


def test_each_list_has_a_number_of_its_own_for_readers(broker: Broker) -> None:
    seen = []
    for generation in (1, 2):
        send(broker, files(generation, 1, b"a", whole=True, last=True))
        seen.append(query(broker).generation)
    broker = broker.restart()
    broker.take(b"client", hello("client", role=CLIENT))
    broker.join("scout-0", role=SCOUT, host="h1")
    broker.take(SCOUT_0, claim())
    send(broker, files(3, 1, b"a", whole=True, last=True))
    seen.append(query(broker).generation)
    assert seen == sorted(set(seen))


def test_changes_are_applied_acknowledged_and_published(broker: Broker) -> None:
    send(broker, files(1, 1, b"a", b"b", whole=True, last=True))
    edition = query(broker).generation
    broker.published.clear()
    message = files(1, 2, b"a", b"\xff", removed=(b"b", b"c"), size=9)
    assert send(broker, message) == [FilesAck(1, 1, 2)]
    page = query(broker)
    assert (page.generation, page.version, page.more) == (edition, 2, False)
    assert (page.names, page.sizes) == ((b"a", b"\xff"), (9, 9))
    (told,) = changes(broker)
    assert (told.host, told.path, told.generation, told.version) == ("h1", b"/data", edition, 2)
    assert (told.removed, told.names, told.sizes) == ((b"b", b"c"), (b"a", b"\xff"), (9, 9))


def test_what_is_not_served_is_not_published_but_applied(broker: Broker) -> None:
    send(broker, files(1, 1, b"a", whole=True, last=True))
    broker.take(SCOUT_0, claim(serving=False, why="busy"))
    assert send(broker, files(1, 2, b"b")) == [FilesAck(1, 1, 2)]
    assert not changes(broker)
    broker.take(SCOUT_0, claim())
    (status,) = [m for _, m in broker.published if isinstance(m, ClaimStatus)]
    assert (status.claim.version, status.claim.files) == (2, 2)


def test_a_repeat_is_acknowledged_and_ignored(broker: Broker) -> None:
    send(broker, files(1, 1, b"a", whole=True, last=True))
    send(broker, files(1, 2, removed=(b"a",)))
    broker.published.clear()
    assert send(broker, files(1, 1, b"a", whole=True, last=True)) == [FilesAck(1, 1, 2)]
    assert send(broker, files(1, 2, removed=(b"a",))) == [FilesAck(1, 1, 2)]
    assert names(broker) == ()
    assert not broker.published


@pytest.mark.parametrize(
    "strange",
    [
        files(1, 3, b"x"),
        files(2, 1, b"x"),
        files(2, 2, b"x", whole=True),
        files(0, 1, b"x", whole=True),
        files(1, 2, b"x", whole=True),
        files(1, 1, b"x", number=9),
    ],
    ids=["a gap", "a change of another list", "a later piece", "an earlier list", "one piece more",
         "an unknown claim"],
)  # fmt: skip
def test_what_does_not_follow_is_answered_with_one_resync_a_heartbeat(
    broker: Broker, strange: Files
) -> None:
    send(broker, files(1, 1, b"a", whole=True, last=True))
    assert send(broker, strange) == [Resync(strange.claim)]
    assert send(broker, strange) == []
    broker.after(1.0)
    assert send(broker, strange) == [Resync(strange.claim)]
    assert names(broker) == (b"a",)
    assert send(broker, files(2, 1, b"b", whole=True, last=True)) == [FilesAck(1, 2, 1)]


def test_a_change_of_a_list_that_never_was_is_answered_with_resync(broker: Broker) -> None:
    assert send(broker, files(0, 1, b"x")) == [Resync(1)]
    broker.after(1.0)
    assert send(broker, files(1, 1, b"x", whole=True)) == [FilesAck(1, 1, 1)]
    assert send(broker, files(1, 2, b"x")) == [Resync(1)]


def test_columns_of_different_lengths_change_nothing(broker: Broker) -> None:
    message = replace(files(1, 1, b"a", whole=True, last=True), sizes=())
    (answer,) = send(broker, message)
    assert isinstance(answer, Error)
    assert answer.code == "malformed"
    assert query(broker).code == "not-serving"


def test_pages_go_on_after_a_name_and_end(broker: Broker) -> None:
    send(broker, files(1, 1, b"a", b"b1", b"b2", b"b3", b"c", whole=True, last=True))
    first = query(broker, limit=2)
    assert (first.names, first.more) == ((b"a", b"b1"), True)
    last = query(broker, after=b"b1", limit=3)
    assert (last.names, last.more) == ((b"b2", b"b3", b"c"), False)
    assert query(broker, prefix=b"b", after=b"b1").names == (b"b2", b"b3")
    assert query(broker, limit=0).names == (b"a",)


def test_a_query_for_what_is_not_there_or_not_served_says_so(broker: Broker) -> None:
    answer = query(broker)
    assert (answer.code, answer.request) == ("not-serving", "q")
    (unknown,) = only(
        broker.take(b"client", FilesQuery("q", 0, "h1", b"/x", b"", b"", 9)), Error, b"client"
    )
    assert unknown.code == "no-such-claim"


def test_too_many_files_end_the_claim_with_the_limit() -> None:
    broker = claimed(most_files=3)
    send(broker, files(1, 1, b"a", b"b", whole=True, last=True))
    assert send(broker, files(1, 2, b"a", b"c")) == [FilesAck(1, 1, 2)]
    assert send(broker, files(1, 3, b"a", b"b", b"c")) == [FilesAck(1, 1, 3)]
    (answer,) = send(broker, files(1, 4, b"d"))
    assert isinstance(answer, ClaimRefused)
    assert (answer.code, "3 files" in answer.detail) == ("too-many-files", True)
    assert query(broker).code == "no-such-claim"
    assert only(broker.take(SCOUT_0, claim()), Claimed) == [Claimed(1, 0, 0)]
    assert send(broker, files(2, 1, b"a", b"b", b"c", whole=True, last=True))
    assert names(broker) == (b"a", b"b", b"c")


def test_too_many_bytes_of_names_end_the_claim() -> None:
    broker = claimed(most_name_bytes=9)
    assert send(broker, files(1, 1, b"123456789", whole=True, last=True)) == [FilesAck(1, 1, 1)]
    (answer,) = send(broker, files(1, 2, b"0"))
    assert isinstance(answer, ClaimRefused)


def test_an_earlier_list_gives_way_to_a_new_one_that_has_no_room_beside_it() -> None:
    broker = claimed(most_files=3)
    send(broker, files(1, 1, b"a", b"b", whole=True, last=True))
    assert send(broker, files(2, 1, b"a", b"b", whole=True)) == [FilesAck(1, 2, 1)]
    assert query(broker).code == "not-serving"
    assert send(broker, files(2, 2, b"c", whole=True, last=True)) == [FilesAck(1, 2, 2)]
    assert names(broker) == (b"a", b"b", b"c")


def test_claims_and_rows_are_counted_until_they_are_gone(broker: Broker) -> None:
    def counted() -> tuple[int, int]:
        (reply,) = only(broker.take(b"client", Snapshot("s", 0)), SnapshotReply)
        return reply.broker.claims, reply.broker.files

    send(broker, files(1, 1, b"a", b"b", whole=True, last=True))
    send(broker, files(2, 1, b"a", whole=True))
    assert counted() == (1, 3)
    send(broker, files(2, 2, b"c", whole=True, last=True))
    assert counted() == (1, 2)
    broker.take(SCOUT_0, claim(ino=77))
    assert counted() == (1, 0)
