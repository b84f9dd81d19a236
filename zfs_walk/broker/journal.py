"""What the broker's core asks of the journal (docs/protocol.md section 5).

The core knows of each unit its run, owner, epoch, seq, state and number of items; the items live in
the journal only. Every implementation passes tests/unit/broker/test_journal.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from zfs_walk.protocol.files import Place
from zfs_walk.protocol.loads import LoadSnapshot
from zfs_walk.protocol.messages import Commit, Report
from zfs_walk.protocol.records import (
    Item,
    Problem,
    Quarantined,
    RootRecord,
    Segment,
    WalkOptions,
)

LEAST_COUNT, MOST_COUNT = -(2**63), 2**63 - 1
"""What a counter can hold: one sparse file may count 8 EiB, so honest sums can reach the end."""


UNKNOWN = MOST_COUNT
"""As the last commit applied: nobody knows. The agent deletes files of later commits, so of none;
files that nobody lists go when the manifest is written."""


def add(total: int, value: int) -> int:
    """Add to a counter; it stops at the ends of its range."""
    return min(MOST_COUNT, max(LEAST_COUNT, total + value))


@dataclass(frozen=True, slots=True)
class StoredUnit:
    """A unit as the journal has it. ``session`` 0: nobody holds it."""

    uid: int
    run: int
    epoch: int
    seq: int
    session: int
    items: int
    attempt: int


@dataclass(frozen=True, slots=True)
class StoredSession:
    """An agent's process incarnation that has not ended, and the name of its key."""

    session: int
    role: str
    host: str
    name: str
    boot: str
    key: str


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as the journal has it.

    ``started``: some of it was granted before. ``ended_s``: seconds since it ended, if it has.
    """

    run: int
    state: str
    reason: str
    roots: tuple[RootRecord, ...]
    options: WalkOptions
    min_agents: int
    items: int
    elapsed_ms: int
    started: bool = False
    ended_s: int = 0
    counters: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredClaim:
    """A scout's claim of a folder, for as long as its session has not ended.

    ``age_s``: seconds since it was made.
    """

    session: int
    claim: int
    path: bytes
    place: Place
    ancestors: tuple[Place, ...]
    age_s: int = 0


@dataclass(frozen=True, slots=True)
class StoredLoad:
    """A load run as the journal has it; times are in seconds, as of now.

    ``deadline_s``: until it is refused if it waits; ``began_s``: since its begin, None: it has not;
    ``ended_s``: since its end, if it is over.
    """

    run: int
    state: str
    reason: str
    agents: int
    duration_ms: int
    deadline_s: float
    began_s: float | None
    ended_s: float
    stopped: bool


@dataclass(frozen=True, slots=True)
class StoredMember:
    """An agent of a load run, and the number of its last report."""

    run: int
    session: int
    host: str
    name: str
    state: str
    detail: str
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Stored:
    """Everything that a broker needs to go on where its journal stands.

    ``forgotten`` are runs of which `prune` has not deleted everything yet.
    """

    runs: tuple[StoredRun, ...]
    units: tuple[StoredUnit, ...]
    sessions: tuple[StoredSession, ...]
    forgotten: tuple[int, ...] = ()
    claims: tuple[StoredClaim, ...] = ()
    loads: tuple[StoredLoad, ...] = ()
    members: tuple[StoredMember, ...] = ()


@dataclass(frozen=True, slots=True)
class Granted:
    """The items of a granted unit; the rest of a larger one became the unit ``carved``."""

    items: tuple[Item, ...]
    carved: int
    carved_items: int


@dataclass(frozen=True, slots=True)
class Applied:
    """A commit was applied.

    Attributes:
        items: what is left in the unit.
        run_items: what is left in the run.
        split: (uid, number of items) of each new unit.
    """

    items: int
    run_items: int
    split: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A commit that had been applied before."""

    applied: int


@dataclass(frozen=True, slots=True)
class Gap:
    """A commit before this one is missing."""

    applied: int


@dataclass(frozen=True, slots=True)
class Fenced:
    """The epoch is over, or was never this session's.

    ``applied`` is `UNKNOWN` where the journal has no lease of that epoch: its run was pruned, or
    the journal is an older copy. Whatever was committed in it may be in a catalog.
    """

    applied: int


@dataclass(frozen=True, slots=True)
class RunOver:
    """The run has ended."""

    applied: int


@dataclass(frozen=True, slots=True)
class Unbalanced:
    """The commit's books don't balance; nothing of it was applied."""

    applied: int
    detail: str


Verdict = Applied | Repeat | Gap | Fenced | RunOver | Unbalanced


@dataclass(frozen=True, slots=True)
class Books:
    """The sums of a run, for `verify`. All but the maps are numbers of items."""

    roots: int
    found: int
    done: int
    quarantined: int
    left: int
    counters: dict[str, int]
    ledger_counters: dict[str, int]


