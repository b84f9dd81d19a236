"""What agents and the broker say to each other (docs/protocol.md sections 4 and 5)."""

from dataclasses import dataclass
from typing import Annotated, Final

from zfs_walk.protocol.message import Message, Request, Role
from zfs_walk.protocol.records import (
    Endpoints,
    Holding,
    Item,
    Lease,
    LiveCount,
    Problem,
    Quarantined,
    RootRecord,
    RunNote,
    Segment,
    Standing,
    Suspect,
    WalkOptions,
)
from zfs_walk.protocol.schema import (
    U32,
    U64,
    Count,
    Counters,
    Length,
    Name,
    OneOf,
    Payload,
    Text,
    Word,
)


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """First message of a fresh socket and of nothing else.

    ``conn`` counts the process's sockets, the highest is the route; ``held`` names every unit whose
    last commit is not ACKed; ``highest_term`` is the highest broker term this process has heard.
    """

    proto_min: U32
    proto_max: U32
    role: Role
    host: Name
    name: Name
    boot: Name
    conn: U64
    pid: U64
    version: Word
    capacity: U32
    held: Annotated[tuple[Lease, ...], Length(64)]
    highest_term: U64


@dataclass(frozen=True, slots=True)
class Heartbeat(Message):
    """Alive; renews exactly the leases that it names. ``serving`` is false with ``why``."""

    n: U64
    held: Annotated[tuple[Holding, ...], Length(64)]
    want: U32
    serving: bool
    why: Text
    live: Annotated[tuple[LiveCount, ...], Length(64)]
    rss: U64
    cpu_ms: U64
    loop_lag_ms: U64


@dataclass(frozen=True, slots=True)
class WorkRequest(Message):
    """The number of idle workers without items: a level that replaces the earlier one."""

    want: U32


@dataclass(frozen=True, slots=True)
class Commit(Message):
    """The change of a unit's frontier, with the counters and segments of what was finished.

    ``removed`` are items that the broker knew, ``added`` ones that it learns, ``split`` groups of
    items that leave the unit, each to become a unit of its own. With ``release`` the rest goes
    back. ``|added| - |removed| == found - done - |quarantined|``.
    """

    uid: U64
    epoch: U64
    seq: U64
    steal_id: U64
    found: Count
    done: Count
    counters: Counters
    errors: Annotated[tuple[Problem, ...], Length(100)]
    segments: Annotated[tuple[Segment, ...], Length(4096)]
    release: bool
    removed: Annotated[tuple[U64, ...], Length(262_144), Payload()]
    added: Annotated[tuple[Item, ...], Length(262_144), Payload()]
    split: Annotated[tuple[Annotated[tuple[U64, ...], Length(65_536)], ...], Length(64), Payload()]
    quarantined: Annotated[tuple[Quarantined, ...], Length(4096), Payload()]
    attempts: Annotated[tuple[Suspect, ...], Length(4096), Payload()]


@dataclass(frozen=True, slots=True)
class StealRefused(Message):
    """There was nothing worth giving within the time that a STEAL stands."""

    steal_id: U64
    uid: U64
    epoch: U64
    reason: Text


@dataclass(frozen=True, slots=True)
class Cannot(Message):
    """This host does not see the run's roots or catalog as recorded: no grants of it."""

    run: U64
    reason: Text


@dataclass(frozen=True, slots=True)
class Bye(Message):
    """Ends the session and its leases at once."""

    reason: Text


@dataclass(frozen=True, slots=True)
class Welcome(Message):
    """The session is open. ``now_ms`` is the broker's monotonic clock in this term."""

    session: U64
    term: U64
    proto: U32
    now_ms: U64
    heartbeat_ms: U32
    lease_ttl_ms: U32
    commit_interval_ms: U32
    window: U32
    endpoints: Endpoints
    keep: Annotated[tuple[Standing, ...], Length(64)]
    drop: Annotated[tuple[Standing, ...], Length(64)]


@dataclass(frozen=True, slots=True)
class Rehello(Message):
    """Close the socket, open a new one, say HELLO (unknown session, old route, new term)."""

    term: U64


@dataclass(frozen=True, slots=True)
class HeartbeatAck(Message):
    """Answers HEARTBEAT ``n``; with n = 0 it is the broker's probe of a silent session.

    ``heartbeat_ms`` is the interval from now on: it grows with the number of agents.
    """

    n: U64
    term: U64
    heartbeat_ms: U32
    runs: Annotated[tuple[RunNote, ...], Length(64)]


@dataclass(frozen=True, slots=True)
class Grant(Message):
    """A unit is leased to this session. ``parked`` others wait for work, so split soon."""

    run: U64
    uid: U64
    epoch: U64
    attempt: U32
    roots: Annotated[tuple[RootRecord, ...], Length(4096)]
    options: WalkOptions
    parked: U32
    items: Annotated[tuple[Item, ...], Length(10_000), Payload()]


@dataclass(frozen=True, slots=True)
class Parked(Message):
    """Answers WORK_REQUEST when there is nothing to grant now; the request stands."""

    want: U32


@dataclass(frozen=True, slots=True)
class Ack(Message):
    """Commits of (uid, epoch) up to ``seq`` are applied."""

    uid: U64
    epoch: U64
    seq: U64


NACK_CODES: Final = ("FENCED", "RUN_OVER", "GAP", "CONSERVATION", "MALFORMED")


@dataclass(frozen=True, slots=True)
class Nack(Message):
    """A commit was not applied; ``applied`` is the last one that was in that epoch."""

    uid: U64
    epoch: U64
    applied: U64
    code: Annotated[str, OneOf(NACK_CODES)]
    detail: Text


@dataclass(frozen=True, slots=True)
class Steal(Message):
    """Give items of the unit to as many thieves as there are capacities. Stands until answered."""

    steal_id: U64
    uid: U64
    epoch: U64
    thieves: Annotated[tuple[U32, ...], Length(63)]


COMMANDS: Final = ("pause", "release", "abort", "drain", "resize", "set-log-level")


@dataclass(frozen=True, slots=True)
class Command(Message):
    """Carry something out.

    ``pause`` commits and gives back every unit of ``run``, ``release`` the unit ``uid``; ``abort``
    drops the units of ``run``; ``drain`` gives back everything, and then the agent says BYE;
    ``resize`` keeps ``workers`` processes; ``set-log-level`` sets ``level`` for ``logger`` and all
    below it, in the agent and in its workers.
    """

    id: U64
    name: Annotated[str, OneOf(COMMANDS)]
    run: U64 = 0
    uid: U64 = 0
    workers: U32 = 0
    level: Word = ""
    logger: Name = ""


@dataclass(frozen=True, slots=True)
class Error(Message):
    """The peer's last message, or its presence, is refused."""

    code: Word
    detail: Text
    request: Request = ""


@dataclass(frozen=True, slots=True)
class ByeAck(Message):
    """The session has ended; the socket may be closed."""


@dataclass(frozen=True, slots=True)
class CommandDone(Message):
    """A COMMAND was carried out or refused."""

    id: U64
    ok: bool
    detail: Text
