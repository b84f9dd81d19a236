"""Deletions that are suspiciously many wait until somebody confirms them.

`Guard` is a core: it is told the time, and what is to be deleted. `Gate` asks it on a handler's
behalf.
"""

import logging
from collections import deque
from collections.abc import Callable, Collection
from threading import Lock
from time import monotonic
from typing import Final

from zfs_walk.mirror.journal import Journal

WINDOW: Final = 600.0
"""Seconds: deletions within so long count together. Longer than any one command of somebody who
deletes by mistake; short enough that a day of ordinary cleaning does not add up."""

RELAX: Final = 60.0
"""Seconds: if by then nothing is held any more, since the files came back, say, the guard lets
deletions go again."""

_log = logging.getLogger("zfs_walk.mirror")


class Guard:
    """Decides about deletions on the other side. Once it has held some, it holds all.

    Args:
        files: up to so many within the window are no danger ...
        percent: ... nor are up to so many percent of what is there.
        window: seconds.

    Attributes:
        doubt: why the folder may be another one than it was; empty: it is that one.
        why: deletions were held; empty: none were since the last `confirm`.
    """

    def __init__(self, files: int, percent: float, window: float = WINDOW) -> None:
        self.doubt = ""
        self.why = ""
        self._files = files
        self._percent = percent
        self._window = window
        self._since = 0.0
        # When, and how many.
        self._allowed: deque[tuple[float, int]] = deque()
        self._recent = 0
        # Of the last that were allowed, those that have not been done yet.
        self._left = 0

    def judge(self, count: int, waiting: Callable[[int], int], indexed: int, now: float) -> str:
        """Why deletions may not be done now; empty: they may.

        Args:
            count: of them.
            waiting: tells how many are to be done now or soon, these among them, up to a number.
            indexed: files that are there, all of these among them.
            now: the time, seconds of any clock that only goes forward.
        """
        if self.doubt or self.why:
            return self.doubt or self.why
        while self._allowed and self._allowed[0][0] <= now - self._window:
            self._recent -= self._allowed.popleft()[1]
            self._left = self._left if self._allowed else 0
        if count <= self._left:
            self._left -= count
            return ""
        of = self._recent + indexed
        most = max(self._files, int(of * self._percent / 100))
        expected = max(count, waiting(most + 1))
        total = self._recent + expected
        if total > most:
            more = "at least " if expected > most else ""
            self.why = f"{more}{total} of {of} files were to be deleted within {self._window:g} s"
            self._since = now
            return self.why
        self._allowed.append((now, expected))
        self._recent += expected
        self._left = expected - count
        return ""

    def relax(self, now: float) -> None:
        """Nothing is held."""
        if now - self._since >= RELAX:
            self.why = ""


class Gate:
    """What a handler asks before it deletes anything. Any thread may.

    Args:
        name: of the mapping, for logs.
        journal: what waits to be deleted, and what is there.
        guard: decides.
    """

    def __init__(self, name: str, journal: Journal, guard: Guard) -> None:
        self._name = name
        self._journal = journal
        self._guard = guard
        self._lock = Lock()
        self._why = ""
        if journal.counts().held:
            guard.why = "deletions were held before the start, and nobody has confirmed them"

    def __call__(self, paths: Collection[bytes], doubt: str) -> str:
        """See `zfs_walk.mirror.handling.Guard`."""
        journal = self._journal
        # What was moved away is not there to be deleted.
        count = sum(journal.entry(path) is not None for path in paths)
        with self._lock:
            if doubt:
                why = doubt
            elif count or self._guard.doubt:
                indexed = journal.entry_count()
                why = self._guard.judge(count, journal.deletions, indexed, monotonic())
            else:
                return ""
            if why and why != self._why:
                _log.warning("%s: deletions wait to be confirmed: %s", self._name, why)
            self._why = why or self._why
        return why

    @property
    def why(self) -> str:
        """Why the last deletions that were held were."""
        with self._lock:
            return self._why or self._guard.why

    def doubt(self, why: str) -> None:
        """The folder may be another one; empty: it is not."""
        with self._lock:
            self._guard.doubt = why

    def confirm(self) -> int:
        """Let go what is held; returns how many."""
        with self._lock:
            self._guard.doubt = self._guard.why = self._why = ""
            return self._journal.confirm()

    def relax(self) -> None:
        """See whether anything is held at all."""
        with self._lock:
            if self._guard.why and not self._journal.counts().held:
                self._guard.relax(monotonic())
