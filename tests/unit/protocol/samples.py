"""Messages built from their schema: one fixed sample of each type, and hypothesis strategies."""

import dataclasses
import typing
from typing import Annotated, Any

from hypothesis import strategies as st

from zfs_walk.protocol.messages import TABLE
from zfs_walk.protocol.schema import Length, OneOf, Range, annotations_of

MESSAGES = tuple(row.message for row in TABLE)


def sample(kind: Any, at: int = 1) -> Any:
    """A value that the schema allows; ``at`` makes neighbours differ."""
    base, marks = _apart(kind)
    words = [mark.words for mark in marks if isinstance(mark, OneOf)]
    ranges = [mark for mark in marks if isinstance(mark, Range)]
    if words:
        return words[0][at % len(words[0])]
    if ranges:
        return min(ranges[0].high, max(ranges[0].low, 1000 * at))
    if dataclasses.is_dataclass(base):
        return build(base)
    origin = typing.get_origin(base)
    if origin is tuple:
        inner = typing.get_args(base)
        if inner[-1] is Ellipsis:
            return (sample(inner[0], at), sample(inner[0], at + 1))
        return tuple(sample(one, at + i) for i, one in enumerate(inner))
    if origin is dict:
        return {"entries": at, "bytes": -at}
    return {int: at, bool: bool(at % 2), str: f"text {at}", bytes: b"\xff%d" % at}[base]


def build(message: Any) -> Any:
    """The fixed sample of a message or record."""
    fields = annotations_of(message).items()
    return message(**{name: sample(kind, i + 1) for i, (name, kind) in enumerate(fields)})


def _apart(kind: Any) -> tuple[Any, tuple[object, ...]]:
    if typing.get_origin(kind) is Annotated:
        base, *marks = typing.get_args(kind)
        inner, more = _apart(base)
        return inner, (*marks, *more)
    return kind, ()


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Everything that the schema allows for a field, within reason."""
    base, marks = _apart(kind)
    most = min([8, *(mark.most for mark in marks if isinstance(mark, Length))])
    for mark in marks:
        if isinstance(mark, OneOf):
            return st.sampled_from(mark.words)
        if isinstance(mark, Range):
            return st.integers(mark.low, mark.high)
    if dataclasses.is_dataclass(base):
        return messages(base)
    origin = typing.get_origin(base)
    if origin is tuple:
        inner = typing.get_args(base)
        if inner[-1] is Ellipsis:
            return st.lists(values(inner[0]), max_size=most).map(tuple)
        return st.tuples(*map(values, inner))
    if origin is dict:
        return st.dictionaries(st.text(max_size=8), st.integers(-(2**63), 2**63 - 1), max_size=most)
    strategies: dict[Any, st.SearchStrategy[Any]] = {
        int: st.integers(-(2**63), 2**63 - 1),
        bool: st.booleans(),
        str: st.text(max_size=most),
        bytes: st.binary(max_size=most),
    }
    return strategies[base]


def messages(message: Any) -> st.SearchStrategy[Any]:
    """Every value of a message or record."""
    fields = annotations_of(message).items()
    return st.builds(message, **{name: values(kind) for name, kind in fields})


any_message = st.sampled_from(MESSAGES).flatmap(messages)
"""Every message of the table."""
