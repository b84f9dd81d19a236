"""Follows the lists of files: joins their stream, asks for what it did not tell, and goes on."""

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from zfs_walk.bus.client import Client
from zfs_walk.bus.endpoints import reachable
from zfs_walk.bus.ends import Sub, Waiter
from zfs_walk.bus.sockets import Bus
from zfs_walk.errors import NoBrokerError, RefusedError
from zfs_walk.lists.events import Answered, Ask, AskClaims, Check, Event, Joined
from zfs_walk.protocol.codec import BUS, MalformedError, UnsupportedError, WrongMajorError
from zfs_walk.protocol.files import (
    FILE_TOPICS,
    MOST_ROWS,
    ClaimList,
    Claims,
    ClaimStatus,
    FileChanges,
    FilePage,
    FilesQuery,
)
from zfs_walk.protocol.stream import JOINED_TOPICS

LOOK_UP: Final = 0.5
"""Seconds after which a follower looks whether its connection still stands."""

JOIN: Final = 5.0
"""Seconds that subscriptions may take; then a fresh socket is tried."""

CHECK: Final = 2.0
"""Seconds between two comparisons with the broker: a message that was lost shows by then."""


class FilesFollower:
    """Feeds a replica, for ever."""

    def __init__(
        self,
        bus: Bus,
        client: Client,
        handle: Callable[[Event], list[Ask]],
        say: Callable[[str], None],
        pause: Callable[[], None],
    ) -> None:
        """Nothing is connected yet.

        Args:
            bus: the process's context.
            client: of the broker; the follower's own.
            handle: that of the replica.
            say: takes what a user should know about the connection.
            pause: called whenever there is nothing more at the moment.
        """
        self._bus, self._client, self._handle = bus, client, handle
        self._say, self._pause = say, pause
        self._asks: deque[Ask] = deque()

    def follow(self) -> Iterator[None]:
        """Yields whenever an event has been handled.

        Raises:
            NoBrokerError: there was none from the beginning; one that goes away is waited for.
            RefusedError: the broker publishes nothing.
        """
        self._client.greet()
        while True:
            sub, topic = self._subscribe()
            try:
                if self._is_joined(sub, topic):
                    yield from self._live(sub)
            except NoBrokerError:
                pass
            finally:
                sub.close()
            self._again()

    def _subscribe(self) -> tuple[Sub, bytes]:
        announced = self._client.endpoints.subscribe
        if not announced:
            raise RefusedError(code="no-stream", detail="nothing is published on this bus")
        joined = JOINED_TOPICS + secrets.token_hex(8).encode()
        endpoint = reachable(announced, self._client.endpoint)
        return self._bus.sub(endpoint, [FILE_TOPICS, joined]), joined

    def _is_joined(self, sub: Sub, topic: bytes) -> bool:
        """Wait until the subscriptions are in effect; what came before is asked for anyway."""
        waiter = Waiter()
        waiter.add(sub)
        until = time.monotonic() + JOIN
        while time.monotonic() < until:
            frames = sub.receive()
            if frames == [topic]:
                return True
            if frames is None:
                self._pause()
                waiter.wait(LOOK_UP)
        return False

    def _live(self, sub: Sub) -> Iterator[None]:
        waiter = Waiter()
        waiter.add(sub)
        self._asks.clear()
        yield from self._take(Joined())
        check = time.monotonic() + CHECK
        while True:
            frames = sub.receive()
            if frames is not None:
                message = _decode(frames)
                if message is not None:
                    yield from self._take(message)
            elif self._asks:
                ask = self._asks.popleft()
                yield from self._take(Answered(ask, self._answer(ask)))
            elif sub.lost_connection():
                return
            elif time.monotonic() >= check:
                yield from self._take(Check())
                check = time.monotonic() + CHECK
            else:
                self._pause()
                waiter.wait(min(LOOK_UP, check - time.monotonic()))

    def _take(self, event: Event) -> Iterator[None]:
        self._asks.extend(self._handle(event))
        yield

    def _answer(self, ask: Ask) -> ClaimList | FilePage | None:
        try:
            if isinstance(ask, AskClaims):
                claims: ClaimList = self._client.ask(Claims)
                return claims
            page: FilePage = self._client.ask(
                lambda name, until: FilesQuery(
                    name, until, ask.host, ask.path, b"", ask.after, MOST_ROWS
                )
            )
        except RefusedError:
            return None
        return page

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


def _decode(frames: list[bytes]) -> FileChanges | ClaimStatus | None:
    try:
        message = BUS.decode(frames[1:])
    except (MalformedError, UnsupportedError, WrongMajorError):
        return None
    return message if isinstance(message, FileChanges | ClaimStatus) else None
