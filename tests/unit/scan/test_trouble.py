"""What can't be read, what goes away, what is its own ancestor: exact to the entry."""
# ruff: noqa: FBT001, PLR0917 -- pytest passes arguments by name
# ruff: noqa: PTH119, PTH208 -- names are bytes or descriptors here

import errno
import os
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from zfs_walk.scan.columns import ROWS
from zfs_walk.scan.interface import Budget, Directory, NameBlock, ScanError, UnreachableError

pytestmark = pytest.mark.usefixtures("no_leak")

ROOT = Directory(0, b"")


def test_an_unreadable_directory_counts_and_is_one_denied_error(
    walker: Any, find: Any, folder: Path, as_nobody: Any
) -> None:
    (folder / "closed" / "inside").mkdir(parents=True)
    (folder / "open").mkdir()
    (folder / "closed").chmod(0)

    def check() -> None:
        assert walker.entries(folder) == find(folder)
        scan = walker.scan(folder)
        assert scan.errors == [ScanError(os.fsencode(folder / "closed"), errno.EACCES, "denied")]
        assert (scan.listed, scan.found, scan.failed) == (3, 2, [])

    as_nobody(check)
    (folder / "closed").chmod(0o700)


def test_a_root_that_cannot_be_listed_counts(
    walker: Any, find: Any, folder: Path, as_nobody: Any
) -> None:
    (folder / "inside").mkdir()
    folder.chmod(0o311)

    def check() -> None:
        assert walker.entries(folder) == find(folder)
        assert [error.kind for error in walker.scan(folder).errors] == ["denied"]

    as_nobody(check)
    folder.chmod(0o755)


def test_entries_without_a_stat_count_with_their_type_and_error(
    walker: Any, folder: Path, rows: Any, as_nobody: Any
) -> None:
    (folder / "names" / "below").mkdir(parents=True)
    (folder / "names" / "file").write_bytes(b"x" * 9)
    (folder / "names" / "link").symlink_to("file")
    (folder / "names").chmod(0o444)  # readable, but not searchable

    def check() -> None:
        scan = walker.scan(folder, columns=ROWS)
        inside = {entry.path.rpartition(b"/")[2]: entry for entry in rows(scan)}
        assert {
            name: (entry.kind, entry.size) for name, entry in inside.items() if entry.depth == 2
        } == {b"below": ("d", 0), b"file": ("f", 0), b"link": ("l", 0)}
        assert sorted(scan.columns.error) == [0, 0, errno.EACCES, errno.EACCES, errno.EACCES]
        assert sorted(error.path.rpartition(b"/")[2] for error in scan.errors) == sorted(
            [b"below", b"file", b"link"]
        )
        assert {error.kind for error in scan.errors} == {"denied"}
        assert len(walker.scan(folder, names_only=True).columns) == 5

    as_nobody(check)
    (folder / "names").chmod(0o755)


def test_a_directory_of_another_user_is_read_without_noatime(
    walker: Any, find: Any, folder: Path, as_nobody: Any
) -> None:
    for name in "abc":
        (folder / name / "below").mkdir(parents=True)

    def check() -> None:
        assert walker.entries(folder) == find(folder)
        assert not walker.scan(folder).errors

    as_nobody(check)


def test_a_batch_item_that_is_gone_is_vanished_and_listed(walker: Any, folder: Path) -> None:
    scanner = walker.scanner(folder)
    scan = scanner.scan([Directory(0, b"gone"), Directory(0, b"gone/below")], Budget())
    scanner.close()
    assert (scan.vanished, scan.listed, scan.errors, len(scan.columns)) == (2, 2, [], 0)


@pytest.mark.parametrize("middle", [False, True])
def test_a_directory_that_became_a_link_has_vanished_and_is_not_followed(
    walker: Any,
    folder: Path,
    middle: bool,
) -> None:
    (folder / "outside" / "deep").mkdir(parents=True)
    (folder / "outside" / "deep" / "secret").touch()
    (folder / "root").mkdir()
    (folder / "root" / "was").symlink_to(folder / "outside")
    scanner = walker.scanner(folder / "root")
    scan = scanner.scan([Directory(0, b"was/deep" if middle else b"was")], Budget())
    scanner.close()
    assert (scan.vanished, scan.listed, len(scan.columns)) == (1, 1, 0)


class Saboteur:
    """Acts just before a certain directory is opened."""

    def __init__(self, path: bytes, act: Any) -> None:
        self.path = path
        self.act = act

    def note(self, directory: Directory) -> None:
        if directory.path == self.path:
            self.act()


