"""What a commit is made of before it is one, and how much of it there may be."""

from dataclasses import dataclass, field

from zfs_walk.agents.walker.frontier import Frontier
from zfs_walk.agents.walker.tasks import Walked
from zfs_walk.protocol.records import Item, Problem, Quarantined, Segment

MOST_ITEMS = 65_536
"""Items that one commit adds or removes at most (docs/protocol.md rule 3)."""

MOST_BYTES = 8 * 2**20
"""Likewise, bytes of their paths."""

MOST_GIVEN_UP = 4_096
"""Items that one commit gives up at most, by its schema."""

PROBLEMS = 100
"""Examples of what could not be read that one commit carries (docs/protocol.md rule 13)."""

MOST_STAGED = 262_144
"""Rows that one worker stages between two commits (docs/protocol.md rule 9)."""

MOST_COUNT = 2**63 - 1
"""What a counter holds at most: a sparse file alone may count 8 EiB."""


@dataclass(slots=True)
class Buffer:
    """What was finished since the last cut; ``staged``: worker -> its last result in here."""

    found: int = 0
    done: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    errors: list[Problem] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    staged: dict[int, int] = field(default_factory=dict)
    rows: dict[int, int] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        """Something was finished, counted or given up."""
        return bool(self.done or self.found or self.counters or self.quarantined)

    @property
    def row_full(self) -> bool:
        """A worker holds as many rows as it should."""
        return any(rows >= MOST_STAGED for rows in self.rows.values())

    def count(self, name: str, value: int = 1) -> None:
        """Add to a counter; it stops at its largest value."""
        self.counters[name] = min(MOST_COUNT, self.counters.get(name, 0) + value)

    def add(self, result: Walked, *, stores_rows: bool) -> None:
        """Count what a task did."""
        self.found += result.found
        self.done += result.listed
        for name, value in result.counters.items():
            self.count(name, value)
        self.errors.extend(result.errors[: PROBLEMS - len(self.errors)])
        if stores_rows and result.rows:
            self.staged[result.worker] = result.result
            self.rows[result.worker] = self.rows.get(result.worker, 0) + result.rows


@dataclass(slots=True)
class Cut:
    """Fixed contents on their way to a commit; ``waiting``: workers that still write rows."""

    number: int
    buffer: Buffer
    removed: tuple[int, ...]
    added: tuple[Item, ...]
    split: tuple[tuple[int, ...], ...]
    steal: "StealOrder | None"
    release: bool
    waiting: dict[int, int]
    segments: list[Segment] = field(default_factory=list)

    @property
    def given(self) -> set[int]:
        """Items that leave the unit."""
        return {n for group in self.split for n in group}


@dataclass(slots=True)
class StealOrder:
    """A STEAL that a unit has not answered yet."""

    id: int
    thieves: tuple[int, ...]
    since: float


def is_full(frontier: Frontier, buffer: Buffer) -> bool:
    """Half of what a commit may carry is reached: what is in hand must still fit."""
    return (
        2 * len(frontier.fresh) >= MOST_ITEMS
        or 2 * len(frontier.gone) >= MOST_ITEMS
        or 2 * frontier.fresh_bytes >= MOST_BYTES
        or 2 * len(buffer.quarantined) >= MOST_GIVEN_UP
    )


def fits(result: Walked, frontier: Frontier, buffer: Buffer) -> bool:
    """True if a commit with this result too would not be too large.

    An empty one takes any: a scanner comes back before it has found more than fits.
    """
    if not frontier.fresh and not frontier.gone:
        return True
    fresh = len(result.left) + len(result.failed) + result.wide_parts
    size = sum(len(path) + 32 for _, path in result.left)
    size += result.wide_parts * (len(result.wide[1]) + 32)
    return (
        len(frontier.fresh) + fresh <= MOST_ITEMS
        and frontier.fresh_bytes + size <= MOST_BYTES
        and len(buffer.quarantined) + len(result.failed) <= MOST_GIVEN_UP
    )
