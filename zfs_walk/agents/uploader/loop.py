"""The uploader agent's shell: runs the mirrors, and tells a broker of them when there is one."""

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Final

from zfs_walk.agents.link import Identity
from zfs_walk.agents.loop import AgentLoop
from zfs_walk.agents.uploader.broadcast import Broadcast
from zfs_walk.agents.uploader.clerk import Answer, Clerk
from zfs_walk.agents.uploader.core import UploaderCore
from zfs_walk.agents.uploader.door import Door
from zfs_walk.agents.uploader.events import (
    Close,
    Closed,
    OwnEvent,
    OwnInstruction,
    Serve,
    Served,
    Unwanted,
)
from zfs_walk.agents.uploader.narrator import Narrator
from zfs_walk.agents.uploader.once import LOOK_EVERY as LOOK_AGAIN
from zfs_walk.agents.uploader.once import Once
from zfs_walk.agents.uploader.telling import health, mapping_statistics, progress
from zfs_walk.bus.curve import Curve
from zfs_walk.bus.loghandler import LogHandler
from zfs_walk.bus.sockets import Bus
from zfs_walk.errors import VersionRefusedError
from zfs_walk.mirror.mirror import Mirror
from zfs_walk.mirror.pace import Limit
from zfs_walk.notify.writer import Writer
from zfs_walk.protocol.statistics import MappingStatistics, UploaderStatistics

LOG: Final = logging.getLogger("zfs_walk.uploader")

PARTING: Final = 5.0
"""Seconds in which what was told last may still reach the database; the rest is kept."""

LOOK_EVERY: Final = 2.0
"""Seconds between two looks whether a broker has become known, or another one."""


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that may be there.

    Attributes:
        endpoints: where, to be tried in turn; one at least.
        curve: this process's keys; None: none is wanted there.
    """

    endpoints: tuple[str, ...]
    curve: Curve | None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an uploader asks its host for, at any time.

    Attributes:
        find: which broker there is; None: none is known.
        reread: have the limits of bytes a second as they are configured now.
    """

    find: Callable[[], Broker | None]
    reread: Callable[[], None]


