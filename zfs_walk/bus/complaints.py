"""Log lines that a peer can cause at will."""

import logging
from typing import Final

EVERY: Final = 10.0
"""Seconds between two lines: junk must fill no disk, and a log that nobody reads from its pipe
would stop the process once the pipe is full."""


class Complaints:
    """Says the first of many complaints, and later how many more there were."""

    def __init__(self, log: logging.Logger) -> None:
        """Complain to a logger."""
        self._log = log
        self._next = 0.0
        self._unsaid = 0

    def say(self, text: str, now: float) -> None:
        """Complain, or only count it.

        Args:
            text: what is wrong.
            now: monotonic seconds.
        """
        if now < self._next:
            self._unsaid += 1
            return
        more = f" (and {self._unsaid:,} more before)" if self._unsaid else ""
        self._log.warning("%s%s", text[:500], more)
        self._next, self._unsaid = now + EVERY, 0
