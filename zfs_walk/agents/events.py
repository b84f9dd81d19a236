"""What happens to every agent, and what every core answers with; a role adds its own."""

from dataclasses import dataclass

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
class Drain:
    """Give everything back and leave."""

    reason: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed; what the process knows about itself."""

    rss: int = 0
    cpu_ms: int = 0
    loop_lag_ms: int = 0


Common = Connected | FromBroker | Drain | Tick


@dataclass(frozen=True, slots=True)
class Send:
    """Send to the broker."""

    message: Message


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Close the socket to the broker and open a fresh one, after ``delay`` seconds.

    Attributes:
        delay: seconds.
        elsewhere: nobody answers; the broker may be at another one of its endpoints.
    """

    delay: float
    elsewhere: bool = False


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


CommonInstruction = Send | Reconnect | Note | Welcomed | SetLogLevel | Exit
