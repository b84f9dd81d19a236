"""The walker agent's shell: moves frames between the broker, the core and the pool."""

import logging
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

from zfs_walk.agents.connection import Connection
from zfs_walk.agents.events import (
    Connected,
    Drain,
    Exit,
    Note,
    Reconnect,
    Send,
    SetLogLevel,
    Tick,
    Welcomed,
)
from zfs_walk.agents.vitals import Vitals
from zfs_walk.agents.walker.core import AgentCore, AgentSettings
from zfs_walk.agents.walker.events import (
    Delete,
    Dismiss,
    Event,
    FreeSpool,
    FromPool,
    Hurry,
    Instruction,
    Spawn,
    Tell,
)
from zfs_walk.agents.walker.pool import Nursery, Pool
from zfs_walk.agents.walker.tasks import Listed, Logged, Walked
from zfs_walk.agents.walker.worker import SEGMENTS
from zfs_walk.agents.walker.worker_log import log_for_worker
from zfs_walk.bus.ends import Waiter
from zfs_walk.bus.loghandler import LogHandler
from zfs_walk.bus.logrecord import set_level
from zfs_walk.bus.sockets import Bus
from zfs_walk.bus.status import publish_status
from zfs_walk.bus.wake import Wake
from zfs_walk.protocol.messages import MOST_WORKERS
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
        self._log = log
        self._pool = Pool(nursery, bus, dir_timeout)
        self._core = AgentCore(settings, time.monotonic())
        self._waiter = Waiter()
        self._connection = Connection(bus, endpoint, settings.identity, self._waiter, LOG, log)
        self._wake = Wake()
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
            if self._exit is not None:
                failure = self._connection.failure(self._exit, self._patience)
                if failure is not None:
                    raise failure
        finally:
            self._connection.close()
            self._pool.close()
            self._wake.close()

    def _turn(self, pulse: Callable[[float], float]) -> None:
        now = time.monotonic()
        pulse_due = pulse(now)
        if self._connection.due is not None and now >= self._connection.due:
            self._connect()
        events = self._collect(now)
        for event in events:
            self._carry_out(self._core.handle(event, now))
            if self._exit is not None:
                return
        self._connection.flush()
        if len(events) > 1:
            return
        due = min(self._core.next_deadline(now), pulse_due)
        if self._connection.due is not None:
            due = min(due, self._connection.due)
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
        events.extend(self._connection.receive())
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

    def _connect(self) -> None:
        self._connection.open()
        if not self._greeted:
            self._greeted = True
            self._hello_at = time.monotonic()
        self._carry_out(self._core.handle(Connected(), time.monotonic()))

    def _carry_out(self, instructions: list[Instruction]) -> None:  # noqa: C901, PLR0912 -- one case each
        for instruction in instructions:
            match instruction:
                case Send(message):
                    self._connection.send(message)
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
                    self._connection.give_up(delay)
                case Note(level, text):
                    LOG.log(level, "%s", text)
                case Welcomed():
                    self._connection.welcomed(instruction)
                case SetLogLevel(level, logger):
                    set_level(level, logger)
                case Exit():
                    self._exit = instruction


def delete_segments(catalog: bytes, names: tuple[str, ...]) -> None:
    """Delete segments that no applied commit lists; what can't be goes with the manifest."""
    folder = Path(os.fsdecode(catalog)) / SEGMENTS
    for name in names:
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            LOG.warning("%s was not deleted: %s", folder / name, error.strerror)
