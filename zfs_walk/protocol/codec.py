"""Frames of messages: ``[b"ZW" + major][msgpack header][payload 0..n]`` (docs/protocol.md, 2)."""

import dataclasses
from collections.abc import Iterable, Sequence
from operator import call
from typing import Any, Final, NamedTuple

import msgpack

from zfs_walk.protocol.checks import Check, MalformedError, check_fields, check_for
from zfs_walk.protocol.messages import TABLE, Message, wire_name
from zfs_walk.protocol.schema import annotations_of, is_payload

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
    """How a message travels: the fields of its header, then those with a frame of their own."""

    message: type
    names: tuple[str, ...]
    checks: tuple[Check, ...]
    defaults: dict[str, Any]
    payload_names: tuple[str, ...]
    payload_checks: tuple[Check, ...]


def _shape_of(message: type) -> _Shape:
    kinds = annotations_of(message)
    header = {name: kind for name, kind in kinds.items() if not is_payload(kind)}
    payload = {name: kind for name, kind in kinds.items() if is_payload(kind)}
    if (*header, *payload) != tuple(kinds):
        text = f"{message.__name__}: payload fields come last"
        raise TypeError(text)
    return _Shape(
        message,
        tuple(header),
        tuple(check_for(kind) for kind in header.values()),
        {
            field.name: field.default
            for field in dataclasses.fields(message)
            if field.default is not dataclasses.MISSING
        },
        tuple(payload),
        tuple(check_for(kind) for kind in payload.values()),
    )


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
        header = {"t": name}
        for field in shape.names:
            header[field] = getattr(message, field)
        frames = [self._magic, _pack(header)]
        frames.extend(_pack(getattr(message, field)) for field in shape.payload_names)
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
        if type(header) is not dict or type(header.get("t")) is not str:
            message = "header: a map with the message's type wanted"
            raise MalformedError(message)
        name = header["t"]
        if name not in self._types:
            raise UnsupportedError(name[:64])
        shape = self._shape(name)
        if len(frames) - 2 < len(shape.payload_names):
            message = (
                f"{name}: {len(shape.payload_names)} payload frames wanted, {len(frames) - 2} came"
            )
            raise MalformedError(message)
        try:
            values = [header[field] for field in shape.names]
        except KeyError:
            values = [_field(shape, name, header, field) for field in shape.names]
        try:
            checked = map(call, shape.checks, values)
            if not shape.payload_names:
                return shape.message(*checked)
            payload = [_unpack(frame, name) for frame in frames[2 : 2 + len(shape.payload_names)]]
            return shape.message(*checked, *map(call, shape.payload_checks, payload))
        except MalformedError as error:
            raise _located(error, shape, name, values, frames[2:]) from None

    def type_of(self, frames: Sequence[Any]) -> str:
        """The type of the message in these frames, its fields not checked.

        Raises:
            WrongMajorError: another major version.
            MalformedError: these are no frames of a message.
        """
        self._check_magic(frames)
        header = _unpack(frames[1], "header")
        name = header.get("t") if type(header) is dict else None
        if type(name) is not str:
            message = "header: a map with the message's type wanted"
            raise MalformedError(message)
        return name

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
            shape = self._shapes[name] = _shape_of(self._types[name])
        return shape


def _field(shape: _Shape, name: str, header: dict[str, Any], field: str) -> Any:
    """A field's value, or its default."""
    if field in header:
        return header[field]
    if field in shape.defaults:
        return shape.defaults[field]
    message = f"{name}.{field}: missing"
    raise MalformedError(message)


def _located(
    error: MalformedError, shape: _Shape, name: str, values: list[Any], frames: Sequence[Any]
) -> MalformedError:
    """The complaint with the place of its cause: looked for only now, as most messages are good."""
    try:
        check_fields(shape.names, shape.checks, values)
        for field, check, frame in zip(
            shape.payload_names, shape.payload_checks, frames, strict=False
        ):
            check_fields((field,), (check,), (_unpack(frame, field),))
    except MalformedError as found:
        return found.within(name)
    return error


def _plain(value: object) -> object:
    """What msgpack can't pack by itself: a record becomes the list of its fields."""
    names = getattr(type(value), "__dataclass_fields__", None)
    if names is not None:
        return [getattr(value, name) for name in names]
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
