"""Segments: what goes in comes out, by any engine; durable or not there; never replaced."""

import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zfs_walk.catalog.rows import BATCH_ROWS
from zfs_walk.catalog.segment import SegmentInfo, checksum, write_errors, write_segment
from zfs_walk.errors import InternalError
from zfs_walk.scan.columns import NO_TIME, ROWS, TOTALS, Columns
from zfs_walk.scan.interface import ScanError

STATED = (
    "size",
    "allocated",
    "nlink",
    "ino",
    "dev",
    "uid",
    "gid",
    "mode",
    "atime",
    "mtime",
    "ctime",
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map(str.encode)
names = st.one_of(
    st.binary(max_size=8), texts, st.sampled_from([b"a\nb", b"\xc3", b"\xa4", b"\xff"])
)
types = st.sampled_from([0o040755, 0o100644, 0o104711, 0o120777, 0o010600, 0o140755, 0])
unsigned = st.integers(0, 2**64 - 1)
signed = st.integers(0, 2**63 - 1)
times = st.one_of(st.just(NO_TIME), st.integers(-(2**63) + 1, 2**63 - 1))


@st.composite
def columns_and_rows(draw: st.DrawFn) -> tuple[Columns, list[dict[str, Any]]]:
    """Draw columns, and the rows that a plain loop makes of them."""
    columns, rows = Columns(ROWS), []
    folders = draw(
        st.lists(st.tuples(names.map(lambda name: b"/" + name), st.integers(0, 9)), max_size=4)
    )
    for folder, depth in folders:
        columns.enter(folder, depth)
    for _ in range(draw(st.integers(0, 8)) if folders else 0):
        index = draw(st.integers(0, len(folders) - 1))
        name, mode, error = draw(names), draw(types), draw(st.sampled_from([0, 0, 0, 5, 13]))
        size, blocks = draw(signed), draw(st.integers(0, 2**50))
        numbers = [draw(unsigned) for _ in range(5)]
        moments = [draw(times) for _ in range(3)]
        columns.mode.append(mode)
        columns.size.append(size)
        columns.blocks.append(blocks)
        columns.names += name
        columns.name_ends.append(len(columns.names))
        columns.directory.append(index)
        for key, number in zip(("nlink", "ino", "dev", "uid", "gid"), numbers, strict=True):
            getattr(columns, key).append(number)
        for key, moment in zip(("atime", "mtime", "ctime"), moments, strict=True):
            getattr(columns, key).append(moment)
        columns.error.append(error)
        told = [size, 512 * blocks, *numbers, mode, *(None if t == NO_TIME else t for t in moments)]
        rows.append(
            {
                "dir": folders[index][0].decode("utf-8", "replace"),
                "name": name.decode("utf-8", "replace"),
                "dir_raw": None if is_utf8(folders[index][0]) else folders[index][0],
                "name_raw": None if is_utf8(name) else name,
                "type": {0o040000: "d", 0o100000: "f", 0o120000: "l"}.get(mode & 0o170000, "o"),
                **dict(zip(STATED, [None] * 11 if error else told, strict=True)),
                "btime": None,
                "depth": folders[index][1],
                "error": error or None,
            },
        )
    return columns, rows


def is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def by_arrow(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def by_duckdb(path: Path) -> list[dict[str, Any]]:
    with duckdb.connect() as connection:
        result = connection.execute("from read_parquet(?)", [str(path)])
        keys = [column[0] for column in result.description or ()]
        return [dict(zip(keys, row, strict=True)) for row in result.fetchall()]


@pytest.mark.parametrize("read", [by_arrow, by_duckdb])
@settings(deadline=None, max_examples=60)
@given(several=st.lists(columns_and_rows(), max_size=3))
def test_what_is_written_is_read_back(
    read: Callable[[Path], list[dict[str, Any]]],
    several: list[tuple[Columns, list[dict[str, Any]]]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.parquet"
        info = write_segment(path, [columns for columns, _ in several])
        expected = [row for _, rows in several for row in rows]
        assert read(path) == expected
        assert info == SegmentInfo(
            "s.parquet",
            "files",
            len(expected),
            path.stat().st_size,
            checksum(path),
        )


@settings(deadline=None, max_examples=20)
@given(columns_and_rows())
def test_a_names_only_run_stores_what_a_listing_tells_and_nulls(
    drawn: tuple[Columns, list[dict[str, Any]]],
) -> None:
    columns, rows = drawn
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.parquet"
        write_segment(path, columns, stated=False)
        assert by_arrow(path) == [row | dict.fromkeys(STATED) for row in rows]


def test_every_byte_may_be_in_a_name(tmp_path: Path, make_columns: Callable[..., Columns]) -> None:
    columns = make_columns(256)
    columns.names = bytearray(range(256))
    for byte in range(256):
        columns.name_ends[byte] = byte + 1
    write_segment(tmp_path / "s.parquet", columns)
    rows = by_duckdb(tmp_path / "s.parquet")
    assert [row["name_raw"] or row["name"].encode() for row in rows] == [
        bytes([byte]) for byte in range(256)
    ]
    assert [row["name_raw"] is None for row in rows] == [byte < 128 for byte in range(256)]


def test_more_rows_than_a_batch_come_back_in_order_in_few_row_groups(
    tmp_path: Path,
    make_columns: Callable[..., Columns],
) -> None:
    path = tmp_path / "s.parquet"
    sizes = [BATCH_ROWS + 3, 10, BATCH_ROWS]
    firsts = [0, sizes[0], sizes[0] + sizes[1]]
    several = [
        make_columns(rows, first, b"/data/%d" % first)
        for rows, first in zip(sizes, firsts, strict=True)
    ]
    info = write_segment(path, several)
    table = pq.read_table(path)
    assert info.rows == sum(sizes)
    assert table["ino"].to_pylist() == list(range(sum(sizes)))
    assert table["name"].to_pylist() == [f"file-{number}" for number in range(sum(sizes))]
    assert table["dir"].value_counts().to_pylist() == [
        {"values": f"/data/{first}", "counts": rows}
        for rows, first in zip(sizes, firsts, strict=True)
    ]
    assert pq.ParquetFile(path).num_row_groups == 2


def test_a_root_has_the_folder_that_it_is_in(
    tmp_path: Path,
    make_columns: Callable[..., Columns],
) -> None:
    columns = make_columns(1, folder=b"/")
    columns.names.clear()
    columns.name_ends[0] = 0
    write_segment(tmp_path / "s.parquet", columns)
    [row] = by_arrow(tmp_path / "s.parquet")
    assert (row["dir"], row["name"]) == ("/", "")


def test_the_arrays_can_grow_again_after_writing(
    tmp_path: Path,
    make_columns: Callable[..., Columns],
) -> None:
    columns = make_columns(5)
    write_segment(tmp_path / "s.parquet", columns)
    columns.mode.append(0)
    columns.names += b"more"
    assert len(columns) == 6


def test_columns_for_totals_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="every column"):
        write_segment(tmp_path / "s.parquet", Columns(TOTALS))
    assert list(tmp_path.iterdir()) == []


def test_errors_are_stored_with_class_and_message(tmp_path: Path) -> None:
    found = [
        ScanError(b"/data/secret", errno.EACCES, "denied"),
        ScanError(b"/", errno.EIO, "io"),
        ScanError(b"/odd\xff/na\nme", errno.ELOOP, "loop"),
    ]
    info = write_errors(tmp_path / "e.parquet", found)
    assert (info.kind, info.rows) == ("errors", 3)
    keys = ("dir", "name", "dir_raw", "name_raw", "errno", "class", "message")
    assert by_duckdb(tmp_path / "e.parquet") == [
        dict(zip(keys, row, strict=True))
        for row in [
            ("/data", "secret", None, None, 13, "denied", "Permission denied"),
            ("/", "", None, None, 5, "io", "Input/output error"),
            ("/odd\ufffd", "na\nme", b"/odd\xff", None, 40, "loop", os.strerror(40)),
        ]
    ]


def test_a_segment_never_replaces_a_file(
    tmp_path: Path,
    make_columns: Callable[..., Columns],
) -> None:
    path = tmp_path / "s.parquet"
    path.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        write_segment(path, make_columns(5))
    with pytest.raises(FileExistsError):
        write_errors(path, [])
    assert path.read_bytes() == b"mine"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a file system of its own with 256 KiB."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if os.geteuid() != 0 or mount is None or umount is None:
        pytest.skip("needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    command = [mount, "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    if done.returncode:
        pytest.skip(f"a tmpfs may not be mounted here: {done.stderr}")
    yield folder
    subprocess.run([umount, str(folder)], check=True)


@pytest.mark.root
def test_a_full_disk_leaves_no_file(
    small_disk: Path,
    make_columns: Callable[..., Columns],
) -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        write_segment(small_disk / "s.parquet", make_columns(50_000))
    assert caught.value.errno == errno.ENOSPC
    assert list(small_disk.iterdir()) == []
    write_segment(small_disk / "s.parquet", make_columns(50))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "a\0"])
def test_a_name_that_leads_out_of_the_folder_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name of a segment"):
        SegmentInfo(name, "files", 0, 0, "")


def test_the_checksum_finds_each_flipped_bit(
    tmp_path: Path,
    make_columns: Callable[..., Columns],
) -> None:
    path = tmp_path / "s.parquet"
    info = write_segment(path, make_columns(100))
    good = path.read_bytes()
    random = Random(1)
    for _ in range(50):
        bit = random.randrange(8 * len(good))
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bad)
        assert checksum(path) != info.checksum
    path.write_bytes(good)
    assert checksum(path) == info.checksum
