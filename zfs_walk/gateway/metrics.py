"""The series of /metrics, made from a SNAPSHOT; docs/operations.md lists them.

None has a label for a host, an agent or a user: their number depends on the code, and on the runs
that are not over.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from zfs_walk.gateway.watch import Seen
from zfs_walk.protocol.loads import LOAD_STATES, LoadLine
from zfs_walk.protocol.messages import SnapshotReply
from zfs_walk.protocol.records import RunLine
from zfs_walk.protocol.statistics import (
    BrokerStatistics,
    LoadgenStatistics,
    ScoutStatistics,
    UploaderStatistics,
    WalkerStatistics,
)

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

AGENT_STATES: Final = ("live", "suspect", "lost")
RUN_STATES: Final = ("RUNNING", "DRAINING", "PAUSED", "DONE", "DONE_WITH_ERRORS", "ABORTED")
OVER: Final = RUN_STATES[3:]


def exposition(seen: Seen) -> bytes:
    """The body of /metrics in the OpenMetrics format."""
    body: bytes = generate_latest(_Snapshot(seen))  # type: ignore[no-untyped-call]
    return body


class _Snapshot(Collector):
    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def collect(self) -> Iterable[Metric]:
        """What the broker said last; nothing but its silence if it never spoke."""
        reply = self._seen.reply
        yield _gauge("broker_up", "1 while the broker answers.", int(self._seen.fresh))
        yield _gauge("broker_answer_age", "Time since the broker's last answer.",
                     self._seen.age, "seconds")  # fmt: skip
        if reply is None:
            return
        yield from _broker(reply.broker)
        yield _agents(reply)
        yield from _runs(reply.runs)
        yield from _walkers([status.statistics for status in reply.walkers])
        yield from _scouts([status.statistics for status in reply.scouts])
        yield from _uploaders([status.statistics for status in reply.uploaders])
        yield _loads(reply.loads)
        yield from _loadgens([status.statistics for status in reply.loadgens])


def _broker(broker: BrokerStatistics) -> Iterator[Metric]:
    yield InfoMetricFamily(
        "zfs_walk_broker", "The broker's release and host.",
        {"version": broker.version, "host": broker.host},
    )  # fmt: skip
    yield _gauge("broker_secure", "1 if keys are demanded.", int(broker.secure))
    yield _gauge("broker_term", "The broker's incarnation.", broker.term)
    yield _gauge("broker_uptime", "Time since this incarnation began.",
                 broker.uptime_ms / 1000, "seconds")  # fmt: skip
    yield _gauge("broker_clients", "Commands that are connected.", broker.clients)
    yield _counter("broker_messages", "Messages received in this term.", broker.messages)
    yield _counter("broker_messages_refused", "Messages not understood or not allowed.",
                   broker.refused)  # fmt: skip
    yield _counter("broker_transactions", "Transactions of the journal in this term.",
                   broker.transactions)  # fmt: skip
    yield _gauge("broker_journal_size", "Size of the journal.", broker.journal_bytes, "bytes")
    yield _gauge("broker_resident_memory", "Resident memory of the broker.", broker.rss, "bytes")
    yield _counter("broker_cpu", "CPU time of the broker.", broker.cpu_ms / 1000, "seconds")
    yield _gauge("broker_loop_lag", "How late the broker's loop last woke.",
                 broker.loop_lag_ms / 1000, "seconds")  # fmt: skip
    yield _gauge("broker_claims", "Folders that scouts have claimed.", broker.claims)
    yield _gauge("broker_files", "Files in all lists of scouts, served or not.", broker.files)
    yield _counter("broker_log_records", "Log records that came through.", broker.records)
    yield _gauge("broker_log_ring_records", "Log records that can be read back.",
                 broker.ring_records)  # fmt: skip
    yield _gauge("broker_log_ring_size", "Size of the log records that can be read back.",
                 broker.ring_bytes, "bytes")  # fmt: skip


def _agents(reply: SnapshotReply) -> Metric:
    agents = GaugeMetricFamily(
        "zfs_walk_agents", "Agents by role and state.", labels=["role", "state"]
    )
    found = Counter((agent.role, agent.state.lower()) for agent in reply.agents)
    for role in sorted(
        {"loadgen", "scout", "uploader", "walker", *(agent.role for agent in reply.agents)}
    ):
        for state in AGENT_STATES:
            agents.add_metric([role, state], found[role, state])
    return agents


def _runs(lines: Iterable[RunLine]) -> Iterator[Metric]:
    runs = GaugeMetricFamily("zfs_walk_runs", "Runs by state, of the newest 1,000.",
                             labels=["state"])  # fmt: skip
    entries = GaugeMetricFamily("zfs_walk_run_entries", "Entries counted in a run that goes on.",
                                labels=["run"])  # fmt: skip
    queue = GaugeMetricFamily("zfs_walk_run_queue_items", "Items left in a run that goes on.",
                              labels=["run"])  # fmt: skip
    found: Counter[str] = Counter()
    for line in lines:
        found[line.state] += 1
        if line.state not in OVER:
            entries.add_metric([str(line.run)], line.entries)
            queue.add_metric([str(line.run)], line.items_left)
    for state in RUN_STATES:
        runs.add_metric([state.lower()], found[state])
    yield from (runs, entries, queue)


def _walkers(walkers: list[WalkerStatistics]) -> Iterator[Metric]:
    """Sums over the agents that publish now: they fall when one leaves, so they are gauges."""
    yield _gauge("walkers_publishing", "Walker agents that publish a status.", len(walkers))
    yield _gauge("walkers_healthy", "Of them, those that nothing keeps from their work.",
                 sum(walker.health == "ok" for walker in walkers))  # fmt: skip
    yield _gauge("walkers_workers", "Worker processes.",
                 sum(len(walker.workers) for walker in walkers))  # fmt: skip
    yield _gauge("walkers_workers_busy", "Worker processes that have a task.",
                 sum(worker.busy for walker in walkers for worker in walker.workers))  # fmt: skip
    yield _gauge("walkers_units", "Units of work that agents hold.",
                 sum(walker.units for walker in walkers))  # fmt: skip
    yield _gauge("walkers_queue_items", "Directories and parts that nobody has begun.",
                 sum(walker.waiting for walker in walkers))  # fmt: skip
    yield _gauge("walkers_entries", "Entries that these agents have counted since they began.",
                 sum(walker.entries for walker in walkers))  # fmt: skip
    yield _gauge("walkers_errors", "Entries that they could not read since they began.",
                 sum(walker.errors for walker in walkers))  # fmt: skip
    yield _gauge("walkers_entries_per_second", "Entries counted in the last second.",
                 sum(walker.entries_per_s for walker in walkers))  # fmt: skip
    yield _gauge("walkers_commits_unacknowledged", "Commits on their way.",
                 sum(walker.unacked for walker in walkers))  # fmt: skip
    yield _gauge("walkers_resident_memory", "Resident memory of agents and workers.",
                 sum(walker.rss + sum(worker.rss for worker in walker.workers)
                     for walker in walkers), "bytes")  # fmt: skip
    yield _gauge("walkers_loop_lag_max", "How late the loop of the slowest agent last woke.",
                 max((walker.loop_lag_ms for walker in walkers), default=0) / 1000,
                 "seconds")  # fmt: skip
    yield _gauge("walkers_log_records_lost", "Log records that could not be published.",
                 sum(walker.records_lost for walker in walkers))  # fmt: skip


def _scouts(scouts: list[ScoutStatistics]) -> Iterator[Metric]:
    """Sums over the agents that publish now: they fall when one leaves, so they are gauges."""
    claims = [claim for scout in scouts for claim in scout.claims]
    yield _gauge("scouts_publishing", "Scout agents that publish a status.", len(scouts))
    yield _gauge("scouts_healthy", "Of them, those that nothing keeps from their work.",
                 sum(scout.health == "ok" for scout in scouts))  # fmt: skip
    yield _gauge("scouts_claims", "Folders that they watch.", len(claims))
    yield _gauge("scouts_claims_serving", "Of them, those whose files are in the answers.",
                 sum(claim.serving for claim in claims))  # fmt: skip
    for name, field, text in (
        ("files", "files", "Files in the lists of these folders."),
        ("directories", "directories", "Directories below these folders."),
        ("directories_unwatched", "unwatched", "Of them, those that only the poll sees."),
        ("events", "events", "Events that the system has told since the scouts began."),
        ("events_lost", "events_lost", "Times that the system has said that it lost events."),
        ("found_by_events", "found_by_events", "Changes that events led to."),
        (
            "found_by_poll",
            "found_by_poll",
            "Changes that the poll found, and the events had missed.",
        ),
        ("polls", "polls", "Whole comparisons that were done."),
        ("writing", "writing", "Files that somebody is writing."),
        ("unsent", "unsent", "Changes that the broker does not know yet."),
    ):
        yield _gauge(f"scouts_{name}", text, sum(getattr(claim, field) for claim in claims))
    yield _gauge("scouts_poll_duration_max", "What the last comparison of the slowest folder took.",
                 max((claim.poll_ms for claim in claims), default=0) / 1000,
                 "seconds")  # fmt: skip
    yield _gauge("scouts_resident_memory", "Resident memory of these agents.",
                 sum(scout.rss for scout in scouts), "bytes")  # fmt: skip
    yield _gauge("scouts_loop_lag_max", "How late the loop of the slowest agent last woke.",
                 max((scout.loop_lag_ms for scout in scouts), default=0) / 1000,
                 "seconds")  # fmt: skip
    yield _gauge("scouts_log_records_lost", "Log records that could not be published.",
                 sum(scout.records_lost for scout in scouts))  # fmt: skip


def _uploaders(uploaders: list[UploaderStatistics]) -> Iterator[Metric]:
    """Sums over the agents that publish now: they fall when one leaves, so they are gauges."""
    mappings = [mapping for uploader in uploaders for mapping in uploader.mappings]
    yield _gauge("uploaders_publishing", "Uploader agents that publish a status.", len(uploaders))
    yield _gauge("uploaders_healthy", "Of them, those that nothing keeps from their work.",
                 sum(uploader.health == "ok" for uploader in uploaders))  # fmt: skip
    yield _gauge("uploaders_mappings", "Folders that they mirror.", len(mappings))
    yield _gauge("uploaders_mappings_healthy", "Of them, those that nothing keeps from being so.",
                 sum(mapping.health == "ok" for mapping in mappings))  # fmt: skip
    for name, field, text in (
        ("files", "files", "Files in these folders."),
        ("files_there", "indexed", "Files that are known to be on the other side."),
        ("actions_ready", "ready", "Actions that wait for their turn."),
        ("actions_taken", "taken", "Actions that are being done."),
        ("actions_held", "held", "Deletions that wait until somebody confirms them."),
        ("actions_aside", "aside", "Actions that failed too often, or can't succeed."),
        ("transfers", "active", "Files that are being sent."),
        ("sent", "sent", "Files that were sent since the uploaders began."),
        ("moved", "moved", "Files that were given another name on the other side."),
        ("deleted", "deleted", "Files that were deleted on the other side."),
        ("failed_tries", "failed", "Tries that failed."),
        ("comparisons", "comparisons", "Comparisons of both sides that were done."),
    ):
        yield _gauge(f"uploaders_{name}", text, sum(getattr(each, field) for each in mappings))
    for name, field, text in (
        ("unsent", "bytes", "Size of the files that are to be sent."),
        ("sent", "sent_bytes", "Bytes that were sent since the uploaders began."),
        ("resident_memory", "rss", "Resident memory of these agents."),
    ):
        whose = uploaders if field == "rss" else mappings
        yield _gauge(f"uploaders_{name}", text, sum(getattr(each, field) for each in whose),
                     "bytes")  # fmt: skip
    yield _gauge("uploaders_bytes_per_second", "Bytes sent in the last seconds, a second.",
                 sum(mapping.bytes_per_s for mapping in mappings))  # fmt: skip
    yield _gauge("uploaders_loop_lag_max", "How late the loop of the slowest agent last woke.",
                 max((uploader.loop_lag_ms for uploader in uploaders), default=0) / 1000,
                 "seconds")  # fmt: skip
    yield _gauge("uploaders_log_records_lost", "Log records that could not be published.",
                 sum(uploader.records_lost for uploader in uploaders))  # fmt: skip


def _loads(lines: Iterable[LoadLine]) -> Metric:
    loads = GaugeMetricFamily(
        "zfs_walk_load_runs", "Load runs by state, of the newest 1,000.", labels=["state"]
    )
    found = Counter(line.state for line in lines)
    for state in LOAD_STATES:
        loads.add_metric([state.lower()], found[state])
    return loads


def _loadgens(loadgens: list[LoadgenStatistics]) -> Iterator[Metric]:
    """Sums over the runs at hand of agents that publish now: they fall, so they are gauges."""
    consumers = [consumer for each in loadgens for consumer in each.consumers]
    yield _gauge("loadgens_publishing", "Load generators that publish a status.", len(loadgens))
    yield _gauge("loadgens_healthy", "Of them, those with which nothing is wrong.",
                 sum(each.health == "ok" for each in loadgens))  # fmt: skip
    yield _gauge("loadgens_standing_by", "Of them, those that have no run.",
                 sum(not each.consumers for each in loadgens))  # fmt: skip
    yield _gauge("loadgens_consumers", "Consumers of their runs.", len(consumers))
    for name, field, text in (
        ("operations", "operations", "Operations that these consumers have done."),
        ("rollovers", "rollovers", "Files, or passes over them, that they have done."),
        ("errors", "errors", "Operations that failed."),
        ("faults", "faults", "Faults that verification found."),
        ("heartbeats_missed", "missed", "Heartbeats that they did not answer."),
        ("operations_per_second", "operations_per_s", "Operations a second, lately."),
        ("written_bytes_per_second", "written_per_s", "Bytes written a second, lately."),
        ("read_bytes_per_second", "read_per_s", "Bytes read a second, lately."),
    ):
        yield _gauge(f"loadgens_{name}", text, sum(getattr(each, field) for each in consumers))
    for name, field, text in (
        ("written", "written", "Bytes that these consumers have written."),
        ("read", "read", "Bytes that they have read."),
        ("verified", "verified", "Bytes that they have verified."),
    ):
        amount = sum(getattr(each, field) for each in consumers)
        yield _gauge(f"loadgens_{name}", text, amount, "bytes")
    yield _gauge("loadgens_p99_max", "The 99th percentile of the slowest consumer.",
                 max((each.p99_ns for each in consumers), default=0) / 1e9, "seconds")  # fmt: skip
    yield _gauge("loadgens_loop_lag_max", "How late the loop of the slowest agent last woke.",
                 max((each.loop_lag_ms for each in loadgens), default=0) / 1000,
                 "seconds")  # fmt: skip
    yield _gauge("loadgens_log_records_lost", "Log records that could not be published.",
                 sum(each.records_lost for each in loadgens))  # fmt: skip


def _gauge(name: str, text: str, value: float, unit: str = "") -> Metric:
    return GaugeMetricFamily(f"zfs_walk_{name}", text, value, unit=unit)


def _counter(name: str, text: str, value: float, unit: str = "") -> Metric:
    return CounterMetricFamily(f"zfs_walk_{name}", text, value, unit=unit)
