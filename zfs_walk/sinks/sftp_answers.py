"""Answers of SFTP version 3, with OpenSSH's additions, from bytes; see `sftp_wire`."""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

from zfs_walk.sinks.sftp_wire import SPOKEN, Attributes

LARGEST: Final = 1 << 20
"""Bytes of an answer that is believed; servers send up to 256 KiB."""

_BEFORE: Final = 5
"""Bytes before the number: the length and the kind."""

_NUMBER: Final = 4
"""Its own bytes."""

_LENGTH: Final = struct.Struct(">I")
_USUAL: Final = struct.Struct(">IQ8xI4xI")
"""Attributes of a file as OpenSSH tells them: flags, size, mode, mtime."""

_USUAL_FLAGS: Final = 15
_VERSION: Final = 2
_SUCCESS: Final = bytes(4)


class GarbledError(Exception):
    """What came is no SFTP.

    Args:
        what: it is.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"what answers there is no SFTP server: {what}")


class Status(IntEnum):
    """How a request ended."""

    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2
    PERMISSION_DENIED = 3
    FAILURE = 4
    BAD_MESSAGE = 5
    OP_UNSUPPORTED = 8
    NO_SPACE_ON_FILESYSTEM = 14
    QUOTA_EXCEEDED = 15


class StatusError(Exception):
    """The server did not do it.

    Args:
        status: its number for why, perhaps one that `Status` does not have.
        text: its words.
    """

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        self.text = text
        super().__init__(f"{text or 'no reason is given'} ({status})")


class Kind(IntEnum):
    """Of an answer."""

    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105
    EXTENDED = 201


_STATUS: Final = int(Kind.STATUS)
"""To compare it is much faster than with `Kind`."""


class Answer(NamedTuple):
    """What a server said to one request."""

    kind: int
    body: bytes

    def expect(self, kind: Kind) -> "_Fields":
        """Its fields.

        Raises:
            StatusError: the request failed, or was answered by nothing but success.
            GarbledError: it is an answer to something else.
        """
        fields = _Fields(self.body)
        if self.kind == Kind.STATUS:
            status = fields.number()
            if status != Status.OK or kind != Kind.STATUS:
                raise StatusError(status, fields.words())
        if self.kind != kind:
            what = f"an answer of kind {self.kind} where {kind} is due"
            raise GarbledError(what)
        return fields

    def done(self) -> None:
        """See that the request succeeded.

        Raises:
            StatusError: it did not.
        """
        if self.kind != _STATUS or self.body[:4] != _SUCCESS:
            self.expect(Kind.STATUS)

    def handle(self) -> bytes:
        """Of what was opened."""
        return self.expect(Kind.HANDLE).text()

    def data(self) -> bytes:
        """That was read; `StatusError` with `Status.EOF` at the end."""
        return self.expect(Kind.DATA).text()

    def attributes(self) -> Attributes:
        """Of what was asked about."""
        return self.expect(Kind.ATTRS).attributes()

    def names(self) -> list[tuple[bytes, Attributes]]:
        """With their attributes; `StatusError` with `Status.EOF` at the end."""
        fields = self.expect(Kind.NAME)
        return [fields.named() for _ in range(fields.number())]


class Room(NamedTuple):
    """What a file system has.

    Attributes:
        free: bytes that this user may fill.
        read_only: nobody can write there.
    """

    free: int
    read_only: bool


def room_of(answer: Answer) -> Room:
    """What `room` was answered."""
    fields = answer.expect(Kind.EXTENDED)
    values = [fields.long() for _ in range(11)]
    return Room(free=values[1] * values[4], read_only=bool(values[9] & 1))


def largest_write_of(answer: Answer) -> int:
    """Bytes that one `write` may have, of what `limits` was answered; 0: it is not told."""
    fields = answer.expect(Kind.EXTENDED)
    return [fields.long() for _ in range(4)][2]


class Inbox:
    """Makes packets of what comes."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, Answer]]:
        """The answers that are complete now, each with its number.

        Raises:
            GarbledError: it is no SFTP.
        """
        for kind, body in self._packets(data):
            if len(body) < _NUMBER:
                what = "an answer has no number"
                raise GarbledError(what)
            yield int.from_bytes(body[:4]), Answer(kind, body[4:])

    def greeting(self, data: bytes) -> dict[bytes, bytes] | None:
        """The server's extensions and their versions; None: it has not said all yet.

        Raises:
            GarbledError: it is no SFTP, or another version of it.
        """
        for kind, body in self._packets(data):
            fields = _Fields(body)
            if kind != _VERSION or fields.number() != SPOKEN:
                what = f"it does not speak version {SPOKEN}"
                raise GarbledError(what)
            extensions = {}
            while fields.left:
                name = fields.text()
                extensions[name] = fields.text()
            return extensions
        return None

    def _packets(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        data = self._rest + data if self._rest else data
        at = 0
        while len(data) - at >= _BEFORE:
            size = int.from_bytes(data[at : at + 4])
            if not 1 <= size <= LARGEST:
                what = f"an answer of {size} bytes"
                raise GarbledError(what)
            if len(data) - at - 4 < size:
                break
            yield data[at + 4], data[at + 5 : at + 4 + size]
            at += 4 + size
        self._rest = data[at:]


class _Fields:
    """Reads the fields of an answer one after the other."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes that were not read yet."""
        return len(self._body) - self._at

    def _take(self, size: int) -> bytes:
        if self.left < size:
            what = "an answer ends too early"
            raise GarbledError(what)
        self._at += size
        return self._body[self._at - size : self._at]

    def number(self) -> int:
        """32 bits."""
        return int.from_bytes(self._take(4))

    def long(self) -> int:
        """64 bits."""
        return int.from_bytes(self._take(8))

    def text(self) -> bytes:
        """Bytes with their length before them."""
        return self._take(self.number())

    def words(self) -> str:
        """Text for people; some servers give none."""
        return self.text().decode("utf-8", "replace") if self.left else ""

    def named(self) -> tuple[bytes, Attributes]:
        """A name, a line of `ls -l`, and attributes."""
        usual = self._usually_named()
        if usual is not None:
            return usual
        name = self.text()
        self.text()
        return name, self.attributes()

    def _usually_named(self) -> tuple[bytes, Attributes] | None:
        """In one go, as a large tree has many of these; None: its attributes are others."""
        body, at = self._body, self._at
        try:
            (size,) = _LENGTH.unpack_from(body, at)
            name = body[at + 4 : at + 4 + size]
            (line,) = _LENGTH.unpack_from(body, at + 4 + size)
            at += 8 + size + line
            flags, length, mode, mtime = _USUAL.unpack_from(body, at)
        except struct.error:
            return None
        if flags != _USUAL_FLAGS:
            return None
        self._at = at + _USUAL.size
        return name, Attributes(length, mode, mtime)

    def attributes(self) -> Attributes:
        """Of a file."""
        flags = self.number()
        size = self.long() if flags & 1 else None
        if flags & 2:  # owner and group
            self._take(8)
        mode = self.number() if flags & 4 else None
        mtime = None
        if flags & 8:
            self._take(4)  # the time of the last access
            mtime = self.number()
        if flags & 0x80000000:
            for _ in range(2 * self.number()):
                self.text()
        return Attributes(size, mode, mtime)
