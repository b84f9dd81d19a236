"""Deletions that are suspiciously many wait until somebody confirms them.

A core: it is told the time, and what is to be deleted.
"""

from collections import deque
from collections.abc import Collection
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
        self._confirmed: set[bytes] = set()

    def why_held(
        self, paths: Collection[bytes], indexed: int, now: float, *, pending: int = 0
    ) -> str:
        """Why deletions may not be done now; empty: they may, and count as done.

        Args:
            paths: to be deleted now.
            indexed: files that are there, these among them.
            now: the time, seconds of any clock that only goes forward.
            pending: deletions that are to follow at once, these not among them.
        """
        if self.shut:
            return self.shut
        unconfirmed = [path for path in paths if path not in self._confirmed]
        self._confirmed.difference_update(paths)
        if not unconfirmed:
            return ""
        self._expire(now)
        count = self._recent + len(unconfirmed) + pending
        of = indexed + self._recent
        if count > self._files and count * 100 > of * self._percent:
            return f"{count} of {of} files were to be deleted within {self._window:g} s"
        self._deleted.append((now, len(unconfirmed)))
        self._recent += len(unconfirmed)
        return ""

    def confirm(self, paths: Collection[bytes]) -> None:
        """Somebody wants these deletions."""
        self.shut = ""
        self._confirmed.update(paths)

    def _expire(self, now: float) -> None:
        while self._deleted and self._deleted[0][0] <= now - self._window:
            self._recent -= self._deleted.popleft()[1]
