"""What a load generator knows about each of its processes. No I/O, no clock."""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from zfs_walk.load.figures import Figures, Rollover
from zfs_walk.load.preflight import Measured
from zfs_walk.load.series import Point
from zfs_walk.load.spec import LoadSpec

MOST_POINTS: Final = 2_000
"""Points of a time series; when there are more, every second one goes."""

MOST_ROLLOVERS: Final = 10_000
"""Rollovers of one consumer that the report lists; all are counted."""


class Phase(Enum):
    """How far a process is; each one comes to `OVER` or `LOST`."""

    STARTING = auto()
    READY = auto()
    CHECKED = auto()
    LAID_OUT = auto()
    RUNNING = auto()
    STOPPING = auto()
    OVER = auto()
    LOST = auto()


@dataclass(slots=True)
class Member:
    """One process: a consumer, or the monitor.

    Attributes:
        spec: its load; None: it is the monitor.
        pid: 0 until it has said that it is there.
        beats: heartbeats that it was asked for and that it answered; ``missed``: that it did not
            answer before the next one was due.
        asked: number of the one that it has not answered yet; 0: it has answered all.
        heard: monotonic seconds of its last word.
        seq: of its last report.
        began: monotonic seconds; 0: it has not; ``ended`` likewise.
        lost: why it is lost; empty: it is not.
    """

    number: int
    name: str
    spec: LoadSpec | None
    phase: Phase = Phase.STARTING
    pid: int = 0
    measured: Measured = field(default_factory=Measured)
    beats: int = 0
    missed: int = 0
    asked: int = 0
    heard: float = 0.0
    seq: int = 0
    began: float = 0.0
    ended: float = 0.0
    lost: str = ""
    figures: Figures = field(default_factory=Figures)
    rollovers: dict[int, Rollover] = field(default_factory=dict)
    series: list[Point] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.phase in {Phase.OVER, Phase.LOST}

    def report(self, seq: int, figures: Figures) -> None:
        """Take figures, unless they are older than those that are there."""
        if seq <= self.seq:
            return
        self.seq, self.figures = seq, figures
        for rollover in figures.recent:
            if len(self.rollovers) < MOST_ROLLOVERS:
                self.rollovers[rollover.number] = rollover
        if self.phase is Phase.RUNNING or (self.series and not self.is_over):
            # While a consumer removes its files its time stands still.
            if self.series and self.series[-1].seconds >= figures.seconds:
                del self.series[-1]
            self.series.append(
                Point(
                    figures.seconds, figures.written, figures.read + figures.verified,
                    figures.operations,
                )
            )  # fmt: skip
            if len(self.series) > MOST_POINTS:
                del self.series[1::2]
