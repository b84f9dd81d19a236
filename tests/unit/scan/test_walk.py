"""A scanner sees what GNU find sees."""
# ruff: noqa: FBT001 -- pytest passes arguments by name
# ruff: noqa: PTH102, PTH116, PTH123, PTH211 -- names are bytes or descriptors here

import os
import socket
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zfs_walk.scan import looking
from zfs_walk.scan.columns import ROWS
from zfs_walk.scan.interface import Budget, Directory

pytestmark = pytest.mark.usefixtures("no_leak")

NAMES = st.binary(min_size=1, max_size=12).filter(
    lambda name: not set(name) & set(b"/\0") and name not in {b".", b".."}
)
TREES = st.recursive(
    st.one_of(st.integers(0, 20_000), st.just("link"), st.just("fifo")),
    lambda below: st.dictionaries(NAMES, below, max_size=6),
    max_leaves=25,
)


def plant(path: bytes, tree: Any) -> None:
    """Make a tree: a dict is a directory, a number the size of a file."""
    if isinstance(tree, dict):
        os.mkdir(path)
        for name, below in tree.items():
            plant(path + b"/" + name, below)
    elif tree == "link":
        os.symlink(b"..", path)
    elif tree == "fifo":
        os.mkfifo(path)
    else:
        with open(path, "wb") as file:
            file.write(b"x" * tree)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(tree=TREES)
