"""Keeps a replica of all served lists up to date, in a thread of its own."""

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from zfs_walk.bus.client import Client
from zfs_walk.bus.endpoints import reachable
from zfs_walk.bus.ends import Sub, Waiter
from zfs_walk.bus.sockets import Bus
from zfs_walk.bus.vital import run_vital
from zfs_walk.bus.wake import Wake
from zfs_walk.errors import NoBrokerError, RefusedError, ZfsWalkError
from zfs_walk.lists.events import Answered, Ask, AskClaims, Check, Event, Joined
from zfs_walk.lists.replica import Replica
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
from zfs_walk.protocol.message import Message
from zfs_walk.protocol.stream import JOINED_TOPICS

CHECK: Final = 5.0
"""Seconds between two comparisons with the broker, which find a lost last message."""

BATCH: Final = 100
"""Messages of the stream that are taken between two questions."""

LOOK_UP: Final = 0.5
"""Seconds after which the follower looks whether its connection still stands."""

JOIN: Final = 5.0
"""Seconds that subscriptions may take; then a fresh socket is tried."""

PATIENCE: Final = 10.0
"""Seconds that a question may wait for a broker, before the connection is made anew."""

HIGH_WATER: Final = 2_000
"""Messages of the stream that wait here, of up to 2,000 rows each. What the broker can't get rid of
it drops in the end; then the list is read again."""


class _StoppedError(Exception):
    """The follower is to end."""


class FilesFollower:
    """Follows the lists from `start` to `close`.

    Attributes:
        replica: what is known; to be used with ``lock`` held. Its listeners are called in the
            follower's thread, which holds the lock.
        connected: the stream is being followed at the moment.
        error: what ended the thread before `close`: a key that the broker does not want, say.
    """

    def __init__(  # noqa: PLR0913, PLR0917 -- who asks whom, and whom it tells
        self,
        bus: Bus,
        endpoints: Sequence[str],
        host: str,
        version: str,
        say: Callable[[str], None] = lambda _text: None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """Nothing is connected yet.

        Args:
            bus: the process's context.
            endpoints: the broker's, tried in turn.
            host: this host's name.
            version: of zfs_walk.
            say: takes what a user should know about the connection; called in the thread.
            changed: called in the thread, without the lock, after `replica` may have changed or
                `connected` or `error` have.
        """
        self.replica = Replica()
        self.lock = threading.Lock()
        self.connected = False
        self.error: ZfsWalkError | None = None
        self._bus = bus
        self._client = Client(bus, endpoints, host, version, PATIENCE, self._check)
        self._say, self._changed = say, changed
        self._wake = Wake()
        self._stopping = False
        self._asks: deque[Ask] = deque()
        self._thread = threading.Thread(
            target=run_vital,
            args=("the copy of the file lists", self._run),
            daemon=True,
            name="files",
        )

    def start(self) -> None:
        """Follow from now on."""
        self._thread.start()

    def close(self) -> None:
        """End the thread and its sockets."""
        self._stopping = True
        self._wake.ring()
        if self._thread.is_alive():
            self._thread.join()
        self._wake.close()

    # ------------------------------------------------------------------ the thread

    def _check(self) -> None:
        if self._stopping:
            raise _StoppedError

    def _run(self) -> None:
        try:
            while True:
                self._connect_and_follow()
                self.connected = False
                self._say(f"lost the broker at {self._client.endpoint}; waiting for it")
                self._changed()
        except _StoppedError:
            pass
        except ZfsWalkError as error:
            self.error = error
        finally:
            self.connected = False
            self._client.close()
            self._changed()

    def _connect_and_follow(self) -> None:
        """Follow until the connection is lost."""
        self._client.close()
        try:
            self._client.greet()
        except NoBrokerError:
            return
        sub, joined = self._subscribe()
        try:
            early = self._join(sub, joined)
            if early is not None:
                self._say(f"following the lists of {self._client.endpoint}")
                self._follow(sub, early)
        except NoBrokerError:
            pass
        finally:
            sub.close()

    def _subscribe(self) -> tuple[Sub, bytes]:
        announced = self._client.endpoints.subscribe
        if not announced:
            raise RefusedError(code="no-stream", detail="nothing is published on this bus")
        joined = JOINED_TOPICS + secrets.token_hex(8).encode()
        endpoint = reachable(announced, self._client.endpoint)
        return self._bus.sub(endpoint, [FILE_TOPICS, joined], HIGH_WATER), joined

    def _join(self, sub: Sub, topic: bytes) -> list[list[bytes]] | None:
        """Wait until the subscriptions are in effect; returns what came meanwhile, None if not."""
        waiter = self._waiter(sub)
        until = time.monotonic() + JOIN
        early: list[list[bytes]] = []
        while time.monotonic() < until:
            self._check()
            frames = sub.receive()
            if frames == [topic]:
                return early
            if frames is None:
                waiter.wait(LOOK_UP)
            else:
                early.append(frames)
        return None

    def _follow(self, sub: Sub, early: list[list[bytes]]) -> None:
        waiter = self._waiter(sub)
        self._asks.clear()
        self._handle([Joined()])
        self._handle(_decoded(early))
        self.connected = True
        check_at = time.monotonic() + CHECK
        while True:
            self._check()
            came = self._take(sub)
            now = time.monotonic()
            if now >= check_at:
                check_at = now + CHECK
                self._handle([Check()])
            if self._asks:
                ask = self._asks.popleft()
                self._handle([Answered(ask, self._answer_to(ask))])
            elif not came:
                if sub.lost_connection():
                    return
                waiter.wait(min(LOOK_UP, check_at - now))

    def _take(self, sub: Sub) -> int:
        """Take what the stream has, at most a batch; returns how much it was."""
        came: list[list[bytes]] = []
        while len(came) < BATCH and (frames := sub.receive()) is not None:
            came.append(frames)
        self._handle(_decoded(came))
        return len(came)

    def _handle(self, events: list[Event]) -> None:
        if not events:
            return
        with self.lock:
            for event in events:
                self._asks += self.replica.handle(event)
        self._changed()

    def _answer_to(self, ask: Ask) -> ClaimList | FilePage | None:
        answer: ClaimList | FilePage
        if isinstance(ask, AskClaims):
            answer = self._client.ask(Claims)
            return answer

        def query(name: str, deadline: int) -> Message:
            return FilesQuery(name, deadline, ask.host, ask.path, b"", ask.after, MOST_ROWS)

        try:
            answer = self._client.ask(query)
        except RefusedError:
            # It is not served any more.
            return None
        return answer

    def _waiter(self, sub: Sub) -> Waiter:
        waiter = Waiter()
        waiter.add(sub)
        waiter.add(self._wake.fileno())
        return waiter


def _decoded(came: list[list[bytes]]) -> list[Event]:
    events: list[Event] = []
    for frames in came:
        try:
            message = BUS.decode(frames[1:])
        except (MalformedError, UnsupportedError, WrongMajorError):
            # Of a newer broker: the versions tell what is missing.
            continue
        if isinstance(message, ClaimStatus | FileChanges):
            events.append(message)
    return events
