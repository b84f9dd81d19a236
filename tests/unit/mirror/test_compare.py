"""Comparing both sides: every combination of what is here, known, and there has its verdict."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfs_walk.mirror.compare import Rules, Trio, Verdict, judge, merge
from zfs_walk.mirror.records import Entry
from zfs_walk.sinks.interface import Remote
from zfs_walk.watch.tree import WRITING, Row

NAME = b"a"
TIME = 1_700_000_000_123_456_789
SECOND = 1_000_000_000
COMPLETE = Rules(complete_sync=True, deletion_delay=5, granularity_ns=1)
KEEPING = Rules(complete_sync=False, deletion_delay=5, granularity_ns=1)

HERE = Row(NAME, 5, TIME, 0, 0o644)
KNOWN = Entry(NAME, 5, TIME, 1, 2, 0o100644, "x")
THERE = Remote(NAME, 5, TIME, "x")


def row(name: bytes) -> Row:
    return Row(name, 1, 1, 0)


def entry(name: bytes) -> Entry:
    return Entry(name, 1, 1, 1, 1, 1, "")


def remote(name: bytes) -> Remote:
    return Remote(name, 1, 1, "")


def verdict(here: Row | None, known: Entry | None, there: Remote | None, rules: Rules) -> Verdict:
    return judge(Trio(NAME, here, known, there), rules)


names = st.lists(st.binary(min_size=1, max_size=2), unique=True).map(sorted)


@given(names, names, names)
def test_three_lists_are_gone_through_once(
    here: Sequence[bytes], known: Sequence[bytes], there: Sequence[bytes]
) -> None:
    trios = list(merge(map(row, here), map(entry, known), map(remote, there)))
    assert [trio.name for trio in trios] == sorted({*here, *known, *there})
    assert [trio.row.name for trio in trios if trio.row] == here
    assert [trio.entry.path for trio in trios if trio.entry] == known
    assert [trio.remote.name for trio in trios if trio.remote] == there
    for name, *each in trios:
        assert {found[0] for found in each if found is not None} == {name}


@pytest.mark.parametrize("rules", [COMPLETE, KEEPING])
@pytest.mark.parametrize(
    ("here", "known", "there", "expected"),
    [
        (HERE, KNOWN, THERE, Verdict.EQUAL),
        (HERE, None, None, Verdict.SEND),
        (HERE, None, THERE, Verdict.RECORD),
        (HERE, None, THERE._replace(size=6), Verdict.SEND),
        # Only a look, or a checksum, tells.
        (HERE, None, THERE._replace(mtime_ns=None), Verdict.LOOK),
        (HERE, None, THERE._replace(mtime_ns=TIME + 1), Verdict.LOOK),
        # It has changed here.
        (HERE._replace(size=6), KNOWN, THERE, Verdict.SEND),
        (HERE._replace(mtime_ns=TIME + 1), KNOWN, THERE, Verdict.SEND),
        (HERE._replace(mode=0o600), KNOWN, THERE, Verdict.SEND),
        # It has changed there.
        (HERE, KNOWN, None, Verdict.LOOK),
        (HERE, KNOWN, THERE._replace(size=6), Verdict.LOOK),
        (HERE, KNOWN, THERE._replace(tag="y"), Verdict.LOOK),
        (HERE, KNOWN, THERE._replace(tag="", mtime_ns=TIME + 1), Verdict.LOOK),
        # A tag says more than a time.
        (HERE, KNOWN, THERE._replace(mtime_ns=TIME + 1), Verdict.EQUAL),
        (HERE, KNOWN, THERE._replace(mtime_ns=None, tag=""), Verdict.EQUAL),
        # Whoever writes it will have it looked at.
        (HERE._replace(flags=WRITING), None, None, Verdict.LEAVE),
        (HERE._replace(flags=WRITING, size=6), KNOWN, THERE, Verdict.LEAVE),
    ],
)
def test_what_is_here_is_sent_unless_it_is_there(
    here: Row, known: Entry | None, there: Remote | None, expected: Verdict, rules: Rules
) -> None:
    assert verdict(here, known, there, rules) is expected


@pytest.mark.parametrize(
    ("known", "there", "expected"),
    [
        (KNOWN, THERE, Verdict.DELETE),
        (KNOWN, None, Verdict.DELETE),
        (None, THERE, Verdict.EXTRA),
    ],
)
def test_what_is_not_here_is_deleted_only_if_both_sides_are_to_be_equal(
    known: Entry | None, there: Remote | None, expected: Verdict
) -> None:
    assert verdict(None, known, there, COMPLETE) is expected
    assert verdict(None, known, there, KEEPING) is Verdict.LEAVE


def test_a_sink_that_keeps_seconds_is_compared_by_seconds() -> None:
    rules = Rules(complete_sync=False, deletion_delay=5, granularity_ns=SECOND)
    there = Remote(NAME, 5, TIME // SECOND * SECOND, "")
    assert verdict(HERE, None, there, rules) is Verdict.RECORD
    assert verdict(HERE, KNOWN, there, rules) is Verdict.EQUAL
    later = there._replace(mtime_ns=TIME // SECOND * SECOND + SECOND)
    assert verdict(HERE, None, later, rules) is Verdict.LOOK
    # Before 1970 too, seconds are rounded down.
    before = Row(NAME, 5, -1, 0)
    assert verdict(before, None, Remote(NAME, 5, -SECOND, ""), rules) is Verdict.RECORD
