"""The load generator's state machine: ``handle(event, now) -> [Instruction]``.

Its run needs no broker: one that is away, unknown, or does not want this agent stops nothing. It
imports no socket, file, process or clock.
"""

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from zfs_walk.agents.commands import heartbeat, obey
from zfs_walk.agents.events import (
    Connected,
    Drain,
    Exit,
    FromBroker,
    Note,
    Send,
    Tick,
    Welcomed,
)
from zfs_walk.agents.link import Identity, Link, on_error
from zfs_walk.agents.loadgen.events import (
    Conclude,
    Died,
    Event,
    Instruction,
    Kill,
    Said,
    Spawn,
    Tell,
    Unwanted,
)
from zfs_walk.agents.loadgen.members import MOST_POINTS, Member, Phase
from zfs_walk.agents.loadgen.tasks import (
    Ask,
    Beat,
    Check,
    Checked,
    Done,
    Finish,
    FromProcess,
    Go,
    LaidOut,
    LayOut,
    Ready,
    Report,
    Sampled,
    Watch,
)
from zfs_walk.load.figures import unpacked
from zfs_walk.load.preflight import Measured, refusal
from zfs_walk.load.spec import LoadSpec
from zfs_walk.protocol.messages import (
    Bye,
    ByeAck,
    Command,
    Error,
    HeartbeatAck,
    Message,
    Rehello,
    Welcome,
)

MONITOR: Final = 1
"""The monitor's number; consumers have those after it."""

UNWANTED_FOR: Final = 30.0
"""Seconds until a broker that did not want this agent is asked again."""

HEAD_START: Final = 0.05
"""Seconds from the order to begin to the begin, so that every consumer has heard it."""

SOON: Final = 0.02
"""Seconds within which the end of the run is noticed."""

_NS: Final = 1_000_000_000


class Stage(Enum):
    """How far the run is."""

    STARTING = "starting"
    CHECKING = "checking"
    LAYING_OUT = "laying out"
    RUNNING = "running"
    STOPPING = "stopping"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class RunSettings:
    """One run.

    Attributes:
        specs: the consumers' loads.
        duration: seconds.
        max_fill: percent of a target's file system that may be in use.
        heartbeat: seconds between two heartbeats that a process is asked for.
        grace: seconds that a process may stay silent after it was told to stop.
        sample: seconds between two samples of the monitor.
    """

    specs: tuple[LoadSpec, ...]
    duration: float
    max_fill: float = 90.0
    heartbeat: float = 1.0
    grace: float = 30.0
    sample: float = 1.0