class Journal(Protocol):
    """Durable state. Writing methods open a transaction by themselves; `commit` ends it.

    If `commit` raises, nothing since the last one is durable and the process must end: the core's
    memory would be ahead of the journal.
    """

    term: int

    def commit(self) -> None:
        """Make everything since the last commit durable; cheap when there is nothing."""
        ...

    def take_term(self, at_least: int) -> int:
        """A new term, higher than every earlier one and not under ``at_least``; durable at once."""
        ...

    def load(self) -> Stored:
        """Everything, for a start."""
        ...

    def next_id(self) -> int:
        """A number ``term << 28 | counter``; a restored journal can't issue it again."""
        ...

    def add_session(self, session: StoredSession) -> None:
        """A new session."""
        ...

    def end_session(self, session: int) -> None:
        """A session that will not come back; its claims go with it."""
        ...

    def set_claim(self, claim: StoredClaim) -> None:
        """A session's claim of this number, in the place of what it was before; it begins now."""
        ...

    def end_claim(self, session: int, claim: int) -> None:
        """A claim is over."""
        ...

    def answer(self, request: str) -> int:
        """The run that this SUBMIT made before, else 0."""
        ...

    def add_run(
        self,
        request: str,
        roots: Sequence[RootRecord],
        options: WalkOptions,
        min_agents: int,
    ) -> tuple[StoredRun, StoredUnit]:
        """A new run with one unit that holds a DIR item for each root."""
        ...

    def set_run(self, run: int, state: str, reason: str, elapsed_ms: int) -> None:
        """A run's new state; ``elapsed_ms`` leaves pauses out."""
        ...

    def retry(self, request: str, run: int) -> StoredUnit | None:
        """Make a unit of the run's quarantined items, with a ledger row of its own; None without.

        `answer` knows the request from then on.
        """
        ...

    def add_load(
        self, request: str, agents: int, duration_ms: int, wait_ms: int, config: bytes
    ) -> int:
        """A new load run, WAITING; its number. `answer` knows the request from then on."""
        ...

    def set_load(self, run: int, state: str, reason: str, *, stopped: bool) -> None:
        """A load run's new state."""
        ...

    def begin_load(self, run: int, ahead: float) -> None:
        """The load run begins so many seconds from now."""
        ...

    def load_config(self, run: int) -> bytes:
        """What the agents of a load run are told."""
        ...

    def set_member(self, member: StoredMember) -> None:
        """An agent of a load run, in the place of what it was before; its report stays."""
        ...

    def set_report(self, session: int, report: Report) -> None:
        """A session's report of a run, in the place of the one before."""
        ...

    def reports(
        self, run: int, after: int, most_bytes: int
    ) -> tuple[tuple[LoadSnapshot, ...], bool]:
        """A run's reports of sessions past ``after``, one at least, and whether there are more."""
        ...

    def forget(self, run: int) -> None:
        """The run, or load run, is not in `load` any more; what is kept goes with `prune`."""
        ...

    def prune(self, run: int, most: int) -> int:
        """Delete about ``most`` rows of a forgotten run; returns how many there were."""
        ...

    def shrink(self, most: int) -> int:
        """Give at most ``most`` free pages back to the file system; returns how many there were."""
        ...

    def grant(
        self, uid: int, epoch: int, session: int, most_items: int, most_bytes: int
    ) -> Granted:
        """Lease a unit under a new epoch; what exceeds the bounds becomes a unit of its own."""
        ...

    def free(self, uid: int) -> None:
        """Nobody holds the unit any more; its epoch is over."""
        ...

    def apply(self, session: int, commit: Commit) -> Verdict:
        """Apply a commit in a savepoint of its own, or nothing of it."""
        ...

    def applied(self, session: int, uid: int, epoch: int) -> int:
        """The last commit applied in an epoch that is or was this session's, else `UNKNOWN`."""
        ...

    def drop_items(self, run: int, most: int) -> int:
        """Delete at most ``most`` items of an aborted run; returns how many there were."""
        ...

    def counters(self, run: int) -> dict[str, int]:
        """The run's totals."""
        ...

    def problems(self, run: int) -> tuple[Problem, ...]:
        """At most 100 examples of entries that could not be read."""
        ...

    def quarantined(self, run: int) -> tuple[Quarantined, ...]:
        """At most 100 of the items that were given up."""
        ...

    def segments(self, run: int, after: str, limit: int) -> tuple[Segment, ...]:
        """Committed segments in the order of their names, from the first past ``after``."""
        ...

    def size(self) -> int:
        """Bytes of the journal."""
        ...

    def books(self, run: int) -> Books:
        """The sums that must agree."""
        ...

    def close(self) -> None:
        """Release the journal; an open transaction is undone."""
        ...
