"""Finds what a subscriber missed, from the numbers of what it got. No I/O, no clock."""

from dataclasses import dataclass
from typing import Protocol

from zfs_walk.protocol.messages import LogMark
from zfs_walk.protocol.statistics import Origin


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages of one publisher and topic that did not arrive.

    Attributes:
        origin: who published them.
        level: of all of them, if they are log records; else empty.
        first: the number of the first one.
        lost: how many they are.
    """

    origin: Origin
    level: str
    first: int
    lost: int


class Numbered(Protocol):
    """A message that is numbered by its publisher."""

    @property
    def origin(self) -> Origin:
        """Who publishes it."""

    @property
    def seq(self) -> int:
        """Its number; a mark's is that of the last message."""


class Gaps:
    """The last number of every (publisher, level) that was heard."""

    def __init__(self) -> None:
        """Nothing was heard yet: what came before the first message of a publisher is no gap."""
        self._last: dict[tuple[str, str], int] = {}

    def take(self, level: str, message: Numbered) -> tuple[bool, Gap | None]:
        """A message came.

        Returns:
            Whether it is news (a repeat is not), and what is missing before it.
        """
        key = message.origin.publisher, level
        last = self._last.get(key)
        if last is not None and message.seq <= last:
            return False, None
        self._last[key] = message.seq
        upto = message.seq if isinstance(message, LogMark) else message.seq - 1
        if last is None or upto <= last:
            return True, None
        return True, Gap(message.origin, level, last + 1, upto - last)
