"""What is to be done about a name, by what is here, what is known to be there, and what is there.

A core: three sorted lists go in, one verdict a name comes out.
"""

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from zfs_walk.mirror.records import Entry
from zfs_walk.sinks.interface import Remote
from zfs_walk.watch.tree import WRITING, Row


class Verdict(Enum):
    """What a comparison says of a name."""

    EQUAL = auto()
    """Both sides are equal, and that is known."""

    RECORD = auto()
    """Both sides are equal; it is to be recorded."""

    SEND = auto()
    """What is here is not there."""

    LOOK = auto()
    """Only a look at the other side tells (see `settle`)."""

    DELETE = auto()
    """It is not here, and is known to be there."""

    EXTRA = auto()
    """It is not here, and is there though nobody knew."""

    LEAVE = auto()
    """It is somebody else's matter: it is being written, or nothing is ever deleted there."""


class Trio(NamedTuple):
    """A name as the three lists have it.

    Attributes:
        name: below the mirrored folder.
        row: what is here.
        entry: what is known to be there.
        remote: what is there.
    """

    name: bytes
    row: Row | None
    entry: Entry | None
    remote: Remote | None


@dataclass(frozen=True, slots=True)
class Rules:
    """How both sides are compared.

    Attributes:
        complete_sync: what is not here is to be deleted there ...
        deletion_delay: ... after so many seconds.
        granularity_ns: the sink's.
    """

    complete_sync: bool
    deletion_delay: float
    granularity_ns: int


def merge(
    rows: Iterable[Row], entries: Iterable[Entry], remotes: Iterable[Remote]
) -> Iterator[Trio]:
    """Go through three lists, each sorted by the bytes of its names, which it has once."""
    each_row, each_entry, each_remote = iter(rows), iter(entries), iter(remotes)
    row, entry, remote = next(each_row, None), next(each_entry, None), next(each_remote, None)
    while True:
        if row and entry and remote and row.name == entry.path == remote.name:
            # Nearly every name is in all three.
            yield Trio(row.name, row, entry, remote)
            row, entry = next(each_row, None), next(each_entry, None)
            remote = next(each_remote, None)
            continue
        names = [names[0] for names in (row, entry, remote) if names is not None]
        if not names:
            return
        name = min(names)
        here = there = known = None
        if row is not None and row.name == name:
            here, row = row, next(each_row, None)
        if entry is not None and entry.path == name:
            known, entry = entry, next(each_entry, None)
        if remote is not None and remote.name == name:
            there, remote = remote, next(each_remote, None)
        yield Trio(name, here, known, there)


def judge(trio: Trio, rules: Rules) -> Verdict:
    """What follows from three lists, of which each may be somewhat old."""
    _, row, entry, remote = trio
    if row is None:
        return _judge_absent(entry, remote, rules)
    if row.flags & WRITING:
        return Verdict.LEAVE
    if entry is None:
        return _judge_unknown(row, remote, rules)
    if remote is None or not is_known(remote, entry, rules):
        # The other side has changed, or an upload has ended since it was listed.
        return Verdict.LOOK
    return Verdict.EQUAL if is_sent(row, entry) and has_mode(row, entry) else Verdict.SEND


def _judge_absent(entry: Entry | None, remote: Remote | None, rules: Rules) -> Verdict:
    if not rules.complete_sync:
        return Verdict.LEAVE
    return Verdict.EXTRA if entry is None and remote is not None else Verdict.DELETE


def _judge_unknown(row: Row, remote: Remote | None, rules: Rules) -> Verdict:
    if remote is None or remote.size != row.size:
        return Verdict.SEND
    if remote.mtime_ns is not None and is_copy(row, remote, rules):
        return Verdict.RECORD
    return Verdict.LOOK


def is_sent(row: Row, entry: Entry) -> bool:
    """Whether what is here is what is known to be there, but for its permissions."""
    return (row.size, row.mtime_ns) == (entry.size, entry.mtime_ns)


def has_mode(row: Row, entry: Entry) -> bool:
    """Whether what is here has the permissions that it had when it was sent."""
    return row.mode == stat.S_IMODE(entry.mode)


def is_known(remote: Remote, entry: Entry, rules: Rules) -> bool:
    """Whether what is there is what is known to be there."""
    if remote.size != entry.size:
        return False
    if remote.tag and entry.tag:
        return remote.tag == entry.tag
    return remote.mtime_ns is None or _same_time(remote.mtime_ns, entry.mtime_ns, rules)


def is_copy(row: Row, remote: Remote, rules: Rules) -> bool:
    """Whether size and time say that what is there is a copy of what is here."""
    return (
        remote.size == row.size
        and remote.mtime_ns is not None
        and _same_time(remote.mtime_ns, row.mtime_ns, rules)
    )


def _same_time(one: int, other: int, rules: Rules) -> bool:
    return one // rules.granularity_ns == other // rules.granularity_ns
