"""What a run came to, and its form as JSON. No clock: who makes it knows when it was."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from zfs_walk.load.figures import RESPONSE, Figures, Rollover
from zfs_walk.load.latency import QUANTILES, Latencies, merged
from zfs_walk.load.monitor_sample import Sample
from zfs_walk.load.spec import KEEP_ALL, LoadSpec

SCHEMA: Final = 2
"""Of the report's JSON."""

LATELY: Final = 2.0
"""Seconds that a speed of this moment is taken over."""


@dataclass(frozen=True, slots=True)
class Point:
    """What a consumer had done by a moment.

    Attributes:
        seconds: since the run began.
        written: bytes; ``read``: bytes, verification's too.
        operations: so many.
    """

    seconds: float
    written: int
    read: int
    operations: int


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


def together(all_of_them: Sequence[Sequence[Point]]) -> list[Point]:
    """What several had done when, added up, at the moments of the one that has most of them."""
    series = [[Point(0.0, 0, 0, 0), *each] for each in all_of_them if each]
    if not series:
        return []
    end = max(each[-1].seconds for each in series)
    moments = [point.seconds for point in max(series, key=len)]
    moments += [end] * (moments[-1] < end)
    found = []
    for moment in moments:
        done = [_done_by(each, moment) for each in series]
        found.append(Point(moment, *(round(sum(column)) for column in zip(*done, strict=True))))
    return found


def _done_by(series: Sequence[Point], moment: float) -> tuple[float, float, float]:
    """What one had done, between two points as if it had gone on evenly."""
    at = bisect_right(series, moment, key=lambda point: point.seconds)
    before, after = series[at - 1], series[min(at, len(series) - 1)]
    step = after.seconds - before.seconds
    share = (moment - before.seconds) / step if step > 0 else 0.0
    return (
        before.written + share * (after.written - before.written),
        before.read + share * (after.read - before.read),
        before.operations + share * (after.operations - before.operations),
    )


def lately(series: Sequence[Point]) -> tuple[float, float, float]:
    """Bytes written, bytes read and operations a second, over the last `LATELY` seconds."""
    if not series:
        return 0.0, 0.0, 0.0
    last = series[-1]
    first = next(
        (each for each in reversed(series) if last.seconds - each.seconds >= LATELY),
        Point(0.0, 0, 0, 0),
    )
    seconds = max(1e-9, last.seconds - first.seconds)
    return (
        (last.written - first.written) / seconds,
        (last.read - first.read) / seconds,
        (last.operations - first.operations) / seconds,
    )


def stamp(seconds: float) -> str:
    """A time since the epoch, as ISO 8601 in UTC; empty: there is none."""
    if not seconds:
        return ""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def as_dict(report: RunReport) -> dict[str, Any]:
    """The report's JSON (docs/loadgen.md): bytes, seconds, nanoseconds for latencies."""
    return {
        "schema": SCHEMA,
        "run": report.run,
        "state": report.state,
        "duration": report.duration,
        "began": stamp(report.began),
        "ended": stamp(report.ended),
        "begin_spread_seconds": report.begin_spread,
        "ok": report.ok,
        "cut_short": report.cut_short,
        "refused": report.refused,
        "totals": _totals(totals(report.figures)),
        "agents": [_agent(each) for each in report.agents],
        "consumers": [
            {"host": agent.host, "agent": agent.agent, **_consumer(consumer)}
            for agent in report.agents
            for consumer in agent.consumers
        ],
    }


def _agent(agent: AgentReport) -> dict[str, Any]:
    return {
        "host": agent.host,
        "agent": agent.agent,
        "version": agent.version,
        "seed": agent.seed,
        "folder": agent.folder,
        "began": stamp(agent.began),
        "ended": stamp(agent.ended),
        "ok": agent.ok,
        "lost": agent.lost,
        "cut_short": agent.cut_short,
        "refused": agent.refused,
        "totals": _totals(totals(agent.figures)),
        "monitor": {
            "missed_heartbeats": agent.monitor_missed,
            "lost": agent.monitor_lost,
            "samples": [asdict(each) for each in agent.samples],
        },
    }


def _consumer(consumer: ConsumerReport) -> dict[str, Any]:
    figures = consumer.figures
    return {
        "name": consumer.spec.name,
        "load": _spec(consumer.spec),
        "pid": consumer.pid,
        "began": stamp(consumer.began),
        "ended": stamp(consumer.ended),
        "ok": consumer.ok,
        "lost": consumer.lost,
        "stopped": figures.stopped,
        "heartbeats": consumer.beats,
        "missed_heartbeats": consumer.missed,
        **_totals(totals([figures])),
        "rollover_list": [asdict(each) for each in consumer.rollovers],
        "trouble": [asdict(each) for each in figures.troubles],
        "fault_list": [asdict(each) for each in figures.found],
        "series": [asdict(each) for each in consumer.series],
    }


def _spec(spec: LoadSpec) -> dict[str, Any]:
    values = asdict(spec)
    del values["name"], values["shape"], values["witness"]
    if spec.like:
        del values["file_size"]
    if spec.keep == KEEP_ALL:
        values["keep"] = "all"
    return values


def _totals(found: Totals) -> dict[str, Any]:
    return {
        "seconds": found.seconds,
        "written_bytes": found.written,
        "read_bytes": found.read,
        "verified_bytes": found.verified,
        "kept_bytes": found.kept,
        "operations": found.operations,
        "rollovers": found.rollovers,
        "errors": found.errors,
        "faults": found.faults,
        "written_bytes_per_s": found.rate(found.written),
        "read_bytes_per_s": found.rate(found.read),
        "operations_per_s": found.rate(found.operations),
        "latency_ns": {kind: _latency(each) for kind, each in sorted(found.latencies.items())},
    }


def _latency(latencies: Latencies) -> dict[str, Any]:
    found = latencies.quantiles()
    return {
        "count": found.count,
        "min": found.least,
        "mean": found.mean,
        **{f"p{percent:g}": at for percent, at in zip(QUANTILES, found.at, strict=True)},
        "max": found.most,
        "hdr": latencies.encoded().decode().rpartition(" ")[2],
    }


def order_of(kinds: Sequence[str]) -> list[str]:
    """Kinds of operations as a reader wants them: the response last."""
    return sorted(kinds, key=lambda kind: (kind == RESPONSE, kind))