def test_a_directory_removed_before_it_is_opened_counts_and_is_vanished(
    walker: Any, folder: Path
) -> None:
    (folder / "a" / "b").mkdir(parents=True)
    scanner = walker.scanner(
        folder, trace=Saboteur(b"a", lambda: shutil.rmtree(folder / "a")), columns=ROWS
    )
    scan = scanner.scan([ROOT], Budget())
    scanner.close()
    assert (len(scan.columns), scan.vanished, scan.listed, scan.found) == (2, 1, 2, 1)
    assert scan.errors == []


def test_names_that_are_gone_when_looked_at_are_vanished(walker: Any, folder: Path) -> None:
    for name in "abc":
        (folder / name).touch()
    scanner = walker.scanner(folder)
    scan = scanner.scan_names(ROOT, NameBlock([b"a", b"x", b"c"], b"\x08\x08\x08"), own=False)
    scanner.close()
    assert (len(scan.columns), scan.vanished, scan.listed) == (2, 1, 1)


def test_a_part_whose_directory_is_gone_is_listed_and_its_names_are_vanished(
    walker: Any, folder: Path
) -> None:
    scanner = walker.scanner(folder)
    scan = scanner.scan_names(Directory(0, b"gone"), NameBlock([b"a", b"b"], b"\x08\x04"), own=True)
    scanner.close()
    assert (len(scan.columns), scan.vanished, scan.listed) == (0, 2, 1)


def exchange(root: Path) -> None:
    root.rename(root.with_name("moved"))
    root.mkdir()


@pytest.mark.parametrize("act", [exchange, shutil.rmtree, lambda root: root.rename(f"{root}2")])
def test_a_root_that_is_not_the_recorded_one_is_unreachable(
    walker: Any, folder: Path, act: Any
) -> None:
    root = folder / "root"
    (root / "a").mkdir(parents=True)
    scanner = walker.scanner(root)
    act(root)
    for call in (
        lambda: scanner.scan([ROOT], Budget()),
        lambda: scanner.scan([Directory(0, b"a")], Budget()),
        lambda: list(scanner.list_names(ROOT)),
        lambda: scanner.scan_names(ROOT, NameBlock([b"a"], b"\x04"), own=True),
    ):
        with pytest.raises(UnreachableError):
            call()
    scanner.close()


def test_what_is_missing_below_an_exchanged_root_is_unreachable_and_not_vanished(
    walker: Any, folder: Path
) -> None:
    root = folder / "root"
    (root / "a" / "b").mkdir(parents=True)

    def act() -> None:
        shutil.rmtree(root / "a")
        exchange(root)

    scanner = walker.scanner(root, trace=Saboteur(b"a", act))
    with pytest.raises(UnreachableError):
        scanner.scan([ROOT], Budget())
    shutil.rmtree(root)
    (folder / "moved").rename(root)
    assert len(scanner.scan([ROOT], Budget()).columns) == 1, "a root that returns is walked again"
    scanner.close()


@pytest.mark.root
@pytest.mark.parametrize("names_only", [False, True])
@pytest.mark.parametrize("flag", ["--bind", "--rbind"])
def test_a_directory_that_is_its_own_ancestor_is_an_error_as_in_find(
    walker: Any,
    find: Any,
    folder: Path,
    with_mounts: Any,
    flag: str,
    names_only: bool,
) -> None:
    (folder / "a" / "b" / "loop").mkdir(parents=True)
    (folder / "a" / "b" / "file").touch()
    (folder / "a" / "top").mkdir()
    (folder / "a" / "other").mkdir()

    def check() -> None:
        subprocess.run(
            ["/usr/bin/mount", flag, folder / "a", folder / "a" / "b" / "loop"], check=True
        )
        subprocess.run(["/usr/bin/mount", flag, folder, folder / "a" / "top"], check=True)
        subprocess.run(
            ["/usr/bin/mount", flag, folder / "a" / "b", folder / "a" / "other"], check=True
        )
        expected = [entry.path for entry in find(folder)]
        seen = walker.entries(folder, names_only=names_only)
        assert [entry.path for entry in seen] == expected
        errors = walker.scan(folder, names_only=names_only).errors
        assert {(error.kind, error.errno) for error in errors} == {("loop", errno.ELOOP)}
        assert {os.path.basename(error.path) for error in errors} >= {b"loop", b"top"}
        for path in (b"a", b"a/b"):
            scanner = walker.scanner(folder, names_only=names_only)
            errors = scanner.scan([Directory(0, path)], Budget()).errors
            assert b"loop" in {os.path.basename(error.path) for error in errors}
            scanner.close()
        scanner = walker.scanner(folder, names_only=names_only)
        part = scanner.scan_names(Directory(0, b"a/b"), NameBlock([b"loop"], b"\x04"), own=False)
        assert (len(part.columns), part.found, part.errors[0].kind) == (0, 0, "loop")
        scanner.close()

    with_mounts(check)


