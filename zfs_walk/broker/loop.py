"""The broker's shell: moves frames between its socket, its core and its journal.

Group commit: what has arrived is handled in one transaction, nothing is waited for, and replies
leave after it. An exception that the core did not foresee ends the loop: the journal makes a
restart cheap, and memory that may be wrong is worse.
"""

import logging
import math
import os
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from zfs_walk import __version__
from zfs_walk.broker.core import BrokerCore
from zfs_walk.broker.events import (
    Event,
    Garbled,
    Instruction,
    Note,
    Publish,
    Received,
    Send,
    SendFailed,
    SetLogLevel,
    Tick,
    Vitals,
)
from zfs_walk.broker.journal import Journal
from zfs_walk.broker.keys import Keyring
from zfs_walk.broker.overview import Published
from zfs_walk.broker.settings import Settings
from zfs_walk.bus.complaints import Complaints
from zfs_walk.bus.ends import Router, Sent, Waiter
from zfs_walk.bus.logrecord import set_level
from zfs_walk.bus.publisher import Publisher
from zfs_walk.bus.status import publish_status
from zfs_walk.bus.vitals import own_cpu_ms, resident_bytes
from zfs_walk.bus.wake import Wake
from zfs_walk.protocol.codec import (
    BUS,
    MAJOR,
    MalformedError,
    TooLargeError,
    UnsupportedError,
    WrongMajorError,
)
from zfs_walk.protocol.messages import Error
from zfs_walk.protocol.statistics import BrokerStatistics

LOG = logging.getLogger("zfs_walk.broker")

GROUP_MESSAGES = 256
VITALS_EVERY = 1.0
"""Seconds between two looks at this process's memory and CPU time."""

GROUP_BYTES = 4 * 2**20
"""What one transaction takes at most (docs/protocol.md rule 11)."""


class BrokerLoop:
    """One broker; `run` until `stop`."""

    def __init__(  # noqa: PLR0913 -- what a broker is made of
        self,
        router: Router,
        journal: Journal,
        settings: Settings,
        *,
        keys: Keyring | None = None,
        history: Published | None = None,
        publisher: Publisher | None = None,
        agents_are_dead: bool = False,
    ) -> None:
        """Open a term.

        Args:
            router: bound.
            journal: opened, locked by this process.
            settings: time limits.
            keys: who may do what; None: whoever can connect may do everything.
            history: what was published lately; None where nothing is.
            publisher: takes the broker's own status; None where nothing is published.
            agents_are_dead: whoever starts this knows that every agent of the last term is.
        """
        self._router = router
        self._journal = journal
        self._core = BrokerCore(
            journal, settings, int(time.time()), time.monotonic(), keys=keys, history=history
        )
        self._waiter = Waiter()
        self._waiter.add(router)
        self._complaints = Complaints(LOG)
        self._wake = Wake()
        self._waiter.add(self._wake.fileno())
        self._stopping = False
        self._publisher = publisher
        self._vitals_at = 0.0
        self._lag_ms = 0
        self.messages = 0
        self.transactions = 0
        if agents_are_dead:
            self._deliver(self._core.end_all_sessions(time.monotonic()))

    def stop(self) -> None:
        """Make `run` return soon; may be called from a signal handler or another thread."""
        self._stopping = True
        self._wake.ring()

    def run(self, pulse: Callable[[float], float] = lambda _now: math.inf) -> None:
        """Serve until `stop`.

        Args:
            pulse: called at each turn with the monotonic time; says when it must be called again.

        Raises:
            JournalError: the journal can't be written; no reply of that transaction has left.
        """
        started = time.thread_time()
        due = 0.0
        try:
            while not self._stopping:
                now = time.monotonic()
                again = pulse(now)
                events: list[Event] = self._collect()
                if now >= due:
                    self._lag_ms = round(1000 * (now - due)) if due else 0
                    events.append(Tick(self._vitals(now)))
                if events:
                    self._handle(events)
                    due = self._core.next_deadline(time.monotonic())
                    continue
                self._waiter.wait(max(0.0, min(due, again) - time.monotonic()))
        finally:
            LOG.info(
                "handled %d messages in %d transactions with %.3f s of CPU",
                self.messages,
                self.transactions,
                time.thread_time() - started,
            )
            self._journal.close()
            self._router.close()
            self._wake.close()

    def statistics(self) -> BrokerStatistics:
        """What the broker knows about itself."""
        return self._core.statistics(time.monotonic())

    def _vitals(self, now: float) -> Vitals | None:
        """Look at this process once a second, and publish what is known."""
        if now < self._vitals_at + VITALS_EVERY:
            return None
        self._vitals_at = now
        if self._publisher is not None:
            publish_status(self._publisher, self.statistics())
        pid = os.getpid()
        return Vitals(
            pid, __version__, time.time_ns() - time.monotonic_ns(), self.messages,
            self.transactions, self._journal.size(), resident_bytes(pid) or 0, own_cpu_ms(),
            self._lag_ms,
        )  # fmt: skip

    def _collect(self) -> list[Event]:
        """What has arrived, within the bounds of one transaction."""
        events: list[Event] = []
        size = 0
        while len(events) < GROUP_MESSAGES and size < GROUP_BYTES:
            arrived = self._router.receive()
            if arrived is None:
                break
            route, user, frames = arrived
            size += sum(map(len, frames))
            events.append(self._decode(route, user, frames))
        self.messages += len(events)
        return events

    def _decode(self, route: bytes, user: str, frames: list[bytes]) -> Event:
        try:
            return Received(route, BUS.decode(frames), user)
        except WrongMajorError as error:
            return Garbled(route, "version", f"you speak {error.args[0]}, this broker {MAJOR}")
        except UnsupportedError as error:
            return Garbled(route, "unsupported", f"unknown message {error.args[0]!r}")
        except MalformedError as error:
            self._complaints.say(f"malformed message: {error}", time.monotonic())
            return Garbled(route, "malformed", str(error)[:4096])

    def _handle(self, events: list[Event]) -> None:
        """Handle events in one transaction, then send."""
        out: list[Instruction] = []
        for event in events:
            out.extend(self._core.handle(event, time.monotonic()))
        self._journal.commit()
        self.transactions += 1
        self._deliver(out)

    def _deliver(self, out: list[Instruction]) -> None:
        self._journal.commit()
        waiting = deque(out)
        while waiting:
            send = waiting.popleft()
            if isinstance(send, SetLogLevel):
                set_level(send.level, send.logger)
                continue
            if isinstance(send, Note):
                LOG.log(send.level, "%s", send.text, extra={"run": send.run})
                continue
            if isinstance(send, Publish):
                if self._publisher is not None:
                    self._publisher.publish(send.topic, partial(send.make, self._publisher.origin))
                continue
            sent = self._send(send)
            if sent is not Sent.ACCEPTED:
                failed = SendFailed(send.route, send.message, gone=sent is Sent.GONE)
                more = self._core.handle(failed, time.monotonic())
                self._journal.commit()
                waiting.extend(more)

    def _send(self, send: Send) -> Sent:
        try:
            frames = BUS.encode(send.message)
        except TooLargeError as error:
            self._complaints.say(f"not sent: {error}", time.monotonic())
            request = getattr(send.message, "request", None)
            if request is None:
                return Sent.FULL
            # Else its client would ask for it again and again.
            frames = BUS.encode(Error("too-large", str(error), request))
        return self._router.send(send.route, frames)
