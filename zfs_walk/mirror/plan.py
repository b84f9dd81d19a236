"""What is done about a name, by what is there now on this side and what is known of the other.

A core: who calls has looked.

A file that is to be sent may be one that the other side has under another name. It is if its
inode, size and time are those of an index entry whose own name is gone. Inodes are used again,
though, and times are set by whoever unpacks an archive or copies with ``cp -p``: then another file
may look the same. But one that was last written after it was born had its inode when it was
written, which is when the file of the entry had it: it is the same one (`Move.certain`). So is one
that was born when the file of the entry was. Where that can't be told, the contents decide.
"""

from collections.abc import Sequence
from typing import NamedTuple

from zfs_walk.mirror.records import Action, Entry, Identity, Kind
from zfs_walk.sinks.interface import Remote, permissions


class Local(NamedTuple):
    """A file, or a symbolic link that is sent as one, as it was found just now.

    Attributes:
        size: bytes.
        mtime_ns: ns since the epoch.
        dev: ``st_dev``; ``ino``: ``st_ino``; ``mode``: ``st_mode``.
        ino: see ``dev``.
        mode: see ``dev``.
        born_ns: when the inode was made, as `zfs_walk.mirror.birth.birth_ns` tells; 0: unknown.
    """

    size: int
    mtime_ns: int
    dev: int
    ino: int
    mode: int
    born_ns: int

    @property
    def identity(self) -> Identity:
        """What it is known by under whatever name."""
        return Identity(self.dev, self.ino, self.size, self.mtime_ns)

    def entry(self, path: bytes, tag: str) -> Entry:
        """What the index says once the other side has this file."""
        known = self.size, self.mtime_ns, self.dev, self.ino, self.mode
        return Entry(path, *known, tag, self.born_ns)


class Gone(NamedTuple):
    """There is no file of that name, for certain.

    Attributes:
        device: ``st_dev`` of the nearest directory above that is there.
    """

    device: int


class Unreadable(NamedTuple):
    """It can't be told what is there, or it can't be read; ``reason`` says why."""

    reason: str


class Send(NamedTuple):
    """Send the content.

    Attributes:
        look: the other side may have it already; see `is_there`.
    """

    look: bool


class Move(NamedTuple):
    """Give what the other side has another name.

    Attributes:
        old: what it is known as.
        certain: it is this file; otherwise only the contents can tell.
    """

    old: Entry
    certain: bool


class Delete(NamedTuple):
    """Delete it on the other side.

    Attributes:
        doubt: what lets one doubt that it is gone here; empty: nothing does.
    """

    doubt: str


class Later(NamedTuple):
    """It is to be deleted, but it may yet turn up under another name."""


class Nothing(NamedTuple):
    """The other side is as it should be.

    Attributes:
        entry: what the index should say; None: what it says.
    """

    entry: Entry | None


class Fail(NamedTuple):
    """Nothing can be done; ``reason`` says why."""

    reason: str


Decision = Send | Move | Delete | Later | Nothing | Fail


def decide(
    action: Action,
    found: Local | Gone | Unreadable,
    entry: Entry | None,
    candidates: Sequence[Entry],
    *,
    complete_sync: bool,
) -> Decision:
    """What is to be done.

    Args:
        action: that was taken.
        found: what has its name now.
        entry: what the index says of its name. It is believed unless the action is unsure, so
            whoever finds the other side different writes that into the index first.
        candidates: other entries with the inode, size and time that were found, whose own names are
            gone, and which nothing is about to change.
        complete_sync: what is gone here is deleted there.
    """
    match found:
        case Unreadable(reason):
            return Fail(reason)
        case Gone(device):
            if not complete_sync:
                return Nothing(None)
            if action.kind is Kind.SEND:
                return Later()
            return Delete(_doubt(device, entry))
        case Local():
            return _keep(action, found, entry, candidates)


def _keep(
    action: Action, local: Local, entry: Entry | None, candidates: Sequence[Entry]
) -> Send | Move | Nothing:
    if entry is not None and not action.unsure and _is_same(local, entry):
        # Of another host's start, perhaps.
        return Nothing(None if local.dev == entry.dev else entry._replace(dev=local.dev))
    if candidates:
        certain = local.born_ns > 0 and (
            local.born_ns <= local.mtime_ns or local.born_ns == candidates[0].born_ns
        )
        return Move(candidates[0], certain)
    return Send(look=action.unsure or bool(action.error))


def _is_same(local: Local, entry: Entry) -> bool:
    # Not the device: some file systems have another number after each start of the host.
    known = entry.size, entry.mtime_ns, entry.ino, entry.mode
    return known == (local.size, local.mtime_ns, local.ino, local.mode)


def _doubt(device: int, entry: Entry | None) -> str:
    if entry is None or entry.dev in {0, device}:
        return ""
    return "the file system that it was on is not there: unmounted, or mounted elsewhere"


def has_permissions(local: Local, remote: Remote, entry: Entry | None) -> bool:
    """Whether the other side has this file's permissions, or none that could differ.

    Where it does not tell them, they are those that the index has, or they were never sent.
    """
    if remote.mode is not None:
        return remote.mode == permissions(local.mode)
    return entry is None or entry.mode == local.mode


def is_there(local: Local, remote: Remote, entry: Entry | None, granularity_ns: int) -> bool:
    """Whether the other side has this file, as far as its size and time can tell.

    Args:
        local: that is to be sent.
        remote: what has its name there.
        entry: what the index said before; None: nothing is known of an older version.
        granularity_ns: of the times that the sink keeps.
    """
    if remote.mtime_ns is None:
        return False
    new = local.size, local.mtime_ns // granularity_ns
    if (remote.size, remote.mtime_ns // granularity_ns) != new:
        return False
    if entry is None:
        # Two versions of one second look the same.
        return granularity_ns == 1
    return (entry.size, entry.mtime_ns // granularity_ns) != new
