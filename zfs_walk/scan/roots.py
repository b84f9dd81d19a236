"""The roots of a walk: which they are, on what file system, and whether they are still the same."""
# ruff: noqa: PTH100, PTH114, PTH118 -- paths are bytes here, which pathlib does not take

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from zfs_walk.scan.interface import Root

_MOUNTS: Final = Path("/proc/self/mountinfo")

# A root on one of these may be granted to every host that finds the recorded file-system type and
# inode at its path. On any other only the submitter's host walks it: every ext4 or XFS has the same
# inode at its top, so those two prove nothing about a *local* file system. That is why this is a
# list of what is known to be shared, and all that is unknown counts as local: then the walk is at
# worst done by one host, never by a host that sees other files.
_NETWORK: Final = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "9p", "coda"),
        *("lustre", "gpfs", "beegfs", "ceph", "glusterfs", "wekafs", "panfs", "pvfs2", "orangefs"),
        *("gfs2", "ocfs2"),  # shared disks: the same blocks, seen by every host
        *("fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.s3fs"),
        *("fuse.rclone", "fuse.juicefs", "fuse.mfs", "fuse.moosefs", "fuse.lizardfs"),
        *("fuse.seaweedfs", "fuse.cvmfs2", "fuse.davfs", "fuse.curlftpfs", "fuse.smbnetfs"),
        *("fuse.goofys", "fuse.gcsfuse", "fuse.mount-s3", "fuse.nfs", "fuse.beegfs"),
    }
)


class _Mount(NamedTuple):
    """One line of the mount table."""

    point: bytes
    fstype: str


def resolve(argument: str | bytes) -> bytes:
    """Make the absolute path that ``find ARGUMENT`` would walk.

    A symbolic link as the last component stays as it is (the link is the root); with a trailing
    ``/`` it is followed. Links before it keep the user's spelling, except where ``..`` comes after
    them: there only the resolved path means the same.

    Raises:
        ValueError: the argument is empty or contains NUL.
        OSError: the current directory is gone.
    """
    given = os.fsencode(argument)
    if not given or b"\0" in given:
        message = f"not a path: {given!r}"
        raise ValueError(message)
    path = given.rstrip(b"/") or b"/"
    head, tail = os.path.split(path)
    if tail == b"." and head:
        return resolve(head + b"/")
    if tail == b".." or (path != given and os.path.islink(path)):
        return _normal(os.path.realpath(path))
    if b".." in head.split(b"/"):
        return _normal(os.path.join(os.path.realpath(head), tail))
    return _normal(os.path.abspath(path))


def _normal(path: bytes) -> bytes:
    # POSIX lets two leading slashes mean something else; Linux does not.
    return b"/" + path.lstrip(b"/")


def identify(path: bytes) -> Root:
    """Record what is at ``path`` on this host.

    Args:
        path: a path as `resolve` makes it; a symbolic link is not followed.

    Raises:
        OSError: there is nothing at ``path``, or it can't be reached.
    """
    absolute = _normal(os.path.abspath(path))
    found = os.lstat(absolute)
    if stat.S_ISDIR(found.st_mode):
        try:
            # Through the directory: what an automounter would mount there is mounted by now.
            found = os.lstat(os.path.join(absolute, b"."))
        except PermissionError:
            found = os.lstat(absolute)
    return Root(path=absolute, fstype=_mount_of(absolute).fstype, ino=found.st_ino)


def is_network(fstype: str) -> bool:
    """Whether several hosts may see the same file system of this type."""
    return fstype in _NETWORK


def same(root: Root) -> bool:
    """Whether ``root`` is, at this moment and on this host, still what was recorded.

    Raises:
        OSError: this process has no descriptor left to find out.
    """
    try:
        return identify(root.path) == root
    except OSError as error:
        if error.errno in {errno.EMFILE, errno.ENFILE}:
            raise
        return False


def mount_point(path: bytes) -> bytes:
    """Where the file system is mounted that ``path`` is on, by its name.

    Empty where the system has no mount table.
    """
    return _mount_of(path).point


def mounts_below(path: bytes) -> frozenset[bytes] | None:
    """Where other file systems are mounted below ``path``, as paths below it.

    None where the system has no mount table: then any directory may be one.
    """
    table = _table()
    if table is None:
        return None
    prefix = _real(path).rstrip(b"/") + b"/"
    return frozenset(
        mount.point[len(prefix) :]
        for mount in table
        if mount.point.startswith(prefix) and mount.point != prefix
    )


def overlapping(roots: Sequence[Root]) -> tuple[Root, Root] | None:
    """Find two roots of which one is below the other or the same directory.

    Such a pair would count entries twice. Paths are compared with their links resolved, and
    directories also by (device, inode), so that spellings through symbolic links and bind mounts
    are found. A symbolic link that is itself a root is no directory: it overlaps with nothing but
    its own path and the directories above it.

    Returns:
        (the outer one, the inner one), or None.
    """
    paths: dict[bytes, Root] = {}
    directories: dict[tuple[int, int], Root] = {}
    for root in roots:
        real = _real(root.path)
        if real in paths:
            return paths[real], root
        paths[real] = root
        for identity in _identities([real]):
            if identity in directories:
                return directories[identity], root
            directories[identity] = root
    for real, root in paths.items():
        above = list(map(os.fsencode, PurePosixPath(os.fsdecode(real)).parents))
        for parent in above:
            if parent in paths:
                return paths[parent], root
        for identity in _identities(above):
            if identity in directories:
                return directories[identity], root
    return None


def _identities(paths: Iterable[bytes]) -> Iterator[tuple[int, int]]:
    """(device, inode) of those of ``paths`` that are directories and can be reached."""
    for path in paths:
        try:
            found = os.lstat(path)
        except OSError:
            continue
        if stat.S_ISDIR(found.st_mode):
            yield found.st_dev, found.st_ino


def _real(path: bytes) -> bytes:
    """``path`` with every link but the last component resolved, as the mount table spells it."""
    head, tail = os.path.split(path)
    return _normal(os.path.join(os.path.realpath(head), tail))


def _mount_of(path: bytes) -> _Mount:
    real = _real(path)
    best = _Mount(b"", "")
    for mount in _table() or ():
        # A later mount on the same point hides the earlier one.
        if _covers(mount.point, real) and len(mount.point) >= len(best.point):
            best = mount
    return best


def _covers(point: bytes, path: bytes) -> bool:
    return point == path or path.startswith(point.rstrip(b"/") + b"/")


def _table() -> list[_Mount] | None:
    """The mount table, oldest first; None where the system has none (other systems than Linux)."""
    try:
        with _MOUNTS.open("rb") as lines:
            return [_mount(line) for line in lines]
    except FileNotFoundError:
        return None


def _mount(line: bytes) -> _Mount:
    # proc(5): id parent major:minor root point options [optional ...] - fstype source options
    left, _, right = line.partition(b" - ")
    return _Mount(_unescape(left.split(b" ")[4]), os.fsdecode(right.split(b" ")[0]))


def _unescape(field: bytes) -> bytes:
    r"""Undo the kernel's octal escapes: ``\040`` is a space."""
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), field)
