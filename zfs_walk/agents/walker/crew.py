"""The workers as an agent's core knows them: who is there, who is idle, what each is told."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from zfs_walk.agents.walker.events import (
    HURRY_NOT,
    HURRY_NOW,
    HURRY_TO_SHARE,
    Dismiss,
    FreeSpool,
    Hurry,
    Instruction,
    Spawn,
    Tell,
    WorkerDied,
)
from zfs_walk.agents.walker.tasking import Asking, next_task
from zfs_walk.agents.walker.tasks import (
    CloseRun,
    Flush,
    Forget,
    ListParts,
    OpenRun,
    ScanPart,
    SetLevel,
    ToWorker,
)
from zfs_walk.agents.walker.unit import Unit
from zfs_walk.protocol.messages import MOST_WORKERS
from zfs_walk.protocol.records import RootRecord, WalkOptions

SPOOL_WINDOW = 2**36
"""Bytes of the (sparse) spool that one listing may fill."""

MOST_PROCESSES = 2 * MOST_WORKERS
"""Worker processes that may be there at once, with those that are about to end."""

EARLY_DEATHS = 5
"""Workers in a row that die before they say Ready, after which there is no point in more."""

UNEXPLAINED_DEATHS = 20
"""Crashes in a row without a place in the black box and without a result in between."""


@dataclass(slots=True)
class WorkerState:
    """What the agent knows of a worker; ``task`` 0: idle.

    ``leaving``: it gets nothing more to do. ``dismissed``: its end was ordered.
    """

    number: int
    ready: bool = False
    leaving: bool = False
    dismissed: bool = False
    task: int = 0
    unit: Unit | None = None
    spools: bool = False
    hurry: int = HURRY_NOT
    runs: set[int] = field(default_factory=set)


@dataclass(slots=True)
class RunInfo:
    """What workers must know of a run before its first task."""

    roots: tuple[RootRecord, ...]
    options: WalkOptions
    refused: bool = False


class Crew:
    """All workers of an agent.

    Attributes:
        capacity: how many there should be.
        workers: those that there are, by number.
        early_deaths: how many died in a row before they were ready.
    """

    def __init__(self, capacity: int, out: list[Instruction]) -> None:
        """Nobody is there yet.

        Args:
            capacity: how many there should be.
            out: where instructions go.
        """
        self.capacity = capacity
        self.workers: dict[int, WorkerState] = {}
        self._out = out
        self._next_worker = self._next_task = 1
        self._spool_next = 0
        self._levels: dict[str, str] = {}
        self.early_deaths = self._unexplained = 0

    # ------------------------------------------------------------------ births and deaths

    def fill(self) -> None:
        """Start as many workers as are missing."""
        missing = self.capacity - sum(not worker.leaving for worker in self.workers.values())
        for _ in range(min(missing, MOST_PROCESSES - len(self.workers))):
            self._spawn()

    def _spawn(self) -> None:
        """Start a worker under a number that is never given again."""
        worker = self._next_worker
        self._next_worker += 1
        self.workers[worker] = WorkerState(worker)
        self._out.append(Spawn(worker))

    def set_level(self, level: str, logger: str) -> None:
        """Have all workers log at a level, those to come too."""
        self._levels.pop(logger, None)
        self._levels[logger] = level
        for worker in self.workers.values():
            if worker.ready:
                self._out.append(Tell(worker.number, SetLevel(level, logger)))

    def resize(self, capacity: int) -> None:
        """Go on with so many workers: start new ones, or let the last ones leave."""
        self.capacity = capacity
        here = [worker for worker in self.workers.values() if not worker.dismissed]
        # Whoever has nothing in hand leaves first; who was to leave may stay.
        here.sort(key=lambda worker: (not worker.task, worker.number))
        for place, worker in enumerate(here):
            worker.leaving = place >= capacity
        self.fill()

    def dismiss_the_free(self, units: Iterable[Unit]) -> None:
        """End those who are to leave and have nothing in hand, not even rows."""
        for worker in self.workers.values():
            if not worker.leaving or worker.dismissed or worker.task:
                continue
            if not any(unit.lost_rows(worker.number) for unit in units):
                worker.dismissed = True
                self._out.append(Dismiss(worker.number))

    def leavers(self) -> set[int]:
        """The numbers of those who are to leave and have nothing in hand but rows."""
        return {w.number for w in self.workers.values() if w.leaving and not w.task}

    def ready(self, worker: WorkerState) -> None:
        """A worker has started."""
        worker.ready = True
        self.early_deaths = 0
        for logger, level in self._levels.items():
            self._out.append(Tell(worker.number, SetLevel(level, logger)))

    def worked(self) -> None:
        """A worker has done something."""
        self._unexplained = 0

    def died(self, event: WorkerDied) -> WorkerState | None:
        """A worker is gone; None if it was so already."""
        worker = self.workers.pop(event.worker, None)
        if worker is None:
            return None
        if not worker.ready and not worker.leaving:
            self.early_deaths += 1
        if event.pointed and event.place is None:
            self._unexplained += 1
        return worker

    def hopeless(self) -> str:
        """Why there is no point in more workers, if there is none."""
        if self.early_deaths >= EARLY_DEATHS:
            return f"{EARLY_DEATHS} workers in a row can't start"
        if self._unexplained >= UNEXPLAINED_DEATHS:
            return "workers crash again and again"
        return ""

    # ------------------------------------------------------------------ tasks

    def idle(self) -> list[WorkerState]:
        """Those that wait for a task."""
        return [
            worker
            for worker in self.workers.values()
            if worker.ready and not worker.task and not worker.leaving
        ]

    def took(self, worker: WorkerState, task: int) -> Unit | None:
        """A result has come: the worker is idle; returns the unit that it was for."""
        if worker.task != task:
            return None
        unit, worker.unit, worker.task, worker.spools = worker.unit, None, 0, False
        return unit

    def dispatch(self, units: Iterable[Unit], runs: dict[int, RunInfo]) -> None:
        """Give every idle worker something to do, from the oldest unit that has something."""
        units = list(units)
        for worker in self.idle():
            for unit in units:
                asking = Asking(worker.number, self._next_task, len(self.workers), self._spool_next)
                task = next_task(unit, asking)
                if task is None:
                    continue
                self._next_task += 1
                if isinstance(task, ListParts):
                    self._spool_next += SPOOL_WINDOW
                self._open_run(worker, unit, runs[unit.run])
                self._hurry(worker, HURRY_NOT)
                worker.task, worker.unit = task.task, unit
                worker.spools = isinstance(task, ListParts | ScanPart)
                self._out.append(Tell(worker.number, task))
                break
        self._free_spool(units)

    def _free_spool(self, units: list[Unit]) -> None:
        """Begin the spool anew, once nobody can be at it any more.

        A task of a unit that was rolled back or dropped meanwhile still reads or writes there.
        """
        in_use = any(unit.frontier.wide for unit in units) or any(
            worker.spools for worker in self.workers.values()
        )
        if self._spool_next and not in_use:
            self._spool_next = 0
            self._out.append(FreeSpool())

    def _open_run(self, worker: WorkerState, unit: Unit, info: RunInfo) -> None:
        if unit.run not in worker.runs:
            worker.runs.add(unit.run)
            self._out.append(Tell(worker.number, OpenRun(unit.run, info.roots, info.options)))

    def close_run(self, run: int) -> None:
        """Nothing of a run is held any more."""
        for worker in self.workers.values():
            if run in worker.runs:
                worker.runs.discard(run)
                self._out.append(Tell(worker.number, CloseRun(run)))

    # ------------------------------------------------------------------ haste

    def _hurry(self, worker: WorkerState, level: int) -> None:
        if worker.hurry != level:
            worker.hurry = level
            self._out.append(Hurry(worker.number, level))

    def _at(self, unit: Unit) -> Iterator[WorkerState]:
        return (worker for worker in self.workers.values() if worker.unit is unit)

    def call_back(self, unit: Unit) -> None:
        """What workers have in hand of a unit is of no use any more."""
        for worker in self._at(unit):
            self._hurry(worker, HURRY_NOW)

    def hurry_the_busy(self) -> None:
        """Have workers come back where somebody waits for what they have."""
        idle = bool(self.idle())
        for worker in self.workers.values():
            unit = worker.unit
            if unit is None:
                continue
            if unit.releasing or worker.leaving:
                self._hurry(worker, HURRY_NOW)
            elif (idle or unit.steal is not None) and worker.hurry == HURRY_NOT:
                self._hurry(worker, HURRY_TO_SHARE)

    # ------------------------------------------------------------------ rows

    def flush(self, unit: Unit) -> None:
        """Have the rows of a unit's open cut written."""
        cut = unit.cut
        if cut is None:
            return
        for worker, upto in cut.waiting.items():
            name = f"{unit.run}-{unit.uid:x}-{unit.epoch:x}-{unit.roll}-{cut.number}-{worker}"
            flush = Flush(cut.number, unit.run, unit.uid, unit.epoch, unit.roll, upto, name)
            self._out.append(Tell(worker, flush))

    def forget(self, unit: Unit, roll: int) -> None:
        """Have the rows of a unit dropped that were staged under a roll or an earlier one."""
        message: ToWorker = Forget(unit.uid, unit.epoch, roll)
        # One that has not connected yet has staged nothing, and could take no message.
        self._out.extend(Tell(w.number, message) for w in self.workers.values() if w.ready)
