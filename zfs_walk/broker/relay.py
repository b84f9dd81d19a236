"""Fans logs, statuses and lists of files out: XSUB to XPUB, in a thread of the broker's.

What arrives is forwarded first and looked at then; what is broken is dropped from the memory, and
counted. A subscriber whose queue is full misses messages, and nobody waits for it.
"""

import logging
import threading
import time
from collections import OrderedDict
from typing import Final

from zfs_walk.broker.history import History
from zfs_walk.bus.complaints import Complaints
from zfs_walk.bus.ends import Waiter, XPub, XSub
from zfs_walk.bus.sockets import LONGEST_TOPIC, Bus
from zfs_walk.bus.vital import run_vital
from zfs_walk.bus.wake import Wake
from zfs_walk.protocol.codec import BUS, MalformedError, UnsupportedError, WrongMajorError
from zfs_walk.protocol.files import FILE_TOPICS
from zfs_walk.protocol.messages import (
    AgentStatus,
    LogMark,
    LogRecord,
    UploaderActions,
    wire_name,
)
from zfs_walk.protocol.stream import JOINED_TOPICS, LOG_TOPICS, STATUS_TOPICS
from zfs_walk.protocol.uploads import ACTION_TOPICS

LOG = logging.getLogger("zfs_walk.broker.relay")

INSIDE: Final = "inproc://publish"
"""Where the broker's own publisher connects, to a socket of its own: what comes there is its."""

LOG_RECORD: Final = wire_name(LogRecord)
ACTIONS: Final = wire_name(UploaderActions)

FRAMES: Final = 3
"""Topic, magic, header."""

BATCH: Final = 256
"""Messages that are forwarded before subscriptions and orders are looked at."""

MARK_AGAIN: Final = 5.0
"""Seconds after which the last LOG_MARK of every publisher and topic is sent again: a subscriber
whose full queue dropped the last records had no room for their mark either."""

MARKS: Final = 20_000
"""Marks that are remembered, the latest ones: four topics each of 5,000 processes, 10 MB."""

UNBOUND: Final = 0.02
"""Seconds between two tries to bind again what was just unbound."""


