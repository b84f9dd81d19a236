"""Frames of messages: ``[b"ZW" + major][msgpack header][payload 0..n]`` (docs/protocol.md, 2)."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgpack

from zfs_walk.protocol.messages import TABLE, Message, wire_name
from zfs_walk.protocol.schema import (
    Check,
    MalformedError,
    annotations_of,
    check_for,
    is_payload,
)

MAJOR: Final = 1
MAGIC: Final = b"ZW" + bytes([MAJOR])
MAX_MESSAGE: Final = 16 * 2**20
"""Bytes of all frames of one message; the same bound as MAXMSGSIZE of the sockets."""


class WrongMajorError(Exception):
    """The peer speaks another major version; the argument is its number."""


class UnsupportedError(Exception):
    """The message's type is not in the table; the argument is its name."""


class TooLargeError(Exception):
    """The message is larger than the wire takes; it must not be sent."""


class _Shape(NamedTuple):
    message: type
    header: tuple[tuple[str, Check, bool], ...]
    payload: tuple[tuple[str, Check], ...]


class Codec:
    """Encodes and decodes the messages of one table.

    The bus has one (`BUS`); the link between an agent and its workers has another, with the same
    rules.
    """

    def __init__(self, messages: Iterable[type], magic: bytes = MAGIC) -> None:
        self._magic = magic
        self._types = {wire_name(message): message for message in messages}
        self._names = {message: name for name, message in self._types.items()}
        self._shapes: dict[str, _Shape] = {}

    def encode(self, message: object) -> list[bytes]:
        """The frames of a message.

        Raises:
            TooLargeError: all frames together pass `MAX_MESSAGE`.
        """
        name = self._names[type(message)]
        shape = self._shape(name)
        header: dict[str, Any] = {"t": name}
        for field, _, _ in shape.header:
            header[field] = getattr(message, field)
        frames = [self._magic, _pack(header)]
        frames.extend(_pack(getattr(message, field)) for field, _ in shape.payload)
        size = sum(map(len, frames))
        if size > MAX_MESSAGE:
            text = f"{name} has {size:,} bytes, more than {MAX_MESSAGE:,}"
            raise TooLargeError(text)
        return frames

    def decode(self, frames: Sequence[Any]) -> Any:
        """The message in these frames, every field checked.

        Raises:
            WrongMajorError: another major version.
            UnsupportedError: an unknown type.
            MalformedError: anything else that is wrong; the text names the field.
        """
        self._check_magic(frames)
        header = _unpack(frames[1], "header")
        if not isinstance(header, dict) or not isinstance(header.get("t"), str):
            message = "header: a map with the message's type wanted"
            raise MalformedError(message)
        name = header["t"]
        if name not in self._types:
            raise UnsupportedError(name[:64])
        shape = self._shape(name)
        if len(frames) - 2 < len(shape.payload):
            message = f"{name}: {len(shape.payload)} payload frames wanted, {len(frames) - 2} came"
            raise MalformedError(message)
        values: dict[str, Any] = {}
        for field, check, optional in shape.header:
            if field in header:
                values[field] = check(header[field], f"{name}.{field}")
            elif not optional:
                message = f"{name}.{field}: missing"
                raise MalformedError(message)
        for (field, check), frame in zip(shape.payload, frames[2:], strict=False):
            values[field] = check(_unpack(frame, f"{name}.{field}"), f"{name}.{field}")
        return shape.message(**values)

    def _check_magic(self, frames: Sequence[Any]) -> None:
        if len(frames) < 2:  # noqa: PLR2004 -- magic and header
            message = f"{len(frames)} frames, at least 2 wanted"
            raise MalformedError(message)
        magic = bytes(frames[0])
        if magic == self._magic:
            return
        if len(magic) == len(self._magic) and magic[:-1] == self._magic[:-1]:
            raise WrongMajorError(magic[-1])
        message = "these are not frames of zfs_walk"
        raise MalformedError(message)

    def _shape(self, name: str) -> _Shape:
        shape = self._shapes.get(name)
        if shape is None:
            message = self._types[name]
            optional = {
                field.name
                for field in dataclasses.fields(message)
                if field.default is not dataclasses.MISSING
            }
            kinds = annotations_of(message)
            shape = self._shapes[name] = _Shape(
                message,
                tuple(
                    (field, check_for(kind), field in optional)
                    for field, kind in kinds.items()
                    if not is_payload(kind)
                ),
                tuple(
                    (field, check_for(kind)) for field, kind in kinds.items() if is_payload(kind)
                ),
            )
        return shape


def _plain(value: object) -> object:
    """What msgpack can't pack by itself: a record becomes the list of its fields."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, name) for name in value.__dataclass_fields__]
    message = f"{type(value).__name__} does not travel"
    raise TypeError(message)


def _pack(value: object) -> bytes:
    packed: bytes = msgpack.packb(value, default=_plain, use_bin_type=True)
    return packed


def _unpack(frame: Any, name: str) -> object:
    try:
        value: object = msgpack.unpackb(frame, raw=False, strict_map_key=True, use_list=True)
    except (ValueError, msgpack.exceptions.UnpackException, RecursionError) as error:
        message = f"{name}: not msgpack ({type(error).__name__})"
        raise MalformedError(message) from error
    return value


BUS: Final = Codec(row.message for row in TABLE)
"""The codec of the bus."""

__all__ = [
    "BUS",
    "MAGIC",
    "MAJOR",
    "MAX_MESSAGE",
    "Codec",
    "MalformedError",
    "Message",
    "TooLargeError",
    "UnsupportedError",
    "WrongMajorError",
]
