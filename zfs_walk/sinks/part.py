"""A file that is being written, under a name that is nobody's, until it takes its own."""

import contextlib
import fcntl
import os
import re
import secrets
from typing import Final, Self

PATTERN: Final = re.compile(rb"\.zfs-walk\.([0-9a-f]{8})\.[0-9a-f]{16}\.part")
"""Names of such files; the group is who writes."""

# O_NOFOLLOW: whoever may write into the folder must not make us write elsewhere.
_OPEN: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Nobody may read it before it has the permissions of the file.
_PRIVATE: Final = 0o600


def new_name(client: str) -> bytes:
    """A name that nothing has."""
    return f".zfs-walk.{client}.{secrets.token_hex(8)}.part".encode()


class Part:
    """One of them, open and locked: a lock that can't be had tells that its writer lives.

    Args:
        folder: descriptor.
        name: in it.
        make: it is a new one.

    Attributes:
        descriptor: of the file.
        name: in the folder.

    Raises:
        OSError: it can't be made, is not there, or somebody else has it.
    """

    def __init__(self, folder: int, name: bytes, *, make: bool) -> None:
        flags = _OPEN | (os.O_CREAT | os.O_EXCL if make else 0)
        self.descriptor = os.open(name, flags, _PRIVATE, dir_fd=folder)
        self._folder = folder
        self.name = name
        try:
            _lock(self.descriptor, needed=not make)
        except BaseException:
            os.close(self.descriptor)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    @property
    def size(self) -> int:
        """Bytes that it has."""
        return os.fstat(self.descriptor).st_size

    def cut(self, size: int) -> None:
        """Leave so many bytes."""
        os.ftruncate(self.descriptor, size)

    def take(self, descriptor: int, size: int, offset: int) -> int:
        """Let the kernel copy from a file to the same place here.

        Returns:
            How many bytes are here; fewer if it does not do that, or if either side has failed:
            `write` what a read gives, and it is known which.
        """
        os.lseek(self.descriptor, offset, os.SEEK_SET)
        taken = 0
        with contextlib.suppress(OSError):
            while taken < size:
                copied = os.sendfile(self.descriptor, descriptor, offset + taken, size - taken)
                if not copied:
                    break
                taken += copied
        return taken

    def write(self, content: bytes, offset: int) -> None:
        """Write all of it there."""
        view = memoryview(content)
        while view:
            written = os.pwrite(self.descriptor, view, offset)
            view, offset = view[written:], offset + written

    def remove(self) -> None:
        """Take it away."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.name, dir_fd=self._folder)


def _lock(descriptor: int, *, needed: bool) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        # Where there are no locks, what was left is not taken up and not swept.
        if needed:
            raise
