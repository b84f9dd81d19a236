"""Limits and windows: what passes by when, whatever changes meanwhile."""

import math
from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfs_walk.mirror.pace import (
    WEEK,
    Bucket,
    Limit,
    Pace,
    Window,
    is_open,
    parse_window,
    until_change,
)
from zfs_walk.sinks.errors import StoppedError

MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
"""A Monday, 00:00."""


def at(day: int, hour: int, minute: int = 0, second: float = 0.0) -> datetime:
    """A moment of a week, the days counted from Monday 0."""
    return MONDAY + timedelta(days=day, hours=hour, minutes=minute, seconds=second)


# ------------------------------------------------------------------------- limits


def test_bytes_wait_for_those_before_them() -> None:
    bucket = Bucket(100.0, 5.0)
    first, second = bucket.take(50, 5.0), bucket.take(100, 5.0)
    assert bucket.wait(first, 5.0) == pytest.approx(0.5)
    assert bucket.wait(second, 5.0) == pytest.approx(1.5)
    assert bucket.wait(first, 5.5) == 0.0
    assert bucket.wait(second, 6.5) == 0.0


def test_a_pause_saves_up_one_second_at_most() -> None:
    bucket = Bucket(100.0, 0.0)
    assert bucket.wait(bucket.take(100, 1000.0), 1000.0) == 0.0
    assert bucket.wait(bucket.take(100, 1000.0), 1000.0) == pytest.approx(1.0)


def test_another_limit_holds_for_those_who_wait() -> None:
    bucket = Bucket(1.0, 0.0)
    place = bucket.take(1000, 0.0)
    bucket.change(500.0, 0.0)
    assert bucket.wait(place, 0.0) == pytest.approx(2.0)
    bucket.change(None, 0.5)
    assert bucket.wait(place, 0.5) == 0.0
    bucket.change(10.0, 0.5)
    assert bucket.wait(bucket.take(10, 0.5), 0.5) == pytest.approx(1.0)


@given(
    st.floats(1.0, 1e6),
    st.lists(st.tuples(st.integers(0, 10_000), st.floats(0.0, 3.0)), min_size=1, max_size=40),
)
def test_no_more_passes_than_the_limit_and_one_burst(
    rate: float, steps: list[tuple[int, float]]
) -> None:
    bucket, now, passed = Bucket(rate, 0.0), 0.0, 0
    for size, pause in steps:
        now += pause
        now += bucket.wait(bucket.take(size, now), now)
        passed += size
        assert passed <= rate * (now + 1.0) * 1.000001


def test_who_waits_for_a_limit_is_let_through_when_it_is_lifted() -> None:
    limit = Limit(1.0)
    pace = Pace([limit])
    thread = Thread(target=pace.spend, args=(10**9,))
    thread.start()
    limit.change(None)
    thread.join(20)
    assert not thread.is_alive()


def test_who_waits_for_a_limit_ends_when_stopped_and_another_mirror_goes_on() -> None:
    limit = Limit(1.0)
    pace, other = Pace([limit]), Pace([limit])
    ended = []

    def spend() -> None:
        try:
            pace.spend(10**9)
        except StoppedError:
            ended.append("stopped")

    thread = Thread(target=spend)
    thread.start()
    pace.stop()
    thread.join(20)
    assert ended == ["stopped"]
    limit.change(None)
    other.spend(10)
    with pytest.raises(StoppedError):
        pace.spend(0)
    pace.go_on()
    pace.spend(10)


# ------------------------------------------------------------------------- windows


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        ("mon 08:00-17:30", [Window(480, 570)]),
        ("MON,wed 00:00-24:00", [Window(0, 1440), Window(2 * 1440, 1440)]),
        ("sat-mon 22:00-6:00", [Window(day * 1440 + 1320, 480) for day in (0, 5, 6)]),
        ("22:00-06:00", [Window(day * 1440 + 1320, 480) for day in range(7)]),
    ],
)
def test_a_window_is_read(text: str, windows: list[Window]) -> None:
    assert parse_window(text) == windows


@pytest.mark.parametrize(
    "text", ["", "22-6", "24:00-01:00", "08:60-09:00", "08:00-24:01", "day 08:00-09:00", "8:00-9:0"]
)
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_window(text)


@pytest.mark.parametrize(
    ("moment", "expected", "seconds"),
    [
        (at(0, 21, 59, 30.5), False, 29.5),
        (at(0, 22), True, 8 * 3600),
        (at(1, 5, 59, 59), True, 1),
        (at(1, 6), False, 16 * 3600),
        (at(6, 23), True, 7 * 3600),
    ],
)
def test_a_window_over_midnight(moment: datetime, *, expected: bool, seconds: float) -> None:
    windows = parse_window("22:00-06:00")
    assert is_open(windows, moment) is expected
    assert until_change(windows, moment) == pytest.approx(seconds)


def test_windows_that_touch_are_one() -> None:
    windows = [*parse_window("fri 18:00-24:00"), *parse_window("sat,sun 00:00-24:00")]
    assert until_change(windows, at(4, 20)) == pytest.approx(52 * 3600)


@pytest.mark.parametrize("text", [None, "00:00-24:00"])
def test_what_is_always_open_never_changes(text: str | None) -> None:
    windows = parse_window(text) if text else []
    assert is_open(windows, at(2, 3))
    assert until_change(windows, at(2, 3)) == math.inf


@given(
    st.lists(st.builds(Window, st.integers(0, WEEK - 1), st.integers(1, WEEK)), max_size=4),
    st.integers(0, WEEK * 60 - 1),
)
def test_until_change_is_when_the_answer_changes(windows: list[Window], second: int) -> None:
    moment = MONDAY + timedelta(seconds=second)
    wait = until_change(windows, moment)
    before = is_open(windows, moment)
    last = MONDAY + timedelta(seconds=second + min(wait, WEEK * 60))
    assert is_open(windows, last - timedelta(seconds=1)) is before
    assert is_open(windows, last) is (before if wait == math.inf else not before)
