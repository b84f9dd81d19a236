"""The load generator's state machine: ``handle(event, now) -> [Instruction]``.

It makes a run of its own, which needs no broker, or stands by for those of a broker. It imports no
socket, file, process or clock.
"""

import logging
from typing import Final

from zfs_walk.agents.commands import obey
from zfs_walk.agents.events import Connected, Drain, FromBroker, Tick
from zfs_walk.agents.link import Identity, Link
from zfs_walk.agents.loadgen.assignment import Assignment
from zfs_walk.agents.loadgen.events import (
    Conclude,
    Died,
    Event,
    Instruction,
    Planned,
    Said,
    Snapped,
    Unwanted,
)
from zfs_walk.agents.loadgen.run import Run, RunSettings, Stage
from zfs_walk.agents.membership import Membership
from zfs_walk.protocol.messages import (
    Command,
    LoadBegin,
    LoadEnd,
    LoadPrepare,
    Message,
    ReportAck,
    Welcome,
)

SOON: Final = 0.02
"""Seconds within which the end of the run is noticed."""

PARTING: Final = 10.0
"""Seconds that whoever leaves waits for a broker that is away to take its last report."""

STANDING_BY: Final = "standing by"


class LoadCore:
    """One load generator.

    Attributes:
        assignment: what it does for its broker; None: it makes a run of its own.
    """

    def __init__(
        self,
        identity: Identity,
        now: float,
        own: RunSettings | None = None,
        patience: float = 10.0,
    ) -> None:
        """Nothing has begun.

        Args:
            identity: who the agent is.
            now: monotonic seconds.
            own: its own run; None: it stands by for its broker's.
            patience: seconds that whoever stands by waits for a first broker.
        """
        self._bus = Membership(identity, now, "running", None if own else patience)
        self._own = Run(own, now) if own is not None else None
        self.assignment = Assignment(self.link) if own is None else None
        self._leaving = ""
        self._left_at = 0.0
        self._concluded = False
        self._out: list[Instruction] = []

    @property
    def link(self) -> Link:
        """Its session."""
        return self._bus.link

    @property
    def run(self) -> Run | None:
        """The run at hand; None: it stands by."""
        return self.assignment.run if self.assignment is not None else self._own

    @property
    def number(self) -> int:
        """Of that run, at the broker; 0: there is none, or it is the agent's own."""
        held = self.assignment.held if self.assignment is not None else None
        return held.number if held is not None else 0

    @property
    def stage(self) -> str:
        """How far that run is, in words."""
        return self.run.stage.value if self.run is not None else STANDING_BY

    def next_deadline(self, now: float) -> float:
        """When the next `Tick` is due at the latest."""
        due = self.link.next_deadline(now)
        if self.run is not None:
            soonest = now + SOON / 2 if self.run.stage is Stage.RUNNING else now
            due = min(due, max(soonest, self.run.next_deadline()))
        return due

    def handle(self, event: Event, now: float) -> list[Instruction]:  # noqa: C901 -- a case an event
        """Take an event, return what is to be done."""
        gap = self.link.asleep(now)
        if gap and self.run is not None:
            self.run.slept(gap)
        match event:
            case Connected():
                self._out.append(self.link.connected((), now))
            case FromBroker(message):
                # What was read from a socket before it was given up is too late.
                if self.link.heard(now):
                    self._from_broker(message, now)
            case Unwanted(reason):
                self._out += self._bus.turned_away(reason, now)
            case Drain(reason):
                self._leave(reason, now)
            case Said() | Died():
                self._process(event, now)
            case Planned() if self.assignment is not None:
                self._out += self.assignment.planned(event, now)
            case Snapped() if self.assignment is not None:
                self._out += self.assignment.snapped(event, now)
            case Tick():
                self._tick(event, now)
        self._go_on(now)
        out, self._out = self._out, []
        return out

    def _tick(self, tick: Tick, now: float) -> None:
        want = self.assignment.want if self.assignment is not None else 0
        self._out += self._bus.tick(tick, now, want)
        if self.run is not None:
            self._out += self.run.tick(now)

    def _process(self, event: Said | Died, now: float) -> None:
        """One of the run at hand; others are of a run that is over."""
        worker = event.worker if isinstance(event, Died) else event.message.worker
        if self.run is not None and worker in self.run.members:
            self._out += self.run.take(event, now)

    def _from_broker(self, message: Message, now: float) -> None:
        assignment = self.assignment
        match message:
            case Command():
                drained = "its consumers stop, and it reports"
                self._out += obey(message, "a load generator", drained)
                if message.name == "drain":
                    self._leave("drained by request", now)
            case LoadPrepare() | LoadBegin() | LoadEnd() if assignment is not None:
                self._out += assignment.obey(message, now)
            case ReportAck() if assignment is not None:
                self._out += assignment.acknowledged(message, now)
            case _:
                self._out += self._bus.hear(message, now, leaving=self._is_done)
                if isinstance(message, Welcome) and assignment is not None:
                    self._out += assignment.welcomed(now)

    # ------------------------------------------------------------------ the end

    @property
    def _is_done(self) -> bool:
        """Nothing is left but to say goodbye."""
        if self._own is not None:
            return self._own.is_over
        return bool(self._leaving) and self.assignment is not None and not self.assignment.held

    def _leave(self, reason: str, now: float) -> None:
        if not self._leaving:
            self._leaving, self._left_at = reason, now
        if self.assignment is not None:
            self._out += self.assignment.leave(reason, now)
        elif self._own is not None:
            self._out += self._own.stop(reason, now)

    def _go_on(self, now: float) -> None:
        assignment = self.assignment
        if assignment is not None:
            self._out += assignment.go_on(now)
            over = self.run is None or self.run.is_over
            patient = self.link.live or now < self._left_at + PARTING
            if self._leaving and over and not patient:
                self._out += assignment.give_up(logging.ERROR)
        elif self._own is not None and self._own.is_over and not self._concluded:
            self._concluded = True
            self._out.append(Conclude())
        if self._is_done:
            self._out += self._bus.leave(self._leaving or "the run is over")
