"""What is taken from a catalog of a load."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from zfs_walk.catalog.finish import finish
from zfs_walk.catalog.folder import prepare
from zfs_walk.catalog.manifest import RunInfo
from zfs_walk.catalog.segment import write_segment
from zfs_walk.catalog.totals import Totals
from zfs_walk.errors import CatalogError, WrongUseError
from zfs_walk.load.shape import MOST_DEPTH, PER_FOLDER, Shape
from zfs_walk.load.shaping import shape_of, shaped
from zfs_walk.load.spec import LoadSpec, Work
from zfs_walk.scan.columns import ROWS, Columns

FILE, FOLDER, LINK = 0o100644, 0o040755, 0o120777
RUN = RunInfo(1, (b"/data",), {}, "DONE", "2026-01-02T03:04:05+00:00", "", {})


def catalog(folder: Path, entries: list[tuple[int, int, int]]) -> str:
    """A catalog of entries: mode, depth, size."""
    columns = Columns(ROWS)
    for mode, depth, size in entries:
        columns.directory.append(columns.enter(b"/data", depth))
        columns.names += b"x"
        columns.name_ends.append(len(columns.names))
        columns.mode.append(mode)
        columns.size.append(size)
        for values in (columns.blocks, columns.error, columns.nlink, columns.ino, columns.dev):
            values.append(0)
        for values in (columns.uid, columns.gid, columns.atime, columns.mtime, columns.ctime):
            values.append(0)
    prepare(folder)
    info = write_segment(folder / "segments" / "s.parquet", columns)
    finish(folder, RUN, Totals(), [info], summary={})
    return str(folder)


def test_sizes_that_are_alone_stay_as_they_are(tmp_path: Path) -> None:
    sizes = [0, 1, 511, 512]
    sizes += [2**bits + more for bits in range(10, 63) for more in (-1, 0, 1)]
    sizes.append(2**63 - 1)
    shape = shape_of(catalog(tmp_path / "c", [(FILE, 1, size) for size in sizes]))
    found = [size for size, _ in shape.sizes]
    assert sum(number for _, number in shape.sizes) == len(sizes)
    assert {size.bit_length() for size in found} == {size.bit_length() for size in sizes}
    assert found[:4] == [0, 1, 511, 512]
    assert all(2**bits - 1 in found for bits in range(10, 63))
    assert shape.bytes == pytest.approx(sum(sizes), rel=1e-9)


def test_others_are_the_mean_of_a_sixteenth_of_a_power_of_two(tmp_path: Path) -> None:
    random = Random(1)
    sizes = [round(2 ** random.uniform(0, 30)) for _ in range(20_000)]
    shape = shape_of(catalog(tmp_path / "c", [(FILE, 1, size) for size in sizes]))
    assert shape.files == 20_000
    assert shape.bytes == pytest.approx(sum(sizes), rel=1e-3)
    assert len(shape.sizes) < 512 + 21 * 16 + 1
    for bits in range(31):
        due = sum(1 for size in sizes if size.bit_length() == bits)
        assert sum(n for size, n in shape.sizes if size.bit_length() == bits) == due


def test_depths_and_folders_are_counted_and_links_are_not(tmp_path: Path) -> None:
    entries = [(FOLDER, 0, 4096), (FOLDER, 1, 4096), (FOLDER, 1, 4096), (FOLDER, 2, 4096)]
    entries += [(FILE, 1, 5)] * 3 + [(FILE, 2, 5)] * 8 + [(LINK, 1, 7), (FILE, 0, 5)]
    entries += [(FILE, 900, 5)]
    shape = shape_of(catalog(tmp_path / "c", entries))
    assert shape.depths == ((1, 4), (2, 8), (MOST_DEPTH, 1))
    assert shape.folders[:4] == (1, 2, 1, 0)
    assert len(shape.folders) == MOST_DEPTH
    assert shape.sizes == ((5, 13),)
    assert shape.files_per_folder(2) == 4.0
    assert shape.folders_per_folder(1) == 2
    assert shape.folders_per_folder(2) == 1


def test_without_folders_a_usual_number_of_files_is_in_one(tmp_path: Path) -> None:
    shape = shape_of(catalog(tmp_path / "c", [(FILE, 2, 1)] * (4 * PER_FOLDER)))
    assert shape.files_per_folder(2) == PER_FOLDER


def test_what_has_no_sizes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="no files whose sizes are known"):
        shape_of(catalog(tmp_path / "c", [(FOLDER, 0, 4096)]))
    with pytest.raises(CatalogError):
        shape_of(str(tmp_path / "nothing"))


def test_a_load_gets_the_shape_that_it_can_make(tmp_path: Path) -> None:
    name = catalog(tmp_path / "c", [(FILE, 1, size) for size in (0, 13, 5000, 1 << 30)])
    load = LoadSpec(name="one", target="/d", like=name)
    other = LoadSpec(name="two", target="/d")
    [whole, untouched] = shaped([load, other])
    assert untouched == other
    assert whole.sizes == ((0, 1), (13, 1), (5000, 1), (1 << 30, 1))
    [direct] = shaped([replace(load, direct=True, like_max=4096)])
    assert direct.sizes == ((0, 1), (4096, 3))
    small = replace(load, work=Work.METADATA)
    with pytest.raises(WrongUseError, match="like-max: 64M or less is wanted"):
        shaped([small])
    [limited] = shaped([replace(small, like_max=64 << 20)])
    assert limited.largest_file == 64 << 20


def test_what_is_about_to_fork_gets_no_threads(tmp_path: Path) -> None:
    name = catalog(tmp_path / "c", [(FILE, 1, 13)])
    # In a process that has never had any, as one of these tests may have by now.
    code = (
        "import os, sys\n"
        "from zfs_walk.load.shaping import shaped\n"
        "from zfs_walk.load.spec import LoadSpec\n"
        "[load] = shaped([LoadSpec(name='one', target='/d', like=sys.argv[1])])\n"
        "print(load.shape.sizes, len(os.listdir('/proc/self/task')), 'duckdb' in sys.modules)\n"
    )
    said = subprocess.run([sys.executable, "-c", code, name], stdout=subprocess.PIPE, check=True)
    assert said.stdout == b"((13, 1),) 1 False\n"


def test_its_trouble_is_that_of_the_catalog(tmp_path: Path) -> None:
    load = LoadSpec(name="one", target="/d", like=str(tmp_path / "nothing\udcff"))
    with pytest.raises(CatalogError, match="nothing"):
        shaped([load])


def test_the_largest_of_some_files_is_one_of_which_half_a_file_is_due() -> None:
    shape = Shape(((1, 900), (10, 99), (100, 1)), ((1, 1000),), (1,))
    assert [shape.largest_of(files) for files in (1, 6, 400, 500)] == [1, 10, 10, 100]
