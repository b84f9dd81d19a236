"""The table of messages as docs/protocol.md shows it: ``python -m zfs_walk.protocol.table``."""

import dataclasses
import sys
from collections.abc import Iterator
from typing import Final, get_args

from zfs_walk.protocol.messages import AGENT, ASKER, BROKER, PUBLISHER, TABLE, Row
from zfs_walk.protocol.schema import annotations_of, describe

TITLES: Final = {
    AGENT: "Agent to broker",
    BROKER: "Broker to agent or client",
    ASKER: "Client to broker",
    PUBLISHER: "Published",
}


def render() -> str:
    """Markdown: a table per sender, and the records that fields are made of."""
    lines: list[str] = []
    for sender, title in TITLES.items():
        lines += ["", f"**{title}**", "", "| type [answers] | fields | meaning |", "|---|---|---|"]
        lines += [_line(row) for row in TABLE if row.sender == sender]
    lines += ["", "**Records**", "", "| record | fields | meaning |", "|---|---|---|"]
    lines += [
        f"| {record.__name__} | {_fields(record)} | {_meaning(record)} |" for record in _records()
    ]
    return "\n".join(lines[1:]) + "\n"


def _line(row: Row) -> str:
    answers = f" [{', '.join(row.answers)}]" if row.answers else ""
    return f"| {row.type}{answers} | {_fields(row.message)} | {_meaning(row.message)} |"


def _fields(message: type) -> str:
    fields = [f"`{name}`: {describe(kind)}" for name, kind in annotations_of(message).items()]
    return "; ".join(fields) or "none"


def _meaning(message: type) -> str:
    """The docstring's paragraphs, without the list of attributes."""
    text = (message.__doc__ or "").split("Attributes:")[0]
    return " ".join(text.replace("``", "`").replace("|", "\\|").split())


def _records() -> Iterator[type]:
    """The records in messages, each once, in the order in which they are first used."""
    seen: dict[type, None] = {}
    for row in TABLE:
        message: type = row.message
        for kind in annotations_of(message).values():
            for record in _records_in(kind):
                seen.setdefault(record)
    yield from seen


def _records_in(kind: object) -> Iterator[type]:
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        yield kind
        for inner in annotations_of(kind).values():
            yield from _records_in(inner)
    for argument in get_args(kind):
        yield from _records_in(argument)


if __name__ == "__main__":
    sys.stdout.write(render())
