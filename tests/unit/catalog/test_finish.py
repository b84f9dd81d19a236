"""Finishing: few segments, each row once, whatever is killed."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from zfs_walk.catalog import finish as finishing
from zfs_walk.catalog.finish import finish
from zfs_walk.catalog.folder import LOCK, TOKEN, locked, prepare
from zfs_walk.catalog.manifest import RunInfo, load
from zfs_walk.catalog.query import damaged, query
from zfs_walk.catalog.segment import SegmentInfo, write_segment
from zfs_walk.catalog.totals import Totals
from zfs_walk.errors import CatalogError
from zfs_walk.scan.columns import Columns

Committed = tuple[Path, list[SegmentInfo], Totals]

# A finish that kills itself where argv[1] says, over the committed segments in argv[3].
CHILD = """
import json, os, signal, sys
from pathlib import Path
from zfs_walk.catalog import durable, finish as finishing
from zfs_walk.catalog.manifest import RunInfo
from zfs_walk.catalog.segment import SegmentInfo
from zfs_walk.catalog.totals import Totals

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def after(function, calls):
    def wrapped(*args):
        nonlocal calls
        result = function(*args)
        calls -= 1
        return die() if calls == 0 else result
    return wrapped

step, folder, committed = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
if step == "a merge":
    finishing.write_batches = after(finishing.write_batches, 1)
elif step == "the summary":
    finishing.save_summary = after(finishing.save_summary, 1)
elif step == "the temporary manifest":
    durable.os.fsync = after(os.fsync, 7)
elif step == "the manifest":
    finishing.save = after(finishing.save, 1)
elif step == "the first removal":
    unlink = Path.unlink
    Path.unlink = lambda path, missing_ok: (unlink(path, missing_ok=missing_ok), die())
