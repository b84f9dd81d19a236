"""Stream and answers travel on their own: what a replica does where they disagree, step by step."""

from dataclasses import replace
from typing import Any

from zfs_walk.lists.events import (
    Answered,
    Appeared,
    Ask,
    AskClaims,
    AskPage,
    Changed,
    Check,
    Joined,
    Left,
    News,
)
from zfs_walk.lists.filelist import Columns
from zfs_walk.lists.replica import Replica
from zfs_walk.protocol.files import ClaimLine, ClaimList, ClaimStatus, FileChanges, FilePage
from zfs_walk.protocol.statistics import Origin

ORIGIN = Origin("p0", "broker", "h0", "broker", 7, 0, "0")
KEY = "h1", b"/data"


def line(generation: int = 1, version: int = 5, **fields: Any) -> ClaimLine:
    values: dict[str, Any] = {
        "scout": "s", "pid": 1, "session": 1, "state": "live", "since_ms": 0, "monitor": "poll",
        "serving": True, "why": "",
    }  # fmt: skip
    return ClaimLine(*KEY, **(values | fields), generation=generation, version=version, files=0)


def status(generation: int = 1, version: int = 5, *, gone: bool = False, **fields: Any) -> Any:
    return ClaimStatus(ORIGIN, 1, line(generation, version, **fields), gone)


def change(version: int, *names: bytes, removed: tuple[bytes, ...] = (), edition: int = 1) -> Any:
    count = len(names)
    return FileChanges(
        ORIGIN, 1, *KEY, edition, version, removed, names, (version,) * count, (0,) * count,
        (0,) * count,
    )  # fmt: skip


def page(version: int, *names: bytes, more: bool = False, edition: int = 1) -> FilePage:
    count = len(names)
    return FilePage(
        "r", edition, version, more, names, (version,) * count, (0,) * count, (0,) * count
    )


def claims(*lines: ClaimLine) -> ClaimList:
    return ClaimList("r", lines)


def joined(*lines: ClaimLine) -> tuple[Replica, list[Ask]]:
    replica = Replica()
    (ask,) = replica.handle(Joined())
    return replica, replica.handle(Answered(ask, claims(*lines)))


def reading() -> tuple[Replica, Ask]:
    """One that has asked for the first page of a list at version 5."""
    replica, (ask,) = joined(line())
    assert ask == AskPage(2, *KEY, b"")
    return replica, ask


def complete() -> Replica:
    """One that has the list at version 5: the name a."""
    replica, ask = reading()
    assert replica.handle(Answered(ask, page(5, b"a"))) == []
    assert replica.settled
    return replica


def rows(replica: Replica) -> list[tuple[bytes, int]]:
    return [(row[0], row[3]) for row in replica.merged()]


def test_a_list_waits_for_the_changes_that_its_pages_have_already() -> None:
    replica, ask = reading()
    (ask,) = replica.handle(Answered(ask, page(5, b"a", more=True)))
    assert ask == AskPage(2, *KEY, b"a")
    assert replica.handle(Answered(ask, page(7, b"z"))) == []
    assert (rows(replica), replica.ready) == ([], False)
    replica.handle(change(6, removed=(b"a",)))
    assert rows(replica) == []
    replica.handle(change(7, b"z"))
    assert (rows(replica), replica.settled) == ([(b"z", 7)], True)


def test_what_changed_before_its_page_came_late_wins() -> None:
    replica, ask = reading()
    replica.handle(change(6, b"a", removed=(b"b",)))
    replica.handle(Answered(ask, page(5, b"a", b"b")))
    assert (rows(replica), replica.settled) == ([(b"a", 6)], True)


def test_a_change_that_is_missing_before_the_first_page_means_reading_again() -> None:
    replica, ask = reading()
    replica.handle(change(7, b"a"))
    assert replica.handle(Answered(ask, page(5, b"b"))) == [AskPage(3, *KEY, b"")]


def test_a_page_older_than_the_stream_s_list_means_reading_again() -> None:
    replica, ask = reading()
    replica.handle(change(1, b"a", edition=2))
    assert replica.handle(Answered(ask, page(5, b"b"))) == [AskPage(3, *KEY, b"")]


def test_a_page_newer_than_the_stream_s_list_is_taken() -> None:
    replica, ask = reading()
    replica.handle(change(6, b"a"))
    replica.handle(Answered(ask, page(1, b"b", edition=2)))
    replica.handle(change(7, b"c"))
    replica.handle(status(2, 1))
    assert (rows(replica), replica.settled) == ([(b"b", 1)], True)


def test_another_list_means_reading_again_at_once() -> None:
    replica, ask = reading()
    replica.handle(Answered(ask, page(5, b"a", more=True)))
    assert replica.handle(status(2, 1)) == [AskPage(3, *KEY, b"")]


