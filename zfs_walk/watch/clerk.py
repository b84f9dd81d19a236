"""What follows from what was seen: the list is brought up to date, and what is to be done next.

A core. It is told events, looks and listings, keeps the `Tree` and the `Settle`, and answers with
names to look at and directories to read. What a poll sees changes nothing by itself: a difference
is a suspicion, and the name is looked at a moment later. So an event that was only late still gets
the credit, and a listing that took long does no harm. Only where there are no events at all is a
poll's listing the news.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import assert_never

from zfs_walk.watch.monitor import Event, Looked, Lost, Moved, RootGone, Writing, Written
from zfs_walk.watch.seen import Listing, Looks, Seen
from zfs_walk.watch.settle import By, Due, Settle
from zfs_walk.watch.tree import LINK, WRITING, Tree, above, is_within


@dataclass(slots=True)
class Told:
    """What events mean beyond single names; reasons, empty if there are none.

    Attributes:
        lost: the system lost events.
        gone: the folder is gone.
        check: something happened to the folder itself.
    """

    lost: str = ""
    gone: str = ""
    check: bool = False


@dataclass(slots=True)
class Todo:
    """What follows from looks.

    Attributes:
        forget: directories that are gone, or are others now: nothing of them is watched.
        sweep: directories to read, with what led to it.
    """

    forget: list[bytes] = field(default_factory=list)
    sweep: list[Due] = field(default_factory=list)


class Clerk:
    """Keeps the list of one folder true.

    Args:
        settle: seconds from an event to the look.

    Attributes:
        tree: the list.
        settle: what waits to be looked at.
        events: told by the system; ``lost``: times that it said that it lost some.
        found: by what the changes of the list were found.
    """

    def __init__(self, settle: float) -> None:
        self.tree = Tree()
        self.settle = Settle(settle)
        self.events = 0
        self.lost = 0
        self.found = dict.fromkeys(By, 0)

    def tell(self, events: Iterable[Event], now: float) -> Told:
        """Take events, in their order."""
        told = Told()
        for event in events:
            self.events += 1
            if isinstance(event, Lost):
                self.lost += 1
                told.lost = event.why
            elif isinstance(event, RootGone):
                told.gone = event.why
            elif isinstance(event, Moved):
                self.settle.moved(event.old, event.new, now, directory=event.directory)
            elif not event.path:
                told.check = True
            elif isinstance(event, Looked):
                self.settle.touched(event.path, now)
            elif isinstance(event, Writing):
                self.settle.written_to(event.path, now)
            elif isinstance(event, Written):
                self.settle.closed(event.path, now)
            else:
                assert_never(event)
        return told

    def looked(self, due: Iterable[Due], looks: Looks, now: float) -> Todo:
        """Take what was seen of names that were due."""
        reasons = dict(due)
        todo = Todo()
        for path in looks.failed:
            self.settle.failed(path, reasons[path], now)
        for seen in looks.seen:
            self._see(seen, reasons[seen.path], todo, now)
        # Whoever reads a directory reads what is below it.
        read = {due.path for due in todo.sweep}
        todo.sweep = [due for due in todo.sweep if not is_within(above(due.path), read)]
        return todo

    def _see(self, seen: Seen, by: By, todo: Todo, now: float) -> None:
        path, tree = seen.path, self.tree
        # Nothing is listed in a directory that is not known: it has gone, or it will be read.
        value = None if tree.identity(above(path)) is None else seen.value
        known = tree.identity(path)
        if known is not None and (value is None or not seen.directory or value != known):
            todo.forget.append(path)
        if value is None:
            files = tree.remove(path)
            # A tree is deleted from its leaves: of most directories nothing is left by then.
            self.settle.gone(path, directory=known is not None and files > 0)
            self._count(by, files)
        elif seen.directory:
            # An event does not say what happened to a directory: its inode may be another
            # directory's by now. What a poll suspects is either new or another one.
            if by is not By.POLL or value != known:
                todo.sweep.append(Due(path, by))
            self._count(by, 1 if tree.file(path) is not None else 0)
            tree.enter(path, value)
        else:
            self._put(path, value, by, now)

    def swept(self, listing: Listing, by: By, now: float) -> list[bytes]:
        """Take a listing of a directory whose watch was set before it was read, or that has none.

        Args:
            listing: the directory, or a piece of it.
            by: what led to it.
            now: the time.

        Returns:
            Names that are not in it any more, which are to be looked at now: one that got another
            name while its directory was read may be there all the same.
        """
        tree = self.tree
        if tree.identity(listing.directory) is None:
            return []
        fresh = next(tree.children(listing.directory), None) is None
        for path, value in listing.directories.items():
            tree.enter(path, value)
        for path, value in listing.files.items():
            self._put(path, value, by, now)
        return [] if fresh else self._missing(listing)

    def compared(self, listing: Listing, now: float) -> None:
        """Take a poll's listing beside events: what is another than in the list is a suspicion."""
        tree = self.tree
        if tree.identity(listing.directory) is None:
            return
        for path, value in listing.files.items():
            known = tree.file(path)
            if known is None or known & ~WRITING != value:
                self.settle.suspected(path, now)
        for path, value in listing.directories.items():
            if tree.identity(path) != value:
                self.settle.suspected(path, now)
        for path in self._missing(listing):
            self.settle.suspected(path, now)

    def _missing(self, listing: Listing) -> list[bytes]:
        if not listing.last:
            return []
        return [path for path in self.tree.children(listing.directory) if path not in listing]

    def _put(self, path: bytes, value: int, by: By, now: float) -> None:
        known = self.tree.file(path)
        changed = known is None or known & ~WRITING != value
        if value & LINK:
            # Events don't tell a link that is made from a file that is opened.
            self.settle.gone(path, directory=False)
            written = False
        else:
            written = self.settle.outcome(path, by, now, changed=changed)
        self.tree.put(path, value | WRITING if written else value)
        self._count(by, changed)

    def _count(self, by: By, changes: int) -> None:
        self.found[by] += changes
