"""Queries: the views, and nothing but reading."""

import subprocess
import sys
from pathlib import Path

import pytest

from zfs_walk.catalog.finish import finish
from zfs_walk.catalog.folder import prepare
from zfs_walk.catalog.manifest import RunInfo, load
from zfs_walk.catalog.query import damaged, opened, query
from zfs_walk.catalog.segment import SegmentInfo, write_segment
from zfs_walk.catalog.totals import Totals
from zfs_walk.errors import CatalogError, WrongUseError
from zfs_walk.scan.columns import ROWS, Columns


def test_a_query_gives_columns_and_rows(catalog: Path) -> None:
    columns, rows = query(catalog, "select count(*) as n, sum(size) as bytes from files;")
    assert columns == ["n", "bytes"]
    assert list(rows) == [(600, sum(range(600)))]


def test_errors_have_a_path_too(catalog: Path) -> None:
    _, rows = query(catalog, "select path, name_raw, errno, class from errors order by errno")
    assert list(rows) == [
        ("/odd\ufffd/na\nme\ufffd", b"na\nme\xfe", 5, "io"),
        ("/data/secret", None, 13, "denied"),
    ]


def test_a_path_is_folder_and_name_and_the_root_is_a_slash(
    tmp_path: Path,
    run_info: RunInfo,
) -> None:
    columns = Columns(ROWS)
    for folder, name in [(b"/", b""), (b"/", b"data"), (b"/data", b"x")]:
        columns.directory.append(columns.enter(folder, 0))
        columns.names += name
        columns.name_ends.append(len(columns.names))
        for values in (columns.mode, columns.size, columns.blocks, columns.error):
            values.append(0)
        for values in (columns.nlink, columns.ino, columns.dev, columns.uid, columns.gid):
            values.append(0)
        for values in (columns.atime, columns.mtime, columns.ctime):
            values.append(0)
    prepare(tmp_path / "c")
    info = write_segment(tmp_path / "c" / "segments" / "s.parquet", columns)
    finish(tmp_path / "c", run_info, Totals(), [info], summary={})
    assert list(query(tmp_path / "c", "select path from files")[1]) == [
        ("/",),
        ("/data",),
        ("/data/x",),
    ]


def test_an_empty_catalog_has_the_same_views(
    tmp_path: Path,
    catalog: Path,
    run_info: RunInfo,
) -> None:
    prepare(tmp_path / "empty")
    finish(tmp_path / "empty", run_info, Totals(), [], summary={})
    for view in ("files", "errors"):
        described = list(query(catalog, f"describe {view}")[1])
        assert list(query(tmp_path / "empty", f"describe {view}")[1]) == described
        assert list(query(tmp_path / "empty", f"from {view}")[1]) == []


def test_only_the_segments_of_the_manifest_are_seen(catalog: Path) -> None:
    [files] = [segment for segment in load(catalog).segments if segment.kind == "files"]
    source = catalog / "segments" / files.name
    (catalog / "segments" / "garbage.parquet").write_bytes(source.read_bytes())
    assert list(query(catalog, "select count(*) from files")[1]) == [(600,)]


@pytest.mark.parametrize(
    "name", ["with space", "quo'te\"", "glob*[a]?", "ümlaut", "odd\udcff", "k=v"]
)
def test_the_folder_may_have_any_name(catalog: Path, name: str) -> None:
    moved = catalog.rename(catalog.with_name(name))
    assert list(query(moved, "select count(*) from files")[1]) == [(600,)]


def test_a_relative_folder_will_do(catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(catalog.parent)
    assert list(query(catalog.name, "select count(*) from files")[1]) == [(600,)]


def test_times_with_a_zone_come_as_text(catalog: Path) -> None:
    columns, rows = query(
        catalog,
        'select to_timestamp(0) as "at""", ino as "at" from files order by 2 desc limit 2 -- x',
    )
    assert columns == ['at"', "at"]
    assert [(str(row[0])[:5], row[1]) for row in rows] == [("1970-", 599), ("1970-", 598)]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("selec 1", "syntax error"),
        ("select sizes from files", 'Candidate bindings: "size"'),
        ("from nothing", "does not exist"),
        ("select name::int from files", "Could not convert"),
        ("", "one SQL statement"),
        ("select 1; select 2", "one SQL statement"),
        ("drop view files", "one SQL statement"),
        ("copy (select 1) to '/tmp/zfs_walk-never'", "one SQL statement"),
        ("explain analyze copy (select 1) to '/tmp/zfs_walk-never'", "one SQL statement"),
        ("attach '/tmp/zfs_walk-never'", "one SQL statement"),
        ("set threads = 1", "one SQL statement"),
        ("install httpfs", "one SQL statement"),
        ("from read_csv('/etc/passwd')", "disabled by configuration"),
        ("from read_text('/etc/passwd')", "disabled by configuration"),
        ("from glob('/etc/*')", "disabled by configuration"),
        ("from '/etc/passwd'", "passwd"),
    ],
)
def test_a_statement_that_is_wrong_or_does_more_than_read_is_refused(
    catalog: Path,
    sql: str,
    words: str,
) -> None:
    with pytest.raises(WrongUseError) as caught:
        list(query(catalog, sql)[1])
    assert words in str(caught.value)
    assert not Path("/tmp/zfs_walk-never").exists()


