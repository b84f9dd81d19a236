"""What an agent's core knows about itself."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CoreStatistics:
    """Of `AgentCore`; the shell adds what it knows of processes.

    Attributes:
        health: "ok", or what keeps the agent from its work.
        units: units of work that it holds.
        waiting: directories and parts in its frontiers that nobody has begun.
        entries: counted since the process began, those of rolled back work too.
        errors: entries that could not be read, likewise.
        unacked: commits on their way.
        busy: numbers of the workers that have a task.
    """

    health: str
    units: int
    waiting: int
    entries: int
    errors: int
    unacked: int
    busy: frozenset[int]
