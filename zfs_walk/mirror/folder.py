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

    @property
    def identity(self) -> tuple[int, int]:
        """Its st_dev and st_ino."""
        return self._root.identity

    @contextmanager
    def opened(self) -> Iterator["Opened"]:
        """It, for several looks.

        Raises:
            OtherFolderError: it is not there, or it is another one than at the start.
        """
        try:
            root = os.open(self._root.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise OtherFolderError(self._root.gone() or os.strerror(error.errno or 0)) from error
        opened = Opened(root, self._root, self._symlinks)
        try:
            if not self._root.is_at(os.fstat(root)):
                raise OtherFolderError(self._root.gone() or "another folder was there")
            yield opened
        finally:
            opened.close()


class Opened:
    """The folder while it is held open. The directory of the last look is held open as well.

    Args:
        root: descriptor, which becomes this one's.
        place: of the folder.
        symlinks: what becomes of symbolic links.
    """

    def __init__(self, root: int, place: Root, symlinks: Symlinks) -> None:
        self._descriptor = root
        self._root = place
        self._symlinks = symlinks
        # Files in hand are often of one directory.
        self._near: tuple[bytes, int] | None = None

    def close(self) -> None:
        """Hold nothing open."""
        self._leave()
        os.close(self._descriptor)

    def _leave(self) -> None:
        if self._near is not None:
            os.close(self._near[1])
            self._near = None

    def look(self, path: bytes) -> Local | Gone | Unreadable:
        """What is there under a name; what is no file, or not to be sent as one, is gone."""
        try:
            return self._look(path)
        except OSError as error:
            return Unreadable(os.strerror(error.errno or 0))

    def _look(self, path: bytes) -> Local | Gone | Unreadable:
        above = self._enter(path)
        if isinstance(above, Gone):
            return above
        try:
            found = os.stat(path.rpartition(b"/")[2], dir_fd=above, follow_symlinks=False)
        except FileNotFoundError:
            return Gone(os.fstat(above).st_dev)
        if stat.S_ISREG(found.st_mode):
            return local_of(found, found.st_size)
        if stat.S_ISLNK(found.st_mode):
            return self._look_at_link(path, found, above)
        return Gone(os.fstat(above).st_dev)

    def _look_at_link(
        self, path: bytes, found: os.stat_result, above: int
    ) -> Local | Gone | Unreadable:
        if self._symlinks is Symlinks.RECORD:
            return local_of(found, found.st_size)
        gone = Gone(os.fstat(above).st_dev)
        target = self._target(path)
        if self._symlinks is Symlinks.SKIP or target is None:
            return gone
        there = self.look(target)
        return gone if isinstance(there, Gone) else there

    def _target(self, path: bytes) -> bytes | None:
        """The name in this folder that a link leads to in the end; None: it leads elsewhere."""
        real = os.path.realpath(self._root.absolute(path))
        below = self._root.absolute(b"").rstrip(b"/") + b"/"
        # A loop of links leads to a link.
        if not real.startswith(below) or os.path.islink(real):  # noqa: PTH114 -- bytes
            return None
        return real[len(below) :]

    def source(self, path: bytes) -> Source:
        """Open what `look` has found.

        Raises:
            OSError: it is not there any more, or can't be read.
        """
        if self._symlinks is Symlinks.FOLLOW and (target := self._target(path)) is not None:
            return Source(self._descriptor, target)
        link = self._symlinks is Symlinks.RECORD
        above = self._enter(path)
        if isinstance(above, Gone):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return Source(self._descriptor, path, link=link, above=above)

    def born_ns(self, path: bytes) -> int:
        """When what is there was made, as `awaited_birth_ns` tells; 0: that can't be told."""
        name = None
        try:
            above = self._enter(path)
            if isinstance(above, Gone):
                return 0
            name = os.open(path.rpartition(b"/")[2], _NAME, dir_fd=above)
            return awaited_birth_ns(name)
        except OSError:
            return 0
        finally:
            if name is not None:
                os.close(name)

    def _enter(self, path: bytes) -> int | Gone:
        """The directory that a name is in, which is held open until the next call; or none is.

        Raises:
            OSError: it can't be told.
        """
        above = path.rpartition(b"/")[0]
        if not above:
            return self._descriptor
        if self._near is not None and self._near[0] == above:
            return self._near[1]
        self._leave()
        here = self._descriptor
        try:
            for part in above.split(b"/"):
                deeper = os.open(part, _ENTER, dir_fd=here)
                if here != self._descriptor:
                    os.close(here)
                here = deeper
        except OSError as error:
            try:
                if error.errno not in _ABSENT:
                    raise
                return Gone(os.fstat(here).st_dev)
            finally:
                if here != self._descriptor:
                    os.close(here)
        self._near = above, here
        return here


def local_of(found: os.stat_result, size: int, born_ns: int = 0) -> Local:
    """A file that was found.

    Args:
        found: its state.
        size: bytes that are sent.
        born_ns: as `Local` has it.
    """
    return Local(size, found.st_mtime_ns, found.st_dev, found.st_ino, found.st_mode, born_ns)
