"""Deletions that are suspiciously many wait until somebody confirms them.

A core: it is told the time, and what is to be deleted.
"""

from collections import deque
from typing import Final

WINDOW: Final = 600.0
"""Seconds: deletions within so long count together. Longer than any one command of somebody who
deletes by mistake; short enough that a day of ordinary cleaning does not add up."""


class Guard:
    """Decides about deletions on the other side.

    Args:
        files: up to so many within the window are no danger ...
        percent: ... nor are up to so many percent of what is there.
        window: seconds.

    Attributes:
        shut: why nothing at all may be deleted; empty: it may.
    """

    def __init__(self, files: int, percent: float, window: float = WINDOW) -> None:
        self.shut = ""
        self._files = files
        self._percent = percent
        self._window = window
        # When, and how many.
        self._deleted: deque[tuple[float, int]] = deque()
        self._recent = 0

    def why_held(self, count: int, indexed: int, now: float) -> str:
        """Why deletions may not be done now; empty: they may, and count as done.

        Args:
            count: of them.
            indexed: files that are there, these among them.
            now: the time, seconds of any clock that only goes forward.
        """
        if self.shut:
            return self.shut
        while self._deleted and self._deleted[0][0] <= now - self._window:
            self._recent -= self._deleted.popleft()[1]
        total, of = self._recent + count, self._recent + indexed
        if total > self._files and total * 100 > of * self._percent:
            return f"{total} of {of} files were to be deleted within {self._window:g} s"
        self._deleted.append((now, count))
        self._recent += count
        return ""
