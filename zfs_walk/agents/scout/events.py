"""What happens to a scout besides what every agent knows, and what it claims."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from zfs_walk.agents.events import Common
from zfs_walk.protocol.files import Place


class Row(Protocol):
    """A file of a list."""

    @property
    def name(self) -> bytes:
        """Relative to the folder."""

    @property
    def size(self) -> int:
        """In bytes."""

    @property
    def mtime_ns(self) -> int:
        """In ns since the epoch."""

    @property
    def flags(self) -> int:
        """WRITING and LINK of `zfs_walk.protocol.files`."""


class Source(Protocol):
    """A folder's list in memory, which changes meanwhile."""

    def page(self, after: bytes, limit: int) -> Sequence[Row]:
        """Rows whose names sort after ``after``, in the order of their bytes."""

    def changes(self, limit: int) -> tuple[Sequence[bytes], Sequence[Row]]:
        """Names that are gone and rows that are there, of those not told since they changed."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that is to be claimed.

    Attributes:
        path: absolute and without links.
        place: its identity.
        ancestors: those of all directories above it.
        source: its list.
    """

    path: bytes
    place: Place
    ancestors: tuple[Place, ...]
    source: Source


@dataclass(frozen=True, slots=True)
class Stirred:
    """A folder's list has changes, or its watch another state.

    Attributes:
        claim: the folder's number, from 0.
        place: the folder's identity: another one once it was made anew.
        ancestors: those of all directories above it.
        monitor: how it is watched.
        serving: its list is complete and true.
        why: if not, why not.
    """

    claim: int
    place: Place
    ancestors: tuple[Place, ...]
    monitor: str
    serving: bool
    why: str


Event = Common | Stirred
