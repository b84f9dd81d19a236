"""What a read of fanotify gives, as objects: each event with the directories and names it is about.

The layout is that of fanotify(7): ``struct fanotify_event_metadata``, then records of information,
of which those with a directory's file handle and a name are kept.
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

NAMED: Final = 2
"""FAN_EVENT_INFO_TYPE_DFID_NAME: where an event happened."""

OLD_NAME: Final = 10
"""FAN_EVENT_INFO_TYPE_OLD_DFID_NAME: from where something was renamed."""

NEW_NAME: Final = 12
"""FAN_EVENT_INFO_TYPE_NEW_DFID_NAME: to where."""

VERSION: Final = 3
"""FANOTIFY_METADATA_VERSION."""

_METADATA: Final = struct.Struct("=IBxHQii")
_INFORMATION: Final = struct.Struct("=BxH")
_HANDLE_AT: Final = 12
"""A record's type and length (4 bytes) and the file system's id (8) are before its handle."""

_HANDLE: Final = struct.Struct("=I4x")
"""``struct file_handle``: the length of what follows, and its type, which we never look at."""


class Place(NamedTuple):
    """A name in a directory.

    ``handle`` is the directory's ``struct file_handle`` as open_by_handle_at(2) takes it; the name
    ``.`` is the directory itself.
    """

    kind: int
    handle: bytes
    name: bytes


class Frame(NamedTuple):
    """One event: its mask, as the bits FAN_* say, and its places."""

    mask: int
    places: tuple[Place, ...]


class FrameError(Exception):
    """What was read is not what fanotify writes."""


def frames(buffer: bytes) -> Iterator[Frame]:
    """Take a buffer apart.

    Raises:
        FrameError: it is not made of whole events of the known version.
    """
    at = 0
    while at < len(buffer):
        _require(len(buffer) - at >= _METADATA.size, "half an event")
        length, version, before, mask, _, _ = _METADATA.unpack_from(buffer, at)
        end = at + length
        _require(version == VERSION, "an event of another version")
        _require(_METADATA.size <= before <= length, "an event shorter than its head")
        _require(end <= len(buffer), "an event beyond what was read")
        yield Frame(mask, tuple(_places(buffer, at + before, end)))
        at = end


def _places(buffer: bytes, at: int, end: int) -> Iterator[Place]:
    while at < end:
        _require(end - at >= _INFORMATION.size, "half a record")
        kind, length = _INFORMATION.unpack_from(buffer, at)
        _require(length >= _INFORMATION.size, "a record shorter than its head")
        _require(at + length <= end, "a record beyond its event")
        if kind in {NAMED, OLD_NAME, NEW_NAME}:
            yield _place(buffer, kind, at + _HANDLE_AT, at + length)
        at += length


def _place(buffer: bytes, kind: int, start: int, end: int) -> Place:
    _require(end - start >= _HANDLE.size, "half a handle")
    name_at = start + _HANDLE.size + _HANDLE.unpack_from(buffer, start)[0]
    _require(name_at <= end, "a handle beyond its record")
    stop = buffer.find(b"\0", name_at, end)
    return Place(kind, buffer[start:name_at], buffer[name_at : end if stop < 0 else stop])


def _require(holds: bool, otherwise: str) -> None:  # noqa: FBT001 -- reads like an assertion
    if not holds:
        raise FrameError(otherwise)
