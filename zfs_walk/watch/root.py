"""The watched folder itself: is it still the same one?"""

import errno
import os
import select
from typing import Final

from zfs_walk.scan.handles import join

MOUNTS: Final = "/proc/self/mountinfo"


class Root:
    """A folder as it was when watching began.

    Nothing of it is held open: an open descriptor would keep its file system from being unmounted.

    Attributes:
        path: absolute.
        device: its st_dev.
    """

    def __init__(self, path: bytes) -> None:
        """Remember what is at ``path``.

        Raises:
            OSError: there is nothing, or it can't be looked at.
        """
        found = os.stat(path)  # noqa: PTH116 -- bytes
        self.path = path
        self.device = found.st_dev
        self._inode = found.st_ino

    def gone(self) -> str | None:
        """Why it is not the same folder any more; None: it is."""
        try:
            found = os.stat(self.path)  # noqa: PTH116 -- bytes
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ENOTDIR}:
                return "moved or deleted"
            return os.strerror(error.errno or 0)
        if found.st_dev != self.device:
            return "another file system is there: unmounted, or mounted over"
        return None if self.is_at(found) else "another folder is there"

    @property
    def identity(self) -> tuple[int, int]:
        """Its st_dev and st_ino."""
        return self.device, self._inode

    def is_at(self, found: os.stat_result) -> bool:
        """What was found is the folder."""
        return (found.st_dev, found.st_ino) == self.identity

    def absolute(self, path: bytes) -> bytes:
        """The absolute path of a path below it."""
        return join(self.path, path) if path else self.path


class Wakeup:
    """One descriptor that can be read when another one can, or when the mount table changed.

    An unmount makes no event of its own in fanotify, and none in inotify if the file system stays
    mounted elsewhere.
    """

    def __init__(self, source: int) -> None:
        """Wait for ``source``, which stays the caller's."""
        self._mounts = os.open(MOUNTS, os.O_RDONLY | os.O_CLOEXEC)
        self._epoll = select.epoll()
        self._epoll.register(source, select.EPOLLIN)
        self._epoll.register(self._mounts, select.EPOLLPRI)

    def fileno(self) -> int:
        """The descriptor."""
        return self._epoll.fileno()

    def acknowledge(self) -> None:
        """A changed mount table is known now."""
        self._epoll.poll(0)

    def close(self) -> None:
        """Close it."""
        self._epoll.close()
        os.close(self._mounts)
