"""Simulated workers: they take the tasks of a real agent core and walk a virtual tree."""

import random
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.model.tree import LISTING, PART_LIMIT, Folder, Tree, below, parts_of, worth
from zfs_walk.agents.walker.tasks import (
    CloseRun,
    Flush,
    Flushed,
    Forget,
    FromWorker,
    Listed,
    ListParts,
    OpenRun,
    ScanPart,
    ToWorker,
    Walk,
    Walked,
)
from zfs_walk.protocol.records import Segment

Place = tuple[int, bytes]
Row = tuple[int, bytes]

EIO = 5


class Surroundings(Protocol):
    """What a worker sees of the world."""

    rng: random.Random
    pace: float
    micros: int
    store: dict[str, list[Row]]

    def after(self, delay: float, do: Callable[[], None]) -> None:
        """Do something later."""

    def trees(self, run: int) -> list[Tree]:
        """The roots of a run."""

    def blind(self, host: str, run: int) -> str:
        """Why a host can't see a run's roots now, if it can't."""

    def catalog_trouble(self) -> str:
        """Why a segment can't be written now, if it can't."""


@dataclass(slots=True)
class Tally:
    """What a task has found so far."""

    rows: list[Row] = field(default_factory=list)
    found: int = 0
    listed: int = 0
    errors: int = 0
    left: list[Place] = field(default_factory=list)
    failed: list[tuple[Place, int]] = field(default_factory=list)
    wide: tuple[Place, int] | None = None
    levels: dict[int, list[int]] = field(default_factory=dict)


