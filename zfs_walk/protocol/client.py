"""What clients ask the broker, and its replies: one request, one reply, a deadline."""

from dataclasses import dataclass
from typing import Annotated, Final

from zfs_walk.protocol.loads import LoadLine
from zfs_walk.protocol.message import AGENT_ROLES, Message, Request
from zfs_walk.protocol.records import (
    AgentLine,
    KeyLine,
    LiveCount,
    Problem,
    Quarantined,
    RootRecord,
    RunLine,
    RunState,
    Segment,
    WalkOptions,
)
from zfs_walk.protocol.schema import (
    U32,
    U64,
    Counters,
    Length,
    Name,
    OneOf,
    Payload,
    Text,
    Word,
)
from zfs_walk.protocol.statistics import BrokerStatistics
from zfs_walk.protocol.stream import (
    LEVELS,
    LoadgenStatus,
    LogRecord,
    ScoutStatus,
    UploaderStatus,
    WalkerStatus,
)

READER, OPERATOR = "reader", "operator"
"""What a client's key may do: look only, or also steer. An operator may do all that agents may."""

KEY_ROLES: Final = (*AGENT_ROLES, READER, OPERATOR)

KeyRole = Annotated[str, OneOf(KEY_ROLES)]
PublicKey = Annotated[str, Length(40)]
"""A CURVE public key in Z85."""


@dataclass(frozen=True, slots=True)
class Submit(Message):
    """Begin a run. It starts when ``min_agents`` walkers are there."""

    request: Request
    deadline_ms: U64
    roots: Annotated[tuple[RootRecord, ...], Length(4096)]
    options: WalkOptions
    min_agents: U32


@dataclass(frozen=True, slots=True)
class Status(Message):
    """Ask for a run; answered at once, or when it is over or ``wait_ms`` have passed."""

    request: Request
    deadline_ms: U64
    run: U64
    wait_ms: U32


@dataclass(frozen=True, slots=True)
class Runs(Message):
    """List the runs."""

    request: Request
    deadline_ms: U64


@dataclass(frozen=True, slots=True)
class Agents(Message):
    """List the agents' sessions."""

    request: Request
    deadline_ms: U64


@dataclass(frozen=True, slots=True)
class Pause(Message):
    """Stop granting; holders commit and give back; then the run is PAUSED."""

    request: Request
    deadline_ms: U64
    run: U64


@dataclass(frozen=True, slots=True)
class Continue(Message):
    """Go on with a paused run; hosts that said CANNOT are asked again."""

    request: Request
    deadline_ms: U64
    run: U64


@dataclass(frozen=True, slots=True)
class Abort(Message):
    """End the run; what was counted stays, marked ABORTED."""

    request: Request
    deadline_ms: U64
    run: U64


@dataclass(frozen=True, slots=True)
class Verify(Message):
    """Check the books of a run: the conservation law, and totals against the sum of the ledger."""

    request: Request
    deadline_ms: U64
    run: U64


@dataclass(frozen=True, slots=True)
class Retry(Message):
    """Take the quarantined items of a finished run up again."""

    request: Request
    deadline_ms: U64
    run: U64


@dataclass(frozen=True, slots=True)
class Prune(Message):
    """Forget a finished run, or with ``run`` 0 all that ended ``older_ms`` ago; catalogs stay."""

    request: Request
    deadline_ms: U64
    run: U64
    older_ms: U64


@dataclass(frozen=True, slots=True)
class Drain(Message):
    """Let an agent give everything back and leave. It is named as in AGENT_LIST."""

    request: Request
    deadline_ms: U64
    host: Name
    name: Name


@dataclass(frozen=True, slots=True)
class Resize(Message):
    """Let an agent go on with another number of workers."""

    request: Request
    deadline_ms: U64
    host: Name
    name: Name
    workers: U32


@dataclass(frozen=True, slots=True)
class LogLevel(Message):
    """Set the level of running processes, workers included; empty fields stand for all."""

    request: Request
    deadline_ms: U64
    level: Annotated[str, OneOf(LEVELS)]
    role: Word
    host: Name
    logger: Name


@dataclass(frozen=True, slots=True)
class LogSince(Message):
    """Read back from the broker's ring: records from ``since_ns`` on, after number ``after``."""

    request: Request
    deadline_ms: U64
    since_ns: U64
    after: U64
    limit: U32


