"""A schedule does not wait for anybody, and rises as it was asked to."""

import pytest

from zfs_walk.load.pace import Pace

SECOND = 1_000_000_000


def after(pace: Pace, operations: int, size: int = 0) -> float:
    for _ in range(operations):
        pace.spend(size)
    return pace.due / SECOND


def begun(rate: float, bandwidth: int, ramp: float) -> Pace:
    pace = Pace(rate, bandwidth, ramp)
    pace.begin(5 * SECOND)
    return pace


def test_so_many_a_second() -> None:
    assert after(begun(100.0, 0, 0.0), 0) == 5.0
    assert after(begun(100.0, 0, 0.0), 250) == pytest.approx(7.5)


def test_so_many_bytes_a_second() -> None:
    assert after(begun(0, 1 << 20, 0.0), 30, 1 << 20) == pytest.approx(35.0)


def test_the_tighter_of_both_limits_holds() -> None:
    assert after(begun(100.0, 1 << 20, 0.0), 30, 1 << 20) == pytest.approx(35.0)
    assert after(begun(1.0, 1 << 30, 0.0), 30, 1 << 20) == pytest.approx(35.0)


def test_while_it_rises_half_of_it_is_done() -> None:
    # In 4 s of rising to 100 a second: 200; then 100 a second.
    assert after(begun(100.0, 0, 4.0), 200) == pytest.approx(9.0)
    assert after(begun(100.0, 0, 4.0), 50) == pytest.approx(7.0)
    assert after(begun(100.0, 0, 4.0), 300) == pytest.approx(10.0)
