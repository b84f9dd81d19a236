"""The full comparison: everything is read again, and what no event has told is noticed."""

from collections.abc import Callable
from time import monotonic

from zfs_walk.watch.seen import Listing
from zfs_walk.watch.sweep import Sweep


class Poll:
    """Reads the whole folder every so often, a slice at a time.

    Args:
        every: seconds from the beginning of one to that of the next; 0: only when events were lost.
        begin: makes a sweep.

    Attributes:
        done: comparisons that are complete; ``took``: seconds that the last one took.
    """

    def __init__(self, every: float, begin: Callable[[], Sweep]) -> None:
        self._every = every
        self._begin = begin
        self._sweep: Sweep | None = None
        self._again = False
        self._began = 0.0
        self._next: float | None = None
        self.done = 0
        self.took = 0.0

    @property
    def running(self) -> bool:
        """One is under way."""
        return self._sweep is not None

    def next(self) -> float | None:
        """When the next one begins; None: never."""
        return self._next

    def schedule(self, now: float) -> None:
        """A whole list is there: a poll is due when the interval is over, if not already."""
        if self._every and self._next is None:
            self._next = now + self._every

    def hurry(self, now: float) -> bool:
        """Events were lost: compare everything now, and what is being compared once more.

        Returns:
            Whether that was not known yet.
        """
        if self.running:
            news, self._again = not self._again, True
        else:
            news = self._next is None or self._next > now
            self._next = now
        return news

    def step(self, now: float) -> list[Listing]:
        """Do one slice, if it is time; returns what it read.

        Raises:
            UnreachableError: the folder is not the one that it was.
            OSError: it is not there.
        """
        if self._sweep is None:
            if self._next is None or now < self._next:
                return []
            self._sweep = self._begin()
            self._sweep.add(b"")
            self._began, self._next, self._again = now, None, False
        listings = self._sweep.step()
        # What can't be read now for a reason that may pass is read the next time.
        self._sweep.failed.clear()
        if self._sweep.done:
            self._end(monotonic())
        return listings

    def _end(self, now: float) -> None:
        self.close()
        self.done += 1
        self.took = now - self._began
        if self._again:
            self._next = now
        elif self._every:
            # A tree that takes longer than the interval must not take all of a processor.
            self._next = max(self._began + self._every, now + min(self.took, self._every))

    def close(self) -> None:
        """Hold nothing open."""
        if self._sweep is not None:
            self._sweep.close()
            self._sweep = None
