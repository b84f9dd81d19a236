"""A piece of a file as the body of a request."""

import io
from typing import Final

from zfs_walk.sinks.interface import Report
from zfs_walk.sinks.source import Source

_BLOCK: Final = 1 << 18
"""Bytes read at a time: whoever sends asks for 16 KiB, which costs more time than it saves."""


class Body:
    """Read while it is sent, so that a part may be larger than the memory.

    Args:
        source: the file.
        offset: where the piece begins.
        size: its bytes.
        report: told of bytes before they are sent, again if they are sent again.

    Attributes:
        size: bytes of the piece.
        failure: what went wrong in reading, or was raised by ``report``.
        sending: it is read to be sent; before that it may be read to be signed.
    """

    def __init__(self, source: Source, offset: int, size: int, report: Report) -> None:
        self.size = size
        self.failure: Exception | None = None
        self.sending = False
        self._source = source
        self._begin = offset
        self._report = report
        self._at = 0

    def read(self, size: int = -1) -> bytes:  # noqa: ARG002 -- more than asked for is taken, too
        """The next bytes: more than asked for, if there are."""
        count = min(_BLOCK, self.size - self._at)
        try:
            if count and self.sending:
                self._report(count)
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
