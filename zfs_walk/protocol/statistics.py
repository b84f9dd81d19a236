"""What processes know about themselves; published once a second, and shown by zfs-ctl."""

from dataclasses import dataclass
from typing import Annotated, Final

from zfs_walk.protocol.schema import U32, U64, Length, Name, Path, Text, Word

MOST_WORKERS: Final = 1_024
"""Worker processes that one agent may have."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who publishes a log record or a status.

    Attributes:
        publisher: random, one per process and publisher; numbers of records count within it.
        role: walker, scout, uploader, loadgen, broker or gateway.
        host: the host's name.
        name: unique among the processes of this role on the host.
        pid: of the process.
        session: with the broker; 0 as long as there is none, and for the broker itself.
        version: of zfs_walk.
    """

    publisher: Word
    role: Word
    host: Name
    name: Name
    pid: U64
    session: U64
    version: Word


@dataclass(frozen=True, slots=True)
class WorkerStatistics:
    """One worker process.

    Attributes:
        worker: its number, never given twice by an agent.
        pid: process id; 0 until it has said that it is there.
        busy: it has a task.
        rss: resident memory in bytes.
    """

    worker: U64
    pid: U64
    busy: bool
    rss: U64


@dataclass(frozen=True, slots=True)
class WalkerStatistics:
    """What a walker agent knows about itself.

    Attributes:
        health: "ok", or what keeps it from its work.
        units: units of work that it holds.
        waiting: directories and parts in its frontiers that nobody has begun.
        entries: counted since the process began.
        errors: entries that could not be read, since the process began.
        entries_per_s: entries counted during the last second.
        unacked: commits on their way.
        rss: resident memory of the agent's own process in bytes.
        cpu_ms: CPU time of agent and workers since the process began.
        loop_lag_ms: how late the loop last woke.
        records: log records and statuses that were published.
        records_lost: of them, those that could not be; the log file has every log record.
        workers: its worker processes.
    """

    health: Text
    units: U32
    waiting: U64
    entries: U64
    errors: U64
    entries_per_s: U64
    unacked: U32
    rss: U64
    cpu_ms: U64
    loop_lag_ms: U64
    records: U64
    records_lost: U64
    workers: Annotated[tuple[WorkerStatistics, ...], Length(MOST_WORKERS)]


@dataclass(frozen=True, slots=True)
class BrokerStatistics:
    """What the broker knows about itself.

    Attributes:
        host: its host's name; ``pid``, ``version``: of its process.
        term: its incarnation.
        uptime_ms: since this incarnation began.
        secure: keys are demanded, or only the broker's own user can connect at all.
        live: agents that are LIVE; ``suspect``, ``lost``: that are not.
        clients: commands that are connected.
        running: runs that are not over.
        messages: received in this term; ``refused``: of them, not understood or not allowed.
        transactions: of the journal, in this term.
        journal_bytes: size of the journal's file.
        rss: resident memory in bytes; ``cpu_ms``: CPU time of the process.
        loop_lag_ms: how late the loop last woke.
        records: log records that came through.
        ring_records: of them, kept for LOG_SINCE, with ``ring_bytes``.
        claims: folders that scouts watch; ``files``: rows of all their lists, served or not.
    """

    host: Name
    pid: U64
    version: Word
    term: U64
    uptime_ms: U64
    secure: bool
    live: U32
    suspect: U32
    lost: U32
    clients: U32
    running: U32
    messages: U64
    refused: U64
    transactions: U64
    journal_bytes: U64
    rss: U64
    cpu_ms: U64
    loop_lag_ms: U64
    records: U64
    ring_records: U64
    ring_bytes: U64
    claims: U32
    files: U64


@dataclass(frozen=True, slots=True)
class ClaimStatistics:
    """What a scout knows about one folder.

    Attributes:
        path: the folder.
        monitor: fanotify, watchdog or poll.
        serving: the broker may answer with its list; ``why`` not.
        files: in the list.
        directories: below the folder, itself included.
        unwatched: of them, those that events do not cover; they are polled.
        events: that the system has told since the start.
        events_lost: times that the system has said that it lost some.
        found_by_events: changes of the list that events led to.
        found_by_poll: changes that the poll found and the events had missed: how far to trust them.
        polls: whole comparisons that are done; ``poll_ms``: what the last one took.
        writing: files that somebody is writing.
        unsent: changes that the broker does not know yet.
    """

    path: Path
    monitor: Word
    serving: bool
    why: Text
    files: U64
    directories: U64
    unwatched: U64
    events: U64
    events_lost: U64
    found_by_events: U64
    found_by_poll: U64
    polls: U64
    poll_ms: U64
    writing: U64
    unsent: U64


@dataclass(frozen=True, slots=True)
class ScoutStatistics:
    """What a scout agent knows about itself.

    Attributes:
        health: "ok", or what keeps it from its work.
        claims: its folders.
        rss: resident memory in bytes; ``cpu_ms``: CPU time since the process began.
        loop_lag_ms: how late the loop last woke.
        records: log records and statuses that were published.
        records_lost: of them, those that could not be; the log file has every log record.
    """

    health: Text
    claims: Annotated[tuple[ClaimStatistics, ...], Length(1_024)]
    rss: U64
    cpu_ms: U64
    loop_lag_ms: U64
    records: U64
    records_lost: U64


