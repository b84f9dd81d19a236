"""A root is recorded so that another file system is never taken for it."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from zfs_walk.scan import roots
from zfs_walk.scan.interface import Budget, Directory, Root, ScanOptions, UnreachableError
from zfs_walk.scan.pure import PureScanner
from zfs_walk.scan.roots import identify, is_network, mounts_below, overlapping, resolve, same

pytestmark = pytest.mark.usefixtures("no_leak")


def stat_says(path: bytes | Path) -> str:
    """The file system's type, by coreutils."""
    done = subprocess.run(["/usr/bin/df", "--output=fstype", path], capture_output=True, check=True)
    return done.stdout.decode().split()[-1]


@pytest.mark.parametrize("path", [b"/", b"/proc", b"/dev", b"/dev/shm", b"/usr/bin", b"/tmp"])
def test_a_root_is_its_path_type_and_inode(path: bytes) -> None:
    root = identify(path)
    assert root == Root(path, stat_says(path), os.lstat(path).st_ino)
    assert same(root)


def test_a_path_is_made_absolute_and_normal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path)
    here = os.fsencode(tmp_path)
    for argument in ("a", "./a", "a/", "a/.", "a//", "../" + tmp_path.name + "/a", b"a"):
        assert resolve(argument) == here + b"/a"
    for argument in (".", "./", "a/..", here, "//" + str(tmp_path).lstrip("/")):
        assert resolve(argument) == here
    assert resolve("/") == resolve("//") == resolve("/.") == b"/"
    assert resolve(b"\xff") == here + b"/\xff"


@pytest.mark.parametrize("argument", ["", b"", "a\0b"])
def test_what_is_no_path_is_refused(argument: str | bytes) -> None:
    with pytest.raises(ValueError, match="not a path"):
        resolve(argument)


def test_a_link_is_followed_only_with_a_trailing_slash_as_find_does(tmp_path: Path) -> None:
    (tmp_path / "real" / "below").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real/below")
    here = os.fsencode(tmp_path)
    assert resolve(here + b"/link") == here + b"/link"
    assert resolve(here + b"/link/") == here + b"/real/below"
    assert resolve(here + b"/link/.") == here + b"/real/below"
    assert resolve(here + b"/link/..") == here + b"/real"
    assert resolve(here + b"/link/../below") == here + b"/real/below"
    assert identify(here + b"/link").ino == os.lstat(here + b"/link").st_ino


def test_an_exchanged_moved_or_unreachable_root_is_not_the_same(folder: Path) -> None:
    path = folder / "root"
    path.mkdir()
    root = identify(os.fsencode(path))
    assert same(root)
    assert not same(root._replace(fstype="nfs4"))
    path.rename(folder / "moved")
    assert not same(root)
    path.mkdir()
    assert not same(root)
    path.rmdir()
    path.touch()
    assert not same(root)


def test_nothing_at_all_cannot_be_identified(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        identify(os.fsencode(tmp_path / "nothing"))


@pytest.mark.root
def test_the_last_mount_on_a_point_counts_whatever_is_in_its_name(
    folder: Path, with_mounts: Any
) -> None:
    point = folder / "a b\tc\\d\ne"
    point.mkdir()
    before = identify(os.fsencode(point))

    def check() -> None:
        subprocess.run(["/usr/bin/mount", "-t", "ramfs", "none", point], check=True)
        assert identify(os.fsencode(point)).fstype == "ramfs" == stat_says(point)
        assert not same(before)
        (point / "below").mkdir()
        assert identify(os.fsencode(point / "below")).fstype == "ramfs"
        subprocess.run(["/usr/bin/mount", "-t", "tmpfs", "none", point], check=True)
        assert identify(os.fsencode(point)).fstype == "tmpfs"
        assert mounts_below(os.fsencode(folder)) == frozenset({os.fsencode(point.name)})
        assert mounts_below(os.fsencode(point)) == frozenset()
        (folder / "link").symlink_to(".")
        assert mounts_below(os.fsencode(folder / "link" / point.name)) == frozenset()

    with_mounts(check)


def test_without_a_mount_table_the_type_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roots, "_MOUNTS", tmp_path / "no such file")
    root = identify(os.fsencode(tmp_path))
    assert root.fstype == ""
    assert same(root)
    assert mounts_below(os.fsencode(tmp_path)) is None


