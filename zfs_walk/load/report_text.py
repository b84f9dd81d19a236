"""A run's report as text and as CSV."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, Final

from zfs_walk.load.figures import Figures
from zfs_walk.load.latency import QUANTILES
from zfs_walk.load.report import (
    AgentReport,
    ConsumerReport,
    RunReport,
    order_of,
    stamp,
    totals,
)

_HEADS: Final = ("min", "mean", *(f"p{percent:g}" for percent in QUANTILES), "max")
SHOWN: Final = 10
"""Faults and errors of one consumer that the text shows; JSON has more."""


def as_text(report: RunReport) -> str:
    """The report for people."""
    return "\n".join(_lines(report)) + "\n"


def title(report: RunReport) -> str:
    """What it is about, in a line."""
    if report.run or len(report.agents) != 1:
        return f"Load run {report.run} of {_count(len(report.agents), 'agent')}"
    [agent] = report.agents
    return f"Load test of {agent.agent} on {agent.host}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _lines(report: RunReport) -> Iterator[str]:
    [*agents] = report.agents
    seed = f", seed {agents[0].seed}" if len(agents) == 1 else ""
    yield f"{title(report)}{seed}"
    if report.refused:
        yield f"refused: {report.refused}"
        return
    took = f": {report.ended - report.began:.2f} s" if report.began and report.ended else ""
    yield (
        f"began {stamp(report.began) or 'not yet'}, ended {stamp(report.ended) or 'not yet'}{took},"
        f" {report.duration:g} s wanted"
    )
    if len(agents) > 1:
        yield (
            f"the agents began within {report.begin_spread * 1000:.1f} ms of each other, by the"
            " clocks of their hosts"
        )
    if report.cut_short:
        yield f"cut short: {report.cut_short}"
    for agent in agents:
        yield from _agent(agent, report)
    yield ""
    of = f" of {len(agents)} agents" if len(agents) > 1 else ""
    yield f"in all: {_count(len(report.consumers), 'consumer')}{of}"
    yield from _figures(report.figures)
    if len(agents) == 1:
        yield from _host(agents[0])


def _agent(agent: AgentReport, report: RunReport) -> Iterator[str]:
    several = len(report.agents) > 1
    if several:
        yield ""
        yield f"== {agent.agent} on {agent.host}, seed {agent.seed}"
    if agent.lost:
        yield f"LOST: {agent.lost}; these are its last figures"
    if agent.cut_short and agent.cut_short != report.cut_short:
        yield f"cut short: {agent.cut_short}"
    for consumer in agent.consumers:
        yield ""
        yield from _consumer(consumer, agent)
    if several:
        yield ""
        yield f"{agent.agent} on {agent.host}: {_count(len(agent.consumers), 'consumer')}"
        yield from _figures(agent.figures)
        yield from _host(agent)


def _host(agent: AgentReport) -> Iterator[str]:
    """What the monitor saw."""
    busy = [device for sample in agent.samples for device in sample.devices]
    if agent.samples:
        cpu = sum(sample.cpu for sample in agent.samples) / len(agent.samples)
        memory = max(sample.memory for sample in agent.samples)
        yield f"  host: CPU {cpu:.0f} % on average, memory {memory:.0f} % at most"
    for name in sorted({device.name for device in busy}):
        share = [device.busy for device in busy if device.name == name]
        yield f"  device {name}: busy {sum(share) / len(share):.0f} % on average"
    if agent.monitor_lost:
        yield f"  the monitor is lost: {agent.monitor_lost}"
    if agent.monitor_missed:
        yield f"  the monitor missed {agent.monitor_missed} heartbeats"


def _consumer(consumer: ConsumerReport, agent: AgentReport) -> Iterator[str]:
    spec, figures = consumer.spec, consumer.figures
    yield f"{spec.name}: {spec.work} {spec.order} in {spec.target}, pid {consumer.pid}"
    yield f"  began {stamp(consumer.began)}, ended {stamp(consumer.ended)}"
    if consumer.lost:
        yield f"  LOST: {consumer.lost}; these are its last figures"
    if figures.stopped:
        yield f"  STOPPED: {figures.stopped}"
    yield from _figures([figures])
    for trouble in figures.troubles[:SHOWN]:
        yield f"  error at {trouble.seconds:.2f} s: {trouble.what} {trouble.path}: {trouble.error}"
    for fault in figures.found[:SHOWN]:
        yield (
            f"  FAULT {fault.kind}: {fault.path} offset {fault.offset}, {fault.length} bytes:"
            f" {fault.detail}"
        )
    own = [
        process
        for sample in agent.samples
        for process in sample.processes
        if process.name == spec.name and process.rss
    ]
    if own:
        cpu = sum(process.cpu for process in own) / len(own)
        rss = max(process.rss for process in own)
        yield f"  process: CPU {cpu:.0f} % on average, memory {_size(rss)} at most"
    yield f"  heartbeats: {consumer.beats} answered, {consumer.missed} missed"


def _figures(figures: Sequence[Figures]) -> Iterator[str]:
    found = totals(figures)
    yield (
        f"  {found.operations:,} operations in {found.seconds:.2f} s:"
        f" {found.rate(found.operations):,.0f} a second"
    )
    for verb, amount in (
        ("wrote", found.written),
        ("read", found.read),
        ("verified", found.verified),
    ):
        if amount:
            yield f"  {verb} {amount:,} bytes, {_size(found.rate(amount))}/s"
    yield (
        f"  {found.rollovers} rollovers, {found.errors} errors, {found.faults} faults,"
        f" {found.kept:,} bytes are kept"
    )
    if found.latencies:
        yield f"  {'latency':<9}{'count':>11} " + " ".join(f"{head:>9}" for head in _HEADS)
    for kind in order_of(list(found.latencies)):
        said = found.latencies[kind].quantiles()
        values = (said.least, said.mean, *said.at, said.most)
        yield f"  {kind:<9}{said.count:>11,} " + " ".join(f"{_time(each):>9}" for each in values)


def _size(amount: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:  # noqa: PLR2004 -- the step from one unit to the next
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} TB"


def _time(nanoseconds: float) -> str:
    for unit in ("ns", "us", "ms"):
        if nanoseconds < 1000:  # noqa: PLR2004 -- likewise
            return f"{nanoseconds:.3g} {unit}"
        nanoseconds /= 1000
    return f"{nanoseconds:.3g} s"


def as_csv(report: RunReport) -> str:
    """One line for each consumer and kind of operation, for each agent of several, and for all."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([
        "host", "agent", "consumer", "began", "ended", "lost", "stopped", "seconds",
        "written_bytes", "read_bytes", "verified_bytes", "operations", "rollovers", "errors",
        "faults", "missed_heartbeats", "kind", "count",
        *(f"{head}_ns" for head in _HEADS),
    ])  # fmt: skip
    for agent in report.agents:
        who = [agent.host, agent.agent]
        for consumer in agent.consumers:
            own = [
                *who, consumer.spec.name, stamp(consumer.began), stamp(consumer.ended),
                consumer.lost, consumer.figures.stopped,
            ]  # fmt: skip
            _rows(writer, own, [consumer.figures], consumer.missed)
        if len(report.agents) > 1:
            own = [*who, "all", stamp(agent.began), stamp(agent.ended), agent.lost, agent.cut_short]
            _rows(writer, own, agent.figures, sum(each.missed for each in agent.consumers))
    who = ["", ""] if len(report.agents) != 1 else [report.agents[0].host, report.agents[0].agent]
    own = [*who, "all", stamp(report.began), stamp(report.ended), "", report.cut_short]
    _rows(writer, own, report.figures, sum(each.missed for each in report.consumers))
    return out.getvalue()


def _rows(writer: Any, own: Sequence[str], figures: Sequence[Figures], missed: int) -> None:
    found = totals(figures)
    head = [
        *own, f"{found.seconds:.3f}", found.written, found.read,
        found.verified, found.operations, found.rollovers, found.errors, found.faults, missed,
    ]  # fmt: skip
    for kind in order_of(list(found.latencies)) or [""]:
        said = found.latencies[kind].quantiles() if kind else None
        values = (said.least, round(said.mean), *said.at, said.most) if said else ()
        writer.writerow([*head, kind, said.count if said else 0, *values])
