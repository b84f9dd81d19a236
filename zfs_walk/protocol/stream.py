"""What is published: logs and status, best effort, numbered so that a subscriber sees gaps.

Frames: ``[topic][magic][header]``. Numbers count per publisher and topic, as subscriptions go by
topic: a subscriber misses a record exactly when a number is missing.
"""

from dataclasses import dataclass
from typing import Annotated, Final

from zfs_walk.protocol.message import Message
from zfs_walk.protocol.schema import U64, Length, Name, OneOf, Text, Word
from zfs_walk.protocol.statistics import (
    BrokerStatistics,
    LoadgenStatistics,
    Origin,
    ScoutStatistics,
    UploaderStatistics,
    WalkerStatistics,
)

LEVELS: Final = ("debug", "info", "warning", "error", "critical")

Level = Annotated[str, OneOf(LEVELS)]


@dataclass(frozen=True, slots=True)
class LogRecord(Message):
    """One log record.

    ``seq`` counts from 1 within (publisher, topic). ``process`` is empty for the publisher itself,
    or names the worker that the record comes from. ``run`` 0: it belongs to none.
    """

    origin: Origin
    seq: U64
    time_ns: U64
    process: Word
    run: U64
    level: Level
    logger: Name
    text: Annotated[str, Length(65_536)]
    fields: Annotated[tuple[tuple[Name, Text], ...], Length(64)]
    exception: Annotated[str, Length(65_536)]


@dataclass(frozen=True, slots=True)
class LogMark(Message):
    """The last number on this topic, once a second when it has grown: shows a gap at the end."""

    origin: Origin
    seq: U64


@dataclass(frozen=True, slots=True)
class WalkerStatus(Message):
    """A walker agent's statistics, once a second."""

    origin: Origin
    seq: U64
    time_ns: U64
    statistics: WalkerStatistics


@dataclass(frozen=True, slots=True)
class BrokerStatus(Message):
    """The broker's statistics, once a second."""

    origin: Origin
    seq: U64
    time_ns: U64
    statistics: BrokerStatistics


@dataclass(frozen=True, slots=True)
class ScoutStatus(Message):
    """A scout agent's statistics, once a second."""

    origin: Origin
    seq: U64
    time_ns: U64
    statistics: ScoutStatistics


@dataclass(frozen=True, slots=True)
class UploaderStatus(Message):
    """An uploader agent's statistics, once a second."""

    origin: Origin
    seq: U64
    time_ns: U64
    statistics: UploaderStatistics


@dataclass(frozen=True, slots=True)
class LoadgenStatus(Message):
    """A load generator's statistics, once a second."""

    origin: Origin
    seq: U64
    time_ns: U64
    statistics: LoadgenStatistics


AgentStatus = WalkerStatus | ScoutStatus | UploaderStatus | LoadgenStatus
"""What agents publish about themselves."""

LOG_TOPICS: Final = b"log."
STATUS_TOPICS: Final = b"status."
"""What the topics of logs and of statuses begin with."""

JOINED_TOPICS: Final = b"joined."
"""A subscriber that subscribes such a topic last gets it back, as a message of this one frame: then
all its subscriptions are in effect, and what it reads back from the ring ends where they begin."""


def log_topic(level: str, role: str, host: str) -> bytes:
    """The topic of a log record: ``log.<level>.<role>.<host>``."""
    return f"log.{level}.{role}.{host}".encode()


def status_topic(role: str, host: str) -> bytes:
    """The topic of a status: ``status.<role>.<host>``."""
    return f"status.{role}.{host}".encode()
