"""What there is at a moment: runs, agents, and the broker itself. No I/O, no clock."""

from typing import Protocol

from zfs_walk.broker.loads import LoadRuns
from zfs_walk.broker.logs import Remembered
from zfs_walk.broker.registry import Registry
from zfs_walk.broker.state import SessionState, State
from zfs_walk.protocol.messages import (
    AgentList,
    Agents,
    AgentStatus,
    LoadgenStatus,
    RunList,
    Runs,
    ScoutStatus,
    Snapshot,
    SnapshotReply,
    UploaderStatus,
    WalkerStatus,
)
from zfs_walk.protocol.records import AgentLine, RunLine
from zfs_walk.protocol.statistics import BrokerStatistics

MOST_RUNS = 1_000
MOST_AGENTS = 10_000
"""Lines of one reply, by its schema."""


class Published(Remembered, Protocol):
    """`History`, as the core reads it."""

    def statuses(self, now_ns: int) -> tuple[AgentStatus, ...]:
        """As `History.statuses`."""

    def counts(self) -> tuple[int, int, int]:
        """As `History.counts`."""


class Overview:
    """Answers RUNS, AGENTS and SNAPSHOT."""

    def __init__(
        self,
        state: State,
        history: Published | None,
        registry: Registry,
        loads: LoadRuns,
        began: float,
    ) -> None:
        """Look at a state from now on.

        Args:
            state: the core's.
            history: what was published lately; None where nothing is.
            registry: of claims.
            loads: the load runs.
            began: when this term did.
        """
        self._state = state
        self._history = history
        self._registry = registry
        self._loads = loads
        self._began = began

    def on_request(self, route: bytes, message: Runs | Agents | Snapshot, now: float) -> None:
        """Answer a client's request."""
        match message:
            case Runs(request):
                self._state.send(route, RunList(request, self._runs(now)))
            case Agents(request):
                self._state.send(route, AgentList(request, self._agents(now)))
            case Snapshot(request):
                self._state.send(route, self._snapshot(request, now))

    def statistics(self, now: float) -> BrokerStatistics:
        """What the broker knows about itself."""
        state, vitals = self._state, self._state.vitals
        states = [session.state for session in state.sessions.values()]
        records, ring_records, ring_bytes = self._history.counts() if self._history else (0, 0, 0)
        return BrokerStatistics(
            state.settings.host, vitals.pid, vitals.version, state.term,
            round((now - self._began) * 1000), not state.settings.insecure,
            states.count(SessionState.LIVE), states.count(SessionState.SUSPECT),
            states.count(SessionState.LOST), len(state.clients),
            sum(not run.over for run in state.runs.values())
            + sum(not run.over for run in state.loads.values()),
            vitals.messages, state.refused, vitals.transactions, vitals.journal_bytes, vitals.rss,
            vitals.cpu_ms, vitals.loop_lag_ms, records, ring_records, ring_bytes,
            len(self._registry), self._registry.rows,
        )  # fmt: skip

    def _snapshot(self, request: str, now: float) -> SnapshotReply:
        time_ns = max(0, round(now * 1e9) + self._state.vitals.wall_ns)
        said = self._history.statuses(time_ns) if self._history else ()
        walkers = [status for status in said if isinstance(status, WalkerStatus)]
        scouts = [status for status in said if isinstance(status, ScoutStatus)]
        uploaders = [status for status in said if isinstance(status, UploaderStatus)]
        loadgens = [status for status in said if isinstance(status, LoadgenStatus)]
        return SnapshotReply(
            request, time_ns, self.statistics(now), self._agents(now),
            tuple(walkers[:MOST_AGENTS]), tuple(scouts[:MOST_AGENTS]),
            tuple(uploaders[:MOST_AGENTS]), tuple(loadgens[:MOST_AGENTS]), self._runs(now),
            self._loads.lines(now),
        )  # fmt: skip

    def _runs(self, now: float) -> tuple[RunLine, ...]:
        live = self._live()
        newest = sorted(self._state.runs.values(), key=lambda run: -run.number)[:MOST_RUNS]
        return tuple(
            RunLine(
                run.number, run.state, tuple(root.path for root in run.roots),
                run.counters.get("entries", 0) + live.get(run.number, 0), run.items,
                run.elapsed(now), run.counters.get("sent.files", 0),
                run.counters.get("sent.bytes", 0),
            )
            for run in newest
        )  # fmt: skip

    def _live(self) -> dict[int, int]:
        """Entries of running runs that agents have counted and not yet committed."""
        live: dict[int, int] = {}
        for session in self._state.sessions.values():
            for number, count in session.live.items():
                run = self._state.runs.get(number)
                if run is not None and run.state == "RUNNING":
                    live[number] = live.get(number, 0) + count.entries
        return live

    def _agents(self, now: float) -> tuple[AgentLine, ...]:
        return tuple(
            AgentLine(
                s.id, s.role, s.host, s.name, s.pid, s.version, s.capacity, s.state.value,
                max(0, round((now - s.heard) * 1000)), len(s.units), s.rss,
            )
            for s in list(self._state.sessions.values())[:MOST_AGENTS]
        )  # fmt: skip
