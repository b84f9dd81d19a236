"""What happens to a walker, and what its core answers with, besides what every agent knows."""

from dataclasses import dataclass

from zfs_walk.agents.events import Common, CommonInstruction
from zfs_walk.agents.walker.tasks import FromWorker, ToWorker


@dataclass(frozen=True, slots=True)
class FromPool:
    """A worker's message."""

    message: FromWorker


@dataclass(frozen=True, slots=True)
class WorkerDied:
    """A worker's process ended.

    Attributes:
        worker: its number.
        cause: how, in words.
        pointed: the kind of death points at what it was doing (a crash, not a kill from outside).
        place: root, path and part that the black box holds, if it was at something.
    """

    worker: int
    cause: str
    pointed: bool
    place: tuple[int, bytes, int] | None


Event = Common | FromPool | WorkerDied


@dataclass(frozen=True, slots=True)
class Tell:
    """Send to a worker."""

    worker: int
    message: ToWorker


HURRY_NOT, HURRY_TO_SHARE, HURRY_NOW = 0, 1, 2
"""Levels of haste, one byte of shared memory that a scanner looks at between directories."""


@dataclass(frozen=True, slots=True)
class Hurry:
    """Set how soon a worker is to come back."""

    worker: int
    level: int


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start a worker under a number that was never used before."""

    worker: int


@dataclass(frozen=True, slots=True)
class Dismiss:
    """End a worker that has nothing in hand and is not needed any more."""

    worker: int


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete segments that no commit lists, from a run's catalog folder."""

    catalog: bytes
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FreeSpool:
    """Nothing in the spool of names is needed any more."""


OwnInstruction = Tell | Hurry | Spawn | Dismiss | Delete | FreeSpool
Instruction = CommonInstruction | OwnInstruction
