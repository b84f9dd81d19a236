"""Field types of messages and the checks that they stand for.

A message's annotations are its schema: ``Annotated[int, Range(0, 10)]`` is at once the type that
mypy sees, the check that a decoded field must pass, and the text in the documentation's table.
"""

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

Check = Callable[[object, str], Any]
"""Takes a decoded value and the field's name; returns the value as the dataclass wants it."""


class MalformedError(Exception):
    """A frame or a field is not what the schema asks for; the text says which and why."""


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

MOST_ELEMENTS = 65_536
"""Elements of a tuple without a Length of its own: the bound of items in one commit."""


@functools.cache
def check_for(annotation: Any) -> Check:
    """The check that ``annotation`` stands for."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        base, *marks = typing.get_args(annotation)
        return _constrained(base, tuple(marks))
    if origin is tuple:
        return _tuple_check(typing.get_args(annotation), MOST_ELEMENTS)
    if origin is dict:
        return _map_check(MOST_ELEMENTS)
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return _record_check(annotation)
    if annotation in {int, str, bytes, bool}:
        return _plain_check(annotation)
    if isinstance(annotation, types.UnionType):
        message = f"unions are not part of the schema: {annotation}"
        raise TypeError(message)
    message = f"no check for {annotation!r}"
    raise TypeError(message)


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


def _wrong(name: str, value: object, wanted: str) -> MalformedError:
    return MalformedError(f"{name}: {wanted} wanted, {type(value).__name__} came")


def _plain_check(kind: type) -> Check:
    def check(value: object, name: str) -> object:
        # bool is an int to Python, not to the protocol.
        if type(value) is not kind:
            raise _wrong(name, value, kind.__name__)
        return value

    return check


def _constrained(base: Any, marks: tuple[object, ...]) -> Check:
    most = next((mark.most for mark in marks if isinstance(mark, Length)), None)
    origin = typing.get_origin(base)
    if origin is tuple:
        inner = _tuple_check(typing.get_args(base), MOST_ELEMENTS if most is None else most)
    elif origin is dict:
        inner = _map_check(MOST_ELEMENTS if most is None else most)
    else:
        inner = check_for(base)
    for mark in marks:
        if isinstance(mark, Range):
            inner = _range_check(inner, mark)
        elif isinstance(mark, OneOf):
            inner = _word_check(inner, mark)
        elif isinstance(mark, Length) and base in {str, bytes}:
            inner = _length_check(inner, mark)
    return inner


def _range_check(inner: Check, mark: Range) -> Check:
    low, high = mark.low, mark.high

    def check(value: object, name: str) -> object:
        number = inner(value, name)
        if not low <= number <= high:
            message = f"{name}: {number} is not within {low}..{high}"
            raise MalformedError(message)
        return number

    return check


def _length_check(inner: Check, mark: Length) -> Check:
    def check(value: object, name: str) -> object:
        sized = inner(value, name)
        if len(sized) > mark.most:
            message = f"{name}: {len(sized):,} is longer than {mark.most:,}"
            raise MalformedError(message)
        return sized

    return check


def _word_check(inner: Check, mark: OneOf) -> Check:
    def check(value: object, name: str) -> object:
        word = inner(value, name)
        if word not in mark.words:
            message = f"{name}: {word!r} is none of {', '.join(mark.words)}"
            raise MalformedError(message)
        return word

    return check


def _tuple_check(arguments: tuple[Any, ...], most: int) -> Check:
    if arguments[-1] is Ellipsis:
        inner = check_for(arguments[0])

        def check_all(value: object, name: str) -> object:
            if not isinstance(value, (list, tuple)):
                raise _wrong(name, value, "list")
            if len(value) > most:
                message = f"{name}: {len(value):,} elements, more than {most:,}"
                raise MalformedError(message)
            return tuple([inner(element, name) for element in value])

        return check_all
    inners = tuple(check_for(argument) for argument in arguments)

    def check_each(value: object, name: str) -> object:
        if not isinstance(value, (list, tuple)) or len(value) < len(inners):
            raise _wrong(name, value, f"list of {len(inners)}")
        return tuple(inner(value[i], name) for i, inner in enumerate(inners))

    return check_each


def _map_check(most: int) -> Check:
    def check(value: object, name: str) -> object:
        if not isinstance(value, Mapping):
            raise _wrong(name, value, "map")
        if len(value) > most:
            message = f"{name}: {len(value):,} keys, more than {most:,}"
            raise MalformedError(message)
        for key, number in value.items():
            if type(key) is not str or len(key) > 255 or type(number) is not int:  # noqa: PLR2004
                message = f"{name}: a map of names (at most 255 characters) to integers wanted"
                raise MalformedError(message)
            if not -(2**63) <= number < 2**63:
                message = f"{name}.{key}: {number} does not fit 64 bits"
                raise MalformedError(message)
        return dict(value)

    return check


def _record_check(record: type) -> Check:
    """A nested record travels as a list of its fields; longer lists are a newer minor version."""
    inners = [(name, check_for(kind)) for name, kind in annotations_of(record).items()]

    def check(value: object, name: str) -> object:
        if not isinstance(value, (list, tuple)) or len(value) < len(inners):
            raise _wrong(name, value, f"list of {len(inners)} ({record.__name__})")
        return record(
            *[inner(value[i], f"{name}.{field}") for i, (field, inner) in enumerate(inners)]
        )

    return check


@functools.cache
def annotations_of(record: Any) -> dict[str, Any]:
    """The fields of a message or record, in order, with their annotations."""
    hints = typing.get_type_hints(record, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(record)}
