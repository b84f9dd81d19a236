"""Whose part is sent next, when several files are sent in parts."""

import heapq
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

Rank = tuple[int, int]
"""The number of an upload, and that of a part: the smallest comes first."""


class Turns:
    """Lets so many parts be sent at a time, of all files together; any thread may use it.

    One file alone is sent as fast as several, and these do not get in each other's way: the upload
    that began first is finished first, so that what the server does at its end is done while the
    next one is sent (bench/upload.py).

    Args:
        most: parts at a time.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._waiting: list[Rank] = []
        self._changed = threading.Condition()
        self._uploads = itertools.count()

    def upload(self) -> int:
        """The number of an upload that begins."""
        return next(self._uploads)

    @contextmanager
    def turn(self, rank: Rank) -> Iterator[None]:
        """Wait for the turn of a part, and have it."""
        with self._changed:
            heapq.heappush(self._waiting, rank)
            self._changed.wait_for(lambda: self._free > 0 and self._waiting[0] == rank)
            heapq.heappop(self._waiting)
            self._free -= 1
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += 1
                self._changed.notify_all()
