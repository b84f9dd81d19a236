"""The walker agent's shell: moves frames between the broker, the core and the pool."""

import dataclasses
import logging
import math
import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from zfs_walk.agents.core import AgentCore, AgentSettings
from zfs_walk.agents.events import (
    Connected,
    Delete,
    Dismiss,
    Drain,
    Event,
    Exit,
    FreeSpool,
    FromBroker,
    FromPool,
    Hurry,
    Instruction,
    Note,
    Reconnect,
    Send,
    SetLogLevel,
    Spawn,
    Tell,
    Tick,
    Welcomed,
)
from zfs_walk.agents.pool import Nursery, Pool
from zfs_walk.agents.tasks import Listed, Logged, Walked
from zfs_walk.agents.vitals import Vitals
from zfs_walk.agents.worker import SEGMENTS
from zfs_walk.agents.worker_log import log_for_worker
from zfs_walk.bus.complaints import Complaints
from zfs_walk.bus.endpoints import reachable
from zfs_walk.bus.ends import Dealer, Sent, Waiter
from zfs_walk.bus.loghandler import LogHandler
from zfs_walk.bus.logrecord import set_level
from zfs_walk.bus.sockets import Bus
from zfs_walk.bus.status import publish_status
from zfs_walk.bus.wake import Wake
from zfs_walk.errors import (
    HandshakeError,
    NoBrokerError,
    ProcessDiedError,
    RefusedError,
    VersionRefusedError,
)
from zfs_walk.protocol.codec import BUS, MAJOR, MalformedError, UnsupportedError, WrongMajorError
from zfs_walk.protocol.messages import MOST_WORKERS, PROTO_MAX
from zfs_walk.protocol.statistics import WalkerStatistics, WorkerStatistics

LOG = logging.getLogger("zfs_walk.walker")

MESSAGES = 1_000
"""Messages of workers that are taken in a row: heartbeats do not wait for workers that say much."""

VITALS_EVERY = 1.0
"""Seconds between two looks at memory, CPU and hung workers."""