def test_a_missing_change_means_reading_again_and_the_earlier_list_stands_meanwhile() -> None:
    replica = complete()
    heard: list[News] = []
    replica.listeners.append(heard.append)
    (ask,) = replica.handle(change(7, b"c"))
    assert ask == AskPage(3, *KEY, b"")
    assert (rows(replica), replica.ready, replica.settled) == ([(b"a", 5)], True, False)
    replica.handle(Answered(ask, page(7, b"b", b"c")))
    assert (rows(replica), replica.settled) == ([(b"b", 7), (b"c", 7)], True)
    columns = Columns((b"b", b"c"), (7, 7), (0, 0), (0, 0))
    assert heard == [Changed(*KEY, (b"a",), columns, frozenset({b"b", b"c"}))]


def test_a_change_tells_what_is_new_and_what_was_there() -> None:
    replica = complete()
    heard: list[News] = []
    replica.listeners.append(heard.append)
    replica.handle(replace(change(6, b"a", b"b"), removed=(b"nothing",)))
    (changed,) = heard
    assert isinstance(changed, Changed)
    assert (changed.removed, changed.rows.names, changed.added) == (
        (), (b"a", b"b"), frozenset({b"b"}),
    )  # fmt: skip


def test_a_repeated_change_changes_nothing() -> None:
    replica = complete()
    replica.handle(change(6, b"b"))
    stamp = replica.stamp
    assert replica.handle(change(6, b"b")) == []
    assert (rows(replica), replica.stamp) == ([(b"a", 5), (b"b", 6)], stamp)


def test_what_is_on_its_way_at_one_check_is_lost_at_the_next() -> None:
    replica = complete()
    (ask,) = replica.handle(Check())
    assert replica.handle(Answered(ask, claims(line(1, 6)))) == []
    assert not replica.settled
    (ask,) = replica.handle(Check())
    assert replica.handle(Answered(ask, claims(line(1, 6)))) == [AskPage(5, *KEY, b"")]


def test_what_comes_between_two_checks_was_on_its_way() -> None:
    replica = complete()
    (ask,) = replica.handle(Check())
    replica.handle(Answered(ask, claims(line(1, 6))))
    replica.handle(change(6, b"b"))
    assert replica.settled
    (ask,) = replica.handle(Check())
    assert replica.handle(Answered(ask, claims(line(1, 7)))) == []


def test_whoever_has_just_joined_reads_what_it_missed_at_once() -> None:
    replica = complete()
    (ask,) = replica.handle(Joined())
    assert ask == AskClaims(3)
    assert replica.handle(Answered(ask, claims(line(1, 6)))) == [AskPage(4, *KEY, b"")]


def test_a_claim_that_serves_no_more_leaves_and_is_back_without_being_read_again() -> None:
    replica = complete()
    heard: list[News] = []
    replica.listeners.append(heard.append)
    replica.handle(status(serving=False))
    assert (rows(replica), replica.ready) == ([], True)
    assert replica.handle(status()) == []
    assert rows(replica) == [(b"a", 5)]
    assert heard == [Left(*KEY), Appeared(*KEY)]


def test_a_claim_without_a_list_keeps_none_here_either() -> None:
    replica = complete()
    replica.handle(status(0, 0, serving=False))
    assert replica.copies[KEY].files is None


def test_the_stream_is_believed_where_it_spoke_after_the_question() -> None:
    replica = complete()
    (ask,) = replica.handle(Check())
    replica.handle(status(gone=True))
    replica.handle(Answered(ask, claims(line())))
    assert replica.copies == {}


def test_answers_to_earlier_questions_are_passed_over() -> None:
    replica, ask = reading()
    (again,) = replica.handle(Joined())
    assert replica.handle(Answered(ask, page(5, b"a"))) == []
    assert replica.handle(Answered(AskClaims(1), claims())) == []
    (later,) = replica.handle(Answered(again, claims(line())))
    replica.handle(Answered(later, page(5, b"a")))
    assert rows(replica) == [(b"a", 5)]


def test_a_refused_page_is_asked_for_again_when_the_claim_is_heard_of() -> None:
    replica, ask = reading()
    assert replica.handle(Answered(ask, None)) == []
    assert not replica.ready
    (check,) = replica.handle(Check())
    assert replica.handle(Answered(check, claims(line()))) == [AskPage(4, *KEY, b"")]


def test_merged_goes_on_after_a_row_of_several_claims_with_one_name() -> None:
    replica = Replica()
    (ask,) = replica.handle(Joined())
    keys = [("h1", b"/a"), ("h1", b"/b"), ("h2", b"/a")]
    lines = [replace(line(), host=host, path=path) for host, path in keys]
    for question in replica.handle(Answered(ask, claims(*lines))):
        replica.handle(Answered(question, page(5, b"x", b"xy", b"y")))
    every = sorted((n, *key, 5, 0, 0) for key in keys for n in (b"x", b"xy", b"y"))
    assert replica.merged() == every
    assert replica.count() == 9
    for at, row in enumerate(every):
        assert replica.merged(after=row[:3], limit=2) == every[at + 1 : at + 3]
    assert replica.merged(b"x", "h2") == [row for row in every if row[0] < b"y" and row[1] == "h2"]
