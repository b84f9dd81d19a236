"""Follows topics of the stream, whatever becomes of the connection and of the broker."""

import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Generic, TypeVar

from zfs_walk.bus.client import Client
from zfs_walk.bus.endpoints import reachable
from zfs_walk.bus.ends import Sub, Waiter
from zfs_walk.bus.sockets import Bus
from zfs_walk.errors import NoBrokerError, RefusedError
from zfs_walk.protocol.codec import BUS, MalformedError, UnsupportedError, WrongMajorError
from zfs_walk.protocol.message import Message
from zfs_walk.protocol.stream import JOINED_TOPICS

LOOK_UP: Final = 0.5
"""Seconds after which a follower looks whether its connection still stands."""

JOIN: Final = 5.0
"""Seconds that subscriptions may take; then a fresh socket is tried."""

Item = TypeVar("Item")


class StreamFollower(ABC, Generic[Item]):
    """Yields what messages say, for ever."""

    def __init__(
        self, bus: Bus, client: Client, say: Callable[[str], None], pause: Callable[[], None]
    ) -> None:
        """Nothing is connected yet.

        Args:
            bus: the process's context.
            client: of the broker; the follower's own.
            say: takes what a user should know about the connection.
            pause: called whenever there is nothing more at the moment.
        """
        self._bus, self._client = bus, client
        self._say, self._pause = say, pause
        self._early: list[list[bytes]] = []

    # ------------------------------------------------------------------ what is followed

    @abstractmethod
    def _topics(self) -> Iterable[bytes]:
        """What to subscribe."""

    @abstractmethod
    def _heard(self, topic: bytes, message: Message) -> Iterator[Item]:
        """What a message says."""

    def _joined(self) -> Iterator[Item]:
        """What is to be said first, now that nothing more is missed."""
        return iter(())

    def _lost(self) -> None:
        """What was followed has ended; it begins again with `_joined`."""

    def _silent(self) -> None:
        """There is nothing more at the moment."""

    # ------------------------------------------------------------------ the connection

    def _follow(self) -> Iterator[Item]:
        """Items, for ever.

        Raises:
            NoBrokerError: there was none from the beginning; one that goes away is waited for.
            RefusedError: the broker publishes nothing.
        """
        self._client.greet()
        while True:
            sub, topic = self._subscribe()
            live = False
            try:
                if self._join(sub, topic):
                    yield from self._joined()
                    live = True
                    yield from self._live(sub)
            except NoBrokerError:
                pass
            finally:
                sub.close()
            if live:
                self._lost()
            self._again()

    def _subscribe(self) -> tuple[Sub, bytes]:
        announced = self._client.endpoints.subscribe
        if not announced:
            raise RefusedError(code="no-stream", detail="nothing is published on this bus")
        joined = JOINED_TOPICS + secrets.token_hex(8).encode()
        topics = [*self._topics(), joined]
        return self._bus.sub(reachable(announced, self._client.endpoint), topics), joined

    def _join(self, sub: Sub, topic: bytes) -> bool:
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

    def _live(self, sub: Sub) -> Iterator[Item]:
        waiter = Waiter()
        waiter.add(sub)
        for early in self._early:
            yield from self._decode(early)
        self._early.clear()
        while True:
            frames = sub.receive()
            if frames is not None:
                yield from self._decode(frames)
                continue
            if sub.lost_connection():
                return
            self._silent()
            self._pause()
            waiter.wait(LOOK_UP)

    def _decode(self, frames: list[bytes]) -> Iterator[Item]:
        try:
            message = BUS.decode(frames[1:])
        except (MalformedError, UnsupportedError, WrongMajorError):
            return
        yield from self._heard(frames[0], message)

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
