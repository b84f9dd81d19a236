"""What a handler asks before it deletes anything on the other side."""

import logging
from collections.abc import Collection
from threading import Lock
from time import monotonic

from zfs_walk.mirror.guard import Guard
from zfs_walk.mirror.journal import Journal

_log = logging.getLogger("zfs_walk.mirror")


class Gate:
    """Asks the guard, with what the journal knows. Any thread may use it.

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
