"""The mirrored folder: what is there now under a name."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from zfs_walk.mirror.birth import awaited_birth_ns
from zfs_walk.mirror.mapping import Symlinks
from zfs_walk.mirror.plan import Gone, Local, Unreadable
from zfs_walk.sinks.source import Source
from zfs_walk.watch.look import OtherFolderError
from zfs_walk.watch.root import Root

_PATH: Final = getattr(os, "O_PATH", os.O_RDONLY)
_ENTER: Final = _PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NAME: Final = _PATH | os.O_NOFOLLOW | os.O_CLOEXEC

_ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""There is no such name, or what was a directory is none any more."""


class Folder:
    """Nothing of it is held open between two uses: that would keep it from being unmounted.

    Args:
        path: absolute, without links.
        symlinks: what becomes of symbolic links.

    Raises:
        OSError: it is not there.
    """

    def __init__(self, path: bytes, symlinks: Symlinks) -> None:
        self._root = Root(path)
        self._symlinks = symlinks

    @contextmanager
    def opened(self) -> Iterator[int]:
        """Its descriptor.

        Raises:
            OtherFolderError: it is not there, or it is another one than at the start.
        """
        try:
            root = os.open(self._root.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise OtherFolderError(self._root.gone() or os.strerror(error.errno or 0)) from error
        try:
            if not self._root.is_at(os.fstat(root)):
                raise OtherFolderError(self._root.gone() or "another folder was there")
            yield root
        finally:
            os.close(root)

    def look(self, root: int, path: bytes) -> Local | Gone | Unreadable:
        """What is there under a name; what is no file, or not to be sent as one, is gone."""
        try:
            return self._look(root, path)
        except OSError as error:
            return Unreadable(os.strerror(error.errno or 0))

    def _look(self, root: int, path: bytes) -> Local | Gone | Unreadable:
        parent, device = _parent(root, path)
        if parent is None:
            return Gone(device)
        try:
            found = os.stat(path.rpartition(b"/")[2], dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return Gone(device)
        finally:
            os.close(parent)
        if stat.S_ISREG(found.st_mode):
            return local_of(found, found.st_size)
        if stat.S_ISLNK(found.st_mode):
            return self._look_at_link(root, path, found, device)
        return Gone(device)

    def _look_at_link(
        self, root: int, path: bytes, found: os.stat_result, device: int
    ) -> Local | Gone | Unreadable:
        if self._symlinks is Symlinks.RECORD:
            return local_of(found, found.st_size)
        target = self._target(path)
        if self._symlinks is Symlinks.SKIP or target is None:
            return Gone(device)
        there = self.look(root, target)
        return Gone(device) if isinstance(there, Gone) else there

    def _target(self, path: bytes) -> bytes | None:
        """The name in this folder that a link leads to in the end; None: it leads elsewhere."""
        real = os.path.realpath(self._root.absolute(path))
        below = self._root.absolute(b"").rstrip(b"/") + b"/"
        # A loop of links leads to a link.
        if not real.startswith(below) or os.path.islink(real):  # noqa: PTH114 -- bytes
            return None
        return real[len(below) :]

    def source(self, root: int, path: bytes) -> Source:
        """Open what `look` has found.

        Raises:
            OSError: it is not there any more, or can't be read.
        """
        if self._symlinks is Symlinks.FOLLOW and (target := self._target(path)) is not None:
            return Source(root, target)
        return Source(root, path, link=self._symlinks is Symlinks.RECORD)

    def born_ns(self, root: int, path: bytes) -> int:
        """When what is there was made, as `awaited_birth_ns` tells; 0: that can't be told."""
        parent = None
        name = None
        try:
            parent, _ = _parent(root, path)
            if parent is None:
                return 0
            name = os.open(path.rpartition(b"/")[2], _NAME, dir_fd=parent)
            return awaited_birth_ns(name)
        except OSError:
            return 0
        finally:
            for descriptor in (parent, name):
                if descriptor is not None:
                    os.close(descriptor)


def local_of(found: os.stat_result, size: int, born_ns: int = 0) -> Local:
    """A file that was found.

    Args:
        found: its state.
        size: bytes that are sent.
        born_ns: as `Local` has it.
    """
    return Local(size, found.st_mtime_ns, found.st_dev, found.st_ino, found.st_mode, born_ns)


def _parent(root: int, path: bytes) -> tuple[int | None, int]:
    """The directory that a name is in, None if it is not there, and the nearest one's device.

    Raises:
        OSError: it can't be told.
    """
    here = os.dup(root)
    try:
        for part in path.split(b"/")[:-1]:
            deeper = os.open(part, _ENTER, dir_fd=here)
            os.close(here)
            here = deeper
        return here, os.fstat(here).st_dev
    except OSError as error:
        try:
            if error.errno in _ABSENT:
                return None, os.fstat(here).st_dev
            raise
        finally:
            os.close(here)
