"""A unit of work in an agent: its frontier, and how it becomes commits.

The walk of a unit happens in the agent's memory. Now and then a **cut** fixes what is finished, its
rows are written, and it is **sealed**: it gets its seq and is sent until it is acknowledged or its
epoch is fenced (docs/protocol.md section 5). No I/O, no clock.
"""

from collections import deque
from collections.abc import Iterable

from zfs_walk.agents.book import FATAL, LISTING, Book
from zfs_walk.agents.cuts import Buffer, Cut, StealOrder, fits, is_full
from zfs_walk.agents.estimate import TreeEstimate
from zfs_walk.agents.frontier import Frontier, key_of
from zfs_walk.agents.giving import Groups, choose
from zfs_walk.agents.parts import WideDirectory
from zfs_walk.agents.tasks import Listed, Walked
from zfs_walk.errors import InternalError
from zfs_walk.protocol.messages import Commit, Grant
from zfs_walk.protocol.records import DIR, PART, Item, Quarantined, Segment, Suspect

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
        self.roll = 0
        self.seq = 0
        self.acked = 0
        self.resent = -1
        self.unacked: dict[int, Commit] = {}
        self.cut: Cut | None = None
        self.steal: StealOrder | None = None
        self.releasing = ""
        self.finished = False
        self.estimate = TreeEstimate()
        self.book = Book({key_of(item): item.deaths for item in grant.items if item.deaths})
        self.frontier = Frontier(grant.items, self.book)
        self.late: deque[Walked] = deque()
        self._cuts = 0
        self._buffer = Buffer()
        self._told_deaths: dict[int, int] = {}
        self._interval = FIRST_INTERVAL
        self._longest = ROW_INTERVAL if self.stores_rows else commit_interval
        self._window = window
        self._last_cut = now

    @property
    def live_entries(self) -> int:
        """Entries counted and not yet in a commit."""
        buffers = [self._buffer] if self.cut is None else [self._buffer, self.cut.buffer]
        return sum(buffer.counters.get("entries", 0) for buffer in buffers)

    @property
    def takes_tasks(self) -> bool:
        """Workers may begin something of it.

        Not while more is unknown to the broker than one commit may carry, nor while the window is
        full: a broker that is away bounds what may be lost.
        """
        return not (
            self.releasing
            or self.finished
            or self.late
            or self._blocked
            or is_full(self.frontier, self._buffer)
        )

    @property
    def all_sealed(self) -> bool:
        """Nothing would be lost if a worker died now."""
        return not (self.frontier.tasks or self._buffer.staged or self.cut)

    # ------------------------------------------------------------------ results

    def on_walked(self, result: Walked) -> bool:
        """Take a result; False if its task is not in the table (it is too late)."""
        if result.task not in self.frontier.tasks:
            return False
        if self.late or not fits(result, self.frontier, self._buffer):
            # It waits for the next cut, and so does every later one: a worker's rows are
            # flushed up to a result's number.
            self.late.append(result)
        else:
            self._accept(result)
        return True

    def _accept(self, result: Walked) -> None:
        frontier = self.frontier
        numbers = frontier.tasks.pop(result.task)
        consumed = numbers[: len(numbers) - result.untouched]
        wide = 1 if result.wide_parts else 0
        grown = len(result.left) + len(result.failed) - len(consumed)
        if grown != result.found - result.listed - wide:
            raise InternalError(
                reason=f"task {result.task}: {len(consumed)} directories taken, {result.listed}"
                f" read, {result.found} found, {len(result.left)} left,"
                f" {len(result.failed)} failed, wide: {wide}"
            )
        for n in reversed(numbers[len(consumed) :]):
            frontier.wait(frontier.items[n])
        taken = [frontier.finish(n) for n in consumed]
        self._buffer.add(result, stores_rows=self.stores_rows)
        part = taken[0] if taken and taken[0].kind == PART else None
        for (root, path), errno in result.failed:
            self._failed(part or Item(0, DIR, root, path), errno)
        for root, path in result.left:
            self._enter(frontier.new(DIR, root, path))
        if wide:
            self._widen(result)
        if part is None:
            self.estimate.add(result.levels, result.micros)
            return
        directory = frontier.wide.get((part.root, part.path, part.parts))
        if directory is not None:
            directory.scan_micros = result.micros / max(1, result.counters.get("entries", 1))
            frontier.tidy(directory)

    def _enter(self, item: Item) -> None:
        """A found item waits, unless it is one that is given up."""
        if self.book.deadly(key_of(item)):
            self._give_up(item, self._obituary(item))
        else:
            self.frontier.wait(item)

    def _failed(self, failed: Item, errno: int) -> None:
        """An item that could not be read for a reason that may pass: later, or given up."""
        fatal = self.book.failed(key_of(failed))
        item = self.frontier.new(failed.kind, failed.root, failed.path, failed.part, failed.parts)
        if fatal:
            self._give_up(item, f"could not be read {FATAL} times, errno {errno}")
        else:
            self.frontier.wait(item, last=True)

    def _give_up(self, item: Item, reason: str) -> None:
        self.frontier.finish(item.n)
        self._buffer.quarantined.append(Quarantined(item, reason))

    def _widen(self, result: Walked) -> None:
        """A directory became parts: done 1, found m."""
        root, path = result.wide
        self._buffer.done += 1
        self._buffer.found += result.wide_parts
        for part in range(result.wide_parts):
            self._enter(self.frontier.new(PART, root, path, part, result.wide_parts))
        directory = self.frontier.wide.get((root, path, result.wide_parts))
        if directory is not None:
            directory.finder = result.worker
            self._give_up_listing(directory)

    def on_listed(self, result: Listed) -> bool:
        """Take the extents of a wide directory's names."""
        if self.frontier.tasks.pop(result.task, None) is None:
            return False
        wide = self.frontier.listed_by(result.task)
        if wide is None:
            return True
        wide.listing = wide.finder = 0
        if not result.errno:
            wide.listed(result.extents, result.names, result.micros)
        elif result.kind == "io" and not result.gone:
            self._listing_failed(wide, result.errno)
        else:
            self._unlistable(wide, result)
        self.frontier.tidy(wide)
        return True

    def _listing_failed(self, wide: WideDirectory, errno: int) -> None:
        """The directory could not be listed for a reason that may pass: again, or given up."""
        if self.book.failed((wide.root, wide.path, LISTING)):
            for item in list(wide.waiting.values()):
                del wide.waiting[item.part]
                self._give_up(item, f"could not be listed {FATAL} times, errno {errno}")

    def _unlistable(self, wide: WideDirectory, result: Listed) -> None:
        """The directory can't be read any more: its parts are done, part 0 says why."""
        for item in list(wide.waiting.values()):
            del wide.waiting[item.part]
            self.frontier.finish(item.n)
            self._buffer.done += 1
            if item.part == 0:
                for kind in ("vanished",) if result.gone else ("errors", f"errors.{result.kind}"):
                    self._buffer.count(kind)

    def refuse(self, task: int) -> None:
        """Nothing of a task was done: its items wait again."""
        self.frontier.put_back(task)

    # ------------------------------------------------------------------ deaths

    def worker_died(self, task: int, place: tuple[int, bytes, int] | None) -> None:
        """The worker that had ``task`` is gone; ``place`` is to blame, if any is."""
        frontier = self.frontier
        listed = frontier.listed_by(task)
        frontier.put_back(task)
        if place is None:
            return
        key = place
        if listed is not None and place[:2] == (listed.root, listed.path):
            key = (*place[:2], LISTING)
        items = [] if listed else self._waiting_at(key)
        for item in items:
            frontier.unqueue(item)
        self.book.died(key)
        for item in items:
            self._enter(item)
        if listed is not None:
            self._give_up_listing(listed)

    def _waiting_at(self, key: tuple[int, bytes, int]) -> list[Item]:
        held = {item.n for item in self.frontier.held()}
        items = self.frontier.items.values()
        return [item for item in items if key_of(item) == key and item.n not in held]

    def _obituary(self, item: Item) -> str:
        return f"{self.book.deaths[key_of(item)]} workers died over it"

    def _give_up_listing(self, wide: WideDirectory) -> None:
        """No part can be looked at if the listing of them all kills the workers."""
        if self.book.deadly((wide.root, wide.path, LISTING)) and wide.extents is None:
            for item in list(wide.waiting.values()):
                del wide.waiting[item.part]
                self._give_up(item, f"{FATAL} workers died over its listing")
            self.frontier.tidy(wide)

    def lost_rows(self, worker: int) -> bool:
        """True if rows of this worker are staged and in no segment yet."""
        return self.stores_rows and (
            worker in self._buffer.staged
            or (self.cut is not None and worker in self.cut.waiting)
            or any(result.worker == worker for result in self.late)
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
        self.late.clear()
        self._buffer = Buffer()
        self.frontier.return_to_known()
        for item in list(self.frontier.items.values()):
            if self.book.deadly(key_of(item)):
                self.frontier.unqueue(item)
                self._give_up(item, self._obituary(item))
        for wide in list(self.frontier.wide.values()):
            self._give_up_listing(wide)
        return garbage

    # ------------------------------------------------------------------ commits

    @property
    def _blocked(self) -> bool:
        """The window is full."""
        return len(self.unacked) >= self._window

    @property
    def _changed(self) -> bool:
        return self._buffer.changed

    def cut_due(self, now: float) -> bool:
        """It is time to fix what is finished."""
        if self.cut is not None or self.finished or self._blocked:
            return False
        if self.late:
            return True
        if self.releasing:
            return not self.frontier.tasks
        if not self.frontier.items:
            return True
        if not self._changed:
            return False
        return (
            now >= self._last_cut + self._interval
            or is_full(self.frontier, self._buffer)
            or self._buffer.row_full
            or (self._only_risky and bool(self._buffer.staged))
        )

    @property
    def _only_risky(self) -> bool:
        """Nothing else is left to do: what must not die with the next worker is sealed now."""
        frontier = self.frontier
        return not (frontier.tasks or frontier.waiting) and (
            bool(frontier.risky)
            or any(
                self.book.risky(key_of(i))
                for w in frontier.wide.values()
                for i in w.waiting.values()
            )
        )

    def next_cut(self) -> float:
        """When a cut is due at the latest; infinite if nothing has changed."""
        waits = self.cut is not None or self.finished or self._blocked or bool(self.releasing)
        if waits or not self._changed:
            return float("inf")
        return self._last_cut + self._interval

    def begin_cut(self, now: float, groups: Groups = ()) -> Cut:
        """Fix what is finished; ``groups`` of waiting items are to leave the unit with it."""
        removed, added = self.frontier.fix()
        self.frontier.leave(groups)
        buffer, self._buffer = self._buffer, Buffer()
        self._cuts += 1
        self.cut = Cut(
            self._cuts, buffer, removed, added, groups, self._take_steal() if groups else None,
            bool(self.releasing) and not self.frontier.tasks, dict(buffer.staged),
        )  # fmt: skip
        self._last_cut = now
        self._interval = min(self._interval * 2, self._longest)
        while self.late and fits(self.late[0], self.frontier, self._buffer):
            self._accept(self.late.popleft())
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
            self.frontier, self.estimate, steal.thieves, own,
            known_first=self.stores_rows, parts=not self.options.names_only,
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
