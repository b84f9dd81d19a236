"""What a worker is to do next for a unit."""

from dataclasses import dataclass

from zfs_walk.agents.walker.frontier import key_of
from zfs_walk.agents.walker.parts import WideDirectory
from zfs_walk.agents.walker.tasks import ListParts, ScanPart, Task, Walk
from zfs_walk.agents.walker.unit import Unit
from zfs_walk.protocol.records import Item

BUDGET_MS = 100
"""How long a task may take; a worker that is needed earlier is hurried."""

BATCH = 256
"""Directories that one task takes at most."""

BATCH_BYTES = 2**20
"""Likewise, bytes of their paths."""


@dataclass(frozen=True, slots=True)
class Asking:
    """A worker that has nothing to do.

    Attributes:
        worker: its number.
        task: the number that the next task gets.
        workers: how many share the unit.
        spool: where a listing may write.
    """

    worker: int
    task: int
    workers: int
    spool: int


def next_task(unit: Unit, asking: Asking) -> Task | None:
    """Something for an idle worker to do, or None.

    The finder of a wide directory lists it first, as its listing is still open; then directories,
    then parts whose names are there, then other listings; places that workers died over last. In a
    run that sends directories come after all parts.
    """
    if not unit.takes_tasks:
        return None
    wides = unit.frontier.wide.values()
    for wide in wides:
        if wide.to_list and wide.finder == asking.worker:
            return _list(unit, asking, wide)
    # A run that sends finds more than it has sent, or its frontier would grow to the whole tree.
    kinds = (_some_part, _some_list, _walk) if unit.sends else (_walk, _some_part, _some_list)
    tasks = (find(unit, asking) for find in kinds)
    return next((task for task in tasks if task is not None), None) or _risky_task(unit, asking)


def _some_part(unit: Unit, asking: Asking) -> Task | None:
    for wide in unit.frontier.wide.values():
        if wide.to_scan:
            safe = [part for part, item in wide.waiting.items() if not _risky(unit, item)]
            if safe:
                return _scan_part(unit, asking, wide, min(safe))
    return None


def _some_list(unit: Unit, asking: Asking) -> Task | None:
    for wide in unit.frontier.wide.values():
        if wide.to_list:
            return _list(unit, asking, wide)
    return None


def _risky(unit: Unit, item: Item) -> bool:
    return unit.book.risky(key_of(item))


def _risky_task(unit: Unit, asking: Asking) -> Task | None:
    """One that workers died over: alone, and after everything else is sealed."""
    frontier = unit.frontier
    if not unit.all_sealed:
        return None
    if frontier.risky:
        return _walk_these(unit, asking, [frontier.items[frontier.risky.popleft()]])
    for wide in frontier.wide.values():
        if wide.to_scan:
            return _scan_part(unit, asking, wide, min(wide.waiting))
    return None


def _walk(unit: Unit, asking: Asking) -> Task | None:
    frontier = unit.frontier
    if not frontier.waiting:
        return None
    most = max(1, min(BATCH, len(frontier.waiting) // (2 * asking.workers)))
    batch: list[Item] = []
    size = 0
    while frontier.waiting and len(batch) < most and size < BATCH_BYTES:
        batch.append(frontier.items[frontier.waiting.pop()])
        size += len(batch[-1].path)
    return _walk_these(unit, asking, batch)


def _walk_these(unit: Unit, asking: Asking, batch: list[Item]) -> Walk:
    unit.frontier.tasks[asking.task] = tuple(item.n for item in batch)
    places = tuple((item.root, item.path) for item in batch)
    return Walk(
        asking.task, unit.run, unit.uid, unit.epoch, unit.roll, BUDGET_MS, places,
        unit.book.avoid(set(places)),
    )  # fmt: skip


def _list(unit: Unit, asking: Asking, wide: WideDirectory) -> ListParts:
    wide.listing = asking.task
    wide.wanted = tuple(sorted(wide.waiting))
    unit.frontier.tasks[asking.task] = ()
    return ListParts(
        asking.task, unit.run, unit.uid, unit.epoch, unit.roll, (wide.root, wide.path), wide.parts,
        unit.sends, asking.spool, wide.wanted,
    )  # fmt: skip


def _scan_part(unit: Unit, asking: Asking, wide: WideDirectory, part: int) -> ScanPart:
    item = wide.waiting.pop(part)
    unit.frontier.tasks[asking.task] = (item.n,)
    extents = (wide.extents or {})[part]
    return ScanPart(
        asking.task, unit.run, unit.uid, unit.epoch, unit.roll, (wide.root, wide.path), part,
        part == 0, extents,
    )  # fmt: skip
