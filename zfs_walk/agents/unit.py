"""A unit of work in an agent: its frontier, and how it becomes commits.

The walk of a unit happens in the agent's memory. Now and then a **cut** fixes what is finished, its
rows are written, and it is **sealed**: it gets its seq and is sent until it is acknowledged or its
epoch is fenced (docs/protocol.md section 5). No I/O, no clock.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from zfs_walk.agents.estimate import TreeEstimate
from zfs_walk.agents.parts import WideDirectory
from zfs_walk.agents.tasks import ListParts, Listed, ScanPart, Task, Walk, Walked
from zfs_walk.errors import InternalError
from zfs_walk.protocol.messages import Commit, Grant
from zfs_walk.protocol.records import DIR, PART, Item, Problem, Quarantined, Segment, Suspect

FIRST_INTERVAL = 0.05
"""Seconds between a grant and its first commit; it doubles from commit to commit."""

ROW_INTERVAL = 30.0
"""Longest seconds between two commits of a run that stores rows."""

MOST_STAGED = 262_144
"""Rows that one worker stages between two commits (docs/protocol.md rule 9)."""

FULL_ITEMS = 32_768
"""Items that the broker does not know yet at which a unit is cut at once: half of what fits."""

FULL_BYTES = 4 * 2**20
"""Likewise, bytes of their paths."""

BATCH = 256
"""Directories that one task takes at most."""

BATCH_BYTES = 2**20

WORTH = 0.02
"""Seconds of work under which giving items away is not worth the messages."""

FATAL_DEATHS = 3
"""Deaths over an item after which it is given up."""


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


@dataclass(slots=True)
class Cut:
    """Fixed contents on their way to a commit; ``waiting``: workers that still write rows."""

    number: int
    buffer: Buffer
    removed: tuple[int, ...]
    added: tuple[Item, ...]
    split: tuple[tuple[int, ...], ...]
    steal_id: int
    release: bool
    waiting: dict[int, int]
    segments: list[Segment] = field(default_factory=list)


@dataclass(slots=True)
class StealOrder:
    """A STEAL that this unit has not answered yet."""

    id: int
    thieves: tuple[int, ...]
    since: float


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
        self.items: dict[int, Item] = {item.n: item for item in grant.items}
        self.known: dict[int, Item] = dict(self.items)
        self.waiting: deque[int] = deque()
        self.wide: dict[tuple[int, bytes, int], WideDirectory] = {}
        self.tasks: dict[int, tuple[int, ...]] = {}
        self.unacked: dict[int, Commit] = {}
        self.cut: Cut | None = None
        self.steal: StealOrder | None = None
        self.releasing = ""
        self.finished = False
        self.estimate = TreeEstimate()
        self.suspects: dict[tuple[int, bytes, int], int] = {}
        self.failures: dict[tuple[int, bytes, int], int] = {}
        self._next_n = max(self.items, default=0) + 1
        self._cuts = 0
        self._buffer = Buffer()
        self._fresh = self._fresh_bytes = 0
        self._attempts: dict[int, int] = {}
        self._interval = FIRST_INTERVAL
        self._longest = ROW_INTERVAL if self.stores_rows else commit_interval
        self._window = window
        self._last_cut = now
        for item in grant.items:
            if item.deaths:
                self.suspects[item.root, item.path, item.part] = item.deaths
            self._wait(item)

    # ------------------------------------------------------------------ the frontier

    @property
    def stealable(self) -> int:
        """Items that could be given away now."""
        return len(self.waiting) + sum(len(wide.waiting) for wide in self.wide.values())

    @property
    def live_entries(self) -> int:
        """Entries counted and not yet in a commit."""
        buffers = [self._buffer] if self.cut is None else [self._buffer, self.cut.buffer]
        return sum(buffer.counters.get("entries", 0) for buffer in buffers)

    @property
    def busy(self) -> bool:
        """A worker has something of this unit in hand."""
        return bool(self.tasks)

    def _wait(self, item: Item, *, last: bool = False) -> None:
        """Queue an item: to be walked next, or after everything else."""
        if item.kind == DIR:
            if last:
                self.waiting.appendleft(item.n)
            else:
                self.waiting.append(item.n)
            return
        key = (item.root, item.path, item.parts)
        wide = self.wide.get(key)
        if wide is None:
            wide = self.wide[key] = WideDirectory(*key)
        wide.waiting[item.part] = item
        if wide.extents is not None and item.part not in wide.extents:
            wide.extents = None

    def _new(self, kind: int, root: int, path: bytes, part: int = 0, parts: int = 0) -> Item:
        deaths = self.suspects.get((root, path, part), 0)
        item = Item(self._next_n, kind, root, path, part, parts, deaths)
        self._next_n += 1
        self.items[item.n] = item
        self._fresh += 1
        self._fresh_bytes += len(path) + 32
        return item

    @property
    def _full(self) -> bool:
        return self._fresh >= FULL_ITEMS or self._fresh_bytes >= FULL_BYTES

    # ------------------------------------------------------------------ tasks

    def next_task(self, task: int, worker: int, workers: int, budget_ms: int) -> Task | None:
        """Something for an idle worker to do, or None.

        Nothing is begun while more is unknown to the broker than one commit may carry, or while
        the window is full and a cut is due: a broker that is away bounds what may be lost.
        """
        if self.releasing or self.finished or self._full or self._blocked:
            return None
        for wide in self.wide.values():
            if wide.to_list and wide.finder == worker:
                return self._list(wide, task)
        if self.waiting:
            return self._walk(task, workers, budget_ms)
        for wide in self.wide.values():
            if wide.to_scan:
                return self._scan_part(wide, task)
        for wide in self.wide.values():
            if wide.to_list:
                return self._list(wide, task)
        return None

    def _walk(self, task: int, workers: int, budget_ms: int) -> Walk | None:
        most = max(1, min(BATCH, len(self.waiting) // (2 * workers)))
        batch: list[Item] = []
        size = 0
        put_off: list[int] = []
        while self.waiting and len(batch) < most and size < BATCH_BYTES:
            item = self.items[self.waiting.pop()]
            if self.suspects.get((item.root, item.path, 0), 0) > 1:
                # Alone, and after everything else is sealed: its next death must cost nothing.
                if self.waiting or batch or self.tasks or self._buffer.staged or self.cut:
                    put_off.append(item.n)
                    continue
                most = 1
            batch.append(item)
            size += len(item.path)
        self.waiting.extendleft(put_off)
        if not batch:
            return None
        mine = {(item.root, item.path) for item in batch}
        avoid = tuple((root, path) for root, path, _ in self.suspects if (root, path) not in mine)
        self.tasks[task] = tuple(item.n for item in batch)
        return Walk(
            task, self.run, self.uid, self.epoch, self.roll, budget_ms,
            tuple((item.root, item.path) for item in batch), avoid,
        )  # fmt: skip

    def _list(self, wide: WideDirectory, task: int) -> ListParts:
        wide.listing = task
        wide.wanted = tuple(sorted(wide.waiting))
        self.tasks[task] = ()
        return ListParts(
            task, self.run, self.uid, self.epoch, self.roll, (wide.root, wide.path), wide.parts,
            0, wide.wanted,
        )  # fmt: skip

    def _scan_part(self, wide: WideDirectory, task: int) -> ScanPart:
        part = min(wide.waiting)
        item = wide.waiting.pop(part)
        self.tasks[task] = (item.n,)
        extents = (wide.extents or {})[part]
        return ScanPart(
            task, self.run, self.uid, self.epoch, self.roll, (wide.root, wide.path), part,
            part == 0, extents,
        )  # fmt: skip

    def put_back(self, task: int) -> None:
        """Nothing of a task was done: its items wait again."""
        for n in reversed(self.tasks.pop(task, ())):
            self._wait(self.items[n])
        for wide in self.wide.values():
            if wide.listing == task:
                wide.listing = wide.finder = 0

    # ------------------------------------------------------------------ results

    def on_walked(self, result: Walked) -> bool:
        """Take a result; False if its task is not in the table (it is too late)."""
        numbers = self.tasks.pop(result.task, None)
        if numbers is None:
            return False
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
            self.waiting.append(n)
        taken = [self.items.pop(n) for n in consumed]
        buffer = self._buffer
        buffer.found += result.found
        buffer.done += result.listed
        for name, value in result.counters.items():
            buffer.counters[name] = buffer.counters.get(name, 0) + value
        buffer.errors.extend(result.errors[: 100 - len(buffer.errors)])
        if self.stores_rows and result.rows:
            buffer.staged[result.worker] = result.result
            buffer.rows[result.worker] = buffer.rows.get(result.worker, 0) + result.rows
        part = taken[0] if taken and taken[0].kind == PART else None
        for (root, path), errno in result.failed:
            self._failed(part or Item(0, DIR, root, path), errno)
        for root, path in result.left:
            self.waiting.append(self._new(DIR, root, path).n)
        if wide:
            self._widen(result)
        if part is not None:
            self._measured(part, result)
        else:
            self.estimate.add(result.levels, result.micros)
        return True

    def _measured(self, item: Item, result: Walked) -> None:
        wide = self.wide[item.root, item.path, item.parts]
        wide.scan_micros = result.micros / max(1, result.counters.get("entries", 1))
        if not wide.waiting and all(i.kind != PART or i.path != item.path for i in self._held()):
            del self.wide[item.root, item.path, item.parts]

    def _held(self) -> Iterable[Item]:
        return (self.items[n] for numbers in self.tasks.values() for n in numbers)

    def _failed(self, failed: Item, errno: int) -> None:
        """An item that could not be read for a reason that may pass: later, or given up."""
        key = (failed.root, failed.path, failed.part)
        self.failures[key] = self.failures.get(key, 0) + 1
        item = self._new(failed.kind, failed.root, failed.path, failed.part, failed.parts)
        if self.failures[key] >= FATAL_DEATHS:
            self._give_up(item, f"could not be read {self.failures[key]} times, errno {errno}")
        else:
            self._wait(item, last=True)

    def _give_up(self, item: Item, reason: str) -> None:
        del self.items[item.n]
        self._buffer.quarantined.append(Quarantined(item, reason))

    def _widen(self, result: Walked) -> None:
        """A directory became parts: done 1, found m."""
        root, path = result.wide
        self._buffer.done += 1
        self._buffer.found += result.wide_parts
        for part in range(result.wide_parts):
            self._wait(self._new(PART, root, path, part, result.wide_parts))
        self.wide[root, path, result.wide_parts].finder = result.worker

    def on_listed(self, result: Listed) -> bool:
        """Take the extents of a wide directory's names."""
        if self.tasks.pop(result.task, None) is None:
            return False
        wide = next(wide for wide in self.wide.values() if wide.listing == result.task)
        wide.listing = wide.finder = 0
        if result.errno:
            self._unlistable(wide, result)
            return True
        wide.list_micros = result.micros / max(1, result.names)
        # Parts that were given away since are not in `waiting`; their names are of no use here.
        wide.extents = dict(zip(wide.wanted, result.extents, strict=True))
        if any(part not in wide.extents for part in wide.waiting):
            wide.extents = None
        return True

    def _unlistable(self, wide: WideDirectory, result: Listed) -> None:
        """The directory can't be read any more: its parts are done, part 0 says why."""
        buffer = self._buffer
        for part, item in wide.waiting.items():
            del self.items[item.n]
            buffer.done += 1
            if part == 0:
                for kind in ("vanished",) if result.gone else ("errors", f"errors.{result.kind}"):
                    buffer.counters[kind] = buffer.counters.get(kind, 0) + 1
        del self.wide[wide.root, wide.path, wide.parts]

    # ------------------------------------------------------------------ deaths

    def blame(self, root: int, path: bytes, part: int) -> None:
        """A worker died over this place, by the black box."""
        key = (root, path, part)
        self.suspects[key] = self.suspects.get(key, 0) + 1
        self._quarantine_the_deadly()

    def _quarantine_the_deadly(self) -> None:
        deadly = {key for key, deaths in self.suspects.items() if deaths >= FATAL_DEATHS}
        if not deadly:
            return
        in_hand = {item.n for item in self._held()}
        for item in list(self.items.values()):
            key = (item.root, item.path, item.part)
            if key in deadly and item.n not in in_hand:
                self._unqueue(item)
                self._give_up(item, f"{self.suspects[key]} workers died over it")

    def lost_rows(self, worker: int) -> bool:
        """True if rows of this worker are staged and in no segment yet."""
        return worker in self._buffer.staged or (
            self.cut is not None and worker in self.cut.waiting
        )

    def roll_back(self) -> list[Segment]:
        """Go back to the last sealed commit; returns segments to delete.

        A child may have been finished elsewhere while its parent's rows died: anything less counts
        it twice (docs/protocol.md rule 6).
        """
        self.roll += 1
        garbage = self.cut.segments if self.cut is not None else []
        self.cut = None
        self.items = dict(self.known)
        self.waiting.clear()
        self.wide.clear()
        self.tasks.clear()
        self._buffer = Buffer()
        self._fresh = self._fresh_bytes = 0
        for n in sorted(self.items):
            self._wait(self.items[n])
        self._quarantine_the_deadly()
        return garbage

    # ------------------------------------------------------------------ commits

    @property
    def _blocked(self) -> bool:
        """The window is full."""
        return len(self.unacked) >= self._window

    @property
    def _changed(self) -> bool:
        buffer = self._buffer
        return bool(buffer.done or buffer.found or buffer.counters or buffer.quarantined)

    def cut_due(self, now: float) -> bool:
        """It is time to fix what is finished."""
        if self.cut is not None or self.finished or self._blocked:
            return False
        if self.releasing:
            return not self.tasks
        if not self.items:
            return True
        if not self._changed:
            return False
        return (
            self._full
            or now >= self._last_cut + self._interval
            or any(rows >= MOST_STAGED for rows in self._buffer.rows.values())
            or (self._only_suspects_wait and bool(self._buffer.staged))
        )

    @property
    def _only_suspects_wait(self) -> bool:
        return not self.tasks and any(
            self.suspects.get((self.items[n].root, self.items[n].path, 0), 0) > 1
            for n in self.waiting
        )

    def next_cut(self) -> float:
        """When a cut is due at the latest; infinite if nothing has changed."""
        waits = self.cut is not None or self.finished or self._blocked or bool(self.releasing)
        if waits or not self._changed:
            return float("inf")
        return self._last_cut + self._interval

    def begin_cut(self, now: float, groups: Sequence[Sequence[int]] = ()) -> Cut:
        """Fix what is finished; ``groups`` of waiting items are to leave the unit with it."""
        given = {n: self.items[n] for group in groups for n in group}
        for n in given:
            self._unqueue(given[n])
        buffer, self._buffer = self._buffer, Buffer()
        self._cuts += 1
        self.cut = Cut(
            self._cuts,
            buffer,
            tuple(n for n in self.known if n not in self.items),
            tuple(item for item in self.items.values() if item.n not in self.known),
            tuple(tuple(group) for group in groups),
            self._take_steal() if groups else 0,
            bool(self.releasing),
            dict(buffer.staged),
        )
        for n in given:
            del self.items[n]
        self._fresh = self._fresh_bytes = 0
        self._last_cut = now
        self._interval = min(self._interval * 2, self._longest)
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
        given = {n for group in cut.split for n in group}
        added = {item.n: item for item in cut.added}
        gone = given.union(cut.removed)
        known = {**self.known, **added}
        self.known = {n: item for n, item in known.items() if n not in gone}
        if cut.release or not self.known:
            self.finished = True
        buffer = cut.buffer
        suspects = tuple(
            Suspect(n, self.suspects[item.root, item.path, item.part])
            for n, item in self.known.items()
            if self._deaths_changed(n, item)
        )
        return self._sealed(
            Commit(
                self.uid, self.epoch, self.seq + 1, cut.steal_id, buffer.found, buffer.done,
                buffer.counters, tuple(buffer.errors), tuple(cut.segments), cut.release,
                cut.removed, cut.added, cut.split, tuple(buffer.quarantined), suspects,
            )
        )  # fmt: skip

    def _deaths_changed(self, n: int, item: Item) -> bool:
        deaths = self.suspects.get((item.root, item.path, item.part), 0)
        if deaths == self._attempts.get(n, item.deaths):
            return False
        self._attempts[n] = deaths
        return True

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

    def _unqueue(self, item: Item) -> None:
        if item.kind == DIR:
            self.waiting.remove(item.n)
        else:
            wide = self.wide[item.root, item.path, item.parts]
            del wide.waiting[item.part]

    def _take_steal(self) -> int:
        steal, self.steal = self.steal, None
        return steal.id if steal is not None else 0

    def split(self, now: float, own_capacity: int) -> Commit | None:
        """Answer the standing STEAL if there is something to give; may begin a cut instead.

        The oldest half goes, nearest to the root, dealt in proportion to the thieves' capacities.
        Items that the broker knows go in a commit with nothing but ``split``: nothing is claimed
        done, so nobody flushes.
        """
        steal = self.steal
        if steal is None or self._blocked or self.finished or self.releasing:
            return None
        chosen, thieves = self._to_give(steal, own_capacity)
        if not chosen:
            return None
        if all(n in self.known for group in chosen for n in group):
            for n in (n for group in chosen for n in group):
                self._unqueue(self.items[n])
                del self.items[n]
                del self.known[n]
            return self._sealed(
                Commit(
                    self.uid, self.epoch, self.seq + 1, self._take_steal(), 0, 0, {}, (), (),
                    release=False, removed=(), added=(), split=chosen, quarantined=(), attempts=(),
                )
            )  # fmt: skip
        if self.cut is None and thieves:
            self.begin_cut(now, chosen)
        return None

    def _to_give(self, steal: StealOrder, own: int) -> tuple[tuple[tuple[int, ...], ...], int]:
        thieves = steal.thieves
        if self.waiting:
            give = self._oldest(sum(thieves), own)
            if not give or self.estimate.seconds(self._depth(n) for n in give) < WORTH:
                return (), 0
            groups: list[list[int]] = [[] for _ in thieves]
            for n in give:
                least = min(range(len(thieves)), key=lambda i: len(groups[i]) / max(1, thieves[i]))
                groups[least].append(n)
            chosen = tuple(tuple(group) for group in groups if group)
            return chosen, len(chosen)
        for wide in self.wide.values():
            given = wide.giveable(len(thieves))
            if given and not self.options.names_only:
                return tuple(tuple(item.n for item in group) for group in given), len(given)
        return (), 0

    def _oldest(self, thieves: int, own: int) -> list[int]:
        """The oldest of what waits, at least one; known items alone if they will do.

        A half for one thief with as many workers; each gets what its workers are worth.
        """
        share = thieves / (thieves + own)
        count = max(1, round(len(self.waiting) * share))
        if not self.tasks:
            count = min(count, len(self.waiting) - 1)
        oldest = [n for i, n in enumerate(self.waiting) if i < count]
        known = [n for n in oldest if n in self.known]
        if self.stores_rows and known and self.estimate.seconds(map(self._depth, known)) >= WORTH:
            return known
        return oldest

    def _depth(self, n: int) -> int:
        path = self.items[n].path
        return path.count(b"/") + 1 if path else 0
