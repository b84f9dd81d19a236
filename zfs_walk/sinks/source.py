"""A local file that is being sent."""

import errno
import os
import stat
from typing import Final

from zfs_walk.sinks.errors import ChangedError

_ABOVE: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A named pipe that took the file's place must not hold us.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Source:
    """An open file, as it was when it was opened; or a symbolic link that is sent as one.

    Args:
        root: descriptor of the folder that is mirrored.
        name: below it; no link on the way is followed.
        link: a symbolic link is sent as such; otherwise it is refused.
        above: descriptor of the directory that it is in, by who has it open; else it is walked to.

    Attributes:
        name: below the mirrored folder.
        stat: as it was at the start.
        target: of the symbolic link; None: it is a regular file.

    Raises:
        OSError: it is not there, can't be read, or is no such file.
    """

    def __init__(
        self, root: int, name: bytes, *, link: bool = False, above: int | None = None
    ) -> None:
        self.name = name
        self._fd: int | None = None
        *parts, last = name.split(b"/")
        self._above = os.dup(root if above is None else above)
        try:
            for part in parts if above is None else ():
                deeper = os.open(part, _ABOVE, dir_fd=self._above)
                os.close(self._above)
                self._above = deeper
            self._last = last
            self._open(link=link)
        except BaseException:
            self.close()
            raise

    def _open(self, *, link: bool) -> None:
        self.target: bytes | None = None
        found = None
        if link:
            found = os.stat(self._last, dir_fd=self._above, follow_symlinks=False)
        if found is not None and stat.S_ISLNK(found.st_mode):
            self.target = os.readlink(self._last, dir_fd=self._above)
        else:
            self._fd = os.open(self._last, _FILE, dir_fd=self._above)
            found = os.fstat(self._fd)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "it is no regular file")
        self.stat = found

    @property
    def size(self) -> int:
        """Bytes that are sent."""
        return self.stat.st_size if self.target is None else len(self.target)

    @property
    def fingerprint(self) -> str:
        """Another one whenever the file is another one, or has changed."""
        found = self.stat
        parts = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        return ":".join(map(str, parts))

    def fileno(self) -> int:
        """Of the regular file; its position is nobody's: use `read`."""
        if self._fd is None:
            raise ValueError(self.name)
        return self._fd

    def read(self, size: int, offset: int) -> bytes:
        """So many bytes from there on, fewer only at the end.

        Raises:
            ChangedError: it ends before the size that it had.
            OSError: it can't be read.
        """
        if self.target is not None:
            return self.target[offset : offset + size]
        size = max(0, min(size, self.size - offset))
        pieces = []
        while size > 0:
            piece = os.pread(self.fileno(), size, offset)
            if not piece:
                raise ChangedError
            pieces.append(piece)
            size -= len(piece)
            offset += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def check(self) -> None:
        """See that what was read is one state of the file, and that it still has its name.

        Raises:
            ChangedError: it has changed, or its name is another file's now.
        """
        try:
            named = os.stat(self._last, dir_fd=self._above, follow_symlinks=False)
        except FileNotFoundError as error:
            raise ChangedError from error
        for now in (named,) if self._fd is None else (named, os.fstat(self._fd)):
            if _state(now) != _state(self.stat):
                raise ChangedError

    def close(self) -> None:
        """Hold nothing open."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        if self._above >= 0:
            os.close(self._above)
            self._above = -1


def _state(found: os.stat_result) -> tuple[int, ...]:
    # Not ctime: a chmod or a hard link changes no content.
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
