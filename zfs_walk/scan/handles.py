"""Descriptors below one root: every directory is opened so that no race leads out of the tree."""

import contextlib
import errno
import os
import resource
import stat
from collections.abc import Sequence
from typing import Final

from zfs_walk.scan import roots
from zfs_walk.scan.interface import Root, UnreachableError

_O_NOATIME: Final[int] = getattr(os, "O_NOATIME", 0)
_O_PATH: Final[int] = getattr(os, "O_PATH", os.O_RDONLY)
_SAFE: Final = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LIST: Final = os.O_RDONLY | _SAFE

_UP: Final = frozenset({b".", b".."})
"""No component of a path below a root."""

_KEPT: Final = 256
"""Parents held open per root. A walk that is deeper opens the oldest ones again, one by one from
the root, and keeps the last 256 of those: 1/256 of the descriptors' worth of opens a level."""


class Handle:
    """A root held open, with a bounded number of directories below it that will be needed again.

    A path is always opened one component at a time, each relative to its parent's descriptor and
    with O_NOFOLLOW, so no component can be exchanged for a symbolic link on the way, and a path of
    any length works. What makes that cheap is that the parent is nearly always still open: the one
    being walked, or that of the batch item before. Intermediate directories are opened with O_PATH,
    which asks for no more permission than looking something up in them needs.

    Attributes:
        root: the recorded root.
        is_directory: it is a directory; otherwise it is one entry, and nothing can be opened.
        device: its st_dev.
        mounts: where other file systems are mounted below it, relative; None: unknown.
    """

    __slots__ = (
        "_base",
        "_flags",
        "_identity",
        "_kept",
        "_limit",
        "_verified",
        "device",
        "is_directory",
        "mounts",
        "root",
    )

    def __init__(self, root: Root, within: Sequence[bytes] = ()) -> None:
        """Open and verify ``root``.

        Args:
            root: the recorded root.
            within: real paths of folders below which it must really be; empty: anywhere.

        Raises:
            UnreachableError: it is not the recorded one, or not within.
            OSError: it can't be opened for another reason.
        """
        self.root = root
        self._kept: dict[bytes, int] = {}
        self._flags = _LIST | _O_NOATIME
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._limit = _KEPT if soft == resource.RLIM_INFINITY else max(1, min(_KEPT, soft // 4))
        self._base = -1
        self._verified = False
        self.verify()
        # What is missing later on is judged by how the root is then.
        self._verified = False
        try:
            found = os.lstat(root.path)
            self.is_directory = stat.S_ISDIR(found.st_mode)
            if self.is_directory:
                self._base = os.open(root.path, _O_PATH | _SAFE)
                found = os.fstat(self._base)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise self._unreachable() from error
        if found.st_ino != root.ino:
            self.close()
            raise self._unreachable()
        if within and not is_within(self._real_path(), within):
            self.close()
            raise self._outside()
        self._identity = found.st_dev, found.st_ino
        self.device = found.st_dev
        self.mounts = roots.mounts_below(root.path) if self.is_directory else frozenset()

    def verify(self) -> None:
        """Something is not there: make sure that the root still is, by its path, once in a call.

        Raises:
            UnreachableError: it is not, or no longer, the recorded one.
        """
        if not self._verified:
            if not roots.same(self.root):
                raise self._unreachable()
            self._verified = True

    def _real_path(self) -> bytes:
        """Where the root really is: of what is open, so that no link can be exchanged meanwhile."""
        if self.is_directory:
            with contextlib.suppress(OSError):
                return os.readlink(b"/proc/self/fd/%d" % self._base)  # noqa: PTH115 -- bytes
        return os.path.realpath(self.root.path)

    def absolute(self, path: bytes) -> bytes:
        """The absolute path of a path below the root."""
        return join(self.root.path, path) if path else self.root.path

    def _unreachable(self) -> UnreachableError:
        return UnreachableError(f"{os.fsdecode(self.root.path)} is not the recorded root")

    def _outside(self) -> UnreachableError:
        return UnreachableError(outside(self.root.path))

    def open(self, path: bytes) -> int:
        """Open a directory for listing; the caller owns the descriptor.

        Raises:
            UnreachableError: the root itself has been exchanged.
            OSError: it can't be opened; ENOTDIR if it has become a symbolic link, EINVAL if the
                path would lead up.
        """
        if not path:
            return self._open_root()
        # Paths come from other agents, by way of the broker: ".." needs no link to lead out.
        if b"\0" in path or not _UP.isdisjoint(path.split(b"/")):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        parent, _, name = path.rpartition(b"/")
        return self._open_list(name, self._reach(parent))

    def _open_root(self) -> int:
        # By its path: "." below an O_PATH descriptor would need the right to search it as well.
        opened = self._open_list(self.root.path, None)
        found = os.fstat(opened)
        if (found.st_dev, found.st_ino) != self._identity:
            os.close(opened)
            raise self._unreachable()
        return opened

    def _open_list(self, name: bytes, parent: int | None) -> int:
        try:
            return os.open(name, self._flags, dir_fd=parent)
        except PermissionError as error:
            if error.errno != errno.EPERM or self._flags == _LIST:
                raise
        opened = os.open(name, _LIST, dir_fd=parent)
        # O_NOATIME is for a directory's owner only. Who is refused once will be refused again:
        # asking each time would cost a second system call a directory.
        self._flags = _LIST
        return opened

    def _reach(self, path: bytes) -> int:
        """A descriptor of ``path`` to look things up in; it stays ours."""
        if not path:
            return self._base
        if (kept := self._kept.get(path)) is not None:
            return kept
        known = path
        while known and known not in self._kept:
            known = known.rpartition(b"/")[0]
        reached = self._kept[known] if known else self._base
        for name in path[len(known) :].strip(b"/").split(b"/"):
            known = known + b"/" + name if known else name
            reached = os.open(name, _O_PATH | _SAFE, dir_fd=reached)
            self.keep(known, reached)
        return reached

    def keep(self, path: bytes, descriptor: int) -> None:
        """Take over a descriptor of ``path``, from which directories will be opened."""
        if (old := self._kept.pop(path, None)) is not None:
            os.close(old)
        if len(self._kept) >= self._limit:
            os.close(self._kept.pop(next(iter(self._kept))))
        self._kept[path] = descriptor

    def release(self, path: bytes) -> None:
        """Close what was kept of ``path``: nothing will be opened from there."""
        if (descriptor := self._kept.pop(path, None)) is not None:
            os.close(descriptor)

    def drop(self) -> None:
        """Close all that was kept."""
        while self._kept:
            os.close(self._kept.popitem()[1])

    def end_call(self) -> None:
        """Keep nothing from one call of the scanner to the next, nor any certainty."""
        self.drop()
        self._verified = False

    def shed(self) -> bool:
        """Close all that was kept and keep half as many from now on: descriptors are scarce.

        Returns:
            False if there is nothing left to save.
        """
        self.drop()
        if self._limit == 1:
            return False
        self._limit //= 2
        return True

    def ancestry(self, path: bytes) -> set[tuple[int, int]]:
        """(device, inode) of ``path`` and every directory between it and the root, both included.

        Raises:
            OSError: one of them can't be reached any more.
        """
        found = {self._identity}
        end = -1
        while path and (end := path.find(b"/", end + 1)) >= 0:
            found.add(self._identify(path[:end]))
        if path:
            found.add(self._identify(path))
        return found

    def _identify(self, path: bytes) -> tuple[int, int]:
        seen = os.fstat(self._reach(path))
        return seen.st_dev, seen.st_ino

    def close(self) -> None:
        """Close every descriptor."""
        self.drop()
        if self._base >= 0:
            os.close(self._base)
            self._base = -1


def is_within(path: bytes, folders: Sequence[bytes]) -> bool:
    """A real path is one of the folders or below one of them.

    Args:
        path: without symbolic links.
        folders: likewise.
    """
    return any(path == folder or path.startswith(join(folder, b"")) for folder in folders)


def outside(path: bytes) -> str:
    """Why nothing is done at a path that is not within the allowed folders."""
    return f"{os.fsdecode(path)} is outside of the folders that this agent may touch (--allow)"


def join(parent: bytes, name: bytes) -> bytes:
    """``parent/name``; only ``name`` where the parent is the root of a walk (``b""``)."""
    if not parent or parent == b"/":
        return parent + name
    return b"%b/%b" % (parent, name)
