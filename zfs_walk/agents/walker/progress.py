"""What the workers' results and deaths make of a unit's frontier, since its last cut.

No I/O, no clock.
"""

from collections import deque

from zfs_walk.agents.walker.book import FATAL, LISTING, Book
from zfs_walk.agents.walker.cuts import Buffer, fits, is_full
from zfs_walk.agents.walker.estimate import TreeEstimate
from zfs_walk.agents.walker.frontier import Frontier, key_of
from zfs_walk.agents.walker.parts import WideDirectory
from zfs_walk.agents.walker.tasks import Listed, Walked
from zfs_walk.errors import InternalError
from zfs_walk.protocol.messages import Grant
from zfs_walk.protocol.records import DIR, PART, Item, Quarantined


class Progress:
    """A unit's walk.

    Attributes:
        book: deaths and failures by place.
        frontier: what is still to be walked.
        buffer: what was finished since the last cut.
        late: results that did not fit any more into the next commit, in the order they came.
        estimate: what directories promise.
    """

    def __init__(self, grant: Grant) -> None:
        """Begin with what was granted."""
        self.book = Book({key_of(item): item.deaths for item in grant.items if item.deaths})
        self.frontier = Frontier(grant.items, self.book)
        self.buffer = Buffer()
        self.late: deque[Walked] = deque()
        self.estimate = TreeEstimate()
        self._stores_rows = bool(grant.options.catalog)

    @property
    def full(self) -> bool:
        """No more should be begun before the next cut."""
        return bool(self.late) or is_full(self.frontier, self.buffer)

    @property
    def only_risky(self) -> bool:
        """Nothing is left to do but what workers died over."""
        frontier = self.frontier
        if frontier.tasks or frontier.waiting:
            return False
        parts = (item for wide in frontier.wide.values() for item in wide.waiting.values())
        return bool(frontier.risky) or any(self.book.risky(key_of(item)) for item in parts)

    def take_buffer(self) -> Buffer:
        """A cut is made: what was finished until now, and what is late goes into the next one."""
        taken, self.buffer = self.buffer, Buffer()
        return taken

    def take_late(self) -> None:
        """Accept what fits now."""
        while self.late and fits(self.late[0], self.frontier, self.buffer):
            self._accept(self.late.popleft())

    def forget(self) -> None:
        """Go back to what the broker knows, but for what is in the book."""
        self.late.clear()
        self.buffer = Buffer()
        self.frontier.return_to_known()
        for item in list(self.frontier.items.values()):
            if self.book.deadly(key_of(item)):
                self.frontier.unqueue(item)
                self._give_up(item, self._obituary(item))
        for wide in list(self.frontier.wide.values()):
            self._give_up_listing(wide)

    # ------------------------------------------------------------------ results

    def on_walked(self, result: Walked) -> bool:
        """Take a result; False if its task is not in the table (it is too late)."""
        if result.task not in self.frontier.tasks:
            return False
        if self.late or not fits(result, self.frontier, self.buffer):
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
        self.buffer.add(result, stores_rows=self._stores_rows)
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
        self.buffer.quarantined.append(Quarantined(item, reason))

    def _widen(self, result: Walked) -> None:
        """A directory became parts: done 1, found m."""
        root, path = result.wide
        self.buffer.done += 1
        self.buffer.found += result.wide_parts
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
            self.buffer.done += 1
            if item.part == 0:
                for kind in ("vanished",) if result.gone else ("errors", f"errors.{result.kind}"):
                    self.buffer.count(kind)

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