class AgentLoop:
    """One walker agent; `run` until it has drained."""

    def __init__(  # noqa: PLR0913, PLR0917 -- what an agent is made of
        self,
        nursery: Nursery,
        bus: Bus,
        endpoint: str,
        settings: AgentSettings,
        dir_timeout: float = 300.0,
        log: LogHandler | None = None,
    ) -> None:
        """Bind to the workers' folder; nothing is started yet.

        Args:
            nursery: page, spool and zygote, made before the context.
            bus: this process's context.
            endpoint: of the broker.
            settings: who the agent is and how patient.
            dir_timeout: seconds that one directory may take.
            log: what numbers and publishes this process's log records; None in a private run.
        """
        self._bus = bus
        self._endpoint = endpoint
        self._log = log
        self._pool = Pool(nursery, bus, dir_timeout)
        self._core = AgentCore(settings, time.monotonic())
        self._waiter = Waiter()
        self._complaints = Complaints(LOG)
        self._wake = Wake()
        self._dealer: Dealer | None = None
        self._connect_at: float | None = 0.0
        self._outbox: deque[list[bytes]] = deque()
        self._writing = False
        self._failure = ""
        self._drain = ""
        self._draining = self._stopped = False
        self._exit: Exit | None = None
        self._vitals = Vitals()
        self._tick = Tick()
        self._vitals_at = 0.0
        self._lag_ms = 0
        self._entries = self._rate = 0
        self._patience = settings.patience
        self._greeted = False
        self._hello_at: float | None = None

    def drain(self, reason: str) -> None:
        """Give everything back and leave; may be called from a signal handler or a thread."""
        self._drain = reason
        self._wake.ring()

    def stop(self) -> None:
        """Leave at once, handing nothing back; may be called from another thread."""
        self._stopped = True
        self._wake.ring()

    def statistics(self) -> WalkerStatistics:
        """What the agent knows about itself and its workers."""
        core = self._core.statistics()
        publisher = self._log.publisher if self._log is not None else None
        workers = tuple(
            WorkerStatistics(number, pid, number in core.busy, self._vitals.workers.get(pid, 0))
            for number, pid in self._pool.statistics().items()
        )
        return WalkerStatistics(
            core.health, core.units, core.waiting, core.entries, core.errors,
            self._rate, core.unacked, self._vitals.own, self._tick.cpu_ms, self._lag_ms,
            publisher.published if publisher else 0, publisher.lost if publisher else 0,
            workers[:MOST_WORKERS],
        )  # fmt: skip

    @property
    def live(self) -> bool:
        """The broker has welcomed this agent, and answers."""
        return self._core.link.live

    def run(self, pulse: Callable[[float], float] = lambda _now: math.inf) -> None:
        """Work until the drain is over.

        Args:
            pulse: called at each turn with the monotonic time; says when it must be called again.

        Raises:
            NoBrokerError: no broker answers.
            HandshakeError: the broker does not want this key, or is another one.
            VersionRefusedError: the broker speaks another version.
            RefusedError: the broker does not want this agent.
            ProcessDiedError: workers can't live.
        """
        self._waiter.add(self._pool.results)
        self._waiter.add(self._pool.zygote.fileno())
        self._waiter.add(self._wake.fileno())
        try:
            self._carry_out(self._core.start())
            while self._exit is None and not self._stopped:
                self._turn(pulse)
            self._raise_failure(self._exit.failure if self._exit is not None else "")
        finally:
            if self._dealer is not None:
                self._dealer.close()
            self._pool.close()
            self._wake.close()

    def _turn(self, pulse: Callable[[float], float]) -> None:
        now = time.monotonic()
        pulse_due = pulse(now)
        if self._connect_at is not None and now >= self._connect_at:
            self._connect()
        events = self._collect(now)
        for event in events:
            self._carry_out(self._core.handle(event, now))
            if self._exit is not None:
                return
        self._flush_outbox()
        if len(events) > 1:
            return
        due = min(self._core.next_deadline(now), pulse_due)
        if self._connect_at is not None:
            due = min(due, self._connect_at)
        before = time.monotonic()
        timeout = max(0.0, due - before)
        ready = self._waiter.wait(timeout)
        self._lag_ms = max(0, round((time.monotonic() - before - timeout) * 1000))
        if self._wake.fileno() in ready:
            self._wake.clear()

    def _collect(self, now: float) -> list[Event]:
        """Everything that has arrived: results before deaths, and a tick at the end."""
        events: list[Event] = []
        for _ in range(MESSAGES):
            result = self._pool.receive()
            if result is None:
                break
            if isinstance(result, Logged):
                self._logged(result)
                continue
            events.append(FromPool(result))
            if self._hello_at is not None and isinstance(result, Walked | Listed):
                LOG.info("first directory %.3f s after HELLO", now - self._hello_at)
                self._hello_at = None
        events.extend(self._pool.deaths())
        while self._dealer is not None and (frames := self._dealer.receive()) is not None:
            event = self._decode(frames)
            if event is not None:
                events.append(event)
        if self._drain and not self._draining:
            self._draining = True
            LOG.info("handing back what is held: %s", self._drain)
            events.append(Drain(self._drain))
        if now - self._vitals_at >= VITALS_EVERY:
            entries = self._core.statistics().entries
            self._rate = round((entries - self._entries) / (now - self._vitals_at))
            self._entries, self._vitals_at = entries, now
            rss, cpu_ms = self._vitals.look(self._pool.pids())
            self._tick = Tick(rss, cpu_ms, self._lag_ms)
            self._pool.kill_the_hung(now)
            if self._log is not None:
                publish_status(self._log.publisher, self.statistics())
        events.append(self._tick)
        return events

    def _logged(self, message: Logged) -> None:
        """A worker says something; what found no room before it is missing from the numbers."""
        for level, lost in message.skipped:
            if self._log is not None:
                self._log.skip(level, lost)
        log_for_worker(message)

    def _welcomed(self, message: Welcomed) -> None:
        """Publish what was logged so far, and what will be."""
        if self._log is not None:
            publisher = self._log.publisher
            publisher.origin = dataclasses.replace(publisher.origin, session=message.session)
            publisher.connect(reachable(message.endpoints.publish, self._endpoint))
        LOG.info("session %x with the broker at %s", message.session, self._endpoint)

    def _decode(self, frames: list[bytes]) -> FromBroker | None:
        try:
            return FromBroker(BUS.decode(frames))
        except WrongMajorError as error:
            raise VersionRefusedError(
                endpoint=self._endpoint, theirs=f"{error.args[0]}.x", ours=f"{MAJOR}.{PROTO_MAX}"
            ) from error
        except (MalformedError, UnsupportedError) as error:
            self._complaints.say(f"the broker sent something strange: {error}", time.monotonic())
            return None

    def _connect(self) -> None:
        self._connect_at = None
        identity = self._core.settings.identity
        self._dealer = self._bus.dealer(self._endpoint, f"{identity.role}/{identity.host}")
        self._waiter.add(self._dealer)
        self._outbox.clear()
        self._writing = False
        if not self._greeted:
            self._greeted = True
            self._hello_at = time.monotonic()
        self._carry_out(self._core.handle(Connected(), time.monotonic()))

    def _look_at_handshake(self, dealer: Dealer) -> None:
        dealer.handshake.look()
        self._failure = dealer.handshake.reason
        if self._failure:
            text = f"{self._endpoint} can't be spoken to: {self._failure}"
            self._complaints.say(text, time.monotonic())

    def _disconnect(self) -> None:
        if self._dealer is not None:
            self._look_at_handshake(self._dealer)
            self._waiter.remove(self._dealer)
            self._dealer.close()
            self._dealer = None
        self._outbox.clear()

    def _flush_outbox(self) -> None:
        """Send what waits; be woken when there is room for the rest."""
        dealer = self._dealer
        if dealer is None:
            return
        while self._outbox:
            if dealer.send(self._outbox[0]) is not Sent.ACCEPTED:
                break
            self._outbox.popleft()
        if self._writing != bool(self._outbox):
            self._writing = bool(self._outbox)
            self._waiter.until_writable(dealer, wanted=self._writing)

    def _carry_out(self, instructions: list[Instruction]) -> None:  # noqa: C901, PLR0912 -- one case each
        for instruction in instructions:
            match instruction:
                case Send(message):
                    self._outbox.append(BUS.encode(message))
                    self._flush_outbox()
                case Tell(worker, task):
                    self._pool.tell(worker, task)
                case Hurry(worker, level):
                    self._pool.hurry(worker, level)
                case Spawn(worker):
                    self._pool.spawn(worker)
                case Dismiss(worker):
                    self._pool.dismiss(worker)
                case Delete(catalog, names):
                    delete_segments(catalog, names)
                case FreeSpool():
                    self._pool.free_spool()
                case Reconnect(delay):
                    self._disconnect()
                    self._connect_at = time.monotonic() + delay
                case Note(level, text):
                    LOG.log(level, "%s", text)
                case Welcomed():
                    self._welcomed(instruction)
                case SetLogLevel(level, logger):
                    set_level(level, logger)
                case Exit():
                    self._exit = instruction

    def _raise_failure(self, failure: str) -> None:
        if not failure:
            return
        if failure == "no-broker":
            if self._dealer is not None:
                self._look_at_handshake(self._dealer)
            if self._failure:
                raise HandshakeError(endpoint=self._endpoint, reason=self._failure)
            raise NoBrokerError(endpoint=self._endpoint, waited=self._patience)
        code, _, detail = failure.partition(": ")
        if code == "version":
            raise VersionRefusedError(
                endpoint=self._endpoint, theirs=detail, ours=f"{MAJOR}.{PROTO_MAX}"
            )
        if code in {"name-in-use", "superseded", "not-allowed"}:
            raise RefusedError(code=code, detail=detail)
        raise ProcessDiedError(what="this agent", reason=failure)


def delete_segments(catalog: bytes, names: tuple[str, ...]) -> None:
    """Delete segments that no applied commit lists; what can't be goes with the manifest."""
    folder = Path(os.fsdecode(catalog)) / SEGMENTS
    for name in names:
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            LOG.warning("%s was not deleted: %s", folder / name, error.strerror)
