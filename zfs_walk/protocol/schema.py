"""Field types of messages.

A message's annotations are its schema: ``Annotated[int, Range(0, 10)]`` is at once the type that
mypy sees, the check that a decoded field must pass (`zfs_walk.protocol.checks`), and the text in
the documentation's table.
"""

import dataclasses
import functools
import typing
from dataclasses import dataclass
from typing import Annotated, Any


@dataclass(frozen=True, slots=True)
class Range:
    """An integer from ``low`` to ``high``, both included."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Length:
    """At most this many bytes, characters, elements or keys."""

    most: int


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of these words."""

    words: tuple[str, ...]


class Payload:
    """Marks a field that travels in a payload frame of its own, not in the header."""


U64 = Annotated[int, Range(0, 2**63 - 1)]
"""Unsigned, and within the signed 64 bits that the journal's integers have."""
Inode = Annotated[int, Range(0, 2**64 - 1)]
U32 = Annotated[int, Range(0, 2**32 - 1)]
I64 = Annotated[int, Range(-(2**63), 2**63 - 1)]
Count = Annotated[int, Range(0, 2**40)]
"""A number of items in one message; eight million of them still add up to less than 2^63."""
Word = Annotated[str, Length(64)]
Name = Annotated[str, Length(255)]
Text = Annotated[str, Length(4096)]
Path = Annotated[bytes, Length(4 * 2**20)]
"""A path is bytes, end to end; longer than any kernel interface takes in one piece."""
Counters = Annotated[dict[str, int], Length(4096)]
"""A map name -> integer that the broker adds and does not understand."""


def is_payload(annotation: Any) -> bool:
    """True if a field with this annotation travels in a payload frame."""
    return typing.get_origin(annotation) is Annotated and any(
        isinstance(mark, Payload) for mark in typing.get_args(annotation)[1:]
    )


def describe(annotation: Any) -> str:
    """The field's type in words, for the documentation's table."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        base, *marks = typing.get_args(annotation)
        text = describe(base)
        for mark in marks:
            match mark:
                case Range(low, high):
                    text = f"{_power(low)}..{_power(high)}"
                case Length(most):
                    text += f" (<= {most:,})"
                case OneOf(words):
                    text = " \\| ".join(words)
                case Payload():
                    text += ", payload"
        return text
    if origin is tuple:
        arguments = typing.get_args(annotation)
        if arguments[-1] is Ellipsis:
            return f"[{describe(arguments[0])}]"
        return "(" + ", ".join(describe(argument) for argument in arguments) + ")"
    if origin is dict:
        return "{name: int}"
    return str(annotation.__name__)


def _power(number: int) -> str:
    for power in (28, 32, 40, 63, 64):
        if number == 2**power:
            return f"2^{power}"
        if number == 2**power - 1:
            return f"2^{power} - 1"
        if number == -(2**power):
            return f"-2^{power}"
    return str(number)


@functools.cache
def annotations_of(record: Any) -> dict[str, Any]:
    """The fields of a message or record, in order, with their annotations."""
    hints = typing.get_type_hints(record, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(record)}