class Relay:
    """Forwards what is published; a thread from `start` to `stop`.

    Attributes:
        publish: the endpoint that takes what is published.
        subscribe: where subscribers get it.
        forwarded: messages so far; ``malformed``: of them, not to be understood.
    """

    def __init__(self, bus: Bus, publish: str, subscribe: str, history: History) -> None:
        """Bind both endpoints.

        Raises:
            WrongUseError: one can't be bound.
        """
        self._xsub: XSub = bus.xsub(publish)
        self._inside: XSub = bus.xsub(INSIDE)
        self._xpub: XPub = bus.xpub(subscribe)
        self.publish, self.subscribe = self._xsub.endpoint, self._xpub.endpoint
        self.forwarded = self.malformed = 0
        self._history = history
        self._marks: OrderedDict[tuple[bytes, str], list[bytes]] = OrderedDict()
        self._mark_at = 0.0
        self._complaints = Complaints(LOG)
        self._wake = Wake()
        self._stopping = self._rebind = False
        self._thread = threading.Thread(
            target=run_vital, args=("the relay", self._run), daemon=True, name="relay"
        )

    def start(self) -> None:
        """Forward from now on."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and close the sockets; may be called from any thread."""
        self._stopping = True
        self._wake.ring()
        if self._thread.is_alive():
            self._thread.join()

    def rebind(self) -> None:
        """End every connection and let those come again whose keys are good.

        ZeroMQ can't end one peer's, and asks for keys at the beginning of a connection only.
        Publishers keep what they publish meanwhile; subscribers read back what they missed.
        May be called from any thread; done when the thread comes to it, within moments.
        """
        self._rebind = True
        self._wake.ring()

    # ------------------------------------------------------------------ the thread

    def _run(self) -> None:
        waiter = Waiter()
        for source in (self._xsub, self._inside, self._xpub, self._wake.fileno()):
            waiter.add(source)
        while not self._stopping:
            if self._rebind:
                self._rebind = False
                self._bind_again()
            moved = self._forward(self._inside) + self._forward(self._xsub)
            self._serve_subscribers()
            now = time.monotonic()
            if now >= self._mark_at:
                self._mark_at = now + MARK_AGAIN
                self._mark_again()
            if not moved and self._wake.fileno() in waiter.wait(self._mark_at - now):
                self._wake.clear()
        # What was said last, the broker's own goodbye among it, still goes out.
        while self._forward(self._inside) + self._forward(self._xsub):
            pass
        self._xsub.close()
        self._inside.close()
        self._xpub.part()
        self._wake.close()

    def _forward(self, source: XSub) -> int:
        """Forward what has come, at most a batch; returns how much it was."""
        receive, send = source.receive, self._xpub.send
        for number in range(BATCH):
            frames = receive()
            if frames is None:
                return number
            if frames[0].startswith(FILE_TOPICS):
                self._forward_files(frames, source)
            elif len(frames) != FRAMES:
                self._drop(f"{len(frames)} frames, {FRAMES} wanted")
            elif len(frames[0]) > LONGEST_TOPIC:
                self._drop(f"a topic of {len(frames[0]):,} bytes")
            else:
                send(frames)
                self.forwarded += 1
                self._remember(frames)
        return BATCH

    def _forward_files(self, frames: list[bytes], source: XSub) -> None:
        """Lists of files are the broker's word: whoever else publishes there is not heard."""
        if source is self._inside:
            self._xpub.send(frames)
            self.forwarded += 1
        else:
            self._drop("lists of files, which only the broker publishes")

    def _remember(self, frames: list[bytes]) -> None:
        topic, magic, header = frames
        try:
            if topic.startswith(LOG_TOPICS):
                if BUS.type_of((magic, header)) == LOG_RECORD:
                    self._history.add_log(magic, header, time.time_ns())
                else:
                    self._remember_mark(topic, frames)
            elif topic.startswith(ACTION_TOPICS):
                if BUS.type_of((magic, header)) != ACTIONS:
                    self._remember_mark(topic, frames)
            elif topic.startswith(STATUS_TOPICS):
                status = BUS.decode((magic, header))
                if isinstance(status, AgentStatus):
                    self._history.add_status(status, len(header), time.time_ns())
            else:
                self._drop("no such topic")
        except WrongMajorError as error:
            self._drop(f"protocol {error.args[0]}")
        except (MalformedError, UnsupportedError) as error:
            self._drop(str(error))

    def _remember_mark(self, topic: bytes, frames: list[bytes]) -> None:
        mark = BUS.decode(frames[1:])
        if isinstance(mark, LogMark):
            self._marks[topic, mark.origin.publisher] = frames
            self._marks.move_to_end((topic, mark.origin.publisher))
            if len(self._marks) > MARKS:
                self._marks.popitem(last=False)

    def _mark_again(self) -> None:
        for frames in self._marks.values():
            self._xpub.send(frames)

    def _drop(self, why: str) -> None:
        self.malformed += 1
        self._complaints.say(f"something strange was published: {why}", time.monotonic())

    def _serve_subscribers(self) -> None:
        """Tell whoever asks that its subscriptions so far are in effect.

        Of what nobody has subscribed before, or does any more, publishers are told.
        """
        while (frames := self._xpub.receive()) is not None:
            wanted = frames[0]
            begins, topic = wanted[:1], wanted[1:]
            if begins == b"\x01" and topic.startswith(JOINED_TOPICS):
                self._xpub.send([topic])
            elif begins in {b"\x00", b"\x01"} and topic.startswith(ACTION_TOPICS):
                # Made only while somebody wants it: whoever publishes hears of it.
                self._xsub.send(wanted)

    def _bind_again(self) -> None:
        for end in (self._xsub, self._xpub):
            end.unbind()
            while not end.bind_again() and not self._stopping:
                time.sleep(UNBOUND)
