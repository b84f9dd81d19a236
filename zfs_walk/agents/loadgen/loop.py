"""The load generator's shell: its processes, its report, and a broker that may be there."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from zfs_walk.agents.link import Identity
from zfs_walk.agents.loadgen.core import LoadCore, RunSettings
from zfs_walk.agents.loadgen.events import (
    Conclude,
    Kill,
    OwnEvent,
    OwnInstruction,
    Said,
    Spawn,
    Tell,
    Unwanted,
)
from zfs_walk.agents.loadgen.pool import Nursery, Pool
from zfs_walk.agents.loadgen.telling import consumer_statistics, health, run_report
from zfs_walk.agents.loop import AgentLoop
from zfs_walk.bus.loghandler import LogHandler
from zfs_walk.bus.sockets import Bus
from zfs_walk.errors import VersionRefusedError
from zfs_walk.load.monitor_sample import unpacked
from zfs_walk.protocol.statistics import LoadgenStatistics

if TYPE_CHECKING:
    from zfs_walk.load.report import RunReport

LOG: Final = logging.getLogger("zfs_walk.loadgen")

MOST_AT_ONCE: Final = 1_000
"""Messages of the processes that one turn takes."""


class LoadgenLoop(AgentLoop[OwnEvent, OwnInstruction]):
    """One load generator; `run` until its run is over.

    Attributes:
        report: what the run came to, once it is over.
    """

    def __init__(  # noqa: PLR0913, PLR0917 -- what a load generator is made of
        self,
        nursery: Nursery,
        settings: RunSettings,
        seed: str,
        folder: str,
        bus: Bus,
        endpoints: Sequence[str],
        identity: Identity,
        handler: LogHandler | None,
    ) -> None:
        """Nothing has begun.

        Args:
            nursery: made before the context.
            settings: of the run.
            seed: of its contents.
            folder: of the run, below each target.
            bus: this process's context.
            endpoints: of the broker, tried in turn; none: no broker is known.
            identity: who the agent is.
            handler: what numbers and publishes this process's log records; None: nothing does.
        """
        self._run = LoadCore(identity, settings, time.monotonic())
        super().__init__(self._run, bus, endpoints, math.inf, LOG, handler)
        self._settings = settings
        self._seed = seed
        self._folder = folder
        self._pool = Pool(nursery, bus)
        self._happened: list[OwnEvent] = []
        self.report: RunReport | None = None

    @property
    def ready(self) -> bool:
        """It works, whether there is a broker or not."""
        return True

    @property
    def doing(self) -> str:
        """What it does, in words for the service manager."""
        return f"{self._run.stage.value}, {len(self._run.consumers)} consumers"

    def statistics(self) -> LoadgenStatistics:
        """What the agent knows about itself and its run."""
        core, now = self._run, time.monotonic()
        sample = unpacked(core.samples[-1]) if core.samples else None
        elapsed = max(0.0, now - core.began) if core.began else 0.0
        return LoadgenStatistics(
            health(tuple(core.members.values())), core.stage.value, round(elapsed * 1000),
            round(self._settings.duration * 1000),
            tuple(consumer_statistics(each, sample) for each in core.consumers),
            round(sample.cpu) if sample else 0,
            round(max((each.busy for each in sample.devices), default=0.0)) if sample else 0,
            self._vitals.own, self._tick.cpu_ms, self._lag_ms, *self._published(),
        )  # fmt: skip

    def _workers(self) -> list[int]:
        """The consumers and the monitor."""
        return [each.pid for each in self._run.members.values() if each.pid and not each.is_over]

    def _begin(self) -> None:
        self._waiter.add(self._pool.results)
        self._waiter.add(self._pool.zygote.fileno())

    def _end(self) -> None:
        self._pool.close()

    def _turn(self, pulse: Callable[[float], float]) -> None:
        try:
            super()._turn(pulse)
        except VersionRefusedError as error:
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
            case Conclude():
                epoch = time.time() - time.monotonic()
                self.report = run_report(
                    self._run, self._settings, self._seed, self._folder, epoch
                )  # fmt: skip