@dataclass(frozen=True, slots=True)
class Snapshot(Message):
    """Ask for the last status of everybody, for whoever begins to listen late."""

    request: Request
    deadline_ms: U64


@dataclass(frozen=True, slots=True)
class KeyAdd(Message):
    """Let in whoever has the secret of this public key, in these roles and under this name."""

    request: Request
    deadline_ms: U64
    name: Name
    public: PublicKey
    roles: Annotated[tuple[KeyRole, ...], Length(8)]


@dataclass(frozen=True, slots=True)
class KeyList(Message):
    """List the keys."""

    request: Request
    deadline_ms: U64


@dataclass(frozen=True, slots=True)
class KeyRevoke(Message):
    """Let nobody in with this key any more, and end what is connected with it."""

    request: Request
    deadline_ms: U64
    name: Name


@dataclass(frozen=True, slots=True)
class Segments(Message):
    """List committed segments whose name sorts after ``after``, at most ``limit``."""

    request: Request
    deadline_ms: U64
    run: U64
    after: Name
    limit: U32


@dataclass(frozen=True, slots=True)
class Submitted(Message):
    """The run's number."""

    request: Request
    run: U64


@dataclass(frozen=True, slots=True)
class RunStatus(Message):
    """Where a run stands. ``counters`` are committed, ``live`` is what agents counted since.

    ``waiting`` says why nothing is granted, when nothing is. ``elapsed_ms`` leaves pauses out.
    """

    request: Request
    run: U64
    state: RunState
    reason: Text
    waiting: Text
    roots: Annotated[tuple[RootRecord, ...], Length(4096)]
    options: WalkOptions
    counters: Counters
    live: LiveCount
    errors: Annotated[tuple[Problem, ...], Length(100)]
    quarantined: Annotated[tuple[Quarantined, ...], Length(100)]
    items_left: U64
    agents: U32
    walkers: U32
    elapsed_ms: U64


@dataclass(frozen=True, slots=True)
class RunList(Message):
    """Runs, the newest first."""

    request: Request
    runs: Annotated[tuple[RunLine, ...], Length(1000)]


@dataclass(frozen=True, slots=True)
class AgentList(Message):
    """Sessions of agents that have not ended."""

    request: Request
    agents: Annotated[tuple[AgentLine, ...], Length(10_000)]


@dataclass(frozen=True, slots=True)
class Done(Message):
    """The request was carried out."""

    request: Request
    detail: Text


@dataclass(frozen=True, slots=True)
class SegmentList(Message):
    """Committed segments in the order of their names."""

    request: Request
    segments: Annotated[tuple[Segment, ...], Length(10_000)]
    more: bool


@dataclass(frozen=True, slots=True)
class LogPage(Message):
    """Records in the order of arrival. ``next`` is the number to go on after.

    ``lost`` is how many of those asked for the ring no longer has.
    """

    request: Request
    next: U64
    lost: U64
    more: bool
    records: Annotated[tuple[LogRecord, ...], Length(10_000), Payload()]


@dataclass(frozen=True, slots=True)
class SnapshotReply(Message):
    """The broker, its agents' sessions and the last status of each, runs and load runs.

    ``time_ns`` is the broker's clock as it answered, since the epoch.
    """

    request: Request
    time_ns: U64
    broker: BrokerStatistics
    agents: Annotated[tuple[AgentLine, ...], Length(10_000), Payload()]
    walkers: Annotated[tuple[WalkerStatus, ...], Length(10_000), Payload()]
    scouts: Annotated[tuple[ScoutStatus, ...], Length(10_000), Payload()]
    uploaders: Annotated[tuple[UploaderStatus, ...], Length(10_000), Payload()]
    loadgens: Annotated[tuple[LoadgenStatus, ...], Length(10_000), Payload()]
    runs: Annotated[tuple[RunLine, ...], Length(1_000), Payload()]
    loads: Annotated[tuple[LoadLine, ...], Length(1_000), Payload()]


@dataclass(frozen=True, slots=True)
class KeyLines(Message):
    """The keys, by name."""

    request: Request
    keys: Annotated[tuple[KeyLine, ...], Length(10_000), Payload()]