@dataclass(frozen=True, slots=True)
class MappingStatistics:
    """What an uploader knows about one mapping.

    Attributes:
        name: of the mapping; ``path``: of the folder; ``url``: of the other side.
        phase: starting, reconciling, mirroring, waiting or stopped.
        health: "ok", or what keeps it from its work.
        files: in the folder's list.
        indexed: files that are known to be on the other side.
        ready: actions that wait for their turn; ``taken``: that are being done.
        held: deletions that wait until somebody confirms them.
        aside: actions that failed too often, or can't succeed.
        bytes: of the files that are to be sent.
        active: files that are being sent.
        sent: files, since the start, as all that follows; ``sent_bytes``: also of failed tries.
        moved: files that have another name on the other side now.
        deleted: files that are gone there.
        unchanged: actions that asked for nothing.
        failed: tries.
        bytes_per_s: in the last seconds.
        comparisons: of both sides that are done.
        compared_ns: when the last one was, ns since the epoch; 0: none was.
    """

    name: Name
    path: Path
    url: Text
    phase: Word
    health: Text
    files: U64
    indexed: U64
    ready: U64
    taken: U64
    held: U64
    aside: U64
    bytes: U64
    active: U32
    sent: U64
    sent_bytes: U64
    moved: U64
    deleted: U64
    unchanged: U64
    failed: U64
    bytes_per_s: U64
    comparisons: U64
    compared_ns: U64


@dataclass(frozen=True, slots=True)
class UploaderStatistics:
    """What an uploader agent knows about itself.

    Attributes:
        health: "ok", or what keeps it from its work.
        mappings: what it mirrors.
        bwlimit: bytes a second that all mappings together may send; 0: there is no limit.
        rss: resident memory in bytes; ``cpu_ms``: CPU time since the process began.
        loop_lag_ms: how late the loop last woke.
        records: log records and statuses that were published.
        records_lost: of them, those that could not be; the log file has every log record.
    """

    health: Text
    mappings: Annotated[tuple[MappingStatistics, ...], Length(1_024)]
    bwlimit: U64
    rss: U64
    cpu_ms: U64
    loop_lag_ms: U64
    records: U64
    records_lost: U64


@dataclass(frozen=True, slots=True)
class ConsumerStatistics:
    """What a load generator knows about one consumer.

    Attributes:
        name: the consumer's; ``pid``: of its process, 0 until it has said that it is there.
        phase: starting, ready, checked, laid-out, running, stopping, over or lost.
        health: "ok", or what went wrong.
        written: bytes since the run began, as all that follows; ``read``, ``verified``: bytes.
        operations: so many; ``rollovers``, ``errors``, ``faults`` (of verification), ``missed``
            (heartbeats) likewise.
        written_per_s, read_per_s: bytes a second, lately; ``operations_per_s`` likewise.
        p50_ns, p99_ns: what so many percent of its reads, writes or operations of metadata did not
            exceed, whichever kind there are most of.
        cpu: percent of one core at the monitor's last sample; ``rss``: resident bytes.
    """

    name: Name
    pid: U64
    phase: Word
    health: Text
    written: U64
    read: U64
    verified: U64
    operations: U64
    rollovers: U64
    errors: U64
    faults: U64
    missed: U64
    written_per_s: U64
    read_per_s: U64
    operations_per_s: U64
    p50_ns: U64
    p99_ns: U64
    cpu: U32
    rss: U64


@dataclass(frozen=True, slots=True)
class LoadgenStatistics:
    """What a load generator knows about itself.

    Attributes:
        health: "ok", or what went wrong.
        stage: standing by, starting, checking, laying out, ready, running, stopping or over.
        run: its number at the broker; 0: it is the agent's own, or there is none.
        elapsed_ms: since the run began; ``duration_ms``: that it is to take.
        consumers: of the run.
        host_cpu: percent of all cores at the monitor's last sample; ``device_busy``: percent of the
            time in which the busiest device of a target had something to do.
        rss: resident memory of the agent's own process in bytes; ``cpu_ms``: CPU time since it
            began.
        loop_lag_ms: how late the loop last woke.
        records: log records and statuses that were published.
        records_lost: of them, those that could not be; the log file has every log record.
    """

    health: Text
    stage: Word
    run: U64
    elapsed_ms: U64
    duration_ms: U64
    consumers: Annotated[tuple[ConsumerStatistics, ...], Length(1_024)]
    host_cpu: U32
    device_busy: U32
    rss: U64
    cpu_ms: U64
    loop_lag_ms: U64
    records: U64
    records_lost: U64


AgentStatistics = WalkerStatistics | ScoutStatistics | UploaderStatistics | LoadgenStatistics
"""What agents know about themselves."""
