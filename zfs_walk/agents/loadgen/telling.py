"""What a load generator tells of its run: status and report; no I/O, no clock."""

from collections.abc import Sequence
from typing import Final

from zfs_walk import __version__
from zfs_walk.agents.link import Identity
from zfs_walk.agents.loadgen.members import Member
from zfs_walk.agents.loadgen.run import Run
from zfs_walk.load.figures import COUNTED, VERIFY
from zfs_walk.load.latency import Quantiles
from zfs_walk.load.monitor_sample import Sample
from zfs_walk.load.report import AgentReport, ConsumerReport
from zfs_walk.load.series import lately
from zfs_walk.protocol.statistics import ConsumerStatistics

OK: Final = "ok"


def consumer_statistics(member: Member, sample: Sample | None) -> ConsumerStatistics:
    """What is published of a consumer."""
    figures = member.figures
    written, read, operations = lately(member.series)
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


def agent_report(run: Run, identity: Identity, epoch: float) -> AgentReport:
    """What a run has come to so far; the monitor's samples are left to the caller.

    Args:
        run: over, or not.
        identity: of the agent.
        epoch: seconds since the epoch at monotonic time 0.
    """
    return AgentReport(
        version=__version__,
        host=identity.host,
        agent=identity.name,
        seed=run.settings.seed,
        folder=run.settings.folder,
        began=epoch + run.began if run.began else 0.0,
        ended=epoch + run.ended if run.ended else 0.0,
        cut_short=run.cut_short,
        refused=run.refused,
        consumers=tuple(_consumer(member, epoch) for member in run.consumers),
        monitor_missed=run.monitor.missed,
        monitor_lost=run.monitor.lost,
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