class LoadCore:
    """One load generator.

    Attributes:
        link: its session.
        members: its processes by their numbers.
        stage: how far the run is.
        refused: why there was no run; empty: there was.
        samples: of the monitor, packed.
        began: monotonic seconds at which the run began; ``ended``: all were done.
        drained: why it ended before its time; empty: it did not.
    """

    def __init__(self, identity: Identity, settings: RunSettings, now: float) -> None:
        """Nothing has begun.

        Args:
            identity: who the agent is.
            settings: of the run.
            now: monotonic seconds.
        """
        self.link = Link(identity, math.inf, math.inf, now)
        self.stage = Stage.STARTING
        self.members = {MONITOR: Member(MONITOR, "monitor", None)}
        for number, spec in enumerate(settings.specs, MONITOR + 1):
            self.members[number] = Member(number, spec.name, spec)
        self.samples: list[bytes] = []
        self.refused = self.drained = ""
        self.began = self.ended = 0.0
        self._settings = settings
        self._sampled = 0
        self._asked = 0
        self._ask_at = now
        self._begun = self._bye_sent = False
        self._unwanted = ""
        self._out: list[Instruction] = []

    @property
    def consumers(self) -> list[Member]:
        """All but the monitor."""
        return [member for member in self.members.values() if member.spec is not None]

    def next_deadline(self, now: float) -> float:
        """When the next `Tick` is due at the latest."""
        due = min(self.link.next_deadline(now), self._ask_at)
        if self.stage is Stage.RUNNING:
            due = min(due, max(now + SOON / 2, self.began + self._settings.duration))
        return due

    def handle(self, event: Event, now: float) -> list[Instruction]:
        """Take an event, return what is to be done."""
        self._slept(self.link.asleep(now))
        match event:
            case Connected():
                self._out.append(self.link.connected((), now))
            case FromBroker(message):
                if self.link.heard(now):
                    self._from_broker(message, now)
            case Unwanted(reason):
                self._turned_away(reason, now)
            case Drain(reason):
                self.drained = reason
                self._stop(now)
            case Said(message):
                self._said(message, now)
            case Died(worker, cause):
                self._lose(self.members[worker], cause, now)
            case Tick():
                self._tick(event, now)
        self._go_on(now)
        out = list(self._out)
        self._out.clear()
        return out

    def _slept(self, gap: float) -> None:
        """This process was stopped: nobody else is to blame for the silence meanwhile."""
        if gap:
            self._ask_at += gap
            for member in self.members.values():
                member.heard += gap

    # ------------------------------------------------------------------ time

    def _tick(self, tick: Tick, now: float) -> None:
        if not self._begun:
            self._begun = True
            for member in self.members.values():
                member.heard = now
                self._out.append(Spawn(member.number))
        instruction = self.link.tick(now)
        if instruction is not None:
            self._out.append(instruction)
        beat = self.link.beat(now)
        if beat:
            self._out.append(heartbeat(beat, tick))
        if now >= self._ask_at:
            self._ask_at = now + self._settings.heartbeat
            self._ask(now)
        if self.stage is Stage.RUNNING and now >= self.began + self._settings.duration:
            self._stop(now)

    def _ask(self, now: float) -> None:
        """Ask everybody for a heartbeat; note who has not answered the last one."""
        self._asked += 1
        for member in self._there():
            if member.asked:
                member.missed += 1
                if member.missed == 1 or self.stage is Stage.STOPPING:
                    text = f"{member.name} has not answered for {now - member.heard:.1f} s"
                    self._note(logging.WARNING, text)
            else:
                member.asked = self._asked
                self._out.append(Tell(member.number, Ask(self._asked)))
            if self.stage is Stage.STOPPING and now - member.heard > self._settings.grace:
                self._out.append(Kill(member.number))
                self._lose(member, f"it has not answered for {now - member.heard:.0f} s", now)

    def _there(self) -> list[Member]:
        """Those that can hear and answer."""
        return [each for each in self.members.values() if each.pid and not each.is_over]

    # ------------------------------------------------------------------ processes

    def _said(self, message: FromProcess, now: float) -> None:
        member = self.members[message.worker]
        if member.is_over:
            return
        member.heard = now
        match message:
            case Ready(_, pid):
                member.pid, member.phase = pid, Phase.READY
            case Beat():
                member.asked = 0
                member.beats += 1
            case Checked(_, block, took, device, total, free, failed):
                member.measured = Measured(block, took / _NS, device, total, free, failed)
                member.phase = Phase.CHECKED
            case LaidOut():
                member.phase = Phase.LAID_OUT
            case Report(_, seq, body):
                member.report(seq, unpacked(body))
            case Sampled(_, seq, body):
                self._sample(seq, body)
            case Done():
                member.phase, member.ended = Phase.OVER, now
                stopped = member.figures.stopped
                if stopped:
                    self._note(logging.ERROR, f"{member.name} has ended early: {stopped}")

    def _sample(self, seq: int, body: bytes) -> None:
        if seq > self._sampled:
            self._sampled = seq
            self.samples.append(body)
            if len(self.samples) > MOST_POINTS:
                del self.samples[1::2]

    def _lose(self, member: Member, cause: str, now: float) -> None:
        if member.is_over:
            return
        member.phase, member.lost, member.ended = Phase.LOST, cause, now
        member.asked = 0
        self._note(logging.ERROR, f"{member.name} (pid {member.pid}) is lost: {cause}")

    # ------------------------------------------------------------------ the run

    def _go_on(self, now: float) -> None:
        """Begin the next stage once everybody is there."""
        if not self._begun:
            return
        left = [member for member in self.consumers if not member.is_over]
        if self.stage is not Stage.OVER and self.stage is not Stage.STOPPING and not left:
            self._stop(now)
        match self.stage:
            case Stage.STARTING if _all(self.members.values(), Phase.READY):
                self._tell(left, Check())
                self.stage = Stage.CHECKING
            case Stage.CHECKING if _all(self.consumers, Phase.CHECKED):
                self._judge(left, now)
            case Stage.LAYING_OUT if _all(self.consumers, Phase.LAID_OUT):
                self._begin(left, now)
            case Stage.STOPPING if all(member.is_over for member in self.members.values()):
                self.stage, self.ended = Stage.OVER, now
                self._out.append(Conclude())
        if self.stage is Stage.OVER:
            self._say_bye()

    def _judge(self, left: Sequence[Member], now: float) -> None:
        """Refuse what can't come to anything."""
        # Whoever died meanwhile is left out: the report tells of it.
        specs = [member.spec for member in left if member.spec is not None]
        measured = [member.measured for member in left]
        settings = self._settings
        self.refused = refusal(specs, measured, settings.duration, settings.max_fill)
        if self.refused:
            self._stop(now)
            return
        self._tell(left, LayOut())
        self.stage = Stage.LAYING_OUT

    def _begin(self, left: Sequence[Member], now: float) -> None:
        self.stage = Stage.RUNNING
        self.began = now + HEAD_START
        self._tell(left, Go(round(self.began * _NS)))
        for member in left:
            member.phase, member.began = Phase.RUNNING, self.began
            self._note(logging.INFO, f"{member.name} begins (pid {member.pid})")
        watched = tuple((member.pid, member.name) for member in left)
        every = round(self._settings.sample * 1000)
        if not self.members[MONITOR].is_over:
            self._tell([self.members[MONITOR]], Watch(watched, every))

    def _stop(self, now: float) -> None:
        """Tell everybody; once."""
        if self.stage in {Stage.STOPPING, Stage.OVER}:
            return
        self.stage = Stage.STOPPING
        for member in self.members.values():
            if member.is_over:
                continue
            if member.pid:
                self._tell([member], Finish())
                member.heard = max(member.heard, now)
            else:
                self._out.append(Kill(member.number))
                self._lose(member, "the run ended before it was there", now)

    def _tell(
        self, members: Sequence[Member], message: Check | LayOut | Go | Finish | Watch
    ) -> None:
        for member in members:
            self._out.append(Tell(member.number, message))
            if isinstance(message, Finish):
                member.phase = Phase.STOPPING

    def _note(self, level: int, text: str) -> None:
        self._out.append(Note(level, text))

    # ------------------------------------------------------------------ the broker

    def _from_broker(self, message: Message, now: float) -> None:
        match message:
            case Welcome():
                self.link.welcome(message, now)
                self._out.append(Welcomed(message.session, message.endpoints))
                self._bye_sent = False
                self._unwanted = ""
            case Rehello():
                self._out.append(self.link.rehello(message, now))
            case Command():
                self._obey(message, now)
            case HeartbeatAck():
                self.link.acknowledged(message, now)
            case Error():
                instruction = on_error(message, leaving=self.stage is Stage.OVER)
                if isinstance(instruction, Exit) and instruction.failure:
                    self._turned_away(instruction.failure, now)
                else:
                    self._out.append(instruction)
            case ByeAck():
                self._out.append(Exit(""))
            case _:
                pass  # whatever else it says is a sign of life

    def _obey(self, command: Command, now: float) -> None:
        self._out += obey(command, "a load generator", "its consumers stop, and it reports")
        if command.name == "drain":
            self.drained = "drained by request"
            self._stop(now)

    def _turned_away(self, reason: str, now: float) -> None:
        """Said once; a run does not end because of a broker."""
        if reason != self._unwanted:
            self._unwanted = reason
            self._note(logging.ERROR, f"running on without the broker: {reason}")
        self._out.append(self.link.turned_away(UNWANTED_FOR, now))

    def _say_bye(self) -> None:
        """The run is over; without a broker there is nobody to tell."""
        if not self.link.live:
            self._out.append(Exit(""))
        elif not self._bye_sent:
            self._bye_sent = True
            self._out.append(Send(Bye("the run is over")))


def _all(members: Iterable[Member], phase: Phase) -> bool:
    return all(member.is_over or member.phase is phase for member in members)