run = RunInfo(7, (b"/data",), {}, "DONE", "2026-01-02T03:04:05+00:00", None, {})
finishing.finish(
    folder, run, Totals(files=600), [SegmentInfo(**item) for item in committed],
    summary={"schema": 1},
)
"""


def check(folder: Path) -> None:
    """Check that every row is there once, and no file that the manifest does not name."""
    assert list(query(folder, "select ino from files order by ino")[1]) == [
        (number,) for number in range(600)
    ]
    assert list(query(folder, "select count(*) from errors")[1]) == [(2,)]
    manifest = load(folder)
    assert list(damaged(folder, manifest)) == []
    assert {path.name for path in (folder / "segments").iterdir()} == {
        segment.name for segment in manifest.segments
    }
    assert len(manifest.segments) == 2


def test_small_segments_become_one_of_each_kind(committed: Committed, run_info: RunInfo) -> None:
    folder, segments, totals = committed
    manifest = finish(folder, run_info, totals, segments, summary={"schema": 1, "entries": 600})
    check(folder)
    assert manifest == load(folder)
    assert [(segment.kind, segment.rows) for segment in manifest.segments] == [
        ("files", 600),
        ("errors", 2),
    ]
    assert json.loads((folder / "summary.json").read_bytes()) == {"schema": 1, "entries": 600}


def test_finishing_twice_changes_nothing(committed: Committed, run_info: RunInfo) -> None:
    folder, segments, totals = committed
    first = finish(folder, run_info, totals, segments, summary={})
    assert finish(folder, run_info, totals, segments, summary={}) == first
    check(folder)


def test_fewer_segments_than_an_earlier_finish_had_is_an_error_and_removes_nothing(
    committed: Committed,
    run_info: RunInfo,
) -> None:
    folder, segments, totals = committed
    finish(folder, run_info, totals, segments, summary={})
    with pytest.raises(CatalogError, match=r"w0\.parquet is missing"):
        finish(folder, run_info, totals, segments[:4], summary={})
    check(folder)


def test_segments_that_came_later_join_the_merged_ones(
    committed: Committed,
    run_info: RunInfo,
    make_columns: Callable[..., Columns],
) -> None:
    folder, segments, totals = committed
    finish(folder, run_info, totals, segments, summary={})
    late = write_segment(folder / "segments" / "late.parquet", make_columns(5, first=600))
    manifest = finish(folder, run_info, totals, [*segments, late], summary={})
    assert [segment.rows for segment in manifest.segments] == [2, 605]
    assert finish(folder, run_info, totals, [*segments, late], summary={}) == manifest


def test_everything_else_in_segments_is_removed(committed: Committed, run_info: RunInfo) -> None:
    folder, segments, totals = committed
    (folder / "segments" / "withdrawn.parquet").write_bytes(b"of a fenced commit")
    finish(folder, run_info, totals, segments, summary={})
    check(folder)


def test_large_segments_stay_as_they_are(
    committed: Committed,
    run_info: RunInfo,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, segments, totals = committed
    monkeypatch.setattr(finishing, "SMALL_BYTES", 1)
    monkeypatch.setattr(finishing, "LEAST_ROWS", 1)
    manifest = finish(folder, run_info, totals, segments, summary={})
    assert sorted(manifest.segments, key=str) == sorted(segments, key=str)


def test_a_merge_ends_when_it_is_large_enough(
    committed: Committed,
    run_info: RunInfo,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, segments, totals = committed
    monkeypatch.setattr(finishing, "MERGED_BYTES", 2 * segments[0].bytes - 100)
    monkeypatch.setattr(finishing, "LEAST_ROWS", 150)
    manifest = finish(folder, run_info, totals, segments, summary={})
    rows = sorted(segment.rows for segment in manifest.segments)
    assert rows == [2, 200, 200, 200]


def test_an_empty_run_has_an_empty_catalog(tmp_path: Path, run_info: RunInfo) -> None:
    prepare(tmp_path / "c")
    assert finish(tmp_path / "c", run_info, Totals(), [], summary={}).segments == ()
    assert list(query(tmp_path / "c", "from files")[1]) == []


def test_a_missing_segment_is_named(committed: Committed, run_info: RunInfo) -> None:
    folder, segments, totals = committed
    (folder / "segments" / "w3.parquet").unlink()
    with pytest.raises(CatalogError, match=r"w3\.parquet is missing"):
        finish(folder, run_info, totals, segments, summary={})
    assert not (folder / "manifest.json").exists()


def test_a_short_segment_is_named(committed: Committed, run_info: RunInfo) -> None:
    folder, segments, totals = committed
    path = folder / "segments" / "w3.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CatalogError, match=r"w3\.parquet has \d+ bytes and not \d+"):
        finish(folder, run_info, totals, segments, summary={})


def test_a_damaged_segment_is_not_merged(committed: Committed, run_info: RunInfo) -> None:
    folder, segments, totals = committed
    path = folder / "segments" / "w3.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CatalogError, match=r"w3\.parquet is damaged"):
        finish(folder, run_info, totals, segments, summary={})
    assert not (folder / "manifest.json").exists()


def test_a_segment_that_is_no_parquet_is_an_error(committed: Committed, run_info: RunInfo) -> None:
    folder, segments, totals = committed
    (folder / "segments" / "w3.parquet").write_bytes(b"")
    empty = replace(segments[3], bytes=0, checksum="cae66941d9efbd404e4d88758ea67670")
    with pytest.raises(CatalogError, match=r"w3\.parquet"):
        finish(folder, run_info, totals, [*segments[:3], empty], summary={})


def test_a_catalog_of_another_run_is_left_alone(catalog: Path, run_info: RunInfo) -> None:
    before = sorted(catalog.rglob("*"))
    with pytest.raises(CatalogError, match="already holds the catalog of run 7"):
        finish(catalog, replace(run_info, number=8), Totals(), [], summary={})
    assert sorted(catalog.rglob("*")) == before


def test_two_do_not_finish_one_catalog(committed: Committed, run_info: RunInfo) -> None:
    folder, segments, totals = committed
    with locked(folder), pytest.raises(CatalogError, match="another process"):
        finish(folder, run_info, totals, segments, summary={})


@pytest.mark.parametrize(
    ("step", "left"),
    [
        ("a merge", set()),
        ("the summary", {"summary.json"}),
        ("the temporary manifest", {"summary.json", ".manifest.json.tmp"}),
        ("the manifest", {"summary.json", "manifest.json"}),
        ("the first removal", {"summary.json", "manifest.json"}),
    ],
)
def test_a_finish_that_was_killed_is_repaired_by_the_next(
    committed: Committed,
    run_info: RunInfo,
    step: str,
    left: set[str],
) -> None:
    folder, segments, totals = committed
    described = json.dumps([asdict(segment) for segment in segments])
    child = subprocess.run(
        [sys.executable, "-c", CHILD, step, str(folder), described],
        check=False,
        capture_output=True,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    names = {path.name for path in folder.iterdir()}
    assert names - {"segments", TOKEN, LOCK} == left
    # What a reader sees meanwhile is no catalog yet, or a whole one.
    if "manifest.json" in names:
        assert list(query(folder, "select count(*) from files")[1]) == [(600,)]
    finish(folder, run_info, totals, segments, summary={})
    check(folder)
