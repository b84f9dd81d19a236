"""From numbers alone a subscriber knows what it has missed, and what it has had."""

from dataclasses import replace

from zfs_walk.bus.gaps import Gap, Gaps
from zfs_walk.protocol.messages import LogMark, LogRecord
from zfs_walk.protocol.statistics import Origin

A = Origin("a", "walker", "h1", "walker-1", 7, 0, "0")
B = replace(A, publisher="b", name="walker-2")


def record(seq: int, origin: Origin = A) -> LogRecord:
    return LogRecord(origin, seq, 1, "", 0, "info", "zfs_walk", "said", (), "")


def test_numbers_in_a_row_have_no_gap() -> None:
    gaps = Gaps()
    assert [gaps.take("info", record(seq)) for seq in (1, 2, 3)] == [(True, None)] * 3


def test_missing_numbers_are_a_gap_before_the_next_record() -> None:
    gaps = Gaps()
    gaps.take("info", record(1))
    assert gaps.take("info", record(14)) == (True, Gap(A, "info", 2, 12))
    assert gaps.take("info", record(15)) == (True, None)


def test_a_mark_shows_a_gap_at_the_end() -> None:
    gaps = Gaps()
    gaps.take("info", record(1))
    assert gaps.take("info", LogMark(A, 1)) == (False, None)
    assert gaps.take("info", LogMark(A, 4)) == (True, Gap(A, "info", 2, 3))
    assert gaps.take("info", LogMark(A, 4)) == (False, None)
    assert gaps.take("info", record(5)) == (True, None)


def test_what_came_before_one_listened_is_no_gap() -> None:
    gaps = Gaps()
    assert gaps.take("info", record(100)) == (True, None)
    assert gaps.take("error", LogMark(A, 50)) == (True, None)
    assert gaps.take("error", record(51)) == (True, None)


def test_repeats_are_no_news() -> None:
    gaps = Gaps()
    for seq in (1, 2):
        gaps.take("info", record(seq))
    assert gaps.take("info", record(1)) == (False, None)
    assert gaps.take("info", record(2)) == (False, None)


def test_publishers_and_levels_have_numbers_of_their_own() -> None:
    gaps = Gaps()
    gaps.take("info", record(5))
    assert gaps.take("info", record(1, B)) == (True, None)
    assert gaps.take("error", record(2)) == (True, None)
    assert gaps.take("info", record(6)) == (True, None)
