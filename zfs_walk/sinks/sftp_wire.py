"""Requests and answers of SFTP version 3, with OpenSSH's additions, as bytes.

A core: no socket is known here. The format is that of draft-ietf-secsh-filexfer-02 and of the file
PROTOCOL of OpenSSH. Names are bytes, which paramiko's own client does not let through.
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

LARGEST: Final = 1 << 20
"""Bytes of an answer that is believed; servers send up to 256 KiB."""

_HEAD: Final = struct.Struct(">IBI")
_BEFORE: Final = 5
"""Bytes before the number: the length and the kind."""

_INIT: Final = 1
_VERSION: Final = 2
_SPOKEN: Final = 3


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


class Attributes(NamedTuple):
    """Of a file; None: it is not told, or is to stay as it is.

    Attributes:
        size: bytes.
        mode: type and permissions.
        mtime: seconds since the epoch, 0 to 2**32 - 1.
    """

    size: int | None = None
    mode: int | None = None
    mtime: int | None = None

    def pack(self) -> bytes:
        """As a server takes them."""
        flags, fields = 0, b""
        if self.size is not None:
            flags |= 1
            fields += struct.pack(">Q", self.size)
        if self.mode is not None:
            flags |= 4
            fields += struct.pack(">I", self.mode)
        if self.mtime is not None:
            flags |= 8
            fields += struct.pack(">II", self.mtime, self.mtime)
        return struct.pack(">I", flags) + fields


class Request(NamedTuple):
    """What a server is asked to do."""

    kind: int
    body: bytes

    def packet(self, number: int) -> bytes:
        """Its bytes under a number, by which its answer is known."""
        return _HEAD.pack(len(self.body) + 5, self.kind, number) + self.body


class Access(IntEnum):
    """How a file is opened; they are added."""

    READ = 1
    WRITE = 2
    CREATE = 8
    EXCLUSIVE = 32


def open_file(path: bytes, access: int, mode: int | None = None) -> Request:
    """Open a file; answered by a handle."""
    return Request(3, _text(path) + struct.pack(">I", access) + Attributes(mode=mode).pack())


def close(handle: bytes) -> Request:
    """Close what was opened."""
    return Request(4, _text(handle))


def read(handle: bytes, offset: int, size: int) -> Request:
    """Bytes of a file; answered by data, perhaps less than was asked for."""
    return Request(5, _text(handle) + struct.pack(">QI", offset, size))


def write(handle: bytes, offset: int, data: bytes) -> Request:
    """Put bytes into a file."""
    head = struct.pack(">QI", offset, len(data))
    return Request(6, b"".join((_text(handle), head, data)))


def stat_link(path: bytes) -> Request:
    """Attributes of a name; no link is followed."""
    return Request(7, _text(path))


def stat_handle(handle: bytes) -> Request:
    """Attributes of an open file."""
    return Request(8, _text(handle))


def set_handle(handle: bytes, attributes: Attributes) -> Request:
    """Set attributes of an open file."""
    return Request(10, _text(handle) + attributes.pack())


def set_path(path: bytes, attributes: Attributes) -> Request:
    """Set attributes of a name; links are followed."""
    return Request(9, _text(path) + attributes.pack())


def open_folder(path: bytes) -> Request:
    """Open a directory; answered by a handle."""
    return Request(11, _text(path))


def read_folder(handle: bytes) -> Request:
    """Some names of a directory."""
    return Request(12, _text(handle))


def remove(path: bytes) -> Request:
    """Take a file away."""
    return Request(13, _text(path))


def make_folder(path: bytes) -> Request:
    """Make a directory with the permissions that the server gives."""
    return Request(14, _text(path) + Attributes().pack())


def remove_folder(path: bytes) -> Request:
    """Take an empty directory away."""
    return Request(15, _text(path))


def real_path(path: bytes) -> Request:
    """The absolute path; answered by one name."""
    return Request(16, _text(path))


def stat(path: bytes) -> Request:
    """Attributes of a name; links are followed."""
    return Request(17, _text(path))


def rename(old: bytes, new: bytes) -> Request:
    """Give another name; version 3 says that nothing may have it."""
    return Request(18, _text(old) + _text(new))


def make_link(target: bytes, path: bytes) -> Request:
    """Make a symbolic link: the arguments in OpenSSH's order, which all servers have taken over."""
    return Request(20, _text(target) + _text(path))


def replace(old: bytes, new: bytes) -> Request:
    """Give another name, in place of what has it: ``posix-rename@openssh.com``."""
    return _extended(b"posix-rename@openssh.com", _text(old) + _text(new))


def synchronise(handle: bytes) -> Request:
    """Have an open file on the disk: ``fsync@openssh.com``."""
    return _extended(b"fsync@openssh.com", _text(handle))


def set_link(path: bytes, attributes: Attributes) -> Request:
    """Set attributes of a name; no link is followed: ``lsetstat@openssh.com``."""
    return _extended(b"lsetstat@openssh.com", _text(path) + attributes.pack())


def room(path: bytes) -> Request:
    """Of the file system: ``statvfs@openssh.com``; see `room_of`."""
    return _extended(b"statvfs@openssh.com", _text(path))


def limits() -> Request:
    """How large requests may be: ``limits@openssh.com``; see `largest_write_of`."""
    return _extended(b"limits@openssh.com", b"")


def _extended(name: bytes, body: bytes) -> Request:
    return Request(200, _text(name) + body)


def _text(raw: bytes) -> bytes:
    return struct.pack(">I", len(raw)) + raw


def hello() -> bytes:
    """What is said first."""
    return struct.pack(">IBI", 5, _INIT, _SPOKEN)


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
        found = []
        for _ in range(fields.number()):
            name = fields.text()
            fields.text()  # the line of `ls -l`
            found.append((name, fields.attributes()))
        return found


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
            if len(body) < _HEAD.size - _BEFORE:
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
            if kind != _VERSION or fields.number() != _SPOKEN:
                what = f"it does not speak version {_SPOKEN}"
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