class SimStaging:
    """Rows that were not written yet; the same rules as `agents.walker.staging.Staging`."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, int], list[tuple[int, int, list[Row]]]] = {}
        self.forgotten: dict[tuple[int, int], int] = {}

    def stage(self, unit: tuple[int, int], roll: int, result: int, rows: list[Row]) -> None:
        if roll > self.forgotten.get(unit, -1):
            self.rows.setdefault(unit, []).append((roll, result, rows))

    def forget(self, unit: tuple[int, int], roll: int) -> None:
        self.forgotten[unit] = roll
        self.rows[unit] = [row for row in self.rows.get(unit, []) if row[0] > roll]

    def take(self, unit: tuple[int, int], roll: int, upto: int) -> list[Row]:
        held = self.rows.pop(unit, [])
        self.rows[unit] = [row for row in held if row[0] > roll or row[1] > upto]
        return [row for r, n, rows in held if r == roll and n <= upto for row in rows]


class SimWorker:
    """One worker process: a scanning thread that takes steps, and a writing one."""

    def __init__(
        self,
        world: Surroundings,
        number: int,
        host: str,
        *,
        spool: dict[int, tuple[bytes, ...]],
        say: Callable[[FromWorker, str], None],
        crash: Callable[[tuple[int, bytes, int]], None],
    ) -> None:
        self.number = number
        self.alive = True
        self.hurry = 0
        self.place: tuple[int, bytes, int] | None = None
        self._world = world
        self._host = host
        self._spool = spool
        self._say = say
        self._crash = crash
        self._staging = SimStaging()
        self._tasks: deque[ToWorker] = deque()
        self._stores: dict[int, bool] = {}
        self._busy = False
        self._results = 0

    # ------------------------------------------------------------------ the writing thread

    def take(self, message: ToWorker) -> None:
        """A message of the agent has arrived."""
        if not self.alive:
            return
        match message:
            case OpenRun(run, _, options):
                self._stores[run] = bool(options.catalog)
            case CloseRun():
                pass
            case Flush():
                self._flush(message)
            case Forget(uid, epoch, roll):
                self._staging.forget((uid, epoch), roll)
            case _:
                self._tasks.append(message)
                self._next()

    def _flush(self, flush: Flush) -> None:
        rows = self._staging.take((flush.uid, flush.epoch), flush.roll, flush.upto)
        trouble = self._world.catalog_trouble()
        rng = self._world.rng

        def written() -> None:
            if not self.alive:
                return
            segments: tuple[Segment, ...] = ()
            if rows and not trouble:
                name = f"{flush.name}.parquet"
                assert name not in self._world.store, f"{name} exists"
                self._world.store[name] = rows
                segments = (Segment(name, "rows", len(rows), len(rows), "c"),)
            self._say(
                Flushed(self.number, flush.cut, flush.uid, flush.epoch, trouble, segments), "rows"
            )

        self._world.after(rng.choice((0.001, 0.01, 0.2)) * rng.random(), written)

    # ------------------------------------------------------------------ the scanning thread

    def _next(self) -> None:
        if self._busy or not self._tasks or not self.alive:
            return
        self._busy = True
        task = self._tasks.popleft()
        self._world.after(self._pace(), lambda: self._begin(task))

    def _pace(self) -> float:
        rng = self._world.rng
        return self._world.pace * rng.choice((0.0005, 0.002, 0.02, 0.02, 0.1)) * rng.random()

    def _begin(self, task: Any) -> None:
        if not self.alive:
            return
        refused = self._world.blind(self._host, task.run)
        match task:
            case _ if refused:
                self._refuse(task, refused)
            case Walk():
                most = self._world.rng.choice((1, 2, 5, 40))
                self._walk(task, Tally(), list(task.batch), [], most)
            case ScanPart():
                self._scan_part(task)
            case ListParts():
                self._list(task)

    def _refuse(self, task: Any, reason: str) -> None:
        if isinstance(task, ListParts):
            self._done(
                Listed(
                    self.number, task.task, reason, 0, "", gone=False, names=0, micros=1, extents=()
                )
            )  # fmt: skip
        else:
            self._done(
                Walked(
                    self.number,
                    task.task,
                    0,
                    reason,
                    0,
                    0,
                    0,
                    0,
                    1,
                    (0, b""),
                    0,
                    {},
                    (),
                    (),
                    (),
                    (),
                )
            )

    def _done(self, message: FromWorker) -> None:
        self.place = None
        self._busy = False
        self._say(message, "results")
        self._next()

    def _folder(self, run: int, place: Place) -> Folder:
        return self._world.trees(run)[place[0]].folders[place[1]]

    def _deadly(self, folder: Folder, part: int) -> bool:
        if folder.deadly and folder.deadly_part == part:
            folder.deadly -= 1
            assert self.place is not None
            self._crash(self.place)
            return True
        return False

    def _walk(
        self, task: Walk, tally: Tally, batch: list[Place], stack: list[Place], most: int
    ) -> None:
        """One directory, then the next step."""
        if not self.alive:
            return
        if not stack and not batch:
            self._finish_walk(task, tally, batch, stack)
            return
        own = not stack
        place = stack.pop() if stack else batch.pop(0)
        self.place = (*place, 0)
        folder = self._folder(task.run, place)
        if not own and place in task.avoid:
            tally.left.append(place)
        elif self._deadly(folder, -1):
            return
        elif folder.io:
            folder.io -= 1
            tally.failed.append((place, EIO))
        elif len(folder.names) > PART_LIMIT and not folder.denied:
            tally.wide = (place, parts_of(len(folder.names)))
        else:
            self._read(tally, place, folder, folder.names, stack, own=place[1] == b"")
        self.place = None
        hurried = self.hurry == 2 or (self.hurry == 1 and len(stack) + len(batch) > 1)
        if tally.wide or hurried or tally.listed >= most:
            self._finish_walk(task, tally, batch, stack)
        else:
            self._world.after(self._pace(), lambda: self._walk(task, tally, batch, stack, most))

    def _read(
        self,
        tally: Tally,
        place: Place,
        folder: Folder,
        names: tuple[bytes, ...],
        stack: list[Place],
        *,
        own: bool,
    ) -> None:
        root, path = place
        tally.listed += 1
        if own:
            tally.rows.append(place)
        if folder.denied:
            tally.errors += 1
            return
        tally.rows.extend((root, below(path, name)) for name in names)
        folders = [(root, below(path, name)) for name in names if name in folder.folders]
        tally.found += len(folders)
        stack.extend(folders)
        level = tally.levels.setdefault(path.count(b"/") + 1 if path else 0, [0, 0])
        level[0] += 1
        level[1] += len(folders)

    def _finish_walk(
        self, task: Walk, tally: Tally, batch: list[Place], stack: list[Place]
    ) -> None:
        tally.left.extend(stack)
        self._walked(task, tally, len(batch))

    def _scan_part(self, task: ScanPart) -> None:
        names = tuple(
            name for extent in task.extents for name in self._spool.get(extent[0], (b"garbage",))
        )
        self.place = (*task.place, task.part)
        folder = self._folder(task.run, task.place)
        if self._deadly(folder, task.part):
            return
        tally = Tally()
        if folder.io:
            folder.io -= 1
            tally.failed.append((task.place, EIO))
        else:
            own = task.own and task.place[1] == b""
            self._read(tally, task.place, folder, names, tally.left, own=own)
        self.place = None
        self._world.after(self._pace(), lambda: self._walked(task, tally, 0))

    def _walked(self, task: Walk | ScanPart, tally: Tally, untouched: int) -> None:
        if not self.alive:
            return
        self._results += 1
        rows = 0
        if self._stores[task.run]:
            rows = len(tally.rows)
            self._staging.stage((task.uid, task.epoch), task.roll, self._results, tally.rows)
        counters = {
            "entries": len(tally.rows),
            "worth": sum(worth(root, path) for root, path in tally.rows),
            "errors": tally.errors,
        }
        wide = tally.wide or ((0, b""), 0)
        self._done(
            Walked(
                self.number, task.task, self._results, "", tally.listed, tally.found, untouched,
                rows, self._world.micros * max(1, tally.listed), wide[0], wide[1],
                {name: count for name, count in counters.items() if count}, (),
                tuple((depth, read, found) for depth, (read, found) in tally.levels.items()),
                tuple(tally.left), tuple(tally.failed),
            )
        )  # fmt: skip

    def _list(self, task: ListParts) -> None:
        """Deal the names into the spool: some of them now, the rest when it is done."""
        self.place = (*task.place, 0)
        folder = self._folder(task.run, task.place)
        if self._deadly(folder, LISTING):
            return
        dealt: dict[int, list[bytes]] = {part: [] for part in task.wanted}
        for name in folder.names:
            part = zlib.crc32(name) % task.parts
            if part in dealt:
                dealt[part].append(name)
        failing = folder.io > 0
        folder.io -= failing
        slots = {part: task.base + 8 * i for i, part in enumerate(task.wanted)}

        def write(parts: tuple[int, ...]) -> None:
            for part in parts:
                self._spool[slots[part]] = tuple(dealt[part])

        half = len(task.wanted) // 2

        def end() -> None:
            if not self.alive:
                return
            write(task.wanted[half:])
            extents = () if failing else tuple(((slots[part], 8),) for part in task.wanted)
            self._done(
                Listed(
                    self.number, task.task, "", EIO if failing else 0, "io" if failing else "",
                    gone=False, names=len(folder.names), micros=self._world.micros // 10,
                    extents=extents,
                )
            )  # fmt: skip

        write(task.wanted[:half])
        self._world.after(self._pace() * 20, end)
