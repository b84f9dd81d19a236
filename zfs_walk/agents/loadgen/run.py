"""One load run: its processes from their first word to their last, stage by stage.

It knows no broker: whoever has it tells it to begin, if it is held, and hears when it is over. It
imports no socket, file, process or clock.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from zfs_walk.agents.events import Note
from zfs_walk.agents.loadgen.events import Died, Kill, Said, Spawn, Tell
from zfs_walk.agents.loadgen.members import MOST_POINTS, Member, Phase
from zfs_walk.agents.loadgen.tasks import (
    Ask,
    Beat,
    Check,
    Checked,
    Consume,
    Done,
    Finish,
    FromProcess,
    Go,
    LaidOut,
    LayOut,
    Ready,
    Report,
    Sampled,
    ToProcess,
    Watch,
)
from zfs_walk.load.figures import unpacked
from zfs_walk.load.packing import packed_spec
from zfs_walk.load.preflight import Measured, refusal
from zfs_walk.load.spec import LoadSpec

FIRST: Final = 1
"""The first run's monitor; the consumers have the numbers after it."""

HEAD_START: Final = 0.05
"""Seconds from the order to begin to the begin, so that every consumer has heard it."""

TURN: Final = 0.25
"""Seconds that a consumer works before it looks at what the agent says, unless heartbeats are
wanted often. On two cores, each look of one of four consumers keeps another one waiting whom a fast
device has just answered: beside 0.05 s, p99 of random reads is 5 to 9 % shorter."""

TURNS_A_BEAT: Final = 4
"""Looks between two heartbeats, at the least."""

_NS: Final = 1_000_000_000


