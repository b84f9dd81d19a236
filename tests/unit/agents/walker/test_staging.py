"""Rows that a worker holds back: taken once, and never those of a roll that is over."""

import os
from pathlib import Path

import pytest

from zfs_walk.agents.walker import staging as module
from zfs_walk.agents.walker.staging import Staged, Staging, held, write
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


def test_a_folder_that_is_really_elsewhere_is_not_written_to(tmp_path: Path) -> None:
    mine, other = tmp_path.resolve() / "mine", tmp_path.resolve() / "other"
    (mine / "segments").mkdir(parents=True)
    other.mkdir()
    (mine / "link").symlink_to(other)
    allow = [os.fsencode(mine)]
    with pytest.raises(PermissionError, match="link is outside of the folders"):  # noqa: SIM117
        with held(mine / "link", allow):
            pass
    with held(mine / "link", []) as folder:
        assert folder == mine / "link"


def test_a_folder_that_is_exchanged_for_a_link_stays_the_same(tmp_path: Path) -> None:
    mine, other = tmp_path.resolve() / "mine", tmp_path.resolve() / "other"
    (mine / "segments").mkdir(parents=True)
    other.mkdir()
    with held(mine / "segments", [os.fsencode(mine)]) as folder:
        (mine / "segments").rename(mine / "before")
        (mine / "segments").symlink_to(other)
        (folder / "rows").touch()
    assert (mine / "before" / "rows").exists()
    assert list(other.iterdir()) == []
