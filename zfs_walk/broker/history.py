"""What was published lately: a ring of log records, and the last status of every agent.

The relay's thread adds, the broker's core reads; one lock.
"""

import threading
from collections import deque
from typing import Final

from zfs_walk.protocol.messages import LogRecord, WalkerStatus

RING_BYTES: Final = 32 * 2**20
"""Bytes of encoded log records that are kept: about 80,000 records of 400 bytes, so that a burst of
100,000 short ones can be read back almost whole, and a broker stays below 100 MB."""

FORGET_STATUS: Final = 60 * 10**9
"""Nanoseconds after which the status of a publisher that says nothing more is dropped."""


class History:
    """Bounded memory of the stream; every method may be called from any thread."""

    def __init__(self, ring_bytes: int = RING_BYTES) -> None:
        """Remember nothing yet.

        Args:
            ring_bytes: of encoded records that are kept at most.
        """
        self._lock = threading.Lock()
        self._most = ring_bytes
        self._ring: deque[tuple[LogRecord, int]] = deque()
        self._bytes = 0
        self._added = 0
        self._statuses: dict[str, WalkerStatus] = {}

    def add_log(self, record: LogRecord, size: int) -> None:
        """Remember a record of ``size`` encoded bytes, and forget the oldest beyond the bound."""
        with self._lock:
            self._ring.append((record, size))
            self._bytes += size
            self._added += 1
            while self._bytes > self._most:
                _, gone = self._ring.popleft()
                self._bytes -= gone

    def logs(
        self, since_ns: int, after: int, limit: int
    ) -> tuple[tuple[LogRecord, ...], int, int, bool]:
        """Records of ``since_ns`` or later, after number ``after``, at most ``limit``.

        Returns:
            The records, the number to go on after, how many after ``after`` the ring has lost, and
            whether there are more.
        """
        with self._lock:
            first = self._added - len(self._ring) + 1
            lost = max(0, first - after - 1) if after else 0
            found: list[LogRecord] = []
            number = max(after, first - 1)
            for index in range(number - first + 1, len(self._ring)):
                if len(found) == limit:
                    return tuple(found), number, lost, True
                number += 1
                record = self._ring[index][0]
                if record.time_ns >= since_ns:
                    found.append(record)
            return tuple(found), number, lost, False

    def add_status(self, status: WalkerStatus) -> None:
        """Remember an agent's last status."""
        with self._lock:
            self._statuses[status.origin.publisher] = status

    def statuses(self, now_ns: int) -> tuple[WalkerStatus, ...]:
        """The last status of every publisher that has spoken lately.

        Args:
            now_ns: nanoseconds since the epoch.
        """
        with self._lock:
            self._statuses = {
                publisher: status
                for publisher, status in self._statuses.items()
                if now_ns - status.time_ns < FORGET_STATUS
            }
            return tuple(self._statuses.values())

    def counts(self) -> tuple[int, int, int]:
        """Log records that came through, and how many and how many bytes of them are kept."""
        with self._lock:
            return self._added, len(self._ring), self._bytes
