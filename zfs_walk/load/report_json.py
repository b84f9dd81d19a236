"""A report as JSON."""

from dataclasses import asdict
from typing import Any, Final

from zfs_walk.load.latency import QUANTILES, Latencies
from zfs_walk.load.report import AgentReport, ConsumerReport, RunReport, Totals, stamp, totals
from zfs_walk.load.spec import KEEP_ALL, LoadSpec

SCHEMA: Final = 2
"""Of the report's JSON."""


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
