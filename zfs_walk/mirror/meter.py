"""How many bytes a second pass. A core: the time is given."""

from collections import deque
from typing import Final

WINDOW: Final = 10.0
"""Seconds that a rate is the mean of: steady enough to read, quick enough to believe."""


class Meter:
    """Counts bytes.

    Args:
        now: seconds of a clock that only goes forward.

    Attributes:
        total: bytes since the start.
    """

    def __init__(self, now: float) -> None:
        self.total = 0
        self._start = now
        # The second that they passed in, and how many.
        self._recent: deque[list[int]] = deque()

    def add(self, size: int, now: float) -> None:
        """So many have passed."""
        self.total += size
        second = int(now)
        if self._recent and self._recent[-1][0] == second:
            self._recent[-1][1] += size
        else:
            self._recent.append([second, size])
            self._forget(now)

    def rate(self, now: float) -> float:
        """Bytes a second, in the last `WINDOW` seconds."""
        self._forget(now)
        seconds = min(WINDOW, max(1.0, now - self._start))
        return sum(size for _, size in self._recent) / seconds

    def _forget(self, now: float) -> None:
        while self._recent and self._recent[0][0] <= now - WINDOW:
            self._recent.popleft()
