"""What happens to an agent, and what its core answers with."""

from dataclasses import dataclass

from zfs_walk.agents.tasks import FromWorker, ToWorker
from zfs_walk.protocol.messages import Message
from zfs_walk.protocol.records import Endpoints


@dataclass(frozen=True, slots=True)
class Connected:
    """A fresh socket to the broker is open; HELLO may be said."""


@dataclass(frozen=True, slots=True)
class FromBroker:
    """A message of the broker."""

    message: Message


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


@dataclass(frozen=True, slots=True)
class Drain:
    """Give everything back and leave."""

    reason: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed; what the process knows about itself."""

    rss: int = 0
    cpu_ms: int = 0
    loop_lag_ms: int = 0


Event = Connected | FromBroker | FromPool | WorkerDied | Drain | Tick


@dataclass(frozen=True, slots=True)
class Send:
    """Send to the broker."""

    message: Message


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


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Close the socket to the broker and open a fresh one, after ``delay`` seconds."""

    delay: float


@dataclass(frozen=True, slots=True)
class Note:
    """Something for the log."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Welcomed:
    """The session is open: log records and statuses can be published, and as whose."""

    session: int
    endpoints: Endpoints


@dataclass(frozen=True, slots=True)
class SetLogLevel:
    """Log what is at this level or above, of a logger and all below it; empty: of all of ours."""

    level: str
    logger: str


@dataclass(frozen=True, slots=True)
class Exit:
    """End the process; ``failure`` is empty when all is well."""

    failure: str


Instruction = (
    Send
    | Tell
    | Hurry
    | Spawn
    | Dismiss
    | Delete
    | FreeSpool
    | Reconnect
    | Note
    | Welcomed
    | SetLogLevel
    | Exit
)
