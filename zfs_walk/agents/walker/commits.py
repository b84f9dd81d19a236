"""When the units of an agent commit, and what it answers to a STEAL. No I/O, no clock."""

from zfs_walk.agents.walker.crew import Crew
from zfs_walk.agents.walker.cuts import StealOrder
from zfs_walk.agents.walker.holdings import Holdings
from zfs_walk.agents.walker.unit import Unit
from zfs_walk.protocol.messages import Steal, StealRefused

STEAL_STANDS = 0.25
"""Seconds that a STEAL may stand before it is refused (docs/protocol.md rule 5)."""


class Commits:
    """Cuts and seals the units that are held."""

    def __init__(self, crew: Crew, held: Holdings) -> None:
        """Nothing is held yet.

        Args:
            crew: the workers, who write the rows of a cut.
            held: the units.
        """
        self._crew = crew
        self._held = held

    def on_steal(self, steal: Steal, now: float) -> None:
        """The broker asks for a part of a unit; `advance` answers as soon as it can."""
        unit = self._held.units.get((steal.uid, steal.epoch))
        if unit is None or unit.finished:
            self._held.send(StealRefused(steal.steal_id, steal.uid, steal.epoch, "not held"))
        else:
            unit.steal = StealOrder(steal.steal_id, steal.thieves, now)

    def advance(self, now: float) -> None:
        """Bring each unit as far as it comes, and drop those whose last commit is acknowledged."""
        for unit in self._held:
            self._advance(unit, now)
            if unit.over:
                self._held.drop(unit.uid, unit.epoch, unit.seq)

    def _advance(self, unit: Unit, now: float) -> None:
        """Cut what is due, seal what is written, answer a standing STEAL."""
        if unit.cut_due(now) or unit.may_flush(self._crew.leavers()):
            unit.begin_cut(now)
            self._crew.flush(unit)
        self._seal(unit, now)
        if unit.steal is not None:
            # After the seal: what the broker knows by now can be given without another cut.
            self._answer_steal(unit, now)
            self._seal(unit, now)

    def _seal(self, unit: Unit, now: float) -> None:
        if unit.cut is not None and not unit.cut.waiting:
            self._held.commit(unit, unit.seal(), now)

    def _answer_steal(self, unit: Unit, now: float) -> None:
        cut_before = unit.cut
        commit = unit.split(now, self._crew.capacity)
        if commit is not None:
            self._held.commit(unit, commit, now)
        elif cut_before is None and unit.cut is not None:
            self._crew.flush(unit)
        elif unit.steal is not None and (
            now >= unit.steal.since + STEAL_STANDS or unit.releasing or unit.finished
        ):
            refused = StealRefused(unit.steal.id, unit.uid, unit.epoch, "nothing to give")
            self._held.send(refused)
            unit.steal = None

    def shift(self, gap: float) -> None:
        """The process slept for ``gap`` seconds, in which no STEAL could be answered."""
        for unit in self._held:
            if unit.steal is not None:
                unit.steal.since += gap

    def next_deadline(self) -> float:
        """When a cut is due or a STEAL to be refused, at the latest; infinite if nothing is."""
        due = float("inf")
        for unit in self._held:
            due = min(due, unit.next_cut())
            if unit.steal is not None:
                due = min(due, unit.steal.since + STEAL_STANDS)
        return due
