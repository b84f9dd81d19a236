"""Stops all transfers while none can succeed, and finds out when they can. A core.

It begins open: nothing is sent before a probe has passed. Times are seconds of any clock that only
goes forward.
"""

from typing import Final

from zfs_walk.mirror.retry import Backoff

UNREACHABLE: Final = Backoff(first=1.0, most=30.0)
"""A server that is back is found within half a minute, and one that starts is not overrun."""

REFUSED: Final = Backoff(first=10.0, most=300.0)
"""What somebody must put right takes longer, and a server may lock out who asks too often."""

_LEAST: Final = 0.5
"""Seconds between two probes at least: the jitter may come out as nothing."""


class Breaker:
    """Whether transfers may begin.

    Args:
        now: the time.

    Attributes:
        trouble: why they may not; empty: they may, or nothing is known yet.
        since: when the trouble began.
    """

    def __init__(self, now: float) -> None:
        self.trouble = ""
        self.since = now
        self._closed = False
        self._probing = False
        self._failures = 0
        self._next = now

    @property
    def closed(self) -> bool:
        """Transfers may begin."""
        return self._closed

    def next(self) -> float | None:
        """When a probe is due; None: none is, or one is going on."""
        return None if self._closed or self._probing else self._next

    def probe(self, now: float) -> bool:
        """Whether the caller is to probe now, and tell `passed` or `failed`."""
        due = self.next()
        if due is None or now < due:
            return False
        self._probing = True
        return True

    def passed(self) -> None:
        """A probe has passed."""
        self.trouble = ""
        self._closed, self._probing, self._failures = True, False, 0

    def failed(self, reason: str, now: float, chance: float, *, again: bool, probe: bool) -> None:
        """A transfer, or a probe, has met a trouble that concerns all.

        Args:
            reason: in words.
            now: the time.
            chance: at least 0, less than 1.
            again: waiting may help; otherwise somebody must put it right.
            probe: it was the probe.
        """
        if not probe and not self._closed:
            return  # transfers of before; the probe knows better
        if self._closed:
            self.since = now
        self.trouble = reason
        self._closed = False
        if probe:
            self._probing = False
        self._failures += 1
        backoff = UNREACHABLE if again else REFUSED
        self._next = now + max(_LEAST, backoff.pause(self._failures, chance))

    def hurry(self, now: float) -> None:
        """Something may have been put right: probe now."""
        self._next = min(self._next, now)
