"""What a run came to, and its form as JSON. No clock: who makes it knows when it was."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from zfs_walk.load.figures import RESPONSE, Figures, Rollover
from zfs_walk.load.latency import QUANTILES, Latencies, merged
from zfs_walk.load.monitor_sample import Sample
from zfs_walk.load.spec import KEEP_ALL, LoadSpec

SCHEMA: Final = 1
"""Of the report's JSON."""


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
class RunReport:
    """One agent's run.

    Attributes:
        version: of zfs_walk.
        host: the agent's; ``agent``: its name.
        seed: that the contents follow from; ``folder``: of the run, below each target.
        duration: seconds that were wanted.
        began: seconds since the epoch; 0: it did not; ``ended``: when the last one was done.
        cut_short: why it ended before its time; empty: it did not.
        refused: why there was no run; empty: there was.
        consumers: of the agent.
        monitor_missed: heartbeats that the monitor did not answer; ``monitor_lost``: why it is.
        samples: of the monitor; their times count from the begin of the run.
    """

    version: str
    host: str
    agent: str
    seed: str
    folder: str
    duration: float
    began: float
    ended: float
    cut_short: str
    refused: str
    consumers: tuple[ConsumerReport, ...]
    monitor_missed: int
    monitor_lost: str
    samples: tuple[Sample, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether nothing went wrong."""
        return not self.refused and all(consumer.ok for consumer in self.consumers)


@dataclass(frozen=True, slots=True)
class Totals:
    """Of all consumers, or of one.

    Attributes:
        seconds: from the begin of the run to the last figures of whoever came furthest.
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


def as_dict(report: RunReport) -> dict[str, Any]:
    """The report's JSON (docs/loadgen.md): bytes, seconds, nanoseconds for latencies."""
    return {
        "schema": SCHEMA,
        "version": report.version,
        "host": report.host,
        "agent": report.agent,
        "seed": report.seed,
        "folder": report.folder,
        "duration": report.duration,
        "began": stamp(report.began),
        "ended": stamp(report.ended),
        "ok": report.ok,
        "cut_short": report.cut_short,
        "refused": report.refused,
        "totals": _totals(totals([each.figures for each in report.consumers])),
        "consumers": [_consumer(each) for each in report.consumers],
        "monitor": {
            "missed_heartbeats": report.monitor_missed,
            "lost": report.monitor_lost,
            "samples": [asdict(each) for each in report.samples],
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
