"""The unwalked pieces of a unit: which wait, which are in hand, and which the broker knows."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

from zfs_walk.agents.walker.book import Book, Key
from zfs_walk.agents.walker.parts import WideDirectory
from zfs_walk.protocol.records import DIR, Item


def key_of(item: Item) -> Key:
    """The place of an item, as the book has it."""
    return item.root, item.path, item.part


class Frontier:
    """The items of one unit.

    Attributes:
        items: all of them, by number.
        known: those that the broker knows as of the last sealed commit.
        waiting: numbers of directories that nobody works on, the oldest first.
        risky: numbers of directories that are to be walked alone.
        wide: the wide directories whose parts are here, by root, path and number of parts.
        tasks: what is in hand, by task.
        fresh: items found since the last cut that are still here.
        gone: items of the last cut, or older, that were finished since.
        fresh_bytes: of the paths of ``fresh``, with what an item costs besides.
    """

    def __init__(self, items: Iterable[Item], book: Book) -> None:
        self.known: dict[int, Item] = {item.n: item for item in items}
        self.waiting: deque[int] = deque()
        self.risky: deque[int] = deque()
        self.wide: dict[tuple[int, bytes, int], WideDirectory] = {}
        self.tasks: dict[int, tuple[int, ...]] = {}
        self._book = book
        self._next_n = max(self.known, default=0) + 1
        self.return_to_known()

    def return_to_known(self) -> None:
        """Forget what the broker does not know; numbers are never used again all the same."""
        self.items = dict(self.known)
        self.fresh: dict[int, Item] = {}
        self.gone: list[int] = []
        self.fresh_bytes = 0
        self.waiting.clear()
        self.risky.clear()
        self.wide.clear()
        self.tasks.clear()
        for n in sorted(self.items):
            self.wait(self.items[n])

    # ------------------------------------------------------------------ items

    @property
    def stealable(self) -> int:
        """Items that could be given away now."""
        return len(self.waiting) + sum(len(wide.waiting) for wide in self.wide.values())

    def new(self, kind: int, root: int, path: bytes, part: int = 0, parts: int = 0) -> Item:
        """An item that was just found; it waits for nothing yet."""
        deaths = self._book.deaths.get((root, path, part), 0)
        item = Item(self._next_n, kind, root, path, part, parts, deaths)
        self._next_n += 1
        self.items[item.n] = self.fresh[item.n] = item
        self.fresh_bytes += len(path) + 32
        return item

    def finish(self, n: int) -> Item:
        """An item that is not to be walked any more."""
        item = self.items.pop(n)
        if self.fresh.pop(n, None) is None:
            self.gone.append(n)
        else:
            self.fresh_bytes -= len(item.path) + 32
        return item

    def wait(self, item: Item, *, last: bool = False) -> None:
        """Queue an item: to be walked next, or after everything else."""
        if item.kind == DIR:
            if self._book.risky(key_of(item)):
                self.risky.append(item.n)
            elif last:
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

    def unqueue(self, item: Item) -> None:
        """Take an item out of where it waits."""
        if item.kind == DIR:
            queue = self.risky if self._book.risky(key_of(item)) else self.waiting
            queue.remove(item.n)
        else:
            wide = self.wide[item.root, item.path, item.parts]
            del wide.waiting[item.part]
            self.tidy(wide)

    def leave(self, groups: Iterable[Iterable[int]]) -> None:
        """Items that wait go to somebody else."""
        for group in groups:
            for n in group:
                self.unqueue(self.items[n])
                del self.items[n]

    def oldest(self, count: int) -> list[int]:
        """The directories that have waited longest, without those that a worker died over."""
        numbers = islice(self.waiting, count)
        return [n for n in numbers if not self.died_over(self.items[n])]

    def died_over(self, item: Item) -> bool:
        """True if a worker died over an item: it stays where that is remembered."""
        deaths = self._book.deaths
        return bool(deaths) and key_of(item) in deaths

    def fix(self) -> tuple[tuple[int, ...], tuple[Item, ...]]:
        """What was removed and added since the last time."""
        removed, added = tuple(self.gone), tuple(self.fresh.values())
        self.gone = []
        self.fresh = {}
        self.fresh_bytes = 0
        return removed, added

    def learn(self, removed: Iterable[int], added: Iterable[Item], given: Iterable[int]) -> None:
        """A commit was sealed: this is what the broker knows from now on."""
        known = self.known
        for n in removed:
            del known[n]
        for item in added:
            known[item.n] = item
        for n in given:
            del known[n]

    # ------------------------------------------------------------------ what is in hand

    def held(self) -> Iterator[Item]:
        """Items that workers have."""
        return (self.items[n] for numbers in self.tasks.values() for n in numbers)

    def put_back(self, task: int) -> None:
        """Nothing of a task was done: its items wait again."""
        for n in reversed(self.tasks.pop(task, ())):
            self.wait(self.items[n])
        listed = self.listed_by(task)
        if listed is not None:
            listed.listing = listed.finder = 0

    def listed_by(self, task: int) -> WideDirectory | None:
        """The wide directory that a task lists, if it lists one."""
        return next((wide for wide in self.wide.values() if task and wide.listing == task), None)

    def tidy(self, wide: WideDirectory) -> None:
        """Forget a wide directory of which nothing is here any more."""
        key = (wide.root, wide.path, wide.parts)
        in_hand = any((i.root, i.path, i.parts) == key for i in self.held())
        if not wide.waiting and not wide.listing and not in_hand:
            self.wide.pop(key, None)
