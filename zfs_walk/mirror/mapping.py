"""A mapping: one folder, the place that it is mirrored to, and how."""

from collections.abc import Mapping as Table
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Symlinks(StrEnum):
    """What becomes of a symbolic link."""

    SKIP = "skip"
    """Nothing is sent of it."""

    FOLLOW = "follow"
    """The regular file that it leads to is sent under the link's name, if that file is in the
    mirrored folder; other links are skipped."""

    RECORD = "record"
    """The link itself is sent, wherever it leads to; a sink that has no links refuses it."""


@dataclass(frozen=True, slots=True)
class Mapping:
    """One folder and where it is mirrored to.

    Attributes:
        name: names it in commands, logs and its state folder; one agent has it once.
        local: absolute path of the folder.
        url: of the sink, such as ``s3://bucket/prefix``; it holds no secret.
        options: of the sink, as its own model takes them.
        complete_sync: what is deleted here is deleted there; otherwise nothing ever is.
        deletion_delay: seconds before something is deleted on the other side. What got another name
            is found there by then, and is moved; and what is deleted by one command comes together,
            so that it can be seen how much it is.
        symlinks: what becomes of symbolic links.
        transfers: files sent at once.
        order: which file is sent first: ``oldest`` (changed first) or ``smallest``.
        includes: patterns of exceptions to what is left out, as `zfs_walk.scan.filters.Filter`
            takes them.
        excludes: patterns of what is left out: neither sent nor deleted on the other side.
        poll: seconds between two comparisons of the folder with its list; 0: never.
        settle: seconds from an event to looking at its name: what happens in between is one change.
        monitor: auto, fanotify, watchdog or poll.
        rescan: seconds between two comparisons with the other side; 0: at each start only.
        guard_files: deletions are held until somebody confirms them if more than so many files ...
        guard_percent: ... and more than so many percent of what is known to be on the other side
            are to be deleted within `zfs_walk.mirror.guard.WINDOW` seconds.
        tries: after so many failed ones a file is set aside.
        bwlimit: bytes a second that all transfers together may send; 0: as many as they can.
        windows: times of day, local time, in which files are sent, such as ``22:00-06:00``; empty:
            always.
    """

    name: str
    local: bytes
    url: str
    options: Table[str, Any] = field(default_factory=dict)
    complete_sync: bool = False
    deletion_delay: float = 5.0
    symlinks: Symlinks = Symlinks.SKIP
    transfers: int = 4
    order: str = "oldest"
    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    poll: float = 60.0
    settle: float = 0.5
    monitor: str = "auto"
    rescan: float = 86_400.0
    guard_files: int = 100
    guard_percent: float = 10.0
    tries: int = 10
    bwlimit: int = 0
    windows: tuple[str, ...] = ()
