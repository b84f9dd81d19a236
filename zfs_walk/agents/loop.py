"""The shell of every agent: a turn of its loop, its socket, its vitals, its end.

A role's loop adds what its core can't do: processes for a walker, watches for a scout.
"""

import logging
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Generic, Protocol, TypeVar

from zfs_walk.agents.connection import Connection
from zfs_walk.agents.events import (
    Common,
    CommonInstruction,
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
from zfs_walk.agents.link import Link
from zfs_walk.agents.vitals import Vitals
from zfs_walk.bus.ends import Waiter
from zfs_walk.bus.loghandler import LogHandler
from zfs_walk.bus.logrecord import set_level
from zfs_walk.bus.sockets import Bus
from zfs_walk.bus.status import publish_status
from zfs_walk.bus.wake import Wake
from zfs_walk.protocol.statistics import AgentStatistics

VITALS_EVERY: Final = 1.0
"""Seconds between two looks at memory and CPU, and two statuses."""

OwnEvent = TypeVar("OwnEvent")
OwnEvent_contra = TypeVar("OwnEvent_contra", contravariant=True)
OwnInstruction = TypeVar("OwnInstruction")
OwnInstruction_co = TypeVar("OwnInstruction_co", covariant=True)


class Core(Protocol[OwnEvent_contra, OwnInstruction_co]):
    """A role's state machine."""

    @property
    def link(self) -> Link:
        """Its session with the broker."""

    def handle(
        self, event: Common | OwnEvent_contra, now: float
    ) -> Sequence[CommonInstruction | OwnInstruction_co]:
        """Take an event, return what is to be done."""

    def next_deadline(self, now: float) -> float:
        """When the next `Tick` is due at the latest."""


class AgentLoop(ABC, Generic[OwnEvent, OwnInstruction]):
    """One agent; `run` until it has drained."""

    def __init__(  # noqa: PLR0913, PLR0917 -- what an agent is made of
        self,
        core: Core[OwnEvent, OwnInstruction],
        bus: Bus,
        endpoints: Sequence[str],
        patience: float,
        log: logging.Logger,
        handler: LogHandler | None,
    ) -> None:
        """Nothing is connected yet.

        Args:
            core: decides what is done.
            bus: this process's context.
            endpoints: of the broker, tried in turn.
            patience: seconds that the agent waits for a first broker, for the error that says so.
            log: the role's logger.
            handler: what numbers and publishes this process's log records; None: nothing does.
        """
        self._core = core
        self._log = log
        self._handler = handler
        self._waiter = Waiter()
        self._connection = Connection(
            bus, endpoints, core.link.identity, self._waiter, log, handler
        )
        self._wake = Wake()
        self._patience = patience
        self._vitals = Vitals()
        self._vitals_at = 0.0
        self._tick = Tick()
        self._lag_ms = 0
        self._hello_at: float | None = None
        self._drain = ""
        self._draining = self._stopped = False
        self._exit: Exit | None = None

    # ------------------------------------------------------------------ what a role adds

    @abstractmethod
    def statistics(self) -> AgentStatistics:
        """What the agent knows about itself."""

    @abstractmethod
    def _begin(self) -> None:
        """Start what the role needs."""

    @abstractmethod
    def _end(self) -> None:
        """End it again; also when it has only half begun."""

    @abstractmethod
    def _own_events(self) -> Iterable[OwnEvent]:
        """What happened to the role since the last turn."""

    @abstractmethod
    def _do(self, instruction: OwnInstruction) -> None:
        """Carry out an instruction of the role's own."""

    def _workers(self) -> Iterable[int]:
        """Process ids whose memory and CPU time count as the agent's."""
        return ()

    def _every_second(self, now: float) -> None:
        """Look at what needs no closer watch."""

    # ------------------------------------------------------------------ for other threads

    def drain(self, reason: str) -> None:
        """Give everything back and leave; may be called from a signal handler or a thread."""
        self._drain = reason
        self._wake.ring()

    def stop(self) -> None:
        """Leave at once, handing nothing back; may be called from another thread."""
        self._stopped = True
        self._wake.ring()

    @property
    def live(self) -> bool:
        """The broker has welcomed this agent, and answers."""
        return self._core.link.live

    @property
    def endpoint(self) -> str:
        """Where the broker is, or is looked for at the moment."""
        return self._connection.endpoint

    @property
    def ready(self) -> bool:
        """It does what it is for."""
        return self.live

    @property
    def doing(self) -> str:
        """What that is, in words for the service manager."""
        return f"serving {self.endpoint}"

    # ------------------------------------------------------------------ the loop

    def run(self, pulse: Callable[[float], float] = lambda _now: math.inf) -> None:
        """Work until the drain is over.

        Args:
            pulse: called at each turn with the monotonic time; says when it must be called again.

        Raises:
            NoBrokerError: no broker answers.
            HandshakeError: the broker does not want this key, or is another one.
            VersionRefusedError: the broker speaks another version.
            RefusedError: the broker does not want this agent.
            ClaimRefusedError: the broker does not want this scout on one of its folders.
            ProcessDiedError: workers can't live.
        """
        self._waiter.add(self._wake.fileno())
        try:
            self._begin()
            while self._exit is None and not self._stopped:
                self._turn(pulse)
            if self._exit is not None:
                failure = self._connection.failure(self._exit, self._patience)
                if failure is not None:
                    raise failure
        finally:
            self._connection.close()
            self._end()
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

    def _collect(self, now: float) -> list[Common | OwnEvent]:
        """Everything that has happened, and a tick at the end."""
        events: list[Common | OwnEvent] = [*self._own_events(), *self._connection.receive()]
        if self._drain and not self._draining:
            self._draining = True
            self._log.info("leaving: %s", self._drain)
            events.append(Drain(self._drain))
        if now - self._vitals_at >= VITALS_EVERY:
            self._every_second(now)
            self._vitals_at = now
            rss, cpu_ms = self._vitals.look(self._workers())
            self._tick = Tick(rss, cpu_ms, self._lag_ms)
            if self._handler is not None:
                publish_status(self._handler.publisher, self.statistics())
        events.append(self._tick)
        return events

    def _connect(self) -> None:
        self._connection.open()
        now = time.monotonic()
        if self._hello_at is None:
            self._hello_at = now
        self._carry_out(self._core.handle(Connected(), now))

    def _carry_out(self, instructions: Iterable[CommonInstruction | OwnInstruction]) -> None:
        for instruction in instructions:
            match instruction:
                case Send(message):
                    self._connection.send(message)
                case Reconnect(delay, elsewhere):
                    self._connection.give_up(delay, elsewhere=elsewhere)
                case Note(level, text):
                    self._log.log(level, "%s", text)
                case Welcomed():
                    self._connection.welcomed(instruction)
                case SetLogLevel(level, logger):
                    set_level(level, logger)
                case Exit():
                    self._exit = instruction
                case _:
                    self._do(instruction)

    def _published(self) -> tuple[int, int]:
        """Records and statuses that this process has published, and those that it could not."""
        if self._handler is None:
            return 0, 0
        return self._handler.publisher.published, self._handler.publisher.lost
