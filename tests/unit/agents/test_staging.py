"""Rows that a worker holds back: taken once, and never those of a roll that is over."""

from pathlib import Path

import pytest

from zfs_walk.agents import staging as module
from zfs_walk.agents.staging import Staged, Staging, write
from zfs_walk.scan.columns import ROWS, Columns
from zfs_walk.scan.interface import ScanError

UNIT = (1, 2)


def staged(roll: int, result: int) -> Staged:
    return Staged(roll, result, Columns(ROWS), [])


def results(taken: list[Staged]) -> list[int]:
    return [row.result for row in taken]


def test_rows_are_taken_once_and_in_order() -> None:
    staging = Staging()
    for result in (1, 2, 3):
        staging.stage(UNIT, staged(0, result))
    assert results(staging.take(UNIT, 0, 2)) == [1, 2]
    assert results(staging.take(UNIT, 0, 2)) == []
    assert results(staging.take(UNIT, 0, 9)) == [3]


def test_rows_of_another_unit_stay() -> None:
    staging = Staging()
    staging.stage(UNIT, staged(0, 1))
    staging.stage((1, 3), staged(0, 2))
    assert results(staging.take((1, 3), 0, 9)) == [2]
    assert results(staging.take(UNIT, 0, 9)) == [1]


def test_forgotten_rolls_are_dropped_those_to_come_too() -> None:
    staging = Staging()
    staging.stage(UNIT, staged(0, 1))
    staging.forget(UNIT, 0)
    staging.stage(UNIT, staged(0, 2))
    staging.stage(UNIT, staged(1, 3))
    assert results(staging.take(UNIT, 0, 9)) == []
    assert results(staging.take(UNIT, 1, 9)) == [3]


def test_what_is_forgotten_does_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 3)
    staging = Staging()
    for uid in range(50):
        staging.forget((uid, 1), 0)
    assert len(staging._forgotten) == 3


def test_nothing_is_left_of_a_segment_that_could_not_be_written(tmp_path: Path) -> None:
    errors = [ScanError(b"/x", 13, "denied")]
    (tmp_path / "n-errors.parquet").mkdir()
    with pytest.raises(OSError, match="n-errors"):
        write(tmp_path, "n", [Staged(0, 1, Columns(ROWS), errors)], stated=True)
    assert [path.name for path in tmp_path.iterdir()] == ["n-errors.parquet"]
