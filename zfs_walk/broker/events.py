"""What happens to a broker, and what its core answers with."""

from collections.abc import Callable
from dataclasses import dataclass

from zfs_walk.protocol.messages import Message
from zfs_walk.protocol.statistics import Origin


@dataclass(frozen=True, slots=True)
class Received:
    """A message came along a route, from whoever has the secret of the public key ``user``.

    ``user`` is empty where no key is demanded (`zfs_walk.broker.keys.LOCAL`).
    """

    route: bytes
    message: Message
    user: str = ""


@dataclass(frozen=True, slots=True)
class Garbled:
    """Something came along a route that is no message; ``code`` says what is wrong with it."""

    route: bytes
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class SendFailed:
    """A message could not be sent: ``gone`` if the peer is, else its queue is full."""

    route: bytes
    message: Message
    gone: bool


@dataclass(frozen=True, slots=True)
class Vitals:
    """What the broker's process knows about itself; the fields of `BrokerStatistics`, and a clock.

    Attributes:
        wall_ns: what the wall clock is ahead of the monotonic one, in nanoseconds.
    """

    pid: int = 0
    version: str = ""
    wall_ns: int = 0
    messages: int = 0
    transactions: int = 0
    journal_bytes: int = 0
    rss: int = 0
    cpu_ms: int = 0
    loop_lag_ms: int = 0


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed; ``vitals`` are new ones, if there are."""

    vitals: Vitals | None = None


Event = Received | Garbled | SendFailed | Tick


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message along a route."""

    route: bytes
    message: Message


@dataclass(frozen=True, slots=True)
class SetLogLevel:
    """Log what is at this level or above, of a logger and all below it; empty: of all of ours."""

    level: str
    logger: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something for the log: ``level`` as in `logging`, ``run`` 0 if it belongs to none."""

    level: int
    text: str
    run: int = 0


@dataclass(frozen=True, slots=True)
class Publish:
    """Publish a message on a topic; ``make`` makes it of who publishes, and its number there."""

    topic: bytes
    make: Callable[[Origin, int], Message]


Instruction = Send | SetLogLevel | Note | Publish
