"""The checks that field types stand for; every field of every message passes one.

They run for each message that a broker gets, so each kind of field has one closure without a call
below it for the good case; where in the message the fault is, is found out only when there is one.
"""

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Mapping
from operator import call
from typing import Annotated, Any, Final

from zfs_walk.protocol.schema import Length, OneOf, Range, annotations_of

Check = Callable[[Any], Any]
"""Takes a decoded value; returns the value as the dataclass wants it."""

MOST_ELEMENTS: Final = 65_536
"""Elements of a tuple without a Length of its own: the bound of items in one commit."""

MOST_NAME: Final = 255


class MalformedError(Exception):
    """A frame or a field is not what the schema asks for; the text says which and why."""

    def within(self, name: str) -> "MalformedError":
        """The same complaint with the name of what the field is a part of."""
        text = str(self)
        return MalformedError(f"{name}{text}" if text.startswith(":") else f"{name}.{text}")


@functools.cache
def check_for(annotation: Any) -> Check:
    """The check that ``annotation`` stands for.

    It raises `MalformedError` with a text that begins with ``: ``, or with the name of the field
    within the value.
    """
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        base, *marks = typing.get_args(annotation)
        return _constrained(base, tuple(marks))
    if origin is tuple:
        return _tuple_check(typing.get_args(annotation), MOST_ELEMENTS)
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return _record_check(annotation)
    if annotation in {int, str, bytes, bool}:
        return _plain_check(annotation)
    if isinstance(annotation, types.UnionType):
        message = f"unions are not part of the schema: {annotation}"
        raise TypeError(message)
    message = f"no check for {annotation!r}"
    raise TypeError(message)


def _constrained(base: Any, marks: tuple[object, ...]) -> Check:
    most = next((mark.most for mark in marks if isinstance(mark, Length)), MOST_ELEMENTS)
    origin = typing.get_origin(base)
    if origin is tuple:
        return _tuple_check(typing.get_args(base), most)
    if origin is dict:
        return _map_check(most)
    for mark in marks:
        match mark:
            case Range(low, high):
                return _range_check(low, high)
            case OneOf(words):
                return _word_check(words)
            case Length(longest) if base is str or base is bytes:
                return _length_check(base, longest)
    return check_for(base)


def _wrong(value: object, wanted: str) -> MalformedError:
    return MalformedError(f": {wanted} wanted, {type(value).__name__} came")


def _plain_check(kind: type) -> Check:
    def check(value: Any) -> Any:
        # bool is an int to Python, not to the protocol.
        if type(value) is kind:
            return value
        raise _wrong(value, kind.__name__)

    return check


def _range_check(low: int, high: int) -> Check:
    def check(value: Any) -> Any:
        if type(value) is int:
            if low <= value <= high:
                return value
            message = f": {value} is not within {low}..{high}"
            raise MalformedError(message)
        raise _wrong(value, "int")

    return check


def _length_check(kind: type[str] | type[bytes], most: int) -> Check:
    def check(value: Any) -> Any:
        if type(value) is kind:
            if len(value) <= most:
                return value
            message = f": {len(value):,} is longer than {most:,}"
            raise MalformedError(message)
        raise _wrong(value, kind.__name__)

    return check


def _word_check(words: tuple[str, ...]) -> Check:
    def check(value: Any) -> Any:
        if type(value) is str:
            if value in words:
                return value
            message = f": {value[:64]!r} is none of {', '.join(words)}"
            raise MalformedError(message)
        raise _wrong(value, "str")

    return check


def _tuple_check(arguments: tuple[Any, ...], most: int) -> Check:
    if arguments[-1] is Ellipsis:
        inner = check_for(arguments[0])

        def check_all(value: Any) -> Any:
            if type(value) is not list:
                raise _wrong(value, "list")
            if len(value) > most:
                message = f": {len(value):,} elements, more than {most:,}"
                raise MalformedError(message)
            return tuple(map(inner, value))

        return check_all
    inners = tuple(check_for(argument) for argument in arguments)

    def check_each(value: Any) -> Any:
        if type(value) is not list or len(value) < len(inners):
            raise _wrong(value, f"list of {len(inners)}")
        return tuple(map(call, inners, value))

    return check_each


def _map_check(most: int) -> Check:
    def check(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise _wrong(value, "map")
        if len(value) > most:
            message = f": {len(value):,} keys, more than {most:,}"
            raise MalformedError(message)
        for key, number in value.items():
            if type(key) is not str or len(key) > MOST_NAME or type(number) is not int:
                message = f": a map of names (at most {MOST_NAME} characters) to integers wanted"
                raise MalformedError(message)
            if not -(2**63) <= number < 2**63:
                message = f"{key}: {number} does not fit 64 bits"
                raise MalformedError(message)
        return value

    return check


def _record_check(record: type) -> Check:
    """A nested record travels as a list of its fields; longer lists are a newer minor version."""
    names = tuple(annotations_of(record))
    inners = tuple(check_for(kind) for kind in annotations_of(record).values())

    def check(value: Any) -> Any:
        if type(value) is not list or len(value) < len(inners):
            raise _wrong(value, f"list of {len(inners)} ({record.__name__})")
        try:
            return record(*map(call, inners, value))
        except MalformedError:
            check_fields(names, inners, value)
            raise

    return check


def check_fields(
    names: tuple[str, ...], checks: tuple[Check, ...], values: typing.Iterable[Any]
) -> None:
    """Find the field that is not what its check wants.

    Raises:
        MalformedError: with the field's name.
    """
    for name, check, value in zip(names, checks, values, strict=False):
        try:
            check(value)
        except MalformedError as error:
            raise error.within(name) from None
