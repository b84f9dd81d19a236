"""How an agent leaves: everything is given back, then it says BYE. No I/O, no clock."""

from zfs_walk.agents.events import Exit
from zfs_walk.agents.link import Link
from zfs_walk.agents.walker.events import Instruction
from zfs_walk.agents.walker.holdings import Holdings
from zfs_walk.protocol.messages import Bye

DRAIN_PATIENCE = 30.0
"""Seconds until a drain that the broker does not acknowledge is given up: the leases run out."""


class Draining:
    """From the order to leave until there is nothing more to wait for.

    Attributes:
        reason: why the agent leaves; empty: it stays.
    """

    def __init__(self, held: Holdings, link: Link, out: list[Instruction]) -> None:
        """Nobody has asked it to leave.

        Args:
            held: what is to be given back.
            link: the session that hears of it.
            out: where instructions go.
        """
        self.reason = ""
        self._held = held
        self._link = link
        self._out = out
        self._since = 0.0
        self._bye_sent = False

    def begin(self, reason: str, now: float) -> None:
        """Give everything back, and take no more."""
        if not self.reason:
            self.reason = reason
            self._since = now
        for unit in self._held:
            unit.releasing = unit.releasing or reason

    def welcomed(self) -> None:
        """Another BYE is needed: nobody may have got the first one."""
        self._bye_sent = False

    def shift(self, gap: float) -> None:
        """The process slept for ``gap`` seconds: the broker had no time to acknowledge."""
        self._since += gap

    def leave(self, now: float) -> None:
        """Say BYE once nothing is held; end if nobody is there to hear it."""
        if not self.reason:
            return
        if not self._held.units and self._link.live and not self._bye_sent:
            self._bye_sent = True
            self._held.send(Bye(self.reason))
        elif not self._held.units and not self._link.live:
            # Nothing is held, so there is nothing that a broker would have to be told.
            self._out.append(Exit(""))
        elif now - self._since > DRAIN_PATIENCE:
            self._out.append(Exit("the broker did not acknowledge the work that was given back"))