def test_a_damaged_segment_is_the_fault_of_the_catalog(catalog: Path) -> None:
    for path in (catalog / "segments").iterdir():
        size = path.stat().st_size
        path.write_bytes(b"PAR1" + bytes(size - 8) + b"PAR1")
    with pytest.raises(CatalogError, match=f"{catalog}/segments/merged-"):
        query(catalog, "from files")


def test_damage_that_only_reading_the_rows_finds_is_the_fault_of_the_catalog(catalog: Path) -> None:
    for path in (catalog / "segments").iterdir():
        content = bytearray(path.read_bytes())
        content[50:2000] = bytes(1950)
        path.write_bytes(content)
    with pytest.raises(CatalogError):
        list(query(catalog, "from files")[1])


def test_a_missing_segment_is_the_fault_of_the_catalog(catalog: Path) -> None:
    for path in (catalog / "segments").iterdir():
        path.unlink()
    with pytest.raises(CatalogError, match=r"merged-\w+\.parquet is missing"):
        query(catalog, "from files")


def test_a_large_result_is_not_held_in_memory(catalog: Path) -> None:
    _, rows = query(catalog, "select range from range(1000000000000)")
    assert [next(rows) for _ in range(3)] == [(0,), (1,), (2,)]


def test_nothing_is_left_behind(
    catalog: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    _, rows = query(catalog, "from files")
    next(rows)
    assert list(temporary.iterdir()) != []
    del rows
    assert list(temporary.iterdir()) == []


def test_reports_get_a_connection(catalog: Path) -> None:
    with opened(catalog) as connection:
        assert connection.execute("select max(ino) from files").fetchone() == (599,)


def test_verifying_finds_one_flipped_bit_a_short_and_a_missing_segment(
    committed: tuple[Path, list[SegmentInfo], Totals],
    run_info: RunInfo,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("zfs_walk.catalog.finish.SMALL_BYTES", 0)
    monkeypatch.setattr("zfs_walk.catalog.finish.LEAST_ROWS", 0)
    folder, segments, totals = committed
    manifest = finish(folder, run_info, totals, segments, summary={})
    assert list(damaged(folder, manifest)) == []
    flipped, short, missing = (folder / "segments" / f"w{number}.parquet" for number in (1, 2, 3))
    content = bytearray(flipped.read_bytes())
    content[len(content) // 3] ^= 16
    flipped.write_bytes(content)
    short.write_bytes(short.read_bytes()[:-1])
    missing.unlink()
    found = list(damaged(folder, manifest))
    assert [problem.partition(":")[0] for problem in found] == [
        "w1.parquet",
        "w2.parquet",
        "w3.parquet",
    ]


@pytest.mark.parametrize(
    ("package", "call"),
    [
        ("duckdb", "from zfs_walk.catalog.query import query; query({folder!r}, 'from files')"),
        (
            "pyarrow",
            "from zfs_walk.catalog.segment import write_errors as w; w({folder!r} + '/x', [])",
        ),
    ],
)
def test_a_missing_package_is_named_with_its_extra(catalog: Path, package: str, call: str) -> None:
    code = f"""
import sys
sys.modules[{package!r}] = None
from zfs_walk.errors import MissingExtraError
try:
    {call.format(folder=str(catalog))}
except MissingExtraError as error:
    print(error.exit_code, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout.startswith("10 ")
    assert f"({package})" in done.stdout
    assert "pip install 'zfs_walk[catalog]'" in done.stdout
    assert not (catalog / "x").exists()
