"""What a handler is told, and what it tells."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from zfs_walk.mirror.mapping import Symlinks
from zfs_walk.mirror.records import Action


class Guard(Protocol):
    """Decides whether deletions may be done.

    It is asked right before, of all at once that are about to be done; what it lets go counts as
    done. It is called from the handler's thread, and must not wait.
    """

    def __call__(self, paths: Collection[bytes], doubt: str) -> str:
        """Why they must wait until somebody confirms them; empty: they need not.

        Args:
            paths: that are gone.
            doubt: what lets the handler doubt that they are; empty: it does not. Deletions that
                somebody has confirmed are done in spite of it.
        """
        ...


@dataclass(frozen=True, slots=True)
class HandlerOptions:
    """How files are sent.

    Attributes:
        complete_sync: what is gone here is deleted there.
        symlinks: what becomes of symbolic links.
        transfers: files sent at once.
        order: which is sent first: ``oldest`` or ``smallest``.
        tries: after so many that failed an action is set aside.
        deletion_delay: seconds that a file which is found to be gone may still turn up under
            another name.
    """

    complete_sync: bool = False
    symlinks: Symlinks = Symlinks.SKIP
    transfers: int = 4
    order: str = "oldest"
    tries: int = 10
    deletion_delay: float = 5.0


class What(StrEnum):
    """Happened to an action."""

    SENDING = "sending"
    """A transfer of its content has begun."""

    SENT = "sent"
    """The other side has the file."""

    MOVED = "moved"
    """The other side has the file, under its new name: it had it under the old one."""

    DELETED = "deleted"
    """The other side has it no more."""

    FAILED = "failed"
    """It will be tried again."""

    ASIDE = "aside"
    """It will not be tried again by itself."""

    HELD = "held"
    """It is a deletion that waits until somebody confirms it."""


class Happening(NamedTuple):
    """Something that happened to an action. What is done is told after it is durable.

    Attributes:
        what: it was.
        action: as it was taken.
        time: seconds since the epoch.
        detail: why it failed or waits; the old name of what was moved, as text; else empty.
    """

    what: What
    action: Action
    time: float
    detail: str


@dataclass(frozen=True, slots=True)
class Transferring:
    """A file that is being sent.

    Attributes:
        path: below the mirrored folder.
        size: bytes.
        sent: bytes that were given to the sink so far; what a resumed transfer finds on the other
            side is not among them.
        since: when it began, seconds since the epoch.
        parts: that it is sent in; 0: it is sent as a whole, or that is not known yet.
        parts_done: of them, those that the other side has, also from earlier tries.
    """

    path: bytes
    size: int
    sent: int
    since: float
    parts: int = 0
    parts_done: int = 0


@dataclass(frozen=True, slots=True)
class HandlerStatistics:
    """What a handler knows about itself; everything is counted since its start.

    Attributes:
        active: files that are being sent, the one that began first.
        sent: files; ``bytes`` of them that were given to the sink, also by tries that failed.
        bytes: see ``sent``.
        moved: files.
        deleted: files.
        unchanged: actions that asked for nothing: the other side was as it should be.
        failed: tries, each of which is repeated or the last one of an action that was set aside.
        rate: bytes a second in the last seconds.
        paused: why nothing is begun, each reason; empty: something may be.
        trouble: why nothing can be sent at the moment: the sink, the folder or the state; empty:
            it can.
        since: when the trouble began, seconds since the epoch; 0: there is none.
        look_at: when it is looked whether the trouble is over, seconds since the epoch; 0: there
            is none.
    """

    active: tuple[Transferring, ...]
    sent: int
    bytes: int
    moved: int
    deleted: int
    unchanged: int
    failed: int
    rate: float
    paused: tuple[str, ...]
    trouble: str
    since: float
    look_at: float
