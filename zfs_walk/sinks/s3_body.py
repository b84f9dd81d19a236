"""A piece of a file as the body of a request."""

import io
from time import monotonic
from typing import Final, Protocol

from zfs_walk.sinks.interface import Report
from zfs_walk.sinks.source import Source

_LARGE: Final = 1 << 20
"""Bytes read at a time: whoever sends asks for 16 KiB, which costs more time than it saves ..."""
_SMALL: Final = 1 << 16
"""... and at a time while there is a limit to be waited for: else a connection would be silent for
so long that the server ends it."""
_WAITED: Final = 0.01
"""Seconds that tell a wait for a limit."""


class Readable(Protocol):
    """Something with bytes at offsets."""

    def read(self, size: int, offset: int) -> bytes | memoryview:
        """So many bytes from there on."""
        ...


class Held:
    """A piece of a file that is held in memory: read once, though it is hashed and then sent.

    Args:
        source: the file.
        offset: where the piece begins.
        size: its bytes.

    Attributes:
        data: all of it.
    """

    def __init__(self, source: Source, offset: int, size: int) -> None:
        self.data = source.read(size, offset)
        self._view = memoryview(self.data)
        self._begin = offset

    def read(self, size: int, offset: int) -> memoryview:
        """So many bytes from there on, by their offset in the file."""
        at = offset - self._begin
        return self._view[at : at + size]


class Body:
    """Read while it is sent, so that a part may be larger than the memory.

    Args:
        source: the file, or a piece of it that is held.
        offset: where the piece begins.
        size: its bytes.
        report: told of bytes before they are sent, again if they are sent again.

    Attributes:
        size: bytes of the piece.
        failure: what went wrong in reading, or was raised by ``report``.
        sending: it is read to be sent; before that it may be read to be signed.
    """

    def __init__(self, source: Readable, offset: int, size: int, report: Report) -> None:
        self.size = size
        self.failure: Exception | None = None
        self.sending = False
        self._source = source
        self._begin = offset
        self._report = report
        self._at = 0
        self._block = _SMALL

    def read(self, size: int = -1) -> bytes | memoryview:
        """The next bytes: what is sent is taken in blocks of our own, whatever is asked for."""
        # Whoever signs has his reasons: AWS's own signer in C (awscrt) has room for no more.
        block = self._block if self.sending else size if size > 0 else _LARGE
        count = min(block, self.size - self._at)
        try:
            if count and self.sending:
                begun = monotonic()
                self._report(count)
                waited = monotonic() - begun > _WAITED
                self._block = _SMALL if waited else min(2 * block, _LARGE)
            data = self._source.read(count, self._begin + self._at)
        except Exception as error:
            self.failure = error
            raise
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Begin again, when a request is sent again."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Where the next bytes are read."""
        return self._at
