"""How the files of a directory are cut into parts, and that its scanner says so."""

import os
import zlib
from pathlib import Path

import pytest

from zfs_walk.scan.interface import Budget, Directory, ScanOptions
from zfs_walk.scan.loads import FEWEST, LEAST, MOST_PARTS, OTHERS, TASK, part_of, parts_of
from zfs_walk.scan.pure import PureScanner
from zfs_walk.scan.roots import identify

REGULAR, DIRECTORY = 8, 4


@pytest.mark.parametrize(
    ("load", "files", "parts"),
    [
        (0, 0, 0),
        (TASK, 1000, 0),
        (TASK + 1, 1, 2),
        (10**12, 1, 2),
        (10**12, 4 * FEWEST, 5),
        (80 * 400_000, 80, 12),
        (10**15, 10**9, MOST_PARTS),
    ],
)
def test_there_are_as_many_parts_as_tasks_but_four_files_in_each(
    load: int, files: int, parts: int
) -> None:
    assert parts_of(load, files) == parts


@pytest.mark.parametrize("parts", [2, 3, 15, 16, 17, 100, MOST_PARTS])
def test_files_are_apart_from_all_else(parts: int) -> None:
    names = [b"name %d" % number for number in range(20_000)]
    files = {part_of(name, REGULAR, parts) for name in names}
    others = {part_of(name, kind, parts) for name in names for kind in (DIRECTORY, 0, 10)}
    assert not files & others
    assert 0 in others
    assert others == set(range(max(1, parts // OTHERS)))
    assert files <= set(range(len(others), parts))
    assert len(files) > 0.99 * (parts - len(others)) or parts > 1000


def test_hashes_are_those_of_the_documentation() -> None:
    # docs/protocol.md section 3: agents of any release must deal alike.
    assert part_of(b"a", REGULAR, 40) == 2 + zlib.crc32(b"a") % 38
    assert part_of(b"a", DIRECTORY, 40) == zlib.crc32(b"a") % 2


def scanner(folder: Path, *, sends: bool) -> PureScanner:
    return PureScanner([identify(os.fsencode(folder))], ScanOptions(sends=sends))


def fill(folder: Path, files: int, size: int) -> None:
    folder.mkdir()
    for number in range(files):
        with (folder / f"f{number}").open("wb") as file:
            file.truncate(size)


def test_a_directory_of_more_than_a_task_is_wide_if_the_run_sends(tmp_path: Path) -> None:
    fill(tmp_path / "root", 80, 400_000)
    (tmp_path / "root" / "below").mkdir()
    for sends in (False, True):
        made = scanner(tmp_path / "root", sends=sends)
        scan = made.scan([Directory(0, b"")], Budget())
        made.close()
        assert (scan.wide is not None) == sends
        if scan.wide is not None:
            assert scan.wide.parts == parts_of(80 * 400_000, 80)
            assert len(scan.columns) == 0


def test_a_call_comes_back_with_a_tasks_worth_of_files(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for number in range(20):
        fill(root / f"d{number}", 10, 0)
    made = scanner(root, sends=True)
    scan = made.scan([Directory(0, b"")], Budget())
    made.close()
    # Ten files of a directory count ten times the least.
    assert scan.listed == 1 + -(-TASK // (10 * LEAST))
    assert len(scan.left) == 20 - (scan.listed - 1)
