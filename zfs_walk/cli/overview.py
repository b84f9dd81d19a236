"""What is on a bus at a moment: the broker, its agents with their workers, its runs."""

from dataclasses import asdict, dataclass
from typing import Any

from zfs_walk import names
from zfs_walk.protocol.loads import LoadLine
from zfs_walk.protocol.messages import AgentStatus, SnapshotReply
from zfs_walk.protocol.records import AgentLine, RunLine
from zfs_walk.protocol.statistics import (
    AgentStatistics,
    BrokerStatistics,
    ScoutStatistics,
    UploaderStatistics,
)

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent's session, and what it last published about itself, if anything.

    Attributes:
        line: what the broker knows.
        status: what the agent says; None: nothing yet, or nothing lately.
        age: seconds since it said so.
        same_version: it is of the broker's release.
    """

    line: AgentLine
    status: AgentStatistics | None
    age: float
    same_version: bool

    @property
    def health(self) -> str:
        """Whether it can do its work, by the broker's word or its own."""
        if self.line.state != "live":
            return f"silent for {self.line.silent_ms / 1000:.0f} s"
        return "" if self.status is None else self.status.health


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything, with what belongs together put together."""

    broker: BrokerStatistics
    agents: tuple[Agent, ...]
    runs: tuple[RunLine, ...]
    loads: tuple[LoadLine, ...]
    time_ns: int

    @classmethod
    def of(cls, reply: SnapshotReply) -> "Overview":
        """Put the agents' sessions and statuses together."""
        last: dict[int, AgentStatus] = {}
        said: tuple[AgentStatus, ...] = (
            *reply.walkers, *reply.scouts, *reply.uploaders, *reply.loadgens,
        )  # fmt: skip
        for status in said:
            known = last.get(status.origin.session)
            if known is None or status.time_ns >= known.time_ns:
                last[status.origin.session] = status
        agents = []
        for line in sorted(reply.agents, key=lambda line: (line.host, line.role, line.name)):
            own = last.get(line.session)
            age = max(0, reply.time_ns - own.time_ns) / 1e9 if own else 0.0
            same = line.version in {"", reply.broker.version}
            agents.append(Agent(line, own.statistics if own else None, age, same))
        return cls(reply.broker, tuple(agents), reply.runs, reply.loads, reply.time_ns)

    def as_json(self) -> dict[str, Any]:
        """The documented JSON object (docs/json.md)."""
        return {
            "schema": SCHEMA,
            "time_ns": self.time_ns,
            "broker": asdict(self.broker),
            "agents": [_agent_json(agent) for agent in self.agents],
            "runs": [
                {
                    "run": run.run,
                    "state": run.state,
                    "entries": run.entries,
                    "sent_files": run.sent_files,
                    "sent_bytes": run.sent_bytes,
                    "items_left": run.items_left,
                    "seconds": run.age_ms / 1000,
                    "roots": [names.to_json(root) for root in run.roots],
                }
                for run in self.runs
            ],
            "loads": [load_json(load) for load in self.loads],
        }


def load_json(line: LoadLine) -> dict[str, Any]:
    """A load run, as JSON (docs/json.md)."""
    return {
        "run": line.run,
        "state": line.state,
        "reason": line.reason,
        "agents": line.agents,
        "lost": line.lost,
        "duration": line.duration_ms / 1000,
        "seconds": line.elapsed_ms / 1000,
    }


def _agent_json(agent: Agent) -> dict[str, Any]:
    line = agent.line
    return {
        "session": line.session,
        "role": line.role,
        "host": line.host,
        "name": line.name,
        "pid": line.pid,
        "version": line.version,
        "same_version": agent.same_version,
        "state": line.state,
        "silent_seconds": line.silent_ms / 1000,
        "health": agent.health,
        "capacity": line.capacity,
        "rss": line.rss,
        "status": None if agent.status is None else _status_json(agent.status),
        "status_age_seconds": None if agent.status is None else agent.age,
    }


def _status_json(status: AgentStatistics) -> dict[str, Any]:
    fields = asdict(status)
    if isinstance(status, ScoutStatistics):
        fields["claims"] = [
            {**names.to_json(claim.pop("path"), "claim"), **claim} for claim in fields["claims"]
        ]
    elif isinstance(status, UploaderStatistics):
        fields["mappings"] = [
            {**mapping, **names.to_json(mapping.pop("path"), "path")}
            for mapping in fields["mappings"]
        ]
    return fields
