"""When operations are meant to begin. No clock: the caller has it."""

from typing import Final

_NS: Final = 1_000_000_000


class Pace:
    """A schedule that does not wait for anybody.

    An operation that is late does not move those after it, so latencies that are counted from the
    intended start tell of a stall to all that it kept waiting.

    Args:
        rate: operations a second; 0: no limit.
        bandwidth: bytes a second; 0: no limit.
        ramp: seconds in which both rise evenly from nothing.
    """

    def __init__(self, rate: float, bandwidth: int, ramp: float) -> None:
        self._rate = rate
        self._bandwidth = bandwidth
        self._ramp = ramp
        self._begun = 0
        self._seconds = 0.0

    def begin(self, now: int) -> None:
        """The first operation is due now, in nanoseconds."""
        self._begun = now
        self._seconds = 0.0

    @property
    def due(self) -> int:
        """When the next operation is meant to begin, in nanoseconds."""
        return self._begun + round(self._after(self._seconds) * _NS)

    def spend(self, size: int) -> None:
        """An operation of so many bytes has its turn."""
        # At full speed it would take so long until the next one.
        by_rate = 1 / self._rate if self._rate else 0.0
        by_size = size / self._bandwidth if self._bandwidth else 0.0
        self._seconds += max(by_rate, by_size)

    def _after(self, seconds: float) -> float:
        """Seconds until as much is done as ``seconds`` at full speed are.

        While the speed rises evenly over the ramp r, t**2 / (2 r) is done after t.
        """
        if seconds < self._ramp / 2:
            return float((2 * self._ramp * seconds) ** 0.5)
        return seconds + self._ramp / 2
