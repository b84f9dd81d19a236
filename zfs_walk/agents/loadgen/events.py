"""What happens to a load generator besides what every agent knows, and what its core asks for."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zfs_walk.agents.events import Common, CommonInstruction
from zfs_walk.agents.loadgen.tasks import FromProcess, ToProcess

if TYPE_CHECKING:
    from zfs_walk.agents.loadgen.run import RunSettings


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


@dataclass(frozen=True, slots=True)
class Planned:
    """What a run of the broker's is on this host; ``why`` it can't be."""

    run: int
    settings: "RunSettings | None"
    why: str = ""


@dataclass(frozen=True, slots=True)
class Snapped:
    """A report of a run of the broker's, packed."""

    run: int
    last: bool
    body: bytes


OwnEvent = Said | Died | Unwanted | Planned | Snapped
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
    """The agent's own run is over: write the report."""


@dataclass(frozen=True, slots=True)
class Plan:
    """See what a run of the broker's is on this host: `Planned`."""

    run: int
    duration: float
    config: bytes


@dataclass(frozen=True, slots=True)
class Snap:
    """Pack the report of a run of the broker's as it is now: `Snapped`."""

    run: int
    last: bool


OwnInstruction = Spawn | Tell | Kill | Conclude | Plan | Snap
Instruction = CommonInstruction | OwnInstruction
