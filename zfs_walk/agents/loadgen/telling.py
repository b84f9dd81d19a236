"""What a load generator tells of its run: status and report; no I/O, no clock."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from zfs_walk import __version__
from zfs_walk.agents.loadgen.core import MONITOR, LoadCore, RunSettings
from zfs_walk.agents.loadgen.members import Member
from zfs_walk.load.figures import COUNTED, VERIFY
from zfs_walk.load.latency import Quantiles
from zfs_walk.load.monitor_sample import Sample, unpacked
from zfs_walk.load.report import ConsumerReport, Point, RunReport
from zfs_walk.protocol.statistics import ConsumerStatistics

OK: Final = "ok"
LATELY: Final = 2.0
"""Seconds that a speed is taken over."""


def consumer_statistics(member: Member, sample: Sample | None) -> ConsumerStatistics:
    """What is published of a consumer."""
    figures = member.figures
    written, read, operations = _speeds(member.series)
    quantiles = _quantiles(member)
    seen = [each for each in sample.processes if each.name == member.name] if sample else []
    return ConsumerStatistics(
        name=member.name,
        pid=member.pid,
        phase=member.phase.name.lower().replace("_", "-"),
        health=health_of(member)[:4096],
        written=figures.written,
        read=figures.read,
        verified=figures.verified,
        operations=figures.operations,
        rollovers=figures.rollovers,
        errors=figures.errors,
        faults=figures.faults,
        missed=member.missed,
        written_per_s=round(written),
        read_per_s=round(read),
        operations_per_s=round(operations),
        p50_ns=quantiles.at[0] if quantiles else 0,
        p99_ns=quantiles.at[2] if quantiles else 0,
        cpu=round(seen[0].cpu) if seen else 0,
        rss=seen[0].rss if seen else 0,
    )


def health_of(member: Member) -> str:
    """What went wrong with a consumer; "ok": nothing."""
    figures = member.figures
    trouble = []
    if member.lost:
        trouble.append(f"lost: {member.lost}")
    elif member.asked and member.missed:
        trouble.append("it does not answer")
    if figures.stopped:
        trouble.append(figures.stopped)
    elif figures.errors:
        trouble.append(f"{figures.errors} errors")
    if figures.faults:
        trouble.append(f"{figures.faults} faults in what was written")
    return "; ".join(trouble) or OK


def health(members: Sequence[Member]) -> str:
    """That of the agent: each member's that is not well."""
    trouble = [f"{each.name}: {said}" for each in members if (said := health_of(each)) != OK]
    return "; ".join(trouble)[:4096] or OK


def _quantiles(member: Member) -> Quantiles | None:
    kinds = [
        found.quantiles()
        for kind, found in member.figures.latencies.items()
        if kind in COUNTED and kind != VERIFY
    ]
    return max(kinds, key=lambda found: found.count, default=None)


def _speeds(series: Sequence[Point]) -> tuple[float, float, float]:
    """Bytes written, bytes read and operations a second, lately."""
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


def run_report(
    core: LoadCore, settings: RunSettings, seed: str, folder: str, epoch: float
) -> RunReport:
    """The report of a run that is over.

    Args:
        core: that kept it.
        settings: of the run.
        seed: of its contents.
        folder: of the run, below each target.
        epoch: seconds since the epoch at monotonic time 0.
    """
    samples = [unpacked(each) for each in core.samples]
    monitor = core.members[MONITOR]
    return RunReport(
        version=__version__,
        host=core.link.identity.host,
        agent=core.link.identity.name,
        seed=seed,
        folder=folder,
        duration=settings.duration,
        began=epoch + core.began if core.began else 0.0,
        ended=epoch + core.ended,
        cut_short=core.drained,
        refused=core.refused,
        consumers=tuple(_consumer(member, epoch) for member in core.consumers),
        monitor_missed=monitor.missed,
        monitor_lost=monitor.lost,
        samples=tuple(replace(each, at=each.at - core.began) for each in samples),
    )


def _consumer(member: Member, epoch: float) -> ConsumerReport:
    if member.spec is None:
        message = f"{member.name} is no consumer"
        raise TypeError(message)
    return ConsumerReport(
        spec=member.spec,
        pid=member.pid,
        began=epoch + member.began if member.began else 0.0,
        ended=epoch + member.ended if member.ended else 0.0,
        figures=member.figures,
        rollovers=tuple(sorted(member.rollovers.values(), key=lambda each: each.number)),
        series=tuple(member.series),
        beats=member.beats,
        missed=member.missed,
        lost=member.lost,
    )
