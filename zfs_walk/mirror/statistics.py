"""What a mirror knows about itself."""

from dataclasses import dataclass
from enum import StrEnum

from zfs_walk.mirror.handling import HandlerStatistics
from zfs_walk.mirror.records import Counts
from zfs_walk.watch.watch import WatchStatistics


class Phase(StrEnum):
    """What a mirror does. Whatever it is, nothing that was queued is lost."""

    STARTING = "starting"
    """The folder's list is being read."""

    RECONCILING = "reconciling"
    """Both sides are compared; what is found is sent meanwhile."""

    MIRRORING = "mirroring"
    """Changes are sent as they happen."""

    WAITING = "waiting"
    """The folder is not there, or not the one that it was: nothing is sent or deleted."""


@dataclass(frozen=True, slots=True)
class ReconcileStatistics:
    """The comparisons of both sides.

    Attributes:
        done: since the start.
        ended: when the last one was complete, seconds since the epoch; 0: none was.
        failed: why the last one was given up; it is tried again. Empty: it was not.
        checked: names that this one has compared so far, or that the last one has.
        equal: of them, those that were on the other side already.
        send: of them, those that were queued to be sent.
        delete: of them, those that were queued to be deleted.
    """

    done: int
    ended: float
    failed: str
    checked: int
    equal: int
    send: int
    delete: int


@dataclass(frozen=True, slots=True)
class MirrorStatistics:
    """What a mirror knows about itself.

    Attributes:
        name: of the mapping.
        local: the folder.
        url: of the sink.
        phase: what it does.
        why: why it waits; empty: it does not.
        counts: of the queue.
        indexed: files that are known to be on the other side.
        held_why: why deletions wait for somebody to confirm them; empty: none does.
        skipped: symbolic links that the mapping leaves out.
        watch: of the folder; None: it was never there since the start.
        handler: of what is sent, and why nothing is; None: as ``watch``.
        reconcile: of the comparisons.
    """

    name: str
    local: bytes
    url: str
    phase: Phase
    why: str
    counts: Counts
    indexed: int
    held_why: str
    skipped: int
    watch: WatchStatistics | None
    handler: HandlerStatistics | None
    reconcile: ReconcileStatistics
