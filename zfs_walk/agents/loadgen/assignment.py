"""The runs that the broker gives a load generator, one at a time: orders in, reports out.

An order that comes again is answered again and obeyed once. No socket, file, process or clock.
"""

from dataclasses import dataclass
from typing import Final

from zfs_walk.agents.events import Note, Send
from zfs_walk.agents.link import Link
from zfs_walk.agents.loadgen.events import Instruction, Kill, Plan, Planned, Snap, Snapped
from zfs_walk.agents.loadgen.run import FIRST, Run, Stage
from zfs_walk.protocol.messages import (
    FIGURES,
    LoadBegin,
    LoadEnd,
    LoadPrepare,
    LoadReady,
    Report,
    ReportAck,
)

Order = LoadPrepare | LoadBegin | LoadEnd

REPORT_EVERY: Final = 1.0
"""Seconds between two reports at least."""

REPORT_RATE: Final = 100_000
"""Bytes a second that reports may take, but for the last one: large ones come less often."""

REPEAT: Final = 2
"""Heartbeats without an answer after which a report is said again."""

REMEMBERED: Final = 256
"""Runs that are done with; orders for them that come late are no news."""


@dataclass(slots=True)
class Held:
    """A run of the broker's.

    Attributes:
        number: the broker's.
        run: its processes; None: it is not planned yet, or can't be.
        answered: what the broker was told of its preparation.
        seq: of the last report; ``report``: that one, if it is not acknowledged.
        said_at: when the broker was last told something; ``due``: when the next report is.
        snapping: one is being packed; ``concluded``: it is the last one.
    """

    number: int
    run: Run | None = None
    answered: LoadReady | None = None
    seq: int = 0
    report: Report | None = None
    said_at: float = 0.0
    due: float = 0.0
    snapping: bool = False
    concluded: bool = False


