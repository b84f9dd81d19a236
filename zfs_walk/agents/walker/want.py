"""When an agent asks for more work. No I/O, no clock."""

from zfs_walk.agents.link import Link
from zfs_walk.agents.walker.crew import Crew
from zfs_walk.agents.walker.draining import Draining
from zfs_walk.agents.walker.holdings import Holdings
from zfs_walk.protocol.messages import WorkRequest

IDLE_BEFORE_ASKING = 0.005
"""Seconds that workers are idle before the broker is asked: they may get something from here."""

MAX_UNITS = 4
"""Units that an agent holds at most (docs/protocol.md section 3)."""


class Want:
    """How many workers have nothing to do, and what the broker was told of them.

    Attributes:
        told: idle workers that the broker knows of; 0: it is to be asked, if there are any.
    """

    def __init__(self, crew: Crew, held: Holdings, link: Link, draining: Draining) -> None:
        """Nobody was asked yet.

        Args:
            crew: the workers.
            held: the units.
            link: the session that is asked.
            draining: an agent that leaves wants nothing more.
        """
        self.told = 0
        self._idle_since: float | None = None
        self._crew = crew
        self._held = held
        self._link = link
        self._draining = draining

    def forget(self) -> None:
        """The broker does not know any more what it was told."""
        self.told = 0

    def granted(self) -> None:
        """Something has come; whoever is still idle after it asks anew."""
        self.told = 0
        self._idle_since = None

    def renew(self) -> int:
        """What a HEARTBEAT says: as before, but for what has found work meanwhile."""
        if not self._crew.idle():
            self.told = 0
        return self.told

    def ask(self, now: float) -> None:
        """Tell the broker how many workers have nothing to do, if that stays so for a moment."""
        idle = len(self._crew.idle())
        held = sum(not unit.finished for unit in self._held)
        if not idle or self._draining.reason or held >= MAX_UNITS:
            self._idle_since = None
            return
        if self._idle_since is None:
            self._idle_since = now
        settled = not held or now >= self._idle_since + IDLE_BEFORE_ASKING
        if settled and self.told == 0 and self._link.live:
            self.told = idle
            self._held.send(WorkRequest(idle))

    def next_deadline(self) -> float:
        """When `ask` has something to say at the latest; infinite if nothing."""
        if self._idle_since is None or self.told or not self._link.live:
            return float("inf")
        return self._idle_since + IDLE_BEFORE_ASKING
