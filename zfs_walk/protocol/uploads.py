"""What uploaders are asked and told: over their broker, or over their own door on their host."""

from dataclasses import dataclass
from typing import Annotated, Final

from zfs_walk.protocol.message import Message, Request
from zfs_walk.protocol.schema import (
    U32,
    U64,
    Length,
    Name,
    OneOf,
    Path,
    Payload,
    Text,
    Word,
)
from zfs_walk.protocol.statistics import MappingStatistics, Origin

VERBS: Final = (
    "retry", "forget", "pause", "continue", "confirm", "rescan", "reset", "limit",
)  # fmt: skip

STATES: Final = ("", "ready", "taken", "held", "aside")
"""Of actions; empty: all of them."""

MOST_PATHS: Final = 1_000
MOST_ACTIONS: Final = 1_000
MOST_PUBLISHED: Final = 1_000
"""Of one message; the last one: files that are being sent, of one that is published."""

ACTION_TOPICS: Final = b"actions."
"""What the topics of actions begin with."""

Paths = Annotated[tuple[Path, ...], Length(MOST_PATHS)]
Verb = Annotated[str, OneOf(VERBS)]
ActionState = Annotated[str, OneOf(STATES)]


@dataclass(frozen=True, slots=True)
class ActionLine:
    """An action of an uploader's queue.

    Attributes:
        mapping: its name.
        path: below the mapping's folder.
        kind: send or delete.
        state: ready, taken, held or aside.
        size: bytes of the file.
        added_ns: when it was queued, ns since the epoch.
        due_ns: before this it is not taken; 0: at any time.
        tries: that have failed.
        error: why the last one did.
    """

    mapping: Name
    path: Path
    kind: Word
    state: Word
    size: U64
    added_ns: U64
    due_ns: U64
    tries: U32
    error: Text


@dataclass(frozen=True, slots=True)
class TransferLine:
    """A file that is being sent.

    Attributes:
        mapping: its name.
        path: below the mapping's folder.
        size: bytes.
        sent: of them, since this try began; what an earlier one had sent is not among them.
        since_ns: when this try began, ns since the epoch.
        parts: that it is sent in; 0: it is sent as a whole.
        parts_done: of them, those that the other side has, also from earlier tries.
    """

    mapping: Name
    path: Path
    size: U64
    sent: U64
    since_ns: U64
    parts: U32
    parts_done: U32


@dataclass(frozen=True, slots=True)
class ActionNews:
    """An action stands somewhere else than before.

    Attributes:
        mapping: its name.
        number: of the action: no other one of the mapping has, or ever had, the same.
        path: below the mapping's folder.
        kind: send or delete.
        stage: queued, taken, failed, held or aside; ended: sent, moved, deleted, unchanged or
            dropped.
        size: bytes of the file.
        tries: that have failed.
        detail: why the last one did; the old name of what was moved.
        queued_ns: when it was queued, ns since the epoch.
        time_ns: when it came to this stage, ns since the epoch.
    """

    mapping: Name
    number: U64
    path: Path
    kind: Word
    stage: Word
    size: U64
    tries: U32
    detail: Text
    queued_ns: U64
    time_ns: U64


@dataclass(frozen=True, slots=True)
class UploaderActions(Message):
    """What has become of an uploader's actions, and all files that it is sending.

    Published twice a second, sooner if it is much, while somebody subscribes it and there is
    something to tell. Of an action that has changed several times since the last message, the last
    change is told. What happened while nobody listened has used up a number.
    """

    origin: Origin
    seq: U64
    time_ns: U64
    actions: Annotated[tuple[ActionNews, ...], Length(MOST_ACTIONS)]
    transfers: Annotated[tuple[TransferLine, ...], Length(MOST_PUBLISHED)]


@dataclass(frozen=True, slots=True)
class Steer(Message):
    """Let an uploader do something about its queue; it is named as in AGENT_LIST.

    ``mapping`` empty: all of them. ``paths``, of retry and forget: these actions; none: with retry
    all that are aside. ``retry`` tries once more what is aside, ``forget`` takes actions out of the
    queue undone, ``pause`` lets nothing begin until ``continue``, also after a restart, ``confirm``
    lets go the deletions that are held, ``rescan`` compares both sides now, ``reset`` forgets the
    queue and compares, ``limit`` lets it send ``rate`` bytes a second, 0: as many as it can.
    """

    request: Request
    deadline_ms: U64
    host: Name
    name: Name
    verb: Verb
    mapping: Name
    paths: Paths
    rate: U64


@dataclass(frozen=True, slots=True)
class Queue(Message):
    """Ask an uploader for its mappings, transfers and at most ``limit`` actions.

    In the order of mappings and paths, those past (``since``, ``after``). ``mapping`` empty: of
    all; ``state`` empty: in any.
    """

    request: Request
    deadline_ms: U64
    host: Name
    name: Name
    mapping: Name
    state: ActionState
    since: Name
    after: Path
    limit: U32


@dataclass(frozen=True, slots=True)
class SteerOrder(Message):
    """A client's STEER, passed on; it is repeated until COMMAND_DONE."""

    id: U64
    verb: Verb
    mapping: Name
    paths: Paths
    rate: U64


@dataclass(frozen=True, slots=True)
class QueueOrder(Message):
    """A client's QUEUE, passed on; it is repeated until QUEUE_ROWS or COMMAND_DONE."""

    id: U64
    mapping: Name
    state: ActionState
    since: Name
    after: Path
    limit: U32


@dataclass(frozen=True, slots=True)
class QueueRows(Message):
    """What an uploader has, as QUEUE_ORDER ``id`` has asked; see QUEUE_PAGE."""

    id: U64
    time_ns: U64
    more: bool
    mappings: Annotated[tuple[MappingStatistics, ...], Length(1_024), Payload()]
    transfers: Annotated[tuple[TransferLine, ...], Length(4_096), Payload()]
    actions: Annotated[tuple[ActionLine, ...], Length(MOST_ACTIONS), Payload()]


@dataclass(frozen=True, slots=True)
class QueuePage(Message):
    """What an uploader has. ``more``: there are more actions after the last of these.

    ``time_ns`` is the uploader's clock as it answered, since the epoch.
    """

    request: Request
    time_ns: U64
    more: bool
    mappings: Annotated[tuple[MappingStatistics, ...], Length(1_024), Payload()]
    transfers: Annotated[tuple[TransferLine, ...], Length(4_096), Payload()]
    actions: Annotated[tuple[ActionLine, ...], Length(MOST_ACTIONS), Payload()]


def actions_topic(host: str) -> bytes:
    """The topic of the actions of a host's uploaders: ``actions.<host>``."""
    return ACTION_TOPICS + host.encode()


def ordered(number: int, message: Steer | Queue) -> SteerOrder | QueueOrder:
    """A client's request as it is passed on."""
    if isinstance(message, Steer):
        return SteerOrder(number, message.verb, message.mapping, message.paths, message.rate)
    return QueueOrder(
        number, message.mapping, message.state, message.since, message.after, message.limit
    )


def page(request: str, rows: QueueRows) -> QueuePage:
    """What an uploader has told, as its client is told."""
    return QueuePage(request, rows.time_ns, rows.more, rows.mappings, rows.transfers, rows.actions)
