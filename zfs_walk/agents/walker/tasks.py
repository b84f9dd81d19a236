"""What an agent and its workers say to each other, with the same rules as the bus.

One PUSH per worker carries `OpenRun`, `Walk`, `ListParts`, `ScanPart`, `Flush`, `Forget`,
`CloseRun` and `SetLevel`; one PULL takes `Ready`, `Walked`, `Listed`, `Flushed` and `Logged` from
all of them. A task's number is never given twice by an agent; a result counts only if the
assignment table has it.
"""

from dataclasses import dataclass
from typing import Annotated, Final

from zfs_walk.protocol.codec import Codec
from zfs_walk.protocol.messages import Message
from zfs_walk.protocol.records import Problem, RootRecord, Segment, WalkOptions
from zfs_walk.protocol.schema import I64, U32, U64, Counters, Length, Name, Path, Payload, Text
from zfs_walk.protocol.stream import Level

Place = tuple[U32, Path]
"""A directory: the index of its root, and its path below it."""

Places = Annotated[tuple[Place, ...], Length(1_000_000)]
Extent = tuple[U64, U64]
"""Offset and length in bytes in the agent's spool of names."""


# ---------------------------------------------------------------------------- agent -> worker


@dataclass(frozen=True, slots=True)
class OpenRun(Message):
    """The run that tasks will name; sent once per worker and run."""

    run: U64
    roots: Annotated[tuple[RootRecord, ...], Length(4096)]
    options: WalkOptions


@dataclass(frozen=True, slots=True)
class CloseRun(Message):
    """Nothing more of this run will come."""

    run: U64


@dataclass(frozen=True, slots=True)
class Walk(Message):
    """Walk directories depth first, for at most so long; leave those in ``avoid`` alone."""

    task: U64
    run: U64
    uid: U64
    epoch: U64
    roll: U64
    budget_ms: U32
    batch: Annotated[Places, Payload()]
    avoid: Annotated[Places, Payload()]


@dataclass(frozen=True, slots=True)
class ListParts(Message):
    """List a wide directory and write the names of ``wanted`` parts to the spool from ``base``.

    ``files_apart``: the parts are those of a run that sends (`zfs_walk.scan.loads`).
    """

    task: U64
    run: U64
    uid: U64
    epoch: U64
    roll: U64
    place: Place
    parts: U32
    files_apart: bool
    base: U64
    wanted: Annotated[tuple[U32, ...], Length(65_536)]


@dataclass(frozen=True, slots=True)
class ScanPart(Message):
    """Look at the names of one part, from the spool; ``own``: and at the directory itself."""

    task: U64
    run: U64
    uid: U64
    epoch: U64
    roll: U64
    place: Place
    part: U32
    own: bool
    extents: Annotated[tuple[Extent, ...], Length(1_000_000)]


@dataclass(frozen=True, slots=True)
class Flush(Message):
    """Write the rows of results up to number ``upto`` of a unit as segments named after ``name``.

    Only rows that were staged under this ``roll`` count.
    """

    cut: U64
    run: U64
    uid: U64
    epoch: U64
    roll: U64
    upto: U64
    name: Name


@dataclass(frozen=True, slots=True)
class Forget(Message):
    """Drop the rows of a unit that were or will be staged under this ``roll`` or an earlier one."""

    uid: U64
    epoch: U64
    roll: U64


@dataclass(frozen=True, slots=True)
class SetLevel(Message):
    """Log what is at this level or above, of a logger and all below it; empty: of all of ours."""

    level: Level
    logger: Name


# ---------------------------------------------------------------------------- worker -> agent


@dataclass(frozen=True, slots=True)
class Ready(Message):
    """The worker is there."""

    worker: U64
    pid: U64


@dataclass(frozen=True, slots=True)
class Walked(Message):
    """The result of `Walk` or `ScanPart`; ``result`` numbers the worker's results from 1.

    ``refused`` is empty, or says why nothing of the task was done: the root is not the recorded
    one, or the catalog folder is not there. ``wide_parts`` 0: no wide directory ended the task.
    The rest is as in `zfs_walk.scan.interface.Scan`; ``levels`` are (depth, read, found).
    """

    worker: U64
    task: U64
    result: U64
    refused: Text
    listed: U64
    found: U64
    untouched: U64
    rows: U64
    micros: U64
    wide: Place
    wide_parts: U32
    counters: Counters
    errors: Annotated[tuple[Problem, ...], Length(100)]
    levels: Annotated[tuple[tuple[U32, U64, U64], ...], Length(1_000_000)]
    left: Annotated[Places, Payload()]
    failed: Annotated[tuple[tuple[Place, I64], ...], Length(1_000_000), Payload()]


@dataclass(frozen=True, slots=True)
class Listed(Message):
    """The result of `ListParts`: the extents of each wanted part, in the order asked for.

    ``errno`` is not 0 when the directory can't be listed, ``kind`` is the error's class, ``gone``
    is true when it is not there any more.
    """

    worker: U64
    task: U64
    refused: Text
    errno: I64
    kind: Name
    gone: bool
    names: U64
    micros: U64
    extents: Annotated[
        tuple[Annotated[tuple[Extent, ...], Length(1_000_000)], ...], Length(65_536), Payload()
    ]


@dataclass(frozen=True, slots=True)
class Flushed(Message):
    """The rows that `Flush` named are durable, or ``failed`` says why not."""

    worker: U64
    cut: U64
    uid: U64
    epoch: U64
    failed: Text
    segments: Annotated[tuple[Segment, ...], Length(64)]


@dataclass(frozen=True, slots=True)
class Logged(Message):
    """A log record of the worker's, as in LOG_RECORD; it never waits for room.

    ``skipped`` are those that found none since the last one that did: (level, number).
    """

    worker: U64
    time_ns: U64
    run: U64
    level: Level
    logger: Name
    text: Annotated[str, Length(65_536)]
    fields: Annotated[tuple[tuple[Name, Text], ...], Length(64)]
    exception: Annotated[str, Length(65_536)]
    skipped: Annotated[tuple[tuple[Level, U64], ...], Length(8)]


Task = Walk | ListParts | ScanPart
ToWorker = OpenRun | CloseRun | Walk | ListParts | ScanPart | Flush | Forget | SetLevel
FromWorker = Ready | Walked | Listed | Flushed
"""What the core takes; `Logged` goes to the log."""

LINK: Final = Codec(
    (
        OpenRun, CloseRun, Walk, ListParts, ScanPart, Flush, Forget, SetLevel,
        Ready, Walked, Listed, Flushed, Logged,
    ),
    magic=b"ZT\x01",
)  # fmt: skip
"""The codec between an agent and its workers."""