@pytest.mark.root
@pytest.mark.parametrize("names_only", [False, True])
@pytest.mark.parametrize("option", [False, True])
def test_one_file_system_counts_a_mount_point_and_does_not_enter_it(
    walker: Any,
    find: Any,
    folder: Path,
    with_mounts: Any,
    option: bool,
    names_only: bool,
) -> None:
    (folder / "a" / "mount").mkdir(parents=True)
    (folder / "a" / "more").mkdir(parents=True)

    def check() -> None:
        subprocess.run(
            ["/usr/bin/mount", "-t", "tmpfs", "none", folder / "a" / "mount"], check=True
        )
        (folder / "a" / "mount" / "inside").touch()
        expected = [entry.path for entry in find(folder, *["-xdev"] * option)]
        seen = walker.entries(folder, names_only=names_only, one_file_system=option)
        assert [entry.path for entry in seen] == expected
        assert len(expected) == 4 + (not option)

    with_mounts(check)


@pytest.mark.parametrize("spare", [3, 4, 5, 6])
def test_few_descriptors_are_enough(walker: Any, find: Any, folder: Path, spare: int) -> None:
    here = folder
    for _ in range(60):
        for name in "abc":
            (here / name).mkdir()
        here /= "a"
    expected = [entry.path for entry in find(folder)]
    scanner = walker.scanner(folder, columns=ROWS)
    scanner.scan([Directory(0, b"b")], Budget())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    plugs = [os.open("/", os.O_RDONLY) for _ in range(highest)]
    last = max(plugs)
    resource.setrlimit(resource.RLIMIT_NOFILE, (last + 1 + spare, hard))
    try:
        scan = scanner.scan([ROOT], Budget())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for plug in plugs:
            os.close(plug)
    scanner.close()
    assert len(scan.columns) == len(expected)
    assert (scan.failed, scan.errors, scan.vanished) == ([], [], 0)


@pytest.mark.parametrize("fresh", [False, True])
def test_without_any_descriptor_a_directory_has_failed_and_nothing_counts(
    walker: Any, folder: Path, balance: Any, fresh: bool
) -> None:
    (folder / "a").mkdir()
    scanner = walker.scanner(folder)
    if not fresh:
        scanner.scan([Directory(0, b"a")], Budget())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = [os.open("/", os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(spare) + 1, hard))
    try:
        while True:
            try:
                spare.append(os.open("/", os.O_RDONLY))
            except OSError:
                break
        scan = scanner.scan([Directory(0, b"a")], Budget())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in spare:
            os.close(descriptor)
    balance([Directory(0, b"a")], scan)
    assert scan.failed == [(Directory(0, b"a"), errno.EMFILE)]
    assert (len(scan.columns), scan.listed) == (0, 0)
    assert scanner.scan([Directory(0, b"a")], Budget()).listed == 1
    scanner.close()


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
def test_an_error_that_may_pass_fails_the_directory_and_counts_nothing_of_it(
    walker: Any, folder: Path, balance: Any, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    # No file system here fails on demand, so the system call does.
    (folder / "bad" / "below").mkdir(parents=True)
    (folder / "good").mkdir()
    real = os.open

    def broken(path: Any, *args: Any, **kwargs: Any) -> int:
        if path == b"bad":
            raise OSError(code, os.strerror(code), path)
        return real(path, *args, **kwargs)

    if walker.make.name != "pure":
        pytest.skip("only Python's own system calls can be made to fail")
    monkeypatch.setattr(os, "open", broken)
    scanner = walker.scanner(folder)
    scan = scanner.scan([ROOT], Budget())
    scanner.close()
    balance([ROOT], scan)
    assert scan.failed == [(Directory(0, b"bad"), code)]
    assert (len(scan.columns), scan.found, scan.listed) == (3, 2, 2)


@pytest.mark.parametrize("path", [b"../outside", b"inside/../../outside", b"..", b".", b"a\0b"])
def test_a_path_that_leads_up_is_an_error_and_nothing_outside_is_read(
    walker: Any, folder: Path, path: bytes
) -> None:
    (folder / "root" / "inside").mkdir(parents=True)
    (folder / "outside").mkdir()
    (folder / "outside" / "secret").touch()
    scanner = walker.scanner(folder / "root", columns=ROWS)
    try:
        scan = scanner.scan([Directory(0, path)], Budget())
        with pytest.raises(OSError, match="Invalid argument"):
            list(scanner.list_names(Directory(0, path)))
        part = scanner.scan_names(Directory(0, path), NameBlock([b"secret"], b"\x08"), own=False)
    finally:
        scanner.close()
    assert (len(scan.columns), scan.found, scan.left) == (0, 0, [])
    assert [error.errno for error in scan.errors] == [errno.EINVAL]
    assert [error.errno for error in part.errors] == [errno.EINVAL]
    assert len(part.columns) == 0
