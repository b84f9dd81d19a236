"""Wide directories are found, not read; their parts together are what find prints."""
# ruff: noqa: FBT001, PLR0917 -- pytest passes arguments by name
# ruff: noqa: PTH208, PTH211 -- names are bytes or descriptors here

import os
import zlib
from pathlib import Path
from typing import Any

import pytest

from zfs_walk.scan.columns import ROWS
from zfs_walk.scan.interface import Budget, Directory, NameBlock, Scan

pytestmark = pytest.mark.usefixtures("no_leak")

ROOT = Directory(0, b"")


@pytest.fixture
def wide(folder: Path) -> Path:
    """A root with 5,300 entries in it."""
    for number in range(5000):
        (folder / f"file{number}").touch()
    for number in range(200):
        (folder / f"dir{number}" / "below").mkdir(parents=True)
    for number in range(100):
        os.symlink(b"x", os.fsencode(folder) + b"/l\xff%d" % number)
    return folder


@pytest.mark.parametrize(("limit", "is_wide"), [(5299, True), (5300, False)])
def test_a_directory_is_wide_past_part_limit(
    walker: Any,
    balance: Any,
    wide: Path,
    limit: int,
    is_wide: bool,
) -> None:
    scan = walker.scan(wide, part_limit=limit)
    balance([ROOT], scan)
    assert (scan.wide is not None) is is_wide
    if scan.wide:
        assert scan.wide.directory == ROOT
        assert 8 <= scan.wide.parts <= 4096
        assert (len(scan.columns), scan.listed, scan.found) == (0, 0, 0)


def test_a_wide_directory_ends_the_call_and_the_rest_comes_back(
    walker: Any, balance: Any, wide: Path
) -> None:
    parent = wide.parent / (wide.name + "-parent")
    parent.mkdir()
    try:
        (parent / "a").mkdir()
        wide.rename(parent / "b")
        (parent / "c").mkdir()
        scanner = walker.scanner(parent, part_limit=100)
        batch = [ROOT, Directory(0, b"never")]
        scan = scanner.scan(batch, Budget())
        scanner.close()
        balance(batch, scan)
        assert scan.wide is not None
        assert scan.wide.directory.path == b"b"
        assert scan.untouched == 1
    finally:
        (parent / "b").rename(wide)
        for name in "ac":
            (parent / name).rmdir()
        parent.rmdir()


def test_the_number_of_parts_follows_the_size_of_the_directory(walker: Any, tmp_path: Path) -> None:
    for number in range(2000):
        (tmp_path / f"{number:0200}").touch()
    size = tmp_path.stat().st_size
    if size <= 24 * 500:
        pytest.skip("directories have no telling size here")
    assert walker.scan(tmp_path, part_limit=500).wide.parts == max(8, size // 24 // 16_384)
    assert walker.scan(tmp_path, part_limit=1999).wide is not None


def test_without_a_telling_size_there_are_64_parts(walker: Any, wide: Path) -> None:
    if wide.stat().st_size > 24 * 5200:
        pytest.skip("directories have a telling size here")
    assert walker.scan(wide, part_limit=5200).wide.parts == 64


def test_subdirectories_with_long_paths_make_a_directory_wide(walker: Any, folder: Path) -> None:
    for number in range(40):
        (folder / f"{number:0250}").mkdir()
    paths = 40 * (len(os.fsencode(folder)) + 251)
    assert walker.scan(folder, wide_bytes=paths).wide is None
    scan = walker.scan(folder, wide_bytes=paths - 1)
    assert scan.wide is not None
    assert (len(scan.columns), scan.listed, scan.found) == (0, 0, 0)


def test_list_names_gives_every_name_once_in_bounded_blocks(walker: Any, wide: Path) -> None:
    scanner = walker.scanner(wide)
    blocks = list(scanner.list_names(ROOT))
    scanner.close()
    assert all(0 < len(block.names) <= 4096 for block in blocks)
    assert len(blocks) >= 2
    kinds: dict[bytes, int] = {}
    for block in blocks:
        assert len(block.names) == len(block.types)
        kinds.update(zip(block.names, block.types, strict=True))
    assert sorted(kinds) == sorted(os.listdir(os.fsencode(wide)))
    assert sum(len(block.names) for block in blocks) == len(kinds)
    for name, kind in kinds.items():
        assert kind == {b"f": 8, b"d": 4, b"l": 10}[name[:1]]


def test_a_listing_that_is_given_up_closes_its_descriptor(walker: Any, wide: Path) -> None:
    scanner = walker.scanner(wide)
    names = scanner.list_names(ROOT)
    next(names)
    names.close()
    scanner.close()


def test_a_directory_that_cannot_be_listed_raises(walker: Any, folder: Path) -> None:
    scanner = walker.scanner(folder)
    with pytest.raises(FileNotFoundError):
        list(scanner.list_names(Directory(0, b"gone")))
    scanner.close()


@pytest.mark.parametrize("parts", [1, 8, 64])
@pytest.mark.parametrize("names_only", [False, True])
def test_the_parts_of_a_directory_together_are_what_find_prints(
    walker: Any,
    find: Any,
    rows: Any,
    balance: Any,
    wide: Path,
    parts: int,
    names_only: bool,
) -> None:
    scanner = walker.scanner(wide, columns=ROWS, names_only=names_only)
    dealt: list[tuple[list[bytes], list[int]]] = [([], []) for _ in range(parts)]
    for block in scanner.list_names(ROOT):
        for name, kind in zip(block.names, block.types, strict=True):
            names, kinds = dealt[zlib.crc32(name) % parts]
            names.append(name)
            kinds.append(kind)
    scans: list[Scan] = []
    left: list[Directory] = []
    for part, (names, kinds) in enumerate(dealt):
        scan = scanner.scan_names(ROOT, NameBlock(names, bytes(kinds)), own=part == 0)
        balance([ROOT], scan)
        assert scan.listed == 1
        scans.append(scan)
        left += scan.left
    scans.append(scanner.scan(left, Budget()))
    scanner.close()
    expected = find(wide)
    if names_only:
        expected = [entry._replace(size=0, blocks=0) for entry in expected]
    assert rows(*scans) == expected


def test_an_empty_part_is_listed(walker: Any, folder: Path) -> None:
    scanner = walker.scanner(folder)
    scan = scanner.scan_names(ROOT, NameBlock([], b""), own=False)
    scanner.close()
    assert (scan.listed, len(scan.columns), scan.left) == (1, 0, [])
