"""What happens to a load generator besides what every agent knows, and what its core asks for."""

from dataclasses import dataclass

from zfs_walk.agents.events import Common, CommonInstruction
from zfs_walk.agents.loadgen.tasks import FromProcess, ToProcess


@dataclass(frozen=True, slots=True)
class Said:
    """A process has said something."""

    message: FromProcess


@dataclass(frozen=True, slots=True)
class Died:
    """A process has ended."""

    worker: int
    cause: str


@dataclass(frozen=True, slots=True)
class Unwanted:
    """The broker and this agent can't speak with each other."""

    reason: str


OwnEvent = Said | Died | Unwanted
Event = Common | OwnEvent


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start a process."""

    worker: int


@dataclass(frozen=True, slots=True)
class Tell:
    """Say something to a process."""

    worker: int
    message: ToProcess


@dataclass(frozen=True, slots=True)
class Kill:
    """End a process."""

    worker: int


@dataclass(frozen=True, slots=True)
class Conclude:
    """The run is over: write the report."""


OwnInstruction = Spawn | Tell | Kill | Conclude
Instruction = CommonInstruction | OwnInstruction
