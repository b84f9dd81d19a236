"""Requests of SFTP version 3, with OpenSSH's additions, as bytes.

A core: no socket is known here. The format is that of draft-ietf-secsh-filexfer-02 and of the file
PROTOCOL of OpenSSH. Names are bytes, which paramiko's own client does not let through.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

SPOKEN: Final = 3
"""The version."""

_INIT: Final = 1

_HEAD: Final = struct.Struct(">IBI")
_LENGTH: Final = struct.Struct(">I")
_RANGE: Final = struct.Struct(">QI")
_SIZE: Final = struct.Struct(">Q")
_TIMES: Final = struct.Struct(">II")


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
            fields += _SIZE.pack(self.size)
        if self.mode is not None:
            flags |= 4
            fields += _LENGTH.pack(self.mode)
        if self.mtime is not None:
            flags |= 8
            fields += _TIMES.pack(self.mtime, self.mtime)
        return _LENGTH.pack(flags) + fields


@dataclass(frozen=True, slots=True)
class Slice:
    """Bytes of an open file, which are read when they are sent; its length is theirs.

    Attributes:
        descriptor: of the file.
        offset: of the first one; ``size``: so many.
    """

    descriptor: int
    offset: int
    size: int

    def __len__(self) -> int:
        """Bytes."""
        return self.size


Bulk = bytes | Slice
"""What a write puts into a file."""


class Request(NamedTuple):
    """What a server is asked to do.

    Attributes:
        kind: its number.
        body: what comes after the number of the packet.
        data: what comes after that; apart, so that it is not copied.
    """

    kind: int
    body: bytes
    data: Bulk = b""

    def head(self, number: int) -> bytes:
        """All but `data`, under a number by which the answer is known."""
        size = len(self.body) + len(self.data) + 5
        return _HEAD.pack(size, self.kind, number) + self.body


class Access(IntEnum):
    """How a file is opened; they are added."""

    READ = 1
    WRITE = 2
    CREATE = 8
    EXCLUSIVE = 32


def open_file(path: bytes, access: int, mode: int | None = None) -> Request:
    """Open a file; answered by a handle."""
    return Request(3, _text(path) + _LENGTH.pack(access) + Attributes(mode=mode).pack())


def close(handle: bytes) -> Request:
    """Close what was opened."""
    return Request(4, _text(handle))


def read(handle: bytes, offset: int, size: int) -> Request:
    """Bytes of a file; answered by data, perhaps less than was asked for."""
    return Request(5, _text(handle) + _RANGE.pack(offset, size))


def write(handle: bytes, offset: int, data: Bulk) -> Request:
    """Put bytes into a file."""
    return Request(6, _text(handle) + _RANGE.pack(offset, len(data)), data)


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
    return _LENGTH.pack(len(raw)) + raw


def hello() -> bytes:
    """What is said first."""
    return _HEAD.pack(5, _INIT, SPOKEN)
