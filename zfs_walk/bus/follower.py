"""Follows the log stream: reads back, goes on live, without a hole or a repeat, and finds gaps."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from zfs_walk.bus.client import Client
from zfs_walk.bus.gaps import Gap, Gaps
from zfs_walk.bus.sockets import Bus
from zfs_walk.bus.streamfollower import StreamFollower
from zfs_walk.protocol.messages import LEVELS, LogMark, LogPage, LogRecord, LogSince, Message
from zfs_walk.protocol.statistics import Origin

PAGE: Final = 500
"""Records that are asked for at once."""

OVERLAP: Final = 5 * 10**9
"""Nanoseconds that are read back from before a connection broke: clocks differ. Repeats are known
by their numbers."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records; empty: all.

    Attributes:
        level: the lowest.
        role: of the publisher.
        host: of the publisher.
    """

    level: str = "debug"
    role: str = ""
    host: str = ""

    def topics(self) -> list[bytes]:
        """What to subscribe: more than what is wanted where the topics can't tell."""
        below = f"{self.role}.{self.host}" if self.role else ""
        levels = LEVELS[LEVELS.index(self.level) :]
        return [f"log.{level}.{below}".encode() for level in levels]

    def has(self, level: str, origin: Origin) -> bool:
        """Whether it is wanted."""
        return (
            LEVELS.index(level) >= LEVELS.index(self.level)
            and self.role in {"", origin.role}
            and self.host in {"", origin.host}
        )


class Follower(StreamFollower[LogRecord | Gap]):
    """Yields records and gaps, for ever."""

    def __init__(
        self,
        bus: Bus,
        client: Client,
        wanted: Wanted,
        say: Callable[[str], None],
        pause: Callable[[], None],
    ) -> None:
        """Nothing is connected yet.

        Args:
            bus: the process's context.
            client: of the broker; the follower's own.
            wanted: which records.
            say: takes what a user should know about the connection.
            pause: called whenever there is nothing more at the moment.
        """
        super().__init__(bus, client, say, pause)
        self._wanted = wanted
        self._gaps = Gaps()
        self._since_ns: int | None = None
        self._upto_ns = time.time_ns()
        self._silent_ns = 0

    def follow(self, since_ns: int | None) -> Iterator[LogRecord | Gap]:
        """Records, and gaps where they are missing.

        Args:
            since_ns: read back from then, in nanoseconds since the epoch; None: begin now.

        Raises:
            NoBrokerError: there was none from the beginning; one that goes away is waited for.
            RefusedError: the broker publishes nothing.
        """
        self._since_ns = since_ns
        return self._follow()

    def _topics(self) -> list[bytes]:
        return self._wanted.topics()

    def _joined(self) -> Iterator[LogRecord | Gap]:
        self._silent_ns = 0
        if self._since_ns is None:
            return
        after, more = 0, True
        while more:
            page = self._page(self._since_ns, after)
            for record in page.records:
                yield from self._take(record.level, record)
            after, more = page.next, page.more

    def _page(self, since_ns: int, after: int) -> LogPage:
        page: LogPage = self._client.ask(
            lambda name, until: LogSince(name, until, since_ns, after, PAGE)
        )
        return page

    def _lost(self) -> None:
        # Until now, what was asked for is asked for again.
        self._since_ns = self._upto_ns - OVERLAP

    def _silent(self) -> None:
        # Whoever was stopped for long hears of a broken connection a moment after the last
        # record: only silence that lasted means that there was nothing.
        self._upto_ns = max(self._upto_ns, self._silent_ns)
        self._silent_ns = time.time_ns()

    def _heard(self, topic: bytes, message: Message) -> Iterator[LogRecord | Gap]:
        self._silent_ns = 0
        if isinstance(message, LogRecord):
            yield from self._take(message.level, message)
        elif isinstance(message, LogMark):
            yield from self._take(topic.split(b".", 2)[1].decode(errors="replace"), message)

    def _take(self, level: str, message: LogRecord | LogMark) -> Iterator[LogRecord | Gap]:
        if level not in LEVELS or not self._wanted.has(level, message.origin):
            return
        news, gap = self._gaps.take(level, message)
        if gap is not None:
            yield gap
        if news and isinstance(message, LogRecord):
            # A publisher's clock may be ahead of ours.
            self._upto_ns = max(self._upto_ns, min(message.time_ns, time.time_ns()))
            yield message
