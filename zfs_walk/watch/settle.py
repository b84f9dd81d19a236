"""When to look at which name: bursts become one look, and open files are told from finished ones.

A core: it is given the time (seconds of any clock that only goes forward) and decides; who looks
tells it the outcome.

A name that something happened to is due ``settle`` seconds later, whatever else happens to it until
then. A file that is being written is looked at again at most every `PROGRESS` seconds. It counts as
finished when it is closed, or when nobody says so, when its size and time have not changed for
`QUIET` seconds. That is also how a poll tells the two apart: what it finds new or changed counts as
being written until it has been the same for so long.
"""

from dataclasses import dataclass
from enum import IntEnum
from heapq import heappop, heappush
from typing import Final, NamedTuple

QUIET: Final = 5.0
"""Seconds: the longest pause of a writer that we wait for. Those that stop longer, and tell no one
that they are done, are rarer than readers who would wait in vain."""

PROGRESS: Final = 0.5
"""Seconds: a file that grows is a news item twice a second, not fifty times."""

GRACE: Final = 0.1
"""Seconds between a poll's finding and its look: if an event was only late, it is here by then."""


class By(IntEnum):
    """What led to a look."""

    EVENT = 0
    POLL = 1
    FRESH = 2
    """The first list, or one after the folder was gone: nobody can have noticed anything."""


class Due(NamedTuple):
    """A name to look at now."""

    path: bytes
    by: By


@dataclass(slots=True)
class _Writer:
    """A file that is being written: when it may be looked at, and when it counts as finished."""

    look_at: float
    quiet_at: float


class Settle:
    """The names that wait to be looked at.

    Args:
        settle: seconds from an event to the look.
    """

    def __init__(self, settle: float) -> None:
        self._settle = settle
        self._when: dict[bytes, tuple[float, By]] = {}
        # May hold a name several times; the time in ``_when`` is the one that counts.
        self._heap: list[tuple[float, bytes]] = []
        self._writers: dict[bytes, _Writer] = {}

    @property
    def writing(self) -> int:
        """How many files are being written."""
        return len(self._writers)

    def is_written(self, path: bytes) -> bool:
        """Whether somebody is writing this file."""
        return path in self._writers

    # -- what happened

    def touched(self, path: bytes, now: float) -> None:
        """Something happened to a name."""
        self._by(path, now + self._settle, By.EVENT)

    def written_to(self, path: bytes, now: float) -> None:
        """A file is open, and was written to."""
        writer = self._writers.get(path)
        if writer is None:
            self._writers[path] = _Writer(now + self._settle, now + QUIET)
            self._by(path, now + self._settle, By.EVENT)
        else:
            writer.quiet_at = now + QUIET
            self._by(path, max(now + self._settle, writer.look_at), By.EVENT)

    def closed(self, path: bytes, now: float) -> None:
        """A file that was open for writing is so no more."""
        self._writers.pop(path, None)
        self.touched(path, now)

    def moved(self, old: bytes, new: bytes, now: float, *, directory: bool) -> None:
        """A file or directory has another name: who writes there goes on."""
        self._writers.pop(new, None)
        for path in self._writers_at(old, directory=directory):
            self._writers[new + path[len(old) :]] = self._writers.pop(path)
        self.touched(old, now)
        self.touched(new, now)

    def suspected(self, path: bytes, now: float) -> None:
        """A poll saw something that no event has told."""
        self._by(path, now + max(self._settle, GRACE), By.POLL)

    def failed(self, path: bytes, by: By, now: float) -> None:
        """A look, or a reading, failed for a reason that may pass."""
        self._by(path, now + QUIET, by)

    def gone(self, path: bytes, *, directory: bool) -> None:
        """Nobody writes there any more: it is gone, or no regular file."""
        for written in self._writers_at(path, directory=directory):
            del self._writers[written]

    def _writers_at(self, path: bytes, *, directory: bool) -> list[bytes]:
        if not directory:
            return [path] if path in self._writers else []
        below = path + b"/"
        return [written for written in self._writers if written.startswith(below)]

    def _by(self, path: bytes, when: float, by: By) -> None:
        """Look at a name at this time, or earlier if that has been said."""
        known = self._when.get(path)
        if known is not None:
            by = min(by, known[1])
            if known[0] <= when:
                self._when[path] = known[0], by
                return
        self._when[path] = when, by
        heappush(self._heap, (when, path))

    # -- what is to be done

    def next(self) -> float | None:
        """When the next name is due; None: nothing waits."""
        while self._heap:
            when, path = self._heap[0]
            if self._when.get(path, (None,))[0] == when:
                return when
            heappop(self._heap)
        return None

    def due(self, now: float, limit: int) -> list[Due]:
        """Take the names, at most ``limit``, that are due, the one that waited longest first."""
        taken: list[Due] = []
        while len(taken) < limit:
            when = self.next()
            if when is None or when > now:
                break
            path = heappop(self._heap)[1]
            taken.append(Due(path, self._when.pop(path)[1]))
        return taken

    def outcome(self, path: bytes, by: By, now: float, *, changed: bool) -> bool:
        """A file was looked at; returns whether it is being written.

        Args:
            path: of the file.
            by: what led to the look.
            now: the time.
            changed: its size or time is another than before, or it is new.
        """
        writer = self._writers.get(path)
        if writer is None:
            if not changed or by is not By.POLL:
                return False
            writer = self._writers[path] = _Writer(now, now + QUIET)
        if changed:
            writer.quiet_at = now + QUIET
        elif now >= writer.quiet_at:
            del self._writers[path]
            return False
        writer.look_at = now + PROGRESS
        # If nobody says anything, we look ourselves, and remember who told us of the writer.
        self._by(path, writer.quiet_at, by)
        return True

    def clear(self) -> None:
        """Forget everything."""
        self._when.clear()
        self._heap.clear()
        self._writers.clear()
