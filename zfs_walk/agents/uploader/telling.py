"""What an uploader tells of its mirrors; no I/O, no clock."""

from collections.abc import Iterable
from typing import Final

from zfs_walk.mirror.handling import HandlerStatistics, Transferring
from zfs_walk.mirror.statistics import MirrorStatistics, Phase
from zfs_walk.mirror.wishes import PAUSED
from zfs_walk.notify.schema import COUNTS
from zfs_walk.notify.writer import Progress, columns_of
from zfs_walk.protocol.messages import TransferLine
from zfs_walk.protocol.statistics import MappingStatistics

OK: Final = "ok"

MOST: Final = 4_096
"""Characters of a text that is published."""

_NOTHING: Final = HandlerStatistics(
    active=(), sent=0, bytes=0, moved=0, deleted=0, unchanged=0, failed=0, rate=0.0, paused=(),
    trouble="", since=0.0, look_at=0.0,
)  # fmt: skip
"""Of a handler that has not begun."""


def mapping_statistics(known: MirrorStatistics) -> MappingStatistics:
    """What is published of a mirror."""
    handler, counts = known.handler or _NOTHING, known.counts
    return MappingStatistics(
        name=known.name,
        path=known.local,
        url=known.url[:MOST],
        phase=known.phase.value,
        health=health_of(known)[:MOST],
        files=known.watch.files if known.watch else 0,
        indexed=known.indexed,
        ready=counts.ready,
        taken=counts.taken,
        held=counts.held,
        aside=counts.aside,
        bytes=counts.bytes,
        active=len(handler.active),
        sent=handler.sent,
        sent_bytes=handler.bytes,
        moved=handler.moved,
        deleted=handler.deleted,
        unchanged=handler.unchanged,
        failed=handler.failed,
        bytes_per_s=round(handler.rate),
        comparisons=known.reconcile.done,
        compared_ns=round(known.reconcile.ended * 1e9),
    )


def transfer_line(mapping: str, one: Transferring) -> TransferLine:
    """What is told of a file that is being sent."""
    since_ns = round(one.since * 1e9)
    return TransferLine(mapping, one.path, one.size, one.sent, since_ns, one.parts, one.parts_done)


def health_of(known: MirrorStatistics) -> str:
    """What keeps a mirror from its work, or needs somebody; "ok": nothing."""
    trouble = []
    handler = known.handler or _NOTHING
    if known.phase is Phase.WAITING:
        trouble.append(known.why)
    if PAUSED in handler.paused:
        trouble.append(PAUSED)
    if handler.trouble:
        trouble.append(handler.trouble)
    if known.reconcile.failed:
        trouble.append(f"both sides could not be compared: {known.reconcile.failed}")
    if known.counts.held:
        trouble.append(f"{known.counts.held} deletions wait to be confirmed: {known.held_why}")
    if known.counts.aside:
        trouble.append(f"{known.counts.aside} actions were set aside")
    return "; ".join(filter(None, trouble)) or OK


def progress(host: str, agent: str, known: MirrorStatistics, told: MappingStatistics) -> Progress:
    """What a database is told of a mirror.

    Args:
        host: that the uploader runs on.
        agent: its name.
        known: of the mirror.
        told: what is published of it.
    """
    row = {
        "host": host,
        "agent": agent,
        "name": told.name,
        **columns_of(told.path),
        "url": told.url,
        "phase": told.phase,
        "health": told.health,
        **{name: getattr(told, name) for name in COUNTS},
    }
    return Progress(row, (known.handler or _NOTHING).active)


def health(mappings: Iterable[MappingStatistics], untold: str = "") -> str:
    """That of the agent: each mapping's that is not well, and why the database can't be told."""
    trouble = [f"{each.name}: {each.health}" for each in mappings if each.health != OK]
    if untold:
        trouble.append(f"the database can't be told: {untold}")
    return "; ".join(trouble)[:MOST] or OK
