"""How long one call of a scanner may go on."""

from time import monotonic

from zfs_walk.scan.interface import Budget, Scan
from zfs_walk.scan.loads import TASK


class Allowance:
    """What is left of a budget.

    Args:
        budget: of the call.
        begun: monotonic seconds at which it began.
    """

    def __init__(self, budget: Budget, begun: float) -> None:
        self.budget = budget
        self._entries = budget.entries
        self._deadline = begun + budget.seconds
        self._share_from = begun + budget.least_seconds
        self._hurry = budget.hurry

    def is_over(
        self, scan: Scan, pending: list[tuple[bytes, int, list[bytes]]], untouched: int
    ) -> bool:
        """Whether the call has to come back now."""
        now = monotonic()
        full = len(scan.columns.mode) >= self._entries or scan.load >= TASK
        if now >= self._deadline or full:
            return True
        level = self._hurry[0] if self._hurry is not None else 0
        if level == 1:
            enough = untouched + sum(len(names) for _, _, names in pending) > 1
            return enough and now >= self._share_from
        return level > 1
