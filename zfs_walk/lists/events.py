"""What happens to a replica, what it wants asked, and what it tells its listeners."""

from dataclasses import dataclass

from zfs_walk.lists.filelist import Columns
from zfs_walk.protocol.files import ClaimList, ClaimStatus, FileChanges, FilePage


@dataclass(frozen=True, slots=True)
class AskClaims:
    """Send CLAIMS."""

    number: int


@dataclass(frozen=True, slots=True)
class AskPage:
    """Send FILES_QUERY for one claim, without a prefix."""

    number: int
    host: str
    path: bytes
    after: bytes


Ask = AskClaims | AskPage


@dataclass(frozen=True, slots=True)
class Joined:
    """Subscriptions are in effect; of what was published before, anything may be missing."""


@dataclass(frozen=True, slots=True)
class Check:
    """Some seconds have passed: compare with the broker."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What was asked was answered; None: it was refused, or nobody was there."""

    ask: Ask
    answer: ClaimList | FilePage | None


Event = Joined | Check | Answered | FileChanges | ClaimStatus


@dataclass(frozen=True, slots=True)
class Appeared:
    """All files of a claim are in the answers since now."""

    host: str
    path: bytes


@dataclass(frozen=True, slots=True)
class Left:
    """No file of a claim is in the answers any more."""

    host: str
    path: bytes


@dataclass(frozen=True, slots=True)
class Changed:
    """Names that a claim in the answers has no more, and rows that are new or other ones.

    Attributes:
        host: of the claim, with its ``path``.
        path: its folder.
        removed: names that were there.
        rows: as they are now.
        added: the names of those that are new.
    """

    host: str
    path: bytes
    removed: tuple[bytes, ...]
    rows: Columns
    added: frozenset[bytes]


News = Appeared | Left | Changed
