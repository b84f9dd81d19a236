"""What a run came to. No clock: who makes it knows when it was."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from zfs_walk.load.figures import RESPONSE, Figures, Rollover
from zfs_walk.load.latency import Latencies, merged
from zfs_walk.load.monitor_sample import Sample
from zfs_walk.load.series import Point
from zfs_walk.load.spec import LoadSpec


@dataclass(frozen=True, slots=True)
class ConsumerReport:
    """One consumer.

    Attributes:
        spec: its load.
        pid: of its process.
        began: seconds since the epoch; 0: it did not; ``ended`` likewise.
        figures: its last ones.
        rollovers: those that are listed; `Figures.rollovers` counts all.
        series: what it had done when.
        beats: heartbeats that it answered; ``missed``: that it did not.
        lost: why it is lost; empty: it is not.
    """

    spec: LoadSpec
    pid: int
    began: float
    ended: float
    figures: Figures
    rollovers: tuple[Rollover, ...]
    series: tuple[Point, ...]
    beats: int
    missed: int
    lost: str

    @property
    def ok(self) -> bool:
        """Whether nothing went wrong."""
        figures = self.figures
        return not (self.lost or figures.stopped or figures.errors or figures.faults)


@dataclass(frozen=True, slots=True)
class AgentReport:
    """What one agent did in a run.

    Attributes:
        version: of zfs_walk.
        host: the agent's; ``agent``: its name.
        seed: that the contents follow from; ``folder``: of the run, below each target.
        began: seconds since the epoch; 0: it did not; ``ended``: when its last consumer was done.
        cut_short: why it ended before its time; empty: it did not.
        refused: why it could not begin; empty: it could.
        consumers: of the agent.
        monitor_missed: heartbeats that the monitor did not answer; ``monitor_lost``: why it is.
        samples: of the monitor; their times count from the begin of the run.
        lost: why it is lost, by its broker's word; these are its last figures then.
    """

    version: str
    host: str
    agent: str
    seed: str
    folder: str
    began: float
    ended: float
    cut_short: str
    refused: str
    consumers: tuple[ConsumerReport, ...]
    monitor_missed: int
    monitor_lost: str
    samples: tuple[Sample, ...] = field(default=())
    lost: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing went wrong."""
        return not (self.refused or self.lost) and all(each.ok for each in self.consumers)

    @property
    def figures(self) -> list[Figures]:
        """Of its consumers."""
        return [consumer.figures for consumer in self.consumers]


@dataclass(frozen=True, slots=True)
class RunReport:
    """A run, of one agent or of many.

    Attributes:
        run: its number at its broker; 0: it is an agent's own.
        state: as its broker has it; DONE or REFUSED of an agent's own.
        duration: seconds that were wanted.
        cut_short: why it ended before its time; empty: it did not.
        refused: why there was no run; empty: there was.
        agents: those that have reported, and those that are lost.
    """

    run: int
    state: str
    duration: float
    cut_short: str
    refused: str
    agents: tuple[AgentReport, ...]

    @property
    def began(self) -> float:
        """When the first agent did, in seconds since the epoch; 0: none did."""
        return min((each.began for each in self.agents if each.began), default=0.0)

    @property
    def ended(self) -> float:
        """When the last agent did; 0: one has not yet."""
        ends = [each.ended for each in self.agents if not each.lost]
        return max(ends) if ends and all(ends) else 0.0

    @property
    def begin_spread(self) -> float:
        """Seconds from the first agent's begin to the last one's, by their hosts' clocks."""
        begins = [each.began for each in self.agents if each.began]
        return max(begins) - min(begins) if begins else 0.0

    @property
    def consumers(self) -> list[ConsumerReport]:
        """Of all agents."""
        return [consumer for agent in self.agents for consumer in agent.consumers]

    @property
    def figures(self) -> list[Figures]:
        """Of all consumers."""
        return [consumer.figures for consumer in self.consumers]

    @property
    def ok(self) -> bool:
        """Whether nothing went wrong."""
        return not self.refused and all(agent.ok for agent in self.agents)


def own_report(agent: AgentReport, duration: float) -> RunReport:
    """The report of a run that one agent has made by itself."""
    state = "REFUSED" if agent.refused else "DONE"
    return RunReport(0, state, duration, agent.cut_short, agent.refused, (agent,))


@dataclass(frozen=True, slots=True)
class Totals:
    """Of all consumers, or of one.

    Attributes:
        seconds: from the begin of the run to the last operation of whoever came furthest.
        written: bytes; ``read``, ``verified``, ``operations``, ``rollovers``, ``errors``,
            ``faults``: so many.
        latencies: by the kind of operation, merged.
    """

    seconds: float
    written: int
    read: int
    verified: int
    operations: int
    kept: int
    rollovers: int
    errors: int
    faults: int
    latencies: dict[str, Latencies]

    def rate(self, amount: float) -> float:
        """So much, a second."""
        return amount / self.seconds if self.seconds else 0.0


def totals(all_of_them: Sequence[Figures]) -> Totals:
    """What figures come to together."""
    sums = {
        name: sum(getattr(each, name) for each in all_of_them)
        for name in (
            "written", "read", "verified", "operations", "kept", "rollovers", "errors", "faults",
        )
    }  # fmt: skip
    seconds = max((each.seconds for each in all_of_them), default=0.0)
    return Totals(seconds, **sums, latencies=merged(each.latencies for each in all_of_them))


def stamp(seconds: float) -> str:
    """A time since the epoch, as ISO 8601 in UTC; empty: there is none."""
    if not seconds:
        return ""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def order_of(kinds: Sequence[str]) -> list[str]:
    """Kinds of operations as a reader wants them: the response last."""
    return sorted(kinds, key=lambda kind: (kind == RESPONSE, kind))