class UploaderLoop(AgentLoop[OwnEvent, OwnInstruction]):
    """One uploader agent; `run` until it has left."""

    def __init__(  # noqa: PLR0913, PLR0917 -- what an uploader is made of
        self,
        mirrors: Sequence[Mirror],
        limit: Limit,
        surroundings: Surroundings,
        state: Path,
        bus: Bus,
        identity: Identity,
        handler: LogHandler | None,
        once: Once | None = None,
        writer: Writer | None = None,
    ) -> None:
        """Nothing is mirrored yet.

        Args:
            mirrors: not started.
            limit: that they share.
            surroundings: what may change while it runs.
            state: the agent's state folder; its door is in it.
            bus: this process's context.
            identity: who the agent is.
            handler: what numbers and publishes this process's log records; None: nothing does.
            once: ends it when everything is done; None: it mirrors until it is told to end.
            writer: brings what the mirrors tell to a database; None: there is none.
        """
        core = UploaderCore(identity, time.monotonic())
        super().__init__(core, bus, (), math.inf, LOG, handler)
        self._bus = bus
        self._mirrors = tuple(mirrors)
        self._limit = limit
        self._surroundings = surroundings
        self._broker: Broker | None = None
        self._look_at = 0.0
        self._closer: Thread | None = None
        self._narrator = Narrator()
        self._told: tuple[MappingStatistics, ...] = ()
        self._happened: deque[OwnEvent] = deque()
        self._reread = False
        self._once = once
        self._writer = writer
        self._state = state
        self._clerk = Clerk(self._mirrors, limit)
        self._door: Door | None = None
        self._broadcast = (
            Broadcast(self._mirrors, handler.publisher, self._wake.ring) if handler else None
        )

    @property
    def ready(self) -> bool:
        """It mirrors, whether there is a broker or not."""
        return True

    @property
    def doing(self) -> str:
        """What it does, in words for the service manager."""
        broker = f"serving {self.endpoint}" if self.live else "no broker answers"
        return f"mirroring {len(self._mirrors)} folders; {broker}"

    def reread(self) -> None:
        """Take the limits as they are configured now; may be called from a signal handler."""
        self._reread = True
        self._wake.ring()

    def statistics(self) -> UploaderStatistics:
        """What the agent knows about itself and its mirrors."""
        untold = self._writer.trouble if self._writer else ""
        return UploaderStatistics(
            health(self._told, untold), self._told, round(self._limit.rate or 0), self._vitals.own,
            self._tick.cpu_ms, self._lag_ms, *self._published(),
        )  # fmt: skip

    def _begin(self) -> None:
        self._door = Door(
            self._bus, self._state, self._core.link.identity.name, self._waiter, self._clerk,
            self._wake.ring,
        )  # fmt: skip
        for mirror in self._mirrors:
            mirror.start()
        if self._writer is not None:
            self._writer.start()

    def _end(self) -> None:
        if self._door is not None:
            self._door.close()
        self._start_closing().join()
        if self._broadcast is not None:
            self._broadcast.close()
        if self._writer is not None:
            self._writer.close(PARTING)

    def _every_second(self, now: float) -> None:
        if self._closer is None:
            known = [mirror.statistics() for mirror in self._mirrors]
            self._narrator.look(known)
            self._told = tuple(map(mapping_statistics, known))
            if self._writer is not None:
                host, agent = self._core.link.identity.host, self._core.link.identity.name
                self._writer.progress = {
                    mirror.id: progress(host, agent, each, told)
                    for mirror, each, told in zip(self._mirrors, known, self._told, strict=True)
                }
        if not self.live and now >= self._look_at:
            self._look_at = now + LOOK_EVERY
            self._look_for_broker()

    def _look_for_broker(self) -> None:
        found = self._surroundings.find()
        if found is not None and found != self._broker:
            self._broker = found
            self._bus.change_keys(found.curve)
            self._connection.aim(found.endpoints)

    def _turn(self, pulse: Callable[[float], float]) -> None:
        if self._reread:
            self._reread = False
            self._surroundings.reread()
        try:
            super()._turn(partial(self._look, pulse))
        except VersionRefusedError as error:
            self._happened.append(Unwanted(str(error)))

    def _look(self, pulse: Callable[[float], float], now: float) -> float:
        """Tell who listens, and leave when everything is done; returns when to look again."""
        due = pulse(now)
        if self._closer is not None:
            return due
        if self._broadcast is not None:
            due = min(due, self._broadcast.turn(now))
        if self._once is not None:
            if self._once.is_over(now):
                self.drain("everything is done")
            due = min(due, now + LOOK_AGAIN)
        return due

    def _own_events(self) -> list[OwnEvent]:
        if self._door is not None and self._door.look() and self._closer is None:
            self.drain("stopped by request")
        # One by one: other threads put them there.
        happened = []
        while self._happened:
            happened.append(self._happened.popleft())
        return happened

    def _do(self, instruction: OwnInstruction) -> None:
        match instruction:
            case Close():
                self._start_closing()
            case Serve(order):
                self._clerk.serve(order, self._served)

    def _served(self, answer: Answer) -> None:
        self._happened.append(Served(answer))
        self._wake.ring()

    def _start_closing(self) -> Thread:
        """End the mirrors, all at once; the session goes on meanwhile."""
        if self._closer is None:
            self._closer = Thread(target=self._close_mirrors, name="closer")
            self._closer.start()
        return self._closer

    def _close_mirrors(self) -> None:
        try:
            self._clerk.close()
            with ThreadPoolExecutor(len(self._mirrors)) as pool:
                for closing in [pool.submit(mirror.close) for mirror in self._mirrors]:
                    closing.result()
        finally:
            self._happened.append(Closed())
            self._wake.ring()