@pytest.mark.parametrize(
    "fstype",
    ["nfs", "nfs4", "cifs", "smb3", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "fuse.sshfs"],
)
def test_network_file_systems_are_known(fstype: str) -> None:
    assert is_network(fstype)


@pytest.mark.parametrize("fstype", ["ext4", "xfs", "zfs", "btrfs", "tmpfs", "fuse", "nfsd", ""])
def test_all_others_are_local(fstype: str) -> None:
    assert not is_network(fstype)


@pytest.fixture
def named(tmp_path: Path) -> Any:
    """Make some directories and a link, and identify a path below them."""
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    (tmp_path / "ab").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "hard").hardlink_to(tmp_path / "file")
    (tmp_path / "link").symlink_to("a/b")
    return lambda name: identify(os.fsencode(tmp_path / name))


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        ("a", "a"),
        ("a", "a/b"),
        ("a", "a/b/c"),
        ("a", "link/c"),
        ("link/c", "a/b/c"),
        (".", "link"),
        (".", "file"),
        ("file", "file"),
        ("link", "link"),
        ("/", "a"),
    ],
)
def test_a_root_in_another_one_is_found_in_any_order(named: Any, outer: str, inner: str) -> None:
    pair = (named(outer), named(inner))
    assert overlapping(pair) == pair
    found = overlapping([named("ab"), *reversed(pair)] if outer not in {"/", "."} else pair[::-1])
    assert found is not None
    assert {root.path for root in found} == {root.path for root in pair}
    if pair[0].ino != pair[1].ino:
        assert found == pair


@pytest.mark.parametrize(
    "names", [[], ["a"], ["a", "ab", "file"], ["a", "link"], ["file", "hard"], ["a/b/c", "ab"]]
)
def test_roots_beside_each_other_do_not_overlap(named: Any, names: list[str]) -> None:
    assert overlapping([named(name) for name in names]) is None


@pytest.mark.root
def test_a_bind_mount_of_a_root_overlaps_with_it(folder: Path, with_mounts: Any) -> None:
    (folder / "a" / "below").mkdir(parents=True)
    (folder / "b").mkdir()

    def check() -> None:
        subprocess.run(["/usr/bin/mount", "--bind", folder / "a", folder / "b"], check=True)
        first = identify(os.fsencode(folder / "a"))
        assert overlapping([first, identify(os.fsencode(folder / "b"))]) is not None
        below = identify(os.fsencode(folder / "b" / "below"))
        assert overlapping([below, first]) == (first, below)

    with_mounts(check)


def test_df_is_there_to_compare_with() -> None:
    assert shutil.which("df")


def test_a_root_that_is_really_elsewhere_is_not_within(folder: Path) -> None:
    for name in ("mine", "mine-too", "other"):
        (folder / name / "below").mkdir(parents=True)
        (folder / name / "file").touch()
    (folder / "mine/out").symlink_to(folder / "other")
    (folder / "in").symlink_to(folder / "mine")
    within = (os.fsencode((folder / "mine").resolve()),)

    def entries(name: str) -> int:
        root = identify(os.fsencode(folder) + name.encode())
        scanner = PureScanner([root], ScanOptions(within=within))
        try:
            return len(scanner.scan([Directory(0, b"")], Budget()).columns)
        finally:
            scanner.close()

    assert entries("/mine") == 4
    assert entries("/in/below") == entries("/in/file") == 1
    for name in ("/mine-too", "/other", "/mine/out/below", "/mine/out/file", "/other/file", ""):
        with pytest.raises(UnreachableError, match=r"is outside of the folders .* \(--allow\)"):
            entries(name)