class Assignment:
    """What a load generator that stands by is doing for its broker.

    Attributes:
        held: the run at hand; None: it stands by.
    """

    def __init__(self, link: Link) -> None:
        """It stands by.

        Args:
            link: the session with the broker.
        """
        self.held: Held | None = None
        self._link = link
        self._term = 0
        self._finished: dict[int, None] = {}
        self._next = FIRST
        self._leaving = ""
        self._out: list[Instruction] = []

    @property
    def run(self) -> Run | None:
        """The processes of the run at hand."""
        return self.held.run if self.held is not None else None

    @property
    def want(self) -> int:
        """Runs that it is ready for."""
        return int(self.held is None and not self._leaving)

    def leave(self, reason: str, now: float) -> list[Instruction]:
        """Take no further run, and end the one at hand."""
        self._leaving = self._leaving or reason
        if self.run is not None:
            self._out += self.run.stop(reason, now)
        return self._flush()

    def welcomed(self, now: float) -> list[Instruction]:
        """A session is open: what the broker may not have heard is said again."""
        if self._link.term > self._term:
            # What is in flight from before is lost for good, and numbers may be given anew.
            self._term = self._link.term
            self._finished.clear()
        if self.held is not None:
            self._say(self.held, now)
        return self._flush()

    # ------------------------------------------------------------------ orders

    def obey(self, order: Order, now: float) -> list[Instruction]:
        """Carry an order out, once."""
        held = self.held if self.held is not None and self.held.number == order.run else None
        if held is None and order.run in self._finished and not isinstance(order, LoadEnd):
            return []
        match order:
            case LoadPrepare():
                self._prepare(order, held, now)
            case LoadBegin():
                self._begin(order, held, now)
            case LoadEnd():
                self._end(order, held, now)
        return self._flush()

    def _prepare(self, order: LoadPrepare, held: Held | None, now: float) -> None:
        if held is not None:
            if held.answered is not None:
                self._send(held.answered)
        elif self.held is not None:
            self._send(LoadReady(order.run, ok=False, detail=f"it has run {self.held.number}"))
        elif self._leaving:
            self._send(LoadReady(order.run, ok=False, detail="it is leaving"))
        else:
            self.held = Held(order.run, said_at=now)
            self._out.append(Plan(order.run, order.duration_ms / 1000, order.config))

    def planned(self, event: Planned, now: float) -> list[Instruction]:
        """The run's processes may be started, or it can't be."""
        held = self.held
        if held is not None and held.number == event.run and held.run is None:
            if event.settings is None:
                self._answer(held, event.why, now)
            else:
                held.run = Run(event.settings, now, self._next, held=True)
                self._next += len(held.run.members)
                self._out += held.run.tick(now)
        return self._flush()

    def _begin(self, order: LoadBegin, held: Held | None, now: float) -> None:
        if held is None:
            detail = "it knows nothing of this run"
            self._send(LoadReady(order.run, ok=False, detail=detail))
        elif held.run is not None:
            self._out += held.run.begin(now, order.in_ms / 1000, order.ago_ms / 1000)

    def _end(self, order: LoadEnd, held: Held | None, now: float) -> None:
        if held is None:
            # Whatever of this run comes yet is out of date.
            self._finish(order.run)
            self._send(Report(order.run, FIGURES, 1, last=True, snapshot=b""))
        elif held.run is not None:
            self._out += held.run.stop(order.reason, now)
        elif not held.concluded:
            held.concluded = True
            self._report(held, b"", now, last=True)

    # ------------------------------------------------------------------ answers

    def go_on(self, now: float) -> list[Instruction]:
        """Say what is to be said by now."""
        held = self.held
        if held is not None and held.run is not None:
            self._look_at(held, held.run, now)
        if held is not None and now - held.said_at > REPEAT * self._link.heartbeat:
            self._say(held, now)
        return self._flush()

    def _look_at(self, held: Held, run: Run, now: float) -> None:
        if held.answered is None:
            if run.stage in {Stage.STOPPING, Stage.OVER}:
                self._answer(held, run.refused or run.cut_short or run.missing(), now)
            elif run.stage is Stage.READY:
                # A run with fewer consumers than it was to have would not be the one asked for.
                self._answer(held, run.missing(), now)
        begun = bool(run.began) and now >= run.began
        waiting = held.report is not None or held.snapping
        if run.is_over and not held.concluded:
            held.concluded = held.snapping = True
            self._out.append(Snap(held.number, last=True))
        elif begun and not held.concluded and not waiting and now >= held.due:
            held.snapping = True
            self._out.append(Snap(held.number, last=False))

    def _answer(self, held: Held, why_not: str, now: float) -> None:
        held.answered = LoadReady(held.number, ok=not why_not, detail=why_not[:4096])
        self._say(held, now)

    def snapped(self, event: Snapped, now: float) -> list[Instruction]:
        """A report is packed."""
        held = self.held
        # One that was asked for before the last one must not come after it.
        if held is not None and held.number == event.run and event.last == held.concluded:
            held.snapping = False
            held.due = now + max(REPORT_EVERY, len(event.body) / REPORT_RATE)
            self._report(held, event.body, now, last=event.last)
        return self._flush()

    def _report(self, held: Held, body: bytes, now: float, *, last: bool) -> None:
        held.seq += 1
        held.report = Report(held.number, FIGURES, held.seq, last, body)
        self._say(held, now)

    def _say(self, held: Held, now: float) -> None:
        """What the broker has not answered: the last report, or whether it may begin."""
        held.said_at = now
        if held.report is not None:
            self._send(held.report)
        elif held.answered is not None and (held.run is None or not held.run.began):
            self._send(held.answered)

    def acknowledged(self, ack: ReportAck, now: float) -> list[Instruction]:
        """The broker has a report; after the last one the run is done with."""
        held = self.held
        if held is None or held.number != ack.run or held.report is None:
            return []
        if ack.seq < held.report.seq:
            return []
        if not held.report.last:
            held.report = None
            return []
        for member in held.run.members.values() if held.run is not None else ():
            if not member.lost:
                self._out.append(Kill(member.number))
        self._finish(held.number)
        self.held = None
        self._link.hurry(now)
        return self._flush()

    def _finish(self, run: int) -> None:
        self._finished[run] = None
        while len(self._finished) > REMEMBERED:
            del self._finished[next(iter(self._finished))]

    def give_up(self, level: int) -> list[Instruction]:
        """Leave without the broker's word for the last report."""
        if self.held is not None:
            text = f"the broker has not taken the report of run {self.held.number}: it is lost"
            self._out.append(Note(level, text))
            self.held = None
        return self._flush()

    def _send(self, message: LoadReady | Report) -> None:
        if self._link.live:
            self._out.append(Send(message))

    def _flush(self) -> list[Instruction]:
        out, self._out = self._out, []
        return out
