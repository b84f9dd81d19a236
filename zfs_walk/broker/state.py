"""What the broker's core holds in memory; all of it can be rebuilt from the journal and HELLOs."""

import enum
import math
from dataclasses import dataclass, field

from zfs_walk.broker.events import Instruction, Note, Send, Vitals
from zfs_walk.broker.settings import Settings
from zfs_walk.protocol.messages import (
    WALKER,
    Command,
    Error,
    Hello,
    Message,
    QueueOrder,
    SteerOrder,
)
from zfs_walk.protocol.records import LiveCount, RootRecord, WalkOptions

MAX_UNITS = 4
"""Units that one agent may hold at once (docs/protocol.md section 3)."""

AGENTS_PER_SECOND = 200
"""Heartbeats a second that a broker is to get at most: with more agents the interval grows."""

TTL_HEARTBEATS = 10
"""A lease lasts at least so many heartbeats."""


class SessionState(enum.Enum):
    """How sure the broker is that an agent is there."""

    LIVE = "live"
    SUSPECT = "suspect"
    LOST = "lost"


@dataclass(slots=True)
class Challenge:
    """A HELLO under a name that another process holds; that one is being probed."""

    route: bytes
    hello: Hello
    key: str
    deadline: float


@dataclass(slots=True)
class Order:
    """What a client wants of an agent; it is repeated until the agent says what it did.

    ``asker``: the route that waits for the answer, with ``request``; empty if nobody does.
    """

    command: Command | SteerOrder | QueueOrder
    asker: bytes
    request: str
    deadline: float


@dataclass(slots=True)
class Session:
    """One agent's process incarnation; survives reconnects.

    ``heartbeat`` is the interval in seconds that it was last told. ``key`` is the name of its key;
    empty: a journal from before there were keys does not tell. ``resync_at`` is when it last got
    RESYNC for a claim that it does not have.
    """

    id: int
    role: str
    host: str
    name: str
    boot: str
    state: SessionState
    heard: float
    key: str = ""
    route: bytes = b""
    conn: int = 0
    pid: int = 0
    version: str = ""
    capacity: int = 1
    rss: int = 0
    heartbeat: float = 0.0
    want: int = 0
    probed: float = 0.0
    lost_at: float = 0.0
    resync_at: float = -math.inf
    challenge: Challenge | None = None
    stealing: int = 0
    units: set[int] = field(default_factory=set)
    unconfirmed: dict[int, tuple[float, Message]] = field(default_factory=dict)
    cannot: dict[int, str] = field(default_factory=dict)
    live: dict[int, LiveCount] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)

    @property
    def hungry(self) -> bool:
        """May be granted a unit now."""
        return (
            self.want > 0
            and self.state is SessionState.LIVE
            and self.role == WALKER
            and not self.unconfirmed
            and len(self.units) < MAX_UNITS
        )


@dataclass(slots=True)
class Attached:
    """A client that has said HELLO: when it last spoke, and the name of its key."""

    heard: float
    key: str


@dataclass(slots=True)
class StealNote:
    """A STEAL that stands."""

    id: int
    thieves: tuple[int, ...]
    deadline: float


@dataclass(slots=True)
class Unit:
    """A set of items; ``session`` 0: nobody holds it; ``open``: its lease has run out."""

    uid: int
    run: int
    epoch: int
    seq: int
    items: int
    session: int = 0
    attempt: int = 0
    open: bool = False
    deadline: float = 0.0
    granted: int = 0
    stealable: int | None = None
    refused: bool = False
    steal: StealNote | None = None

    @property
    def grantable(self) -> bool:
        """Nobody holds it, or its holder's time is over."""
        return self.session == 0 or self.open


@dataclass(slots=True)
class Waiter:
    """A STATUS that is answered when the run is over, or at its deadline."""

    route: bytes
    request: str
    deadline: float


OVER = frozenset({"DONE", "DONE_WITH_ERRORS", "ABORTED"})
"""States in which nothing more happens to a run, unless someone takes it up again."""


@dataclass(slots=True)
class Run:
    """One walk."""

    number: int
    state: str
    reason: str
    roots: tuple[RootRecord, ...]
    options: WalkOptions
    min_agents: int
    items: int
    counters: dict[str, int]
    elapsed_ms: int
    since: float | None = None
    over_since: float | None = None
    started: bool = False
    strikes: int = 0
    dropping: bool = False
    units: dict[int, Unit] = field(default_factory=dict)
    waiters: list[Waiter] = field(default_factory=list)
    local_hosts: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        # Asked for every session at every match, and a run may have 4,096 roots.
        self.local_hosts = frozenset(root.host for root in self.roots if not root.network)

    @property
    def over(self) -> bool:
        """Nothing more will happen to it, unless someone takes it up again."""
        return self.state in OVER

    def elapsed(self, now: float) -> int:
        """Milliseconds that the run has been running."""
        return self.elapsed_ms + (0 if self.since is None else round((now - self.since) * 1000))

    def reachable_from(self, host: str) -> bool:
        """A local root is walked on its submitter's host only; a network one on any."""
        return self.local_hosts <= {host}


