"""What load runs of many agents are asked and told (docs/protocol.md, "Load runs")."""

from dataclasses import dataclass
from typing import Annotated, Final

from zfs_walk.protocol.message import Message, Request
from zfs_walk.protocol.schema import (
    U32,
    U64,
    Length,
    Name,
    OneOf,
    Payload,
    Range,
    Text,
    Word,
)

LOAD_STATES: Final = (
    "WAITING", "PREPARING", "RUNNING", "ENDING", "DONE", "REFUSED", "ABORTED",
)  # fmt: skip
MEMBER_STATES: Final = ("PREPARING", "READY", "RUNNING", "REFUSED", "DONE", "LOST")

MOST_MEMBERS: Final = 10_000
MOST_CONFIG: Final = 1 << 20
MOST_SNAPSHOT: Final = 8 << 20
"""Agents of one run, bytes of its configuration and of a report."""

FIGURES: Final = "load"
"""The kind of a load generator's reports."""

LoadState = Annotated[str, OneOf(LOAD_STATES)]
MemberState = Annotated[str, OneOf(MEMBER_STATES)]
Config = Annotated[bytes, Length(MOST_CONFIG), Payload()]
"""Loads and options as JSON: what agents understand of it is their business."""


@dataclass(frozen=True, slots=True)
class LoadMember:
    """An agent of a load run.

    ``seq`` is the number of its last report, 0: there is none. ``detail`` says why it has refused,
    or is lost.
    """

    session: U64
    host: Name
    name: Name
    state: MemberState
    detail: Text
    seq: U64


@dataclass(frozen=True, slots=True)
class LoadSnapshot:
    """An agent's last report of a load run; ``last``: there will be none after it."""

    session: U64
    seq: U64
    last: bool
    snapshot: Annotated[bytes, Length(MOST_SNAPSHOT)]


@dataclass(frozen=True, slots=True)
class LoadLine:
    """One load run in LOAD_LIST; ``lost``: agents that are; ``elapsed_ms``: since its begin."""

    run: U64
    state: LoadState
    reason: Text
    agents: U32
    lost: U32
    duration_ms: U64
    elapsed_ms: U64


@dataclass(frozen=True, slots=True)
class LoadReady(Message):
    """Answers LOAD_PREPARE: ready to begin, or why not.

    Not ``ok`` in answer to LOAD_BEGIN: this agent knows nothing of the run.
    """

    run: U64
    ok: bool
    detail: Text


@dataclass(frozen=True, slots=True)
class Report(Message):
    """All that came of a run so far, as the agent would report it now.

    It replaces an earlier one if its ``seq`` is higher; the broker keeps one for each session, run
    and kind. ``last``: there is nothing more to come. An agent has not done with a run before this
    one is acknowledged.
    """

    run: U64
    kind: Word
    seq: U64
    last: bool
    snapshot: Annotated[bytes, Length(MOST_SNAPSHOT), Payload()]


@dataclass(frozen=True, slots=True)
class ReportAck(Message):
    """Reports of that run and kind are durable up to ``seq``."""

    run: U64
    kind: Word
    seq: U64


@dataclass(frozen=True, slots=True)
class LoadPrepare(Message):
    """Start the consumers of a run, and let them measure and lay out; repeated until LOAD_READY."""

    run: U64
    duration_ms: U64
    config: Config


@dataclass(frozen=True, slots=True)
class LoadBegin(Message):
    """Begin in ``in_ms``, or as one that is late by ``ago_ms``; repeated until a REPORT comes.

    Whoever is late ends with the others.
    """

    run: U64
    in_ms: U32
    ago_ms: U64


@dataclass(frozen=True, slots=True)
class LoadEnd(Message):
    """End a run before its time, or undo what was prepared; repeated until the last REPORT."""

    run: U64
    reason: Text


@dataclass(frozen=True, slots=True)
class LoadStart(Message):
    """Begin a load run once so many load generators stand by; refused after ``wait_ms``."""

    request: Request
    deadline_ms: U64
    agents: Annotated[int, Range(1, MOST_MEMBERS)]
    duration_ms: U64
    wait_ms: U64
    config: Config


@dataclass(frozen=True, slots=True)
class LoadStop(Message):
    """End a load run before its time: its agents report what they have; else it is ABORTED."""

    request: Request
    deadline_ms: U64
    run: U64


@dataclass(frozen=True, slots=True)
class Loads(Message):
    """List the load runs."""

    request: Request
    deadline_ms: U64


@dataclass(frozen=True, slots=True)
class LoadShow(Message):
    """Ask for a load run, and with ``reports`` for those of sessions past ``after``."""

    request: Request
    deadline_ms: U64
    run: U64
    reports: bool
    after: U64


@dataclass(frozen=True, slots=True)
class LoadStarted(Message):
    """The load run's number, in one sequence with those of walks."""

    request: Request
    run: U64


@dataclass(frozen=True, slots=True)
class LoadList(Message):
    """Load runs, the newest first."""

    request: Request
    loads: Annotated[tuple[LoadLine, ...], Length(1_000)]


@dataclass(frozen=True, slots=True)
class LoadPage(Message):
    """Where a load run stands, and reports by session; ``more``: there are more after these.

    ``wanted`` is how many agents it is to have, ``there`` how many of them stand by while it waits.
    """

    request: Request
    run: U64
    state: LoadState
    reason: Text
    wanted: U32
    there: U32
    duration_ms: U64
    elapsed_ms: U64
    members: Annotated[tuple[LoadMember, ...], Length(MOST_MEMBERS)]
    more: bool
    reports: Annotated[tuple[LoadSnapshot, ...], Length(MOST_MEMBERS), Payload()]
