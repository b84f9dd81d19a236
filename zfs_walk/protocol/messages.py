"""Every message that travels on the bus, and the one table of them (docs/protocol.md section 4).

Codec, validation, golden bytes and the documentation's table are made from this table. A role or a
message is added here first.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Final

from zfs_walk.protocol.records import (
    AgentLine,
    Holding,
    Item,
    Lease,
    LiveCount,
    Problem,
    Quarantined,
    RootRecord,
    RunLine,
    RunNote,
    RunState,
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

PROTO_MIN: Final = 1
PROTO_MAX: Final = 1
"""Minor versions that this release speaks; HELLO offers them, WELCOME names the one in use."""

WALKER: Final = "walker"
CLIENT: Final = "client"
ROLES: Final = (WALKER, "scout", "uploader", "loadgen", CLIENT)

Role = Annotated[str, OneOf(ROLES)]
Request = Annotated[str, Length(64)]
"""A random id that the client makes; the journal keeps it, so that a repeat gets one answer."""


class Message:
    """Base of all messages; the class's name in capitals is the type on the wire."""

    __slots__ = ()


# ---------------------------------------------------------------------------- agent -> broker


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


# ---------------------------------------------------------------------------- broker -> agent


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
    keep: Annotated[tuple[Standing, ...], Length(64)]
    drop: Annotated[tuple[Standing, ...], Length(64)]


@dataclass(frozen=True, slots=True)
class Rehello(Message):
    """Close the socket, open a new one, say HELLO (unknown session, old route, new term)."""

    term: U64


@dataclass(frozen=True, slots=True)
class HeartbeatAck(Message):
    """Answers HEARTBEAT ``n``; with n = 0 it is the broker's probe of a silent session."""

    n: U64
    term: U64
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


COMMANDS: Final = ("pause", "release", "abort", "drain")


@dataclass(frozen=True, slots=True)
class Command(Message):
    """Carry something out.

    ``pause`` commits and gives back every unit of ``run``, ``release`` the unit ``uid``; ``abort``
    drops the units of ``run``; ``drain`` gives back everything, and then the agent says BYE.
    """

    id: U64
    name: Annotated[str, OneOf(COMMANDS)]
    run: U64
    uid: U64


@dataclass(frozen=True, slots=True)
class Error(Message):
    """The peer's last message, or its presence, is refused."""

    code: Word
    detail: Text
    request: Request = ""


@dataclass(frozen=True, slots=True)
class ByeAck(Message):
    """The session has ended; the socket may be closed."""


# ---------------------------------------------------------------------------- agent -> broker


@dataclass(frozen=True, slots=True)
class CommandDone(Message):
    """A COMMAND was carried out or refused."""

    id: U64
    ok: bool
    detail: Text


# ---------------------------------------------------------------------------- client -> broker


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
class Segments(Message):
    """List committed segments whose name sorts after ``after``, at most ``limit``."""

    request: Request
    deadline_ms: U64
    run: U64
    after: Name
    limit: U32


# ---------------------------------------------------------------------------- broker -> client


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


# ---------------------------------------------------------------------------- the table

AGENT, BROKER, ASKER = "agent", "broker", "client"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: who may send a message, and what answers it."""

    message: type[Message]
    sender: str
    answers: tuple[str, ...] = ()

    @property
    def type(self) -> str:
        """The name on the wire: ``HeartbeatAck`` is HEARTBEAT_ACK."""
        return wire_name(self.message)


def wire_name(message: type[Message]) -> str:
    """The type's name on the wire."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", message.__name__).upper()


TABLE: Final = (
    Row(Hello, AGENT, ("WELCOME", "ERROR")),
    Row(Heartbeat, AGENT, ("HEARTBEAT_ACK",)),
    Row(WorkRequest, AGENT, ("GRANT", "PARKED")),
    Row(Commit, AGENT, ("ACK", "NACK")),
    Row(StealRefused, AGENT),
    Row(Cannot, AGENT),
    Row(Bye, AGENT, ("BYE_ACK",)),
    Row(CommandDone, AGENT),
    Row(Welcome, BROKER),
    Row(Rehello, BROKER),
    Row(HeartbeatAck, BROKER),
    Row(Grant, BROKER),
    Row(Parked, BROKER),
    Row(Ack, BROKER),
    Row(Nack, BROKER),
    Row(Steal, BROKER),
    Row(Command, BROKER, ("COMMAND_DONE",)),
    Row(Error, BROKER),
    Row(ByeAck, BROKER),
    Row(Submit, ASKER, ("SUBMITTED", "ERROR")),
    Row(Status, ASKER, ("RUN_STATUS", "ERROR")),
    Row(Runs, ASKER, ("RUN_LIST", "ERROR")),
    Row(Agents, ASKER, ("AGENT_LIST", "ERROR")),
    Row(Pause, ASKER, ("DONE", "ERROR")),
    Row(Continue, ASKER, ("DONE", "ERROR")),
    Row(Abort, ASKER, ("DONE", "ERROR")),
    Row(Verify, ASKER, ("DONE", "ERROR")),
    Row(Segments, ASKER, ("SEGMENT_LIST", "ERROR")),
    Row(Submitted, BROKER),
    Row(RunStatus, BROKER),
    Row(RunList, BROKER),
    Row(AgentList, BROKER),
    Row(Done, BROKER),
    Row(SegmentList, BROKER),
)