LOADS_OVER = frozenset({"DONE", "REFUSED", "ABORTED"})
"""States in which a load run has come to its end."""


@dataclass(slots=True)
class Member:
    """An agent of a load run.

    Attributes:
        session: its session, which may have ended; ``host`` and ``name``: its own.
        state: as `zfs_walk.protocol.loads.MEMBER_STATES` has it; with a ``detail``.
        seq: of its last report; 0: there is none.
    """

    session: int
    host: str
    name: str
    state: str = "PREPARING"
    detail: str = ""
    seq: int = 0

    @property
    def over(self) -> bool:
        """Nothing more is expected of it."""
        return self.state in {"DONE", "LOST"}


@dataclass(slots=True)
class LoadRun:
    """One load run.

    Attributes:
        number: in one sequence with those of walks.
        state: as `zfs_walk.protocol.loads.LOAD_STATES` has it, with a ``reason``.
        agents: that it is to have; ``duration``: seconds.
        deadline: until when it waits for them.
        began: when its agents begin; None: nobody has told them to.
        over_since: when it came to its end.
        stopped: somebody has ended it before its time.
        members: its agents by their sessions.
    """

    number: int
    state: str
    reason: str
    agents: int
    duration: float
    deadline: float
    began: float | None = None
    over_since: float | None = None
    stopped: bool = False
    members: dict[int, Member] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        """It has come to its end."""
        return self.state in LOADS_OVER

    def elapsed_ms(self, now: float) -> int:
        """Milliseconds since its begin."""
        if self.began is None:
            return 0
        if self.over_since is not None:
            return max(0, round((self.over_since - self.began) * 1000))
        return max(0, round((now - self.began) * 1000))


@dataclass(slots=True)
class State:
    """Everything, and the indexes into it.

    Attributes:
        settings: time limits.
        term: this broker's incarnation.
        sessions: by number; ``routes`` and ``clients`` are what is attached now.
        runs: by number; ``units`` are those of runs that are not over; ``loads``: load runs.
        ended: (host, role, name, boot) of processes that may not come back.
        wanting: sessions that ask for work: few, when there is much to do.
        forgotten: runs of which the journal still has something.
        heartbeat: seconds between two heartbeats of an agent now; ``lease_ttl``: of a lease.
        vitals: of the process, by its last word.
        refused: messages that were answered with an error.
        out: what the event at hand sends.
    """

    settings: Settings
    term: int = 0
    sessions: dict[int, Session] = field(default_factory=dict)
    routes: dict[bytes, int] = field(default_factory=dict)
    clients: dict[bytes, Attached] = field(default_factory=dict)
    runs: dict[int, Run] = field(default_factory=dict)
    units: dict[int, Unit] = field(default_factory=dict)
    loads: dict[int, LoadRun] = field(default_factory=dict)
    ended: dict[tuple[str, str, str, str], None] = field(default_factory=dict)
    wanting: dict[int, None] = field(default_factory=dict)
    forgotten: list[int] = field(default_factory=list)
    vitals: Vitals = field(default_factory=Vitals)
    refused: int = 0
    heartbeat: float = field(init=False)
    lease_ttl: float = field(init=False)
    out: list[Instruction] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pace()

    def pace(self) -> None:
        """Set the interval for as many agents as there are."""
        present = sum(s.state is not SessionState.LOST for s in self.sessions.values())
        self.heartbeat = max(self.settings.heartbeat, present / AGENTS_PER_SECOND)
        self.lease_ttl = self.settings.lease_ttl
        if self.heartbeat > self.settings.heartbeat:
            self.lease_ttl = max(self.settings.lease_ttl, TTL_HEARTBEATS * self.heartbeat)

    def set_want(self, session: Session, want: int) -> None:
        """How many idle workers a session has by its last word."""
        session.want = want
        if want:
            self.wanting[session.id] = None
        else:
            self.wanting.pop(session.id, None)

    def hungry(self) -> list[Session]:
        """Sessions that may be granted a unit now."""
        asking = [self.sessions[number] for number in self.wanting]
        return [session for session in asking if session.hungry]

    def send(self, route: bytes, message: Message) -> None:
        """Queue a message; it leaves after the transaction."""
        if isinstance(message, Error):
            self.refused += 1
        if route:
            self.out.append(Send(route, message))

    def note(self, level: int, text: str, run: int = 0) -> None:
        """Tell the log."""
        self.out.append(Note(level, text, run))

    def refuse(self, route: bytes, message: Message, code: str, detail: str) -> None:
        """Answer a client's request with an error."""
        self.send(route, Error(code, detail[:4096], getattr(message, "request", "")))