class Stage(Enum):
    """How far the run is."""

    STARTING = "starting"
    CHECKING = "checking"
    LAYING_OUT = "laying out"
    READY = "ready"
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
        grace: seconds that a process may stay silent before the run and after it.
        sample: seconds between two samples of the monitor.
        seed: that contents and places follow from.
        folder: of the run, below each target.
    """

    specs: tuple[LoadSpec, ...]
    duration: float
    max_fill: float = 90.0
    heartbeat: float = 1.0
    grace: float = 30.0
    sample: float = 1.0
    seed: str = ""
    folder: str = ""


Instruction = Spawn | Tell | Kill | Note


class Run:
    """The processes of one run.

    Attributes:
        settings: what it is.
        members: its processes by their numbers.
        stage: how far it is.
        refused: why there was no run; empty: there was.
        cut_short: why it ended before its time; empty: it did not.
        samples: of the monitor, packed.
        began: monotonic seconds at which it began; ``ended``: all were done.
    """

    def __init__(
        self, settings: RunSettings, now: float, first: int = FIRST, *, held: bool = False
    ) -> None:
        """Nothing has begun.

        Args:
            settings: of the run.
            now: monotonic seconds.
            first: number of its first process; an agent gives none twice.
            held: it is ready when everything is laid out, and begins when it is told to.
        """
        self.settings = settings
        self.stage = Stage.STARTING
        self.monitor = Member(first, "monitor", None)
        self.members = {first: self.monitor}
        for number, spec in enumerate(settings.specs, first + 1):
            self.members[number] = Member(number, spec.name, spec)
        self.samples: list[bytes] = []
        self.refused = self.cut_short = ""
        self.began = self.ended = 0.0
        self._held = held
        self._until = 0.0
        self._sampled = 0
        self._asked = 0
        self._ask_at = now
        self._begun = False
        self._out: list[Instruction] = []

    @property
    def consumers(self) -> list[Member]:
        """All but the monitor."""
        return [member for member in self.members.values() if member.spec is not None]

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.stage is Stage.OVER

    def missing(self) -> str:
        """Which consumers are over already, and why; empty: none is."""
        return "; ".join(
            f"{each.name}: {each.lost or each.figures.stopped or 'it has ended'}"
            for each in self.consumers
            if each.is_over
        )

    def next_deadline(self) -> float:
        """When the next `tick` is due at the latest."""
        return min(self._ask_at, self._until) if self.stage is Stage.RUNNING else self._ask_at

    def slept(self, gap: float) -> None:
        """This process was stopped so long: nobody else is to blame for the silence meanwhile."""
        self._ask_at += gap
        for member in self.members.values():
            member.heard += gap

    # ------------------------------------------------------------------ what happens

    def tick(self, now: float) -> list[Instruction]:
        """Time has passed; the first time, the processes are started."""
        if not self._begun:
            self._begun = True
            for member in self.members.values():
                member.heard = now
                self._out.append(Spawn(member.number))
        if now >= self._ask_at:
            self._ask_at = now + self.settings.heartbeat
            self._ask(now)
        if self.stage is Stage.RUNNING and now >= self._until:
            self._stop(now)
        return self._go_on(now)

    def take(self, event: Said | Died, now: float) -> list[Instruction]:
        """A process has said something, or has ended."""
        match event:
            case Said(message):
                self._said(message, now)
            case Died(worker, cause):
                self._lose(self.members[worker], cause, now)
        return self._go_on(now)

    def begin(self, now: float, delay: float = HEAD_START, ago: float = 0.0) -> list[Instruction]:
        """Begin a run that is ready; another one stays as it is.

        Args:
            now: monotonic seconds.
            delay: seconds from now until the begin.
            ago: seconds since the others have begun; it ends with them.
        """
        if self.stage is Stage.READY:
            self._begin(now, max(delay, HEAD_START), ago)
        return self._go_on(now)

    def stop(self, reason: str, now: float) -> list[Instruction]:
        """End it before its time."""
        if self.stage not in {Stage.STOPPING, Stage.OVER}:
            self.cut_short = reason
        self._stop(now)
        return self._go_on(now)

    def _ask(self, now: float) -> None:
        """Ask everybody for a heartbeat; note who has not answered the last one."""
        self._asked += 1
        waiting = self.stage not in {Stage.READY, Stage.RUNNING}
        for member in self._there():
            if member.asked:
                member.missed += 1
                if member.missed == 1 or self.stage is Stage.STOPPING:
                    text = f"{member.name} has not answered for {now - member.heard:.1f} s"
                    self._note(logging.WARNING, text)
            else:
                member.asked = self._asked
                self._out.append(Tell(member.number, Ask(self._asked)))
            if waiting and now - member.heard > self.settings.grace:
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

    def _go_on(self, now: float) -> list[Instruction]:
        """Begin the next stage once everybody is there."""
        if self._begun:
            self._next_stage(now)
        out, self._out = self._out, []
        return out

    def _next_stage(self, now: float) -> None:
        left = [member for member in self.consumers if not member.is_over]
        if not left:
            self._stop(now)
        match self.stage:
            case Stage.STARTING if _all(self.members.values(), Phase.READY):
                self._employ(left)
                self.stage = Stage.CHECKING
            case Stage.CHECKING if _all(self.consumers, Phase.CHECKED):
                self._judge(left, now)
            case Stage.LAYING_OUT if _all(self.consumers, Phase.LAID_OUT):
                self.stage = Stage.READY
                if not self._held:
                    self._begin(now, HEAD_START, 0.0)
            case Stage.STOPPING if all(member.is_over for member in self.members.values()):
                self.stage, self.ended = Stage.OVER, now

    def _employ(self, consumers: Sequence[Member]) -> None:
        """Tell the processes what each is to do, and have them measure."""
        settings = self.settings
        for member in consumers:
            if member.spec is not None:
                load = packed_spec(member.spec)
                what = Consume(
                    settings.seed, settings.folder, round(settings.max_fill * 1000), load
                )
                self._tell([member], what)
        self._tell(consumers, Check())

    def _judge(self, left: Sequence[Member], now: float) -> None:
        """Refuse what can't come to anything."""
        # Whoever died meanwhile is left out: the report tells of it.
        specs = [member.spec for member in left if member.spec is not None]
        measured = [member.measured for member in left]
        settings = self.settings
        self.refused = refusal(specs, measured, settings.duration, settings.max_fill)
        if self.refused:
            self._stop(now)
            return
        self._tell(left, LayOut())
        self.stage = Stage.LAYING_OUT

    def _begin(self, now: float, delay: float, ago: float) -> None:
        left = [member for member in self.consumers if not member.is_over]
        self.stage = Stage.RUNNING
        self.began = now + delay
        self._until = self.began - ago + self.settings.duration
        turn = min(TURN, self.settings.heartbeat / TURNS_A_BEAT)
        self._tell(left, Go(round(self.began * _NS), round(self._until * _NS), round(turn * _NS)))
        for member in left:
            member.phase, member.began = Phase.RUNNING, self.began
            self._note(logging.INFO, f"{member.name} begins (pid {member.pid})")
        watched = tuple((member.pid, member.name) for member in left)
        every = round(self.settings.sample * 1000)
        targets = tuple(dict.fromkeys(spec.target for spec in self.settings.specs))
        if not self.monitor.is_over:
            self._tell([self.monitor], Watch(watched, every, targets))

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

    def _tell(self, members: Sequence[Member], message: ToProcess) -> None:
        for member in members:
            self._out.append(Tell(member.number, message))
            if isinstance(message, Finish):
                member.phase = Phase.STOPPING

    def _note(self, level: int, text: str) -> None:
        self._out.append(Note(level, text))


def _all(members: Iterable[Member], phase: Phase) -> bool:
    return all(member.is_over or member.phase is phase for member in members)
