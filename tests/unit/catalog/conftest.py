"""Columns, runs and catalogs that the tests of this folder share."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from zfs_walk.catalog.finish import finish
from zfs_walk.catalog.folder import prepare
from zfs_walk.catalog.manifest import RunInfo
from zfs_walk.catalog.segment import SegmentInfo, write_errors, write_segment
from zfs_walk.catalog.totals import Totals
from zfs_walk.scan.columns import ROWS, Columns
from zfs_walk.scan.interface import ScanError


@pytest.fixture
def make_columns() -> Callable[..., Columns]:
    """Return a maker of ``rows`` files whose inodes count from ``first``: none is like another."""

    def make(rows: int, first: int = 0, folder: bytes = b"/data") -> Columns:
        random = Random(first)
        columns = Columns(ROWS)
        index = columns.enter(folder, 1)
        for number in range(first, first + rows):
            columns.mode.append(0o100644)
            columns.size.append(number)
            columns.blocks.append(8)
            columns.names += b"file-%d" % number
            columns.name_ends.append(len(columns.names))
            columns.directory.append(index)
            columns.nlink.append(1)
            columns.ino.append(number)
            columns.dev.append(64769)
            columns.uid.append(1000)
            columns.gid.append(100)
            for times in (columns.atime, columns.mtime, columns.ctime):
                times.append(random.randrange(2**62))
            columns.error.append(0)
        return columns

    return make


@pytest.fixture
def run_info() -> RunInfo:
    """Return a run over two roots, one of which is not UTF-8."""
    return RunInfo(
        number=7,
        roots=(b"/data", b"/odd\xff"),
        options={"names_only": False},
        state="DONE_WITH_ERRORS",
        submitted="2026-01-02T03:04:05+00:00",
        finished="2026-01-02T03:05:05+00:00",
        versions={"zfs_walk": "0.1.0"},
    )


@pytest.fixture
def errors() -> list[ScanError]:
    """Return two entries that could not be read."""
    return [ScanError(b"/data/secret", 13, "denied"), ScanError(b"/odd\xff/na\nme\xfe", 5, "io")]


@pytest.fixture
def committed(
    tmp_path: Path,
    make_columns: Callable[..., Columns],
    errors: list[ScanError],
) -> tuple[Path, list[SegmentInfo], Totals]:
    """Return a prepared folder, what a run of 600 entries committed to it, and its totals."""
    folder = tmp_path / "catalog"
    prepare(folder)
    totals = Totals()
    totals.error_classes.update(error.kind for error in errors)
    segments = []
    for number in range(6):
        columns = make_columns(100, first=100 * number)
        totals.add(columns)
        segments.append(write_segment(folder / "segments" / f"w{number}.parquet", columns))
    for number, error in enumerate(errors):
        path = folder / "segments" / f"e{number}.parquet"
        segments.append(write_errors(path, [error]))
    return folder, segments, totals


@pytest.fixture
def catalog(
    committed: tuple[Path, list[SegmentInfo], Totals],
    run_info: RunInfo,
    errors: list[ScanError],
) -> Path:
    """Return the finished catalog of that run."""
    folder, segments, totals = committed
    finish(folder, run_info, totals, segments, examples=errors, summary={"schema": 1})
    return folder
