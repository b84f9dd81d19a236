"""A unit of work in an agent: its frontier, and how it becomes commits.

The walk of a unit happens in the agent's memory. Now and then a **cut** fixes what is finished, its
rows are written, and it is **sealed**: it gets its seq and is sent until it is acknowledged or its
epoch is fenced (docs/protocol.md section 5). No I/O, no clock.
"""

from collections.abc import Iterable

from zfs_walk.agents.walker.cuts import Cut, StealOrder
from zfs_walk.agents.walker.frontier import key_of
from zfs_walk.agents.walker.giving import Groups, choose
from zfs_walk.agents.walker.progress import Progress
from zfs_walk.errors import InternalError
from zfs_walk.protocol.messages import Commit, Grant
from zfs_walk.protocol.records import Segment, Suspect

FIRST_INTERVAL = 0.05
"""Seconds between a grant and its first commit; it doubles from commit to commit."""

ROW_INTERVAL = 30.0
"""Longest seconds between two commits of a run that stores rows."""

MOST_SUSPECTS = 4_096
"""Counts of deaths that one commit tells, by its schema; the rest go with the next one."""


class Unit:
    """One lease: (uid, epoch), from its GRANT until its last commit is acknowledged."""

    def __init__(self, grant: Grant, now: float, commit_interval: float, window: int) -> None:
        """Take a grant.

        Args:
            grant: the unit's items, options and roots.
            now: monotonic seconds.
            commit_interval: longest seconds between two commits (of a run without rows).
            window: commits that may be on their way.
        """
        self.run, self.uid, self.epoch = grant.run, grant.uid, grant.epoch
        self.options = grant.options
        self.stores_rows = bool(grant.options.catalog)
        self.sends = bool(grant.options.to)
        self.roll = 0
        self.seq = 0
        self.acked = 0
        self.resent = -1
        self.unacked: dict[int, Commit] = {}
        self.cut: Cut | None = None
        self.steal: StealOrder | None = None
        self.releasing = ""
        self.finished = False
        self.progress = Progress(grant)
        self.frontier = self.progress.frontier
        self.book = self.progress.book
        self._cuts = 0
        self._told_deaths: dict[int, int] = {}
        self._interval = FIRST_INTERVAL
        self._longest = ROW_INTERVAL if self.stores_rows else commit_interval
        self._window = window
        self._last_cut = now

    @property
    def live_entries(self) -> int:
        """Entries counted and not yet in a commit."""
        entries = self.progress.buffer.counters.get("entries", 0)
        return entries + (self.cut.buffer.counters.get("entries", 0) if self.cut else 0)

    @property
    def takes_tasks(self) -> bool:
        """Workers may begin something of it.

        Not while more is unknown to the broker than one commit may carry, nor while the window is
        full: a broker that is away bounds what may be lost.
        """
        return not (self.releasing or self.finished or self._blocked or self.progress.full)

    @property
    def all_sealed(self) -> bool:
        """Nothing would be lost if a worker died now."""
        return not (self.frontier.tasks or self.progress.buffer.staged or self.cut)

    # ------------------------------------------------------------------ rollback

    def lost_rows(self, worker: int) -> bool:
        """True if rows of this worker are staged and in no segment yet."""
        return self.stores_rows and (
            worker in self.progress.buffer.staged
            or (self.cut is not None and worker in self.cut.waiting)
            or any(result.worker == worker for result in self.progress.late)
        )

    def roll_back(self) -> list[Segment]:
        """Go back to the last sealed commit; returns segments to delete.

        A child may have been finished elsewhere while its parent's rows died: anything less counts
        it twice (docs/protocol.md rule 6).
        """
        self.roll += 1
        garbage: list[Segment] = []
        if self.cut is not None:
            garbage = self.cut.segments
            # What was to be given stayed here, so the STEAL still stands.
            self.steal = self.steal or self.cut.steal
        self.cut = None
        self.progress.forget()
        return garbage

    # ------------------------------------------------------------------ commits

    @property
    def _blocked(self) -> bool:
        """The window is full."""
        return len(self.unacked) >= self._window

    def cut_due(self, now: float) -> bool:
        """It is time to fix what is finished."""
        if self.cut is not None or self.finished or self._blocked:
            return False
        # Items that could not be read and wait anew fill a commit, and change nothing else.
        if self.progress.full:
            return True
        if self.releasing:
            return not self.frontier.tasks
        if not self.frontier.items:
            return True
        if not self.progress.buffer.changed:
            return False
        return (
            now >= self._last_cut + self._interval
            or self.progress.buffer.row_full
            or (self.progress.only_risky and bool(self.progress.buffer.staged))
        )

    def may_flush(self, workers: set[int]) -> bool:
        """One of these workers has rows that a cut now would have written."""
        if self.cut is not None or self.finished or self._blocked:
            return False
        return bool(self.stores_rows and workers & self.progress.buffer.staged.keys())

    def next_cut(self) -> float:
        """When a cut is due at the latest; infinite if nothing has changed."""
        waits = self.cut is not None or self.finished or self._blocked or bool(self.releasing)
        if waits or not self.progress.buffer.changed:
            return float("inf")
        return self._last_cut + self._interval

    def begin_cut(self, now: float, groups: Groups = ()) -> Cut:
        """Fix what is finished; ``groups`` of waiting items are to leave the unit with it."""
        removed, added = self.frontier.fix()
        self.frontier.leave(groups)
        buffer = self.progress.take_buffer()
        self._cuts += 1
        self.cut = Cut(
            self._cuts, buffer, removed, added, groups, self._take_steal() if groups else None,
            bool(self.releasing) and not self.frontier.tasks, dict(buffer.staged),
        )  # fmt: skip
        self._last_cut = now
        self._interval = min(self._interval * 2, self._longest)
        self.progress.take_late()
        return self.cut

    def on_flushed(self, worker: int, number: int, segments: Iterable[Segment]) -> bool:
        """A worker's rows of the open cut are durable; False if the cut is not open any more."""
        if self.cut is None or self.cut.number != number or worker not in self.cut.waiting:
            return False
        del self.cut.waiting[worker]
        self.cut.segments.extend(segments)
        return True

    def seal(self) -> Commit:
        """Give the open cut its seq; from now on it never changes."""
        cut = self.cut
        if cut is None or cut.waiting:
            raise InternalError(reason=f"unit {self.uid:x}: nothing to seal")
        self.cut = None
        self.frontier.learn(cut.removed, cut.added, cut.given)
        if cut.release or not self.frontier.known:
            self.finished = True
        buffer = cut.buffer
        return self._sealed(
            Commit(
                self.uid, self.epoch, self.seq + 1, cut.steal.id if cut.steal else 0, buffer.found,
                buffer.done, buffer.counters, tuple(buffer.errors), tuple(cut.segments),
                cut.release, cut.removed, cut.added, cut.split, tuple(buffer.quarantined),
                self._new_deaths(),
            )
        )  # fmt: skip

    def _new_deaths(self) -> tuple[Suspect, ...]:
        """Deaths that the broker does not know of yet, of items that it knows."""
        if not self.book.deaths:
            return ()
        suspects: list[Suspect] = []
        for n, item in self.frontier.known.items():
            deaths = self.book.deaths.get(key_of(item), 0)
            if deaths != self._told_deaths.get(n, item.deaths) and len(suspects) < MOST_SUSPECTS:
                self._told_deaths[n] = deaths
                suspects.append(Suspect(n, deaths))
        return tuple(suspects)

    def _sealed(self, commit: Commit) -> Commit:
        self.seq = commit.seq
        self.unacked[commit.seq] = commit
        return commit

    def acknowledge(self, seq: int) -> None:
        """Commits up to ``seq`` are applied."""
        self.acked = max(self.acked, seq)
        for number in [number for number in self.unacked if number <= seq]:
            del self.unacked[number]

    @property
    def over(self) -> bool:
        """Its last commit is acknowledged."""
        return self.finished and not self.unacked

    def sealed_after(self, applied: int) -> list[Segment]:
        """Segments of commits that the broker did not apply, and of an open cut."""
        segments = [s for seq, c in self.unacked.items() if seq > applied for s in c.segments]
        if self.cut is not None:
            segments.extend(self.cut.segments)
        return segments

    # ------------------------------------------------------------------ steals

    def _take_steal(self) -> StealOrder | None:
        steal, self.steal = self.steal, None
        return steal

    def split(self, now: float, own: int) -> Commit | None:
        """Answer the standing STEAL if there is something to give; may begin a cut instead.

        Items that the broker knows go in a commit with nothing but ``split``: nothing is claimed
        done, so nobody flushes.

        Args:
            now: monotonic seconds.
            own: how many workers this agent has.
        """
        steal = self.steal
        if steal is None or self._blocked or self.finished or self.releasing:
            return None
        groups = choose(
            self.frontier, self.progress.estimate, steal.thieves, own,
            known_first=self.stores_rows, parts=not self.options.names_only, sends=self.sends,
        )  # fmt: skip
        if not groups:
            return None
        given = [n for group in groups for n in group]
        if all(n in self.frontier.known for n in given):
            self._take_steal()
            self.frontier.leave(groups)
            self.frontier.learn((), (), given)
            return self._sealed(
                Commit(
                    self.uid, self.epoch, self.seq + 1, steal.id, 0, 0, {}, (), (),
                    release=False, removed=(), added=(), split=groups, quarantined=(), attempts=(),
                )
            )  # fmt: skip
        if self.cut is None:
            self.begin_cut(now, groups)
        return None
