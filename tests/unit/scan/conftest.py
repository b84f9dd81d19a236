"""A file system, GNU find, and the scanners that must agree with it."""
# ruff: noqa: PTH208 -- names are bytes or descriptors here

import ctypes
import gc
import os
import shutil
import subprocess
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from zfs_walk.scan.columns import ROWS
from zfs_walk.scan.filters import Filter
from zfs_walk.scan.interface import Budget, Directory, Scan, Scanner, ScanOptions, Trace
from zfs_walk.scan.pure import PureScanner
from zfs_walk.scan.roots import identify

SCANNERS = [PureScanner]
"""Every class that must pass these tests: a native kernel is added here."""

NOBODY = 65534
CLONE_NEWNS = 0x00020000


class Entry(NamedTuple):
    """What both find and a scanner say of an entry."""

    path: bytes
    kind: str
    size: int
    blocks: int
    depth: int


_KINDS = {1: "p", 2: "c", 4: "d", 6: "b", 8: "f", 10: "l", 12: "s"}


class Walker:
    """One class of scanners, made easy to call."""

    def __init__(self, make: Callable[..., Scanner]) -> None:
        self.make = make

    def scanner(self, *paths: bytes | Path, trace: Trace | None = None, **options: Any) -> Scanner:
        roots = [identify(os.fsencode(path)) for path in paths]
        return self.make(roots, ScanOptions(**options), trace)

    def scan(self, path: bytes | Path, **options: Any) -> Scan:
        """Walk a whole tree in one call."""
        scanner = self.scanner(path, **options)
        try:
            scan = scanner.scan([Directory(0, b"")], Budget())
        finally:
            scanner.close()
        balance([Directory(0, b"")], scan)
        return scan

    def entries(self, path: bytes | Path, **options: Any) -> list[Entry]:
        """All rows of a whole tree, sorted."""
        scan = self.scan(path, columns=ROWS, **options)
        assert not scan.left
        assert scan.wide is None
        return rows(scan)


def rows(*scans: Scan) -> list[Entry]:
    """The rows of some scans, sorted."""
    found = []
    for scan in scans:
        columns = scan.columns
        start = 0
        for index, end in enumerate(columns.name_ends):
            name = bytes(columns.names[start:end])
            start = end
            directory = columns.directory[index]
            path = columns.directories[directory].rstrip(b"/") + b"/" + name
            found.append(
                Entry(
                    path,
                    _KINDS.get(columns.mode[index] >> 12, "?"),
                    columns.size[index],
                    columns.blocks[index],
                    columns.depths[directory],
                )
            )
    return sorted(found)


def balance(batch: Sequence[Directory], scan: Scan) -> None:
    """Assert the books of `Scan`, and that the levels add up to them."""
    consumed = len(batch) - scan.untouched
    wide = 1 if scan.wide else 0
    assert scan.found - scan.listed - wide == len(scan.left) + len(scan.failed) - consumed
    assert sum(level[0] for level in scan.levels.values()) == scan.listed
    assert sum(level[1] for level in scan.levels.values()) == scan.found
    columns = scan.columns
    assert len(columns.mode) == len(columns.size) == len(columns.blocks)
    if columns.wanted == ROWS:
        for column in (
            *(columns.name_ends, columns.directory, columns.nlink, columns.ino, columns.dev),
            *(columns.uid, columns.gid, columns.atime, columns.mtime, columns.ctime),
        ):
            assert len(column) == len(columns)
        assert len(columns.error) == len(columns)
        assert len(columns.depths) == len(columns.directories)


def find_tree(path: bytes | Path, *expression: str | bytes) -> list[Entry]:
    """What GNU find prints of a tree, sorted; ``expression`` comes before its -printf."""
    done = subprocess.run(
        ["/usr/bin/find", path, *expression, "-printf", r"%p\0%y\0%s\0%b\0%d\0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
        env={"LC_ALL": "C.UTF-8"},
    )
    fields = done.stdout.split(b"\0")[:-1]
    return sorted(
        Entry(name, os.fsdecode(kind), int(size), int(blocks), int(depth))
        for name, kind, size, blocks, depth in zip(*[iter(fields)] * 5, strict=True)
    )


def run_in_child(prepare: Callable[[], None], function: Callable[[], None]) -> None:
    """Run ``function`` in a fork, after ``prepare``; what it raises fails the test."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            prepare()
            function()
            code = 0
        except BaseException:  # noqa: BLE001 -- the parent reports it
            os.write(writing, traceback.format_exc().encode()[-60_000:])
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        report = pipe.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, report.decode()


def become_nobody() -> None:
    """Give up root's rights; a plain user has none to give up."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def leave_mounts() -> None:
    """Enter a mount namespace of our own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["/usr/bin/mount", "--make-rprivate", "/"], check=True)


@pytest.fixture(params=SCANNERS, ids=lambda scanner: scanner.name)
def walker(request: pytest.FixtureRequest) -> Walker:
    """Each scanner in turn."""
    return Walker(request.param)


@pytest.fixture(name="find")
def _find() -> Callable[..., list[Entry]]:
    return find_tree


@pytest.fixture(name="rows")
def _rows() -> Callable[..., list[Entry]]:
    return rows


@pytest.fixture(name="balance")
def _balance() -> Callable[[Sequence[Directory], Scan], None]:
    return balance


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can reach, in memory where there is one."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    path = Path(tempfile.mkdtemp(prefix="zfs_walk-", dir=base))
    path.chmod(0o755)
    try:
        yield path
    finally:
        # rm -r has no limit of depth.
        subprocess.run(["/usr/bin/rm", "-rf", path], check=True)


@pytest.fixture
def as_nobody() -> Callable[[Callable[[], None]], None]:
    """Run a function as a plain user."""
    return lambda function: run_in_child(become_nobody, function)


@pytest.fixture
def with_mounts() -> Callable[[Callable[[], None]], None]:
    """Run a function that may mount, in a namespace of its own."""
    try:
        run_in_child(leave_mounts, lambda: None)
    except AssertionError:
        pytest.skip("this system permits no mount namespace")
    return lambda function: run_in_child(leave_mounts, function)


@pytest.fixture
def no_leak() -> Iterator[None]:
    """Fail if a test leaves descriptors open."""
    # What earlier tests have left to be collected must not go meanwhile.
    gc.collect()
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.fixture
def excluding() -> Callable[..., Filter]:
    """Make a filter of exclude patterns."""
    return lambda *patterns, **more: Filter(excludes=patterns, **more)


assert shutil.which("find"), "GNU find is the oracle of these tests"
