"""Follows the log stream: reads back, goes on live, without a hole or a repeat, and finds gaps."""

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from zfs_walk.bus.client import Client
from zfs_walk.bus.endpoints import reachable
from zfs_walk.bus.ends import Sub, Waiter
from zfs_walk.bus.gaps import Gap, Gaps
from zfs_walk.bus.sockets import Bus
from zfs_walk.errors import NoBrokerError, RefusedError
from zfs_walk.protocol.codec import BUS, MalformedError, UnsupportedError, WrongMajorError
from zfs_walk.protocol.messages import LEVELS, LogMark, LogPage, LogRecord, LogSince
from zfs_walk.protocol.statistics import Origin
from zfs_walk.protocol.stream import JOINED_TOPICS

PAGE: Final = 500
"""Records that are asked for at once."""

OVERLAP: Final = 5 * 10**9
"""Nanoseconds that are read back from before a connection broke: clocks differ. Repeats are known
by their numbers."""

LOOK_UP: Final = 0.5
"""Seconds after which a follower looks whether its connection still stands."""

JOIN: Final = 5.0
"""Seconds that subscriptions may take; then a fresh socket is tried."""


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


class Follower:
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
        self._bus, self._client, self._wanted = bus, client, wanted
        self._say, self._pause = say, pause
        self._gaps = Gaps()
        self._early: list[list[bytes]] = []
        self._upto_ns = time.time_ns()

    def follow(self, since_ns: int | None) -> Iterator[LogRecord | Gap]:
        """Records, and gaps where they are missing.

        Args:
            since_ns: read back from then, in nanoseconds since the epoch; None: begin now.

        Raises:
            NoBrokerError: there was none from the beginning; one that goes away is waited for.
            RefusedError: the broker publishes nothing.
        """
        self._client.greet()
        while True:
            sub, topic = self._subscribe()
            live = False
            try:
                if self._joined(sub, topic):
                    if since_ns is not None:
                        yield from self._read_back(since_ns)
                    # Until now, what was asked for is asked for again.
                    live = True
                    yield from self._live(sub)
            except NoBrokerError:
                pass
            finally:
                sub.close()
            if live:
                since_ns = self._upto_ns - OVERLAP
            self._again()

    def _subscribe(self) -> tuple[Sub, bytes]:
        announced = self._client.endpoints.subscribe
        if not announced:
            raise RefusedError(code="no-stream", detail="nothing is published on this bus")
        joined = JOINED_TOPICS + secrets.token_hex(8).encode()
        topics = [*self._wanted.topics(), joined]
        return self._bus.sub(reachable(announced, self._client.endpoint), topics), joined

    def _joined(self, sub: Sub, topic: bytes) -> bool:
        """Wait until the subscriptions are in effect; what comes meanwhile waits its turn."""
        waiter = Waiter()
        waiter.add(sub)
        until = time.monotonic() + JOIN
        self._early.clear()
        while time.monotonic() < until:
            frames = sub.receive()
            if frames == [topic]:
                return True
            if frames is None:
                self._pause()
                waiter.wait(LOOK_UP)
            else:
                self._early.append(frames)
        return False

    def _read_back(self, since_ns: int) -> Iterator[LogRecord | Gap]:
        after, more = 0, True
        while more:
            page = self._page(since_ns, after)
            for record in page.records:
                yield from self._take(record.level, record)
            after, more = page.next, page.more

    def _page(self, since_ns: int, after: int) -> LogPage:
        page: LogPage = self._client.ask(
            lambda name, until: LogSince(name, until, since_ns, after, PAGE)
        )
        return page

    def _live(self, sub: Sub) -> Iterator[LogRecord | Gap]:
        waiter = Waiter()
        waiter.add(sub)
        for early in self._early:
            yield from self._decode(early)
        self._early.clear()
        silent_ns = 0
        while True:
            frames = sub.receive()
            if frames is not None:
                silent_ns = 0
                yield from self._decode(frames)
                continue
            if sub.lost_connection():
                return
            # Whoever was stopped for long hears of a broken connection a moment after the last
            # record: only silence that lasted means that there was nothing.
            self._upto_ns = max(self._upto_ns, silent_ns)
            silent_ns = time.time_ns()
            self._pause()
            waiter.wait(LOOK_UP)

    def _decode(self, frames: list[bytes]) -> Iterator[LogRecord | Gap]:
        try:
            message = BUS.decode(frames[1:])
        except (MalformedError, UnsupportedError, WrongMajorError):
            return
        if isinstance(message, LogRecord):
            yield from self._take(message.level, message)
        elif isinstance(message, LogMark):
            yield from self._take(frames[0].split(b".", 2)[1].decode(errors="replace"), message)

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

    def _again(self) -> None:
        """Wait for the broker, or the next one; its socket and its term may be new."""
        self._say(f"lost the broker at {self._client.endpoint}; waiting for it")
        while True:
            self._client.close()
            try:
                self._client.greet()
            except NoBrokerError:
                continue
            self._say(f"the broker is there again (term {self._client.term})")
            return
