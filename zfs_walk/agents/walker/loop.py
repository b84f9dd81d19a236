"""The walker agent's shell: moves messages between the core and the pool."""

import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

from zfs_walk.agents.loop import AgentLoop
from zfs_walk.agents.walker.core import AgentCore, AgentSettings
from zfs_walk.agents.walker.events import (
    Delete,
    Dismiss,
    FreeSpool,
    FromPool,
    Hurry,
    OwnInstruction,
    Spawn,
    Tell,
    WorkerDied,
)
from zfs_walk.agents.walker.pool import Nursery, Pool
from zfs_walk.agents.walker.room import SEGMENTS
from zfs_walk.agents.walker.tasks import Listed, Logged, Walked
from zfs_walk.agents.walker.worker_log import log_for_worker
from zfs_walk.bus.loghandler import LogHandler
from zfs_walk.bus.sockets import Bus
from zfs_walk.protocol.messages import MOST_WORKERS
from zfs_walk.protocol.statistics import WalkerStatistics, WorkerStatistics

LOG = logging.getLogger("zfs_walk.walker")

MESSAGES = 1_000
"""Messages of workers that are taken in a row: heartbeats do not wait for workers that say much."""


class WalkerLoop(AgentLoop[FromPool | WorkerDied, OwnInstruction]):
    """One walker agent; `run` until it has drained."""

    def __init__(  # noqa: PLR0913, PLR0917 -- what an agent is made of
        self,
        nursery: Nursery,
        bus: Bus,
        endpoints: Sequence[str],
        settings: AgentSettings,
        dir_timeout: float = 300.0,
        handler: LogHandler | None = None,
    ) -> None:
        """Bind to the workers' folder; nothing is started yet.

        Args:
            nursery: page, spool and zygote, made before the context.
            bus: this process's context.
            endpoints: of the broker, tried in turn.
            settings: who the agent is and how patient.
            dir_timeout: seconds that one directory may take.
            handler: what numbers and publishes this process's log records; None in a private run.
        """
        self._pool = Pool(nursery, bus, dir_timeout)
        self._walker = AgentCore(settings, time.monotonic())
        super().__init__(self._walker, bus, endpoints, settings.patience, LOG, handler)
        self._entries = self._rate = 0
        self._first = False

    def statistics(self) -> WalkerStatistics:
        """What the agent knows about itself and its workers."""
        core = self._walker.statistics()
        workers = tuple(
            WorkerStatistics(number, pid, number in core.busy, self._vitals.workers.get(pid, 0))
            for number, pid in self._pool.statistics().items()
        )
        return WalkerStatistics(
            core.health, core.units, core.waiting, core.entries, core.errors,
            self._rate, core.unacked, self._vitals.own, self._tick.cpu_ms, self._lag_ms,
            *self._published(), workers[:MOST_WORKERS],
        )  # fmt: skip

    def _begin(self) -> None:
        self._waiter.add(self._pool.results)
        self._waiter.add(self._pool.zygote.fileno())
        self._carry_out(self._walker.start())

    def _end(self) -> None:
        self._pool.close()

    def _workers(self) -> list[int]:
        return self._pool.pids()

    def _every_second(self, now: float) -> None:
        entries = self._walker.statistics().entries
        self._rate = round((entries - self._entries) / (now - self._vitals_at))
        self._entries = entries
        self._pool.kill_the_hung(now)

    def _own_events(self) -> list[FromPool | WorkerDied]:
        """Results before deaths."""
        events: list[FromPool | WorkerDied] = []
        for _ in range(MESSAGES):
            result = self._pool.receive()
            if result is None:
                break
            if isinstance(result, Logged):
                self._logged(result)
                continue
            events.append(FromPool(result))
            if isinstance(result, Walked | Listed):
                self._say_when_the_first_came()
        events.extend(self._pool.deaths())
        return events

    def _say_when_the_first_came(self) -> None:
        if not self._first and self._hello_at is not None:
            self._first = True
            LOG.info("first directory %.3f s after HELLO", time.monotonic() - self._hello_at)

    def _logged(self, message: Logged) -> None:
        """A worker says something; what found no room before it is missing from the numbers."""
        for level, lost in message.skipped:
            if self._handler is not None:
                self._handler.skip(level, lost)
        log_for_worker(message)

    def _do(self, instruction: OwnInstruction) -> None:
        match instruction:
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


def delete_segments(catalog: bytes, names: tuple[str, ...]) -> None:
    """Delete segments that no applied commit lists; what can't be goes with the manifest."""
    folder = Path(os.fsdecode(catalog)) / SEGMENTS
    for name in names:
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            LOG.warning("%s was not deleted: %s", folder / name, error.strerror)
