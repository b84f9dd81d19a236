"""A run's report as text and as CSV."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, Final

from zfs_walk.load.figures import Figures
from zfs_walk.load.latency import QUANTILES
from zfs_walk.load.report import ConsumerReport, RunReport, order_of, stamp, totals

_HEADS: Final = ("min", "mean", *(f"p{percent:g}" for percent in QUANTILES), "max")
SHOWN: Final = 10
"""Faults and errors of one consumer that the text shows; JSON has more."""


def as_text(report: RunReport) -> str:
    """The report for people."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: RunReport) -> Iterator[str]:
    yield f"Load test of {report.agent} on {report.host}, seed {report.seed}"
    if report.refused:
        yield f"refused: {report.refused}"
        return
    took = report.ended - report.began if report.began else 0.0
    yield (
        f"began {stamp(report.began)}, ended {stamp(report.ended)}: {took:.2f} s,"
        f" {report.duration:g} s wanted"
    )
    if report.cut_short:
        yield f"cut short: {report.cut_short}"
    for consumer in report.consumers:
        yield ""
        yield from _consumer(consumer, report)
    yield ""
    yield f"in all: {len(report.consumers)} consumers"
    yield from _figures([consumer.figures for consumer in report.consumers])
    busy = [device for sample in report.samples for device in sample.devices]
    if report.samples:
        cpu = sum(sample.cpu for sample in report.samples) / len(report.samples)
        memory = max(sample.memory for sample in report.samples)
        yield f"  host: CPU {cpu:.0f} % on average, memory {memory:.0f} % at most"
    for name in sorted({device.name for device in busy}):
        share = [device.busy for device in busy if device.name == name]
        yield f"  device {name}: busy {sum(share) / len(share):.0f} % on average"
    if report.monitor_lost:
        yield f"  the monitor is lost: {report.monitor_lost}"
    if report.monitor_missed:
        yield f"  the monitor missed {report.monitor_missed} heartbeats"


def _consumer(consumer: ConsumerReport, report: RunReport) -> Iterator[str]:
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
        for sample in report.samples
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
    """One line for each consumer and kind of operation, and for all consumers together."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([
        "host", "agent", "consumer", "began", "ended", "lost", "stopped", "seconds",
        "written_bytes", "read_bytes", "verified_bytes", "operations", "rollovers", "errors",
        "faults", "missed_heartbeats", "kind", "count",
        *(f"{head}_ns" for head in _HEADS),
    ])  # fmt: skip
    for consumer in report.consumers:
        own = [
            consumer.spec.name, stamp(consumer.began), stamp(consumer.ended), consumer.lost,
            consumer.figures.stopped,
        ]  # fmt: skip
        _rows(writer, report, own, [consumer.figures], consumer.missed)
    everybody = [consumer.figures for consumer in report.consumers]
    missed = sum(consumer.missed for consumer in report.consumers)
    own = ["all", stamp(report.began), stamp(report.ended), "", report.cut_short]
    _rows(writer, report, own, everybody, missed)
    return out.getvalue()


def _rows(
    writer: Any,
    report: RunReport,
    own: Sequence[str],
    figures: Sequence[Figures],
    missed: int,
) -> None:
    found = totals(figures)
    head = [
        report.host, report.agent, *own, f"{found.seconds:.3f}", found.written, found.read,
        found.verified, found.operations, found.rollovers, found.errors, found.faults, missed,
    ]  # fmt: skip
    for kind in order_of(list(found.latencies)) or [""]:
        said = found.latencies[kind].quantiles() if kind else None
        values = (said.least, round(said.mean), *said.at, said.most) if said else ()
        writer.writerow([*head, kind, said.count if said else 0, *values])
