"""The load generator's shell: its processes, its reports, and a broker that may be there."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from zfs_walk.agents.link import Identity
from zfs_walk.agents.loadgen.core import LoadCore
from zfs_walk.agents.loadgen.events import (
    Conclude,
    Kill,
    OwnEvent,
    OwnInstruction,
    Plan,
    Planned,
    Said,
    Snap,
    Snapped,
    Spawn,
    Tell,
    Unwanted,
)
from zfs_walk.agents.loadgen.pool import Nursery, Pool
from zfs_walk.agents.loadgen.run import RunSettings
from zfs_walk.agents.loadgen.telling import agent_report, consumer_statistics, health
from zfs_walk.agents.loop import AgentLoop
from zfs_walk.bus.loghandler import LogHandler
from zfs_walk.bus.sockets import Bus
from zfs_walk.errors import VersionRefusedError, ZfsWalkError
from zfs_walk.load.monitor_sample import unpacked
from zfs_walk.load.packing import packed_report, unpacked_samples
from zfs_walk.load.report import AgentReport
from zfs_walk.protocol.messages import MOST_SNAPSHOT
from zfs_walk.protocol.statistics import LoadgenStatistics

LOG: Final = logging.getLogger("zfs_walk.loadgen")

MOST_AT_ONCE: Final = 1_000
"""Messages of the processes that one turn takes."""

Planner = Callable[[int, float, bytes], RunSettings]
"""What a run is on this host: of its number, its seconds, and its configuration."""


class LoadgenLoop(AgentLoop[OwnEvent, OwnInstruction]):
    """One load generator; `run` until its own run is over, or it is told to leave.

    Attributes:
        report: what its own run came to, once it is over.
    """

    def __init__(  # noqa: PLR0913, PLR0917 -- what a load generator is made of
        self,
        nursery: Nursery,
        work: RunSettings | Planner,
        bus: Bus,
        endpoints: Sequence[str],
        identity: Identity,
        patience: float,
        handler: LogHandler | None,
    ) -> None:
        """Nothing has begun.

        Args:
            nursery: made before the context.
            work: its own run, or what one of the broker's is here; raises `ZfsWalkError` if it
                can't be.
            bus: this process's context.
            endpoints: of the broker, tried in turn; none: no broker is known.
            identity: who the agent is.
            patience: seconds that whoever stands by waits for a first broker.
            handler: what numbers and publishes this process's log records; None: nothing does.
        """
        own = work if isinstance(work, RunSettings) else None
        self._load = LoadCore(identity, time.monotonic(), own, patience)
        super().__init__(self._load, bus, endpoints, patience, LOG, handler)
        self._planner = work if not isinstance(work, RunSettings) else None
        self._pool = Pool(nursery, bus)
        self._happened: list[OwnEvent] = []
        self.report: AgentReport | None = None

    @property
    def ready(self) -> bool:
        """It works, whether there is a broker or not; or it stands by."""
        return self._planner is None or self.live

    @property
    def doing(self) -> str:
        """What it does, in words for the service manager."""
        run = self._load.run
        return self._load.stage + (f", {len(run.consumers)} consumers" if run else "")

    def statistics(self) -> LoadgenStatistics:
        """What the agent knows about itself and its run."""
        run, now = self._load.run, time.monotonic()
        sample = unpacked(run.samples[-1]) if run and run.samples else None
        elapsed = max(0.0, now - run.began) if run and run.began else 0.0
        return LoadgenStatistics(
            health(tuple(run.members.values())) if run else "ok", self._load.stage,
            self._load.number, round(elapsed * 1000),
            round(run.settings.duration * 1000) if run else 0,
            tuple(consumer_statistics(each, sample) for each in run.consumers) if run else (),
            round(sample.cpu) if sample else 0,
            round(max((each.busy for each in sample.devices), default=0.0)) if sample else 0,
            self._vitals.own, self._tick.cpu_ms, self._lag_ms, *self._published(),
        )  # fmt: skip

    def _workers(self) -> list[int]:
        """The consumers and the monitor."""
        members = self._load.run.members.values() if self._load.run else ()
        return [each.pid for each in members if each.pid and not each.is_over]

    def _begin(self) -> None:
        self._waiter.add(self._pool.results)
        self._waiter.add(self._pool.zygote.fileno())

    def _end(self) -> None:
        self._pool.close()

    def _turn(self, pulse: Callable[[float], float]) -> None:
        try:
            super()._turn(pulse)
        except VersionRefusedError as error:
            if self._planner is not None:
                raise
            self._happened.append(Unwanted(str(error)))

    def _own_events(self) -> list[OwnEvent]:
        events, self._happened = self._happened, []
        for _ in range(MOST_AT_ONCE):
            message = self._pool.receive()
            if message is None:
                break
            events.append(Said(message))
        else:
            self._wake.ring()
        events += self._pool.deaths()
        return events

    def _do(self, instruction: OwnInstruction) -> None:
        match instruction:
            case Spawn(worker):
                self._pool.spawn(worker)
            case Tell(worker, message):
                self._pool.tell(worker, message)
            case Kill(worker):
                self._pool.kill(worker)
            case Plan():
                self._plan(instruction)
            case Snap(number, last):
                self._tell_core(Snapped(number, last, self._packed()))
            case Conclude():
                self.report = self._report()

    def _tell_core(self, event: OwnEvent) -> None:
        self._happened.append(event)
        self._wake.ring()

    def _plan(self, order: Plan) -> None:
        if self._planner is None:
            return
        try:
            planned = Planned(order.run, self._planner(order.run, order.duration, order.config))
        except (ZfsWalkError, OSError) as error:
            planned = Planned(order.run, None, str(error))
        self._tell_core(planned)

    def _report(self) -> AgentReport | None:
        run = self._load.run
        if run is None:
            return None
        report = agent_report(run, self._load.link.identity, time.time() - time.monotonic())
        return replace(report, samples=unpacked_samples(run.samples, run.began))

    def _packed(self) -> bytes:
        run = self._load.run
        if run is None:
            return b""
        report = agent_report(run, self._load.link.identity, time.time() - time.monotonic())
        return packed_report(report, run.samples, run.began, MOST_SNAPSHOT)
