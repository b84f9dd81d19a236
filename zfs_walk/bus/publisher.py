"""Publishes log records and statuses: numbered per topic, never waiting, bounded.

Publishing is best effort. Whoever subscribes sees from the numbers what it has missed.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Final

from zfs_walk.bus.ends import Pub, Sent
from zfs_walk.bus.sockets import PUBLISH_WAIT_MS, Bus
from zfs_walk.errors import WrongUseError
from zfs_walk.protocol.codec import BUS, TooLargeError
from zfs_walk.protocol.messages import LogMark, Message
from zfs_walk.protocol.statistics import Origin
from zfs_walk.protocol.stream import LOG_TOPICS
from zfs_walk.protocol.uploads import ACTION_TOPICS

LOG = logging.getLogger("zfs_walk.publisher")

QUEUE_BYTES: Final = 32 * 2**20
"""Bytes of messages that wait for a broker that is slow, away, or not known yet: a burst of 100,000
records of 300 bytes, 60 MB of memory at most. The next ones are not published, and counted."""

MARK_EVERY: Final = 1.0
"""Seconds between two looks for topics that have grown."""

LOOK_EVERY: Final = 1.0
"""Seconds between two looks whether somebody subscribes what is made on demand."""

EVERYTHING: Final = b""
"""What a relay subscribes; longer topics are what its subscribers have asked for."""

MARKED_TOPICS: Final = (LOG_TOPICS, ACTION_TOPICS)
"""Of a status, the next one shows that one is missing."""

PARTING: Final = 1.0
"""Seconds without progress after which a closing publisher gives up what still waits."""


class Publisher:
    """Publishes for one process; every method may be called from any thread.

    Attributes:
        origin: who publishes; replaced when the session is known.
        published: messages that were handed to ZeroMQ.
        lost: messages that were given a number and could not be published.
    """

    def __init__(self, bus: Bus, endpoint: str, origin: Origin) -> None:
        """Start the thread that owns the socket.

        Args:
            bus: the process's context.
            endpoint: where the broker's relay takes what is published; empty: not known yet, what
                is published waits for `connect`.
            origin: who publishes.
        """
        self.origin = origin
        self.published = 0
        self.lost = 0
        self._bus = bus
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._numbers: dict[bytes, int] = {}
        self._marked: dict[bytes, int] = {}
        self._queue: queue.SimpleQueue[list[bytes] | None] = queue.SimpleQueue()
        self._waiting = 0
        self._moved = threading.Event()
        self._ending: float | None = None
        self._pub: Pub | None = None
        self._look_at = 0.0
        self._thread = threading.Thread(target=self._run, daemon=True, name="publisher")
        self._thread.start()

    def publish(self, topic: bytes, make: Callable[[int], Message]) -> None:
        """Publish a message under the topic's next number, or count it as lost.

        Args:
            topic: of `log_topic`, `status_topic` or `actions_topic`.
            make: makes the message from its number; called at once, also if there is no room.
        """
        with self._lock:
            number = self._numbers.get(topic, 0) + 1
            self._numbers[topic] = number
            message = make(number)
            if self._waiting >= QUEUE_BYTES or self._ending is not None:
                self.lost += 1
                return
            try:
                frames = [topic, *BUS.encode(message)]
            except TooLargeError:
                self.lost += 1
                return
            self._waiting += sum(map(len, frames[2:]))
            self._queue.put(frames)

    def skip(self, topic: bytes, lost: int) -> int:
        """So many messages of a topic were lost before they came here: pass their numbers over.

        Returns:
            The first of these numbers.
        """
        with self._lock:
            last = self._numbers.get(topic, 0)
            self._numbers[topic] = last + lost
            self.lost += lost
            return last + 1

    def pass_over(self, topic: bytes) -> None:
        """Use up a number: what happened since the last one was not made, as nobody wanted it."""
        with self._lock:
            self._numbers[topic] = self._numbers.get(topic, 0) + 1

    def wants(self, topic: bytes) -> bool:
        """Whether somebody subscribes this topic, as of at most a second ago.

        Only the relay's subscribers of topics that are made on demand are known here.
        """
        pub = self._pub
        return pub is not None and any(topic.startswith(each) for each in pub.wanted if each)

    def connect(self, endpoint: str) -> None:
        """Publish at this endpoint from now on; nothing changes if it is the same."""
        if endpoint != self._endpoint:
            self._endpoint = endpoint
            self._moved.set()
            self._queue.put(None)

    def close(self) -> None:
        """Publish what waits, unless the broker takes nothing any more, and end."""
        with self._lock:
            if self._ending is None:
                self._ending = time.monotonic() + PARTING
        self._queue.put(None)
        if not self._endpoint:
            # It waits for one.
            self._moved.set()
        self._thread.join()

    # ------------------------------------------------------------------ the thread

    def _run(self) -> None:
        mark_at = 0.0
        while not self._over():
            if not self._ready():
                continue
            wait = max(0.0, mark_at - time.monotonic())
            try:
                frames = self._queue.get(timeout=wait)
            except queue.Empty:
                frames = None
            if frames is not None:
                with self._lock:
                    self._waiting -= sum(map(len, frames[2:]))
                self._send(frames)
            now = time.monotonic()
            if now >= mark_at and self._mark():
                mark_at = now + MARK_EVERY
        if self._pub is not None:
            self._mark()
            self._pub.part()

    def _over(self) -> bool:
        """It is to end, and nothing waits any more, or for too long."""
        if self._ending is None:
            return False
        return not self._endpoint or self._queue.empty() or time.monotonic() > self._ending

    def _ready(self) -> bool:
        """Connect where it should be; True once the relay listens there."""
        if self._endpoint and (self._moved.is_set() or self._pub is None):
            self._moved.clear()
            if self._pub is not None:
                self._pub.close()
            self._pub = self._open()
        pub = self._pub
        if pub is None:
            self._moved.wait(PUBLISH_WAIT_MS / 1000)
            return False
        # What is handed over after that would wait where nobody counts it.
        lost = pub.lost_connection()
        if lost or time.monotonic() >= self._look_at:
            # At once: what was subscribed meanwhile is not to be taken for lost the next time.
            self._look_at = time.monotonic() + LOOK_EVERY
            pub.look(0.0)
        if EVERYTHING not in pub.wanted:
            pub.look(PUBLISH_WAIT_MS / 1000)
            # The relay may be another one, which knows no numbers yet.
            self._marked.clear()
        return EVERYTHING in pub.wanted

    def _open(self) -> Pub | None:
        try:
            return self._bus.pub(self._endpoint)
        except WrongUseError as error:
            self._endpoint = ""
            LOG.warning("nothing is published: %s", error)
            return None

    def _send(self, frames: list[bytes]) -> None:
        """Hand a message to ZeroMQ; while the relay takes none, the queue fills, then drops."""
        pub = self._pub
        while pub is not None and not self._moved.is_set():
            if pub.send_waiting(frames) is Sent.ACCEPTED:
                self.published += 1
                if self._ending is not None:
                    self._ending = time.monotonic() + PARTING
                return
            if self._ending is not None and time.monotonic() > self._ending:
                break
        with self._lock:
            self.lost += 1

    def _mark(self) -> bool:
        """Tell the last number of topics that have grown; False: not now.

        Only while nothing waits: a number must not overtake its record.
        """
        with self._lock:
            if not self._queue.empty():
                return False
            numbers = {
                topic: number
                for topic, number in self._numbers.items()
                if topic.startswith(MARKED_TOPICS) and number != self._marked.get(topic)
            }
            origin = self.origin
        for topic, number in numbers.items():
            if self._pub is not None:
                self._pub.send_waiting([topic, *BUS.encode(LogMark(origin, number))])
        self._marked.update(numbers)
        return True
