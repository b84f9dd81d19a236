"""What every scanner offers: a batch of directories and a budget in; columns and the rest out.

The pure-Python scanner (`zfs_walk.scan.pure`) is the first behind this interface; a native kernel
will be the second. One test suite runs against both.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from zfs_walk.scan.columns import TOTALS, Columns
from zfs_walk.scan.filters import Filter


class Root(NamedTuple):
    """Where a walk begins, with what its first reader saw of it.

    ``path`` is absolute. ``fstype`` is the file system's type as the mount table names it, ``ino``
    the inode of the root: a scanner that finds others at ``path`` is on the wrong file system
    (a missing mount must never look like an empty tree) and says `UnreachableError`.
    """

    path: bytes
    fstype: str
    ino: int


class Directory(NamedTuple):
    """A directory to read: the index of its root and its path below it (``b""``: the root)."""

    root: int
    path: bytes


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """How a run reads.

    Attributes:
        names_only: make no stat that the directory's own entry can answer (``d_type``).
        one_file_system: count a mount point, do not enter it (as ``find -xdev``).
        max_depth: entries deeper than this below their root are not looked at (as
            ``find -maxdepth``); None: no limit.
        part_limit: a directory with more names than this is reported as wide, not read.
        wide_bytes: likewise one whose subdirectories' paths come to more bytes than this.
        columns: `TOTALS` or `ROWS`.
        filter: what is left out.
        within: real paths of folders below which a root must really be; empty: anywhere.
        sends: the run sends files: a directory whose files are more than one task is reported as
            wide too, and a call comes back when it has found a task's worth of them
            (`zfs_walk.scan.loads`).
    """

    names_only: bool = False
    one_file_system: bool = False
    max_depth: int | None = None
    part_limit: int = 50_000
    wide_bytes: int = 2 * 2**20
    columns: str = TOTALS
    filter: Filter = field(default_factory=Filter)
    within: tuple[bytes, ...] = ()
    sends: bool = False


@dataclass(slots=True)
class Budget:
    """How much one call may do before it comes back.

    A call always finishes at least one directory (or finds it wide).

    Attributes:
        entries: come back after so many.
        seconds: come back after so long.
        hurry: one byte of memory shared with the agent, looked at between two directories. 1: come
            back as soon as there are two directories to give back (one to keep, one to share) and
            ``least_seconds`` have passed; 2: come back now.
        least_seconds: what a call takes before it shares: a message costs about 0.5 ms.
        avoid: directories that are not to be opened when they are found: they come back in
            ``left`` (workers have died over them).
    """

    entries: int = 2**62
    seconds: float = 3600.0
    hurry: memoryview | None = None
    least_seconds: float = 0.002
    avoid: frozenset[Directory] = frozenset()


class ScanError(NamedTuple):
    """An entry that could not be read or listed: its absolute path, errno, and class.

    Classes: ``denied`` (EACCES, EPERM), ``loop`` (a directory that is its own ancestor), ``io``
    (EIO, ESTALE, ETIMEDOUT and the like), ``too-long`` (ENAMETOOLONG), ``other``; in runs that send
    also ``refused`` and ``unsent``, with the ``reason`` in words, as no errno may tell it.
    """

    path: bytes
    errno: int
    kind: str
    reason: str = ""


class Wide(NamedTuple):
    """A directory with too many names to be read in one piece, and the number of parts to make."""

    directory: Directory
    parts: int


class NameBlock(NamedTuple):
    """Some names of one directory, each with one byte of ``types`` (``d_type`` of readdir)."""

    names: list[bytes]
    types: bytes


@dataclass(slots=True)
class Scan:
    """What one call found.

    Books: ``found - listed - (1 if wide else 0) == len(left) + len(failed) - consumed`` where
    ``consumed`` is ``len(batch) - untouched``.

    Attributes:
        columns: the entries, in the columns that the options want.
        listed: directories that were read to their end, or that count as done with an error.
        found: subdirectories that were found and are to be walked.
        left: directories of this call that are still to be read, oldest (nearest the root) first.
        untouched: how many at the end of the batch were not begun.
        failed: directories that could not be read for a reason that may pass (EIO, ESTALE,
            ETIMEDOUT), with the errno; nothing of them is counted.
        errors: entries that could not be read or listed.
        vanished: entries that were gone when they were looked at.
        excluded: entries that a filter left out; ``excluded_default``: those of them that only the
            default excludes (snapshot folders) named.
        wide: the directory that ended this call because it is wide; nothing of it is counted.
        levels: depth -> [directories read, subdirectories found], for estimates.
        load: of the regular files, in a run that sends (`zfs_walk.scan.loads`).
    """

    columns: Columns
    listed: int = 0
    found: int = 0
    left: list[Directory] = field(default_factory=list)
    untouched: int = 0
    failed: list[tuple[Directory, int]] = field(default_factory=list)
    errors: list[ScanError] = field(default_factory=list)
    vanished: int = 0
    excluded: int = 0
    excluded_default: int = 0
    wide: Wide | None = None
    levels: dict[int, list[int]] = field(default_factory=dict)
    load: int = 0


class UnreachableError(Exception):
    """The root is not the recorded one on this host; nothing may be counted."""


class Scanner(Protocol):
    """Reads directories of one run. Not thread-safe; one per worker and run."""

    name: str

    def scan(self, batch: Sequence[Directory], budget: Budget) -> Scan:
        """Walk the directories of ``batch`` in order, each depth first, within the budget.

        The root's own entry (path ``b""``) is counted by this call, every other directory's own
        entry by the listing that it was found in. A root that is not a directory is one entry.

        Raises:
            UnreachableError: the root is not the recorded one; the whole call counts nothing.
        """
        ...

    def list_names(self, directory: Directory) -> Iterator[NameBlock]:
        """All names of a wide directory in blocks of at most 4,096; filters are not applied.

        Raises:
            UnreachableError: as in `scan`.
            OSError: the directory can't be listed.
        """
        ...

    def scan_names(self, directory: Directory, block: NameBlock, *, own: bool) -> Scan:
        """Look at the given names of one directory only: one PART of a wide directory.

        With ``own`` what belongs to the directory itself is recorded as well (a root's own entry).
        Subdirectories come back in ``left``; ``listed`` is 1. Names that are gone are vanished.

        Raises:
            UnreachableError: as in `scan`.
        """
        ...

    def close(self) -> None:
        """Close every descriptor; the scanner can't be used afterwards."""
        ...


class Trace(Protocol):
    """The black box: where a scanner notes the directory that it is about to open."""

    def note(self, directory: Directory) -> None:
        """Note ``directory``; must be readable by another process after this one's death."""
        ...
