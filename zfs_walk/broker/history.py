"""What was published lately: a ring of log records, and the last status of every agent.

The relay's thread adds, the broker's core reads; one lock. Records are kept as they came and are
decoded only when somebody reads them back: the relay forwards more of them than Python decodes.
"""

import threading
from bisect import bisect_left
from collections import deque
from itertools import islice
from typing import Final, NamedTuple

from zfs_walk.protocol.codec import BUS, MalformedError, UnsupportedError, WrongMajorError
from zfs_walk.protocol.messages import AgentStatus, LogRecord

RING_BYTES: Final = 32 * 2**20
"""Bytes of encoded log records that are kept: about 100,000 records of 300 bytes, so that a burst
can be read back, and a broker stays below 100 MB."""

RING_RECORDS: Final = 250_000
"""Records that are kept at most: a tiny one costs 300 bytes of objects, too."""

FORGET_STATUS: Final = 60 * 10**9
"""Nanoseconds after which the status of a publisher that says nothing more is dropped."""

STATUS_BYTES: Final = 8 * 2**20
"""Bytes of encoded statuses that are kept: half of what a SNAPSHOT may have. Whoever can publish
may publish under as many names as they like."""


class Kept(NamedTuple):
    """A record as it came: when, and the frames of its message."""

    came_ns: int
    frames: tuple[bytes, bytes]


class LastStatus(NamedTuple):
    """A status: when it came, its encoded size, and what it says."""

    came_ns: int
    size: int
    status: AgentStatus


class History:
    """Bounded memory of the stream; every method may be called from any thread.

    Attributes:
        malformed: records that were kept and turned out to be none when they were read.
    """

    def __init__(self, ring_bytes: int = RING_BYTES) -> None:
        """Remember nothing yet.

        Args:
            ring_bytes: of encoded records that are kept at most.
        """
        self._lock = threading.Lock()
        self._most = ring_bytes
        self._ring: deque[Kept] = deque()
        self._bytes = 0
        self._added = 0
        self._statuses: dict[str, LastStatus] = {}
        self._status_bytes = 0
        self.malformed = 0

    def add_log(self, magic: bytes, header: bytes, now_ns: int) -> None:
        """Remember a record, and forget the oldest beyond the bound.

        Args:
            magic: first frame of its message.
            header: second frame.
            now_ns: nanoseconds since the epoch.
        """
        with self._lock:
            self._ring.append(Kept(now_ns, (magic, header)))
            self._bytes += len(header)
            self._added += 1
            while self._bytes > self._most or len(self._ring) > RING_RECORDS:
                self._bytes -= len(self._ring.popleft().frames[1])

    def logs(
        self, since_ns: int, after: int, limit: int
    ) -> tuple[tuple[LogRecord, ...], int, int, bool]:
        """Records that came at ``since_ns`` or later, after number ``after``, at most ``limit``.

        Returns:
            The records, the number to go on after, how many after ``after`` the ring has lost, and
            whether there are more.
        """
        with self._lock:
            first = self._added - len(self._ring) + 1
            lost = max(0, first - after - 1) if after else 0
            begin = max(after - first + 1, 0)
            # They came in this order; the broker's own clock may have been set back between two.
            begin = max(begin, bisect_left(self._ring, since_ns, key=lambda kept: kept.came_ns))
            kept = list(islice(self._ring, begin, begin + limit))
            more = begin + len(kept) < len(self._ring)
        found = [record for record in map(self._read, kept) if record is not None]
        return tuple(found), first + begin + len(kept) - 1, lost, more

    def _read(self, kept: Kept) -> LogRecord | None:
        try:
            message = BUS.decode(kept.frames)
        except (MalformedError, UnsupportedError, WrongMajorError):
            message = None
        if isinstance(message, LogRecord):
            return message
        self.malformed += 1
        return None

    def add_status(self, status: AgentStatus, size: int, now_ns: int) -> None:
        """Remember an agent's last status, and forget those that are the longest ago if need be.

        Args:
            status: what came.
            size: its bytes on the wire.
            now_ns: nanoseconds since the epoch; the publisher's own clock may be anywhere.
        """
        publisher = status.origin.publisher
        with self._lock:
            self._forget(publisher)
            self._statuses[publisher] = LastStatus(now_ns, size, status)
            self._status_bytes += size
            while self._status_bytes > STATUS_BYTES:
                self._forget(next(iter(self._statuses)))

    def _forget(self, publisher: str) -> None:
        last = self._statuses.pop(publisher, None)
        if last is not None:
            self._status_bytes -= last.size

    def statuses(self, now_ns: int) -> tuple[AgentStatus, ...]:
        """The last status of every publisher that has spoken lately.

        Args:
            now_ns: nanoseconds since the epoch.
        """
        with self._lock:
            for publisher, last in list(self._statuses.items()):
                if now_ns - last.came_ns >= FORGET_STATUS:
                    self._forget(publisher)
            return tuple(last.status for last in self._statuses.values())

    def counts(self) -> tuple[int, int, int]:
        """Log records that came through, and how many and how many bytes of them are kept."""
        with self._lock:
            return self._added, len(self._ring), self._bytes