def test_any_tree_is_what_find_prints(walker: Any, find: Any, tree: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = os.fsencode(folder) + b"/root"
        plant(root, tree)
        expected = find(root)
        assert walker.entries(root) == expected
        totals = walker.scan(root)
        assert len(totals.columns) == len(expected)
        assert sum(totals.columns.size) == sum(entry.size for entry in expected)
        assert sum(totals.columns.blocks) == sum(entry.blocks for entry in expected)
        assert totals.columns.names == b""
        names = walker.entries(root, names_only=True)
        assert names == [entry._replace(size=0, blocks=0) for entry in expected]


def test_every_byte_but_slash_and_nul_may_be_in_a_name(
    walker: Any, find: Any, tmp_path: Path
) -> None:
    for byte in set(range(256)) - {0, ord("/"), ord(".")}:
        name = bytes([byte])
        os.mkdir(os.fsencode(tmp_path) + b"/" + name)
        for inside in (b"\xc3" + name, name + b"\xa9", name * 250):
            os.close(os.open(os.fsencode(tmp_path) + b"/" + name + b"/" + inside, os.O_CREAT))
    assert walker.entries(tmp_path) == find(tmp_path)


def test_every_type_of_entry_is_recorded_and_no_link_is_followed(
    walker: Any, find: Any, folder: Path
) -> None:
    (folder / "file").write_bytes(b"x" * 5000)
    (folder / "up").symlink_to("..")
    (folder / "nowhere").symlink_to("nothing")
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket"))
        (folder / "sparse").touch()
        os.truncate(folder / "sparse", 2**40)
        expected = find(folder)
        assert {entry.kind for entry in expected} == set("dflps")
        assert walker.entries(folder) == expected
        kinds = [(entry.path, entry.kind) for entry in walker.entries(folder, names_only=True)]
        assert kinds == [(entry.path, entry.kind) for entry in expected]


def test_devices_are_recorded(walker: Any, find: Any) -> None:
    expected = find("/dev", "-maxdepth", "1")
    assert {"c"} <= {entry.kind for entry in expected}
    assert walker.entries(b"/dev", max_depth=1) == expected


@pytest.mark.parametrize("kind", ["file", "link", "fifo"])
def test_a_root_that_is_no_directory_is_one_entry(
    walker: Any, find: Any, tmp_path: Path, kind: str
) -> None:
    plant(os.fsencode(tmp_path / "it"), 10 if kind == "file" else kind)
    assert walker.entries(tmp_path / "it") == find(tmp_path / "it")
    assert walker.scan(tmp_path / "it").listed == 1


def test_the_root_of_all_has_an_empty_name(walker: Any, rows: Any) -> None:
    scan = walker.scan(b"/", max_depth=0, columns=ROWS)
    assert scan.columns.directories == [b"/"]
    assert [(entry.path, entry.depth) for entry in rows(scan)] == [(b"/", 0)]


def test_what_is_in_the_root_of_all_has_one_slash(walker: Any, find: Any) -> None:
    seen = [entry.path for entry in walker.entries(b"/", max_depth=1)]
    assert seen == [entry.path for entry in find("/", "-maxdepth", "1")]


@pytest.mark.parametrize("columns", ["totals", "rows"])
@pytest.mark.slow
def test_a_chain_5000_deep_is_walked(walker: Any, find: Any, folder: Path, columns: str) -> None:
    chain(folder, 5000)
    scan = walker.scan(folder, columns=columns)
    assert len(scan.columns) == len(find(folder)) == 15_001
    assert scan.listed == 10_001
    assert not scan.errors


def chain(folder: Path, depth: int, name: str = "d" * 20) -> None:
    """Make directories in each other; each has a second directory and a file in it."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("aside", dir_fd=here)
        os.mkdir(name, dir_fd=here)
        os.close(os.open("file", os.O_CREAT, dir_fd=here))
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


def test_a_batch_item_may_have_any_length(walker: Any, rows: Any, folder: Path) -> None:
    chain(folder, 400)
    path = b"/".join([b"d" * 20] * 390)
    scanner = walker.scanner(folder, columns=ROWS)
    scan = scanner.scan([Directory(0, path)], Budget())
    assert scan.listed == 21
    assert len(rows(scan)) == 30
    assert {entry.path.count(b"d" * 20) for entry in rows(scan)} == set(range(390, 401))
    assert max(scan.columns.depths) == 400
    scanner.close()


def test_a_path_past_4_mib_is_an_error_and_not_entered(
    walker: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "LONGEST_PATH", 100)
    chain(folder, 10)
    scan = walker.scan(folder)
    assert [(error.kind, len(error.path) > 100) for error in scan.errors] == [("too-long", True)]
    # Levels 0 to 4 are listed, and what is in them counts: 20 * 5 + 4 slashes make 104 bytes.
    assert len(scan.columns) == 1 + 3 * 5


@pytest.mark.parametrize("depth", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("names_only", [False, True])
def test_max_depth_is_find_maxdepth(
    walker: Any,
    find: Any,
    tmp_path: Path,
    depth: int,
    names_only: bool,
) -> None:
    chain(tmp_path, 5)
    seen = [
        entry.path for entry in walker.entries(tmp_path, max_depth=depth, names_only=names_only)
    ]
    assert seen == [entry.path for entry in find(tmp_path, "-maxdepth", str(depth))]


def test_rows_hold_what_lstat_says(walker: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 7)
    os.link(tmp_path / "file", tmp_path / "other")
    os.utime(tmp_path / "file", ns=(1_234_567_890_123_456_789, -5_000_000_007))
    (tmp_path / "file").chmod(0o4711)
    columns = walker.scan(tmp_path, columns=ROWS).columns
    assert len(columns) == 3
    start = 0
    for index, end in enumerate(columns.name_ends):
        name = columns.names[start:end]
        start = end
        found = os.lstat(columns.directories[columns.directory[index]] + b"/" + name)
        assert (
            *(columns.mode[index], columns.nlink[index], columns.ino[index], columns.dev[index]),
            *(columns.uid[index], columns.gid[index], columns.size[index], columns.blocks[index]),
            *(columns.mtime[index], columns.ctime[index], columns.error[index]),
        ) == (
            *(found.st_mode, found.st_nlink, found.st_ino, found.st_dev),
            *(found.st_uid, found.st_gid, found.st_size, found.st_blocks),
            *(found.st_mtime_ns, found.st_ctime_ns, 0),
        )
        if stat.S_ISREG(found.st_mode):
            assert columns.atime[index] == found.st_atime_ns


def test_a_time_that_64_bits_of_ns_cannot_hold_is_the_last_one(walker: Any, folder: Path) -> None:
    (folder / "file").touch()
    os.utime(folder / "file", (10**11, 10**11))
    if os.stat(folder / "file").st_mtime_ns < 2**63:
        pytest.skip("this file system holds no such time")
    columns = walker.scan(folder, columns=ROWS).columns
    assert max(columns.mtime) == 2**63 - 1
    assert len(columns) == 2


def test_a_directory_read_as_root_keeps_its_access_time(walker: Any, tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    os.utime(below, (1, 10**9))
    walker.scan(tmp_path)
    assert below.stat().st_atime == 1


def test_levels_say_how_many_were_read_and_found_at_each_depth(walker: Any, folder: Path) -> None:
    chain(folder, 3)
    assert walker.scan(folder).levels == {0: [1, 2], 1: [2, 2], 2: [2, 2], 3: [2, 0]}


def test_the_directory_found_last_is_walked_next(walker: Any, folder: Path) -> None:
    chain(folder, 3)
    noted: list[bytes] = []

    class Notes:
        def note(self, directory: Directory) -> None:
            noted.append(directory.path)

    scanner = walker.scanner(folder, trace=Notes())
    scanner.scan([Directory(0, b"")], Budget())
    scanner.close()
    # Depth first: whatever is noted next is in what was noted before, or in one of its parents.
    parents = [path.rpartition(b"/")[0] for path in noted[1:]]
    open_parents = [b""]
    for path, parent in zip(noted[1:], parents, strict=True):
        while open_parents[-1] != parent:
            open_parents.pop()
        open_parents.append(path)
    assert len(noted) == 7
    assert noted[0] == b""


def test_several_roots_are_walked_in_one_call(
    walker: Any, find: Any, rows: Any, balance: Any, tmp_path: Path
) -> None:
    roots = [tmp_path / name for name in "abc"]
    for root in roots:
        root.mkdir()
        chain(root, 2)
    scanner = walker.scanner(*roots, columns=ROWS)
    batch = [Directory(index, b"") for index in range(3)]
    scan = scanner.scan(batch, Budget())
    scanner.close()
    balance(batch, scan)
    assert rows(scan) == sorted(entry for root in roots for entry in find(root))


def test_find_is_gnu_find() -> None:
    version = subprocess.run(["/usr/bin/find", "--version"], capture_output=True, check=True)
    assert b"GNU findutils" in version.stdout
