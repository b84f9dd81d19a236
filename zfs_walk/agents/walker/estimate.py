"""How much work a directory promises, from what the unit's tree looked like so far."""

from collections.abc import Iterable

UNKNOWN = 1e9
"""Seconds: nothing is known about it, so it counts as worth giving away."""


class TreeEstimate:
    """Directories read and subdirectories found per depth, and the time that a directory takes.

    The expected number of directories below one at depth d is ``S(d) = 1 + found(d) / read(d) *
    S(d + 1)`` (Knuth, Estimating the efficiency of backtrack programs, 1975, with averages in place
    of a random path).
    """

    def __init__(self) -> None:
        self._levels: dict[int, list[int]] = {}
        self._micros = 0
        self._read = 0

    def add(self, levels: Iterable[tuple[int, int, int]], micros: int) -> None:
        """Add a task's (depth, read, found) rows and its duration in microseconds."""
        for depth, read, found in levels:
            level = self._levels.setdefault(depth, [0, 0])
            level[0] += read
            level[1] += found
            self._read += read
        self._micros += micros

    def seconds(self, depths: Iterable[int]) -> float:
        """Expected seconds of one worker for the trees below directories at these depths."""
        if not self._read:
            return UNKNOWN
        sizes: dict[int, float] = {}
        below = 0.0
        for depth in sorted(self._levels, reverse=True):
            read, found = self._levels[depth]
            below = 1.0 + (found / read if read else 0.0) * below
            sizes[depth] = below = min(below, UNKNOWN)
        directories = sum(sizes.get(depth, 1.0) for depth in depths)
        return directories * self._micros / self._read / 1e6
