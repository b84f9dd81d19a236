"""What uploaders have in hand, as text and as JSON, for ``zfs-ctl upload list``."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from zfs_walk import names
from zfs_walk.cli.screen import BAD, GOOD, HEAD, WARN
from zfs_walk.cli.summary import human, show_path, show_text
from zfs_walk.cli.uploaders import Uploader
from zfs_walk.protocol.messages import ActionLine, ActionNews, TransferLine
from zfs_walk.protocol.statistics import MappingStatistics
from zfs_walk.protocol.uploads import MOST_ACTIONS

BAR: Final = 24
"""Columns of a progress bar."""

TROUBLE: Final = ("aside", "held")
"""States of actions that wait for somebody; they are shown first."""

NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Look:
    """What one uploader had at a moment.

    Attributes:
        host: where it runs.
        name: of the agent.
        time_ns: its clock, ns since the epoch.
        mappings: its mappings.
        transfers: files that it is sending.
        actions: of its queue, as many as were asked for.
    """

    host: str
    name: str
    time_ns: int
    mappings: tuple[MappingStatistics, ...]
    transfers: tuple[TransferLine, ...]
    actions: tuple[ActionLine, ...]


def look(uploader: Uploader, mapping: str, state: str, most: int | None) -> Look:
    """Ask an uploader.

    Args:
        uploader: that is asked.
        mapping: of this only; empty: of all.
        state: actions in this state only; empty: those that wait for somebody first.
        most: so many actions of each state; None: all.
    """
    page = uploader.queue(mapping, "", 0)
    states = (state,) if state else (*TROUBLE, "taken", "ready")
    actions = [one for each in states for one in _actions(uploader, mapping, each, most)]
    return Look(
        uploader.host, uploader.name, page.time_ns, page.mappings, page.transfers, tuple(actions)
    )


def _actions(
    uploader: Uploader, mapping: str, state: str, most: int | None
) -> Iterator[ActionLine]:
    past = ("", b"")
    left = most
    while left is None or left > 0:
        limit = MOST_ACTIONS if left is None else min(left, MOST_ACTIONS)
        page = uploader.queue(mapping, state, limit, past)
        yield from page.actions
        if not page.more or not page.actions:
            return
        past = page.actions[-1].mapping, page.actions[-1].path
        left = None if left is None else left - len(page.actions)


# ---------------------------------------------------------------------- text


def show(looks: Iterable[Look]) -> RenderableType:
    """One uploader below the other."""
    parts: list[RenderableType] = []
    for each in looks:
        head = f"{show_text(each.name)} on {show_text(each.host)}"
        parts += [Text(), Text(head, HEAD), _mappings(each)]
        if each.transfers:
            parts += [Text(), _transfers(each)]
        if each.actions:
            parts += [Text(), _queue(each)]
    return Group(*parts[1:])


def _mappings(found: Look) -> Table:
    table = _table(
        "mapping", "phase", ">there", ">waiting", ">to send", ">held", ">aside", ">sent", ">rate",
        "health",
    )  # fmt: skip
    for each in found.mappings:
        table.add_row(
            Text(show_text(each.name)), Text(show_text(each.phase)), f"{each.indexed:,}",
            f"{each.ready + each.taken:,}", human(each.bytes),
            Text(f"{each.held:,}", WARN if each.held else ""),
            Text(f"{each.aside:,}", BAD if each.aside else ""),
            f"{each.sent:,}", f"{human(each.bytes_per_s)}/s",
            Text(show_text(each.health), GOOD if each.health == "ok" else WARN),
        )  # fmt: skip
    return table


def _transfers(found: Look) -> Table:
    table = _table("mapping", "sending", "", ">", ">of", "", ">rate", ">left")
    for one in found.transfers:
        seconds = max(0.0, (found.time_ns - one.since_ns) / NS)
        rate = one.sent / seconds if seconds else 0.0
        there = max(one.sent, one.size * one.parts_done // one.parts if one.parts else 0)
        left = "" if not rate else str(timedelta(seconds=round((one.size - there) / rate)))
        table.add_row(
            Text(show_text(one.mapping)), Text(show_path(one.path)),
            ProgressBar(total=max(1, one.size), completed=there, width=BAR),
            human(one.sent), human(one.size), parts_text(one), f"{human(rate)}/s", left,
        )  # fmt: skip
    return table


def parts_text(one: TransferLine) -> str:
    """How many parts of a file are there; empty: it is sent as a whole."""
    return f"{one.parts_done:,} of {one.parts:,} parts" if one.parts else ""


def _queue(found: Look) -> Table:
    table = _table("mapping", "state", "action", "file", ">size", "queued", ">tries", "why")
    for one in found.actions:
        queued = datetime.fromtimestamp(one.added_ns / NS, UTC).astimezone()
        table.add_row(
            Text(show_text(one.mapping)),
            Text(one.state, {"aside": BAD, "held": WARN}.get(one.state, "")), one.kind,
            Text(show_path(one.path)), human(one.size), f"{queued:%Y-%m-%d %H:%M:%S}",
            f"{one.tries}", Text(show_text(one.error)),
        )  # fmt: skip
    return table


def _table(*columns: str) -> Table:
    """A table; what stands after ``>`` is put to the right."""
    table = Table(box=None, pad_edge=False, header_style=HEAD)
    for column in columns:
        right = column.startswith(">")
        table.add_column(
            column.removeprefix(">"), justify="right" if right else "left", overflow="fold"
        )
    return table


# ---------------------------------------------------------------------- JSON


def as_json(looks: Iterable[Look]) -> dict[str, Any]:
    """The same for programs (docs/json.md)."""
    return {"schema": 1, "time": time.time(), "uploaders": [_as_json(each) for each in looks]}


def _as_json(found: Look) -> dict[str, Any]:
    return {
        "host": found.host,
        "name": found.name,
        "mappings": [_mapping(each) for each in found.mappings],
        "transfers": [transfer_fields(one) for one in found.transfers],
        "actions": [
            {
                "mapping": one.mapping,
                **names.to_json(one.path),
                "action": one.kind,
                "state": one.state,
                "size": one.size,
                "queued": one.added_ns / NS,
                "not_before": one.due_ns / NS,
                "tries": one.tries,
                "error": one.error,
            }
            for one in found.actions
        ],
    }


def transfer_fields(one: TransferLine) -> dict[str, Any]:
    """A file that is being sent."""
    return {
        "mapping": one.mapping,
        **names.to_json(one.path),
        "size": one.size,
        "sent": one.sent,
        "parts": one.parts,
        "parts_done": one.parts_done,
        "since": one.since_ns / NS,
    }


def news_fields(one: ActionNews) -> dict[str, Any]:
    """An action that stands somewhere else than before."""
    return {
        "mapping": one.mapping,
        "number": one.number,
        **names.to_json(one.path),
        "action": one.kind,
        "stage": one.stage,
        "size": one.size,
        "tries": one.tries,
        "detail": one.detail,
        "queued": one.queued_ns / NS,
        "time": one.time_ns / NS,
    }


def _mapping(found: MappingStatistics) -> dict[str, Any]:
    return {
        "name": found.name,
        **names.to_json(found.path),
        "url": found.url,
        "phase": found.phase,
        "health": found.health,
        "files": found.files,
        "there": found.indexed,
        "ready": found.ready,
        "taken": found.taken,
        "held": found.held,
        "aside": found.aside,
        "bytes": found.bytes,
        "sent": found.sent,
        "sent_bytes": found.sent_bytes,
        "moved": found.moved,
        "deleted": found.deleted,
        "unchanged": found.unchanged,
        "failed": found.failed,
        "bytes_per_s": found.bytes_per_s,
    }
