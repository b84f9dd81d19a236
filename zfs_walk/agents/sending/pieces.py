"""The files of one task: which they are, how they are packed, and what became of them.

A core: nothing here touches a file or a sink.
"""

import stat
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from zfs_walk.scan.columns import Columns
from zfs_walk.scan.interface import ScanError
from zfs_walk.sinks.interface import LARGEST_PARCEL


class Piece(NamedTuple):
    """A regular file as the scanner saw it.

    Attributes:
        name: below the root, and below the sink's.
        path: absolute.
        size: bytes.
        mtime_ns: ns since the epoch.
        mode: ``st_mode``.
    """

    name: bytes
    path: bytes
    size: int
    mtime_ns: int
    mode: int


class Fate(StrEnum):
    """What became of a file; its value is its counter's name."""

    SENT = "sent"
    """It is there by this try."""

    UNCHANGED = "unchanged"
    """It was there when this try looked."""

    PLANNED = "planned"
    """It would have been sent: a dry run."""

    REFUSED = "refused"
    """The sink takes no such file; trying again does not help."""

    UNSENT = "unsent"
    """It could not be read or sent, after several tries."""

    GONE = "gone"
    """It was no regular file any more when it was opened."""


class Outcome(NamedTuple):
    """What became of one file.

    Attributes:
        piece: the file.
        fate: of it.
        size: bytes that are there now, or that would be sent; of others those that were seen.
        errno: if the system said one; else 0.
        reason: in words, of those that are not there.
    """

    piece: Piece
    fate: Fate
    size: int
    errno: int = 0
    reason: str = ""


COUNTED_BYTES: Final = frozenset({Fate.SENT, Fate.UNCHANGED, Fate.PLANNED})
"""The fates whose bytes are counted besides their files."""

TROUBLES: Final = frozenset({Fate.REFUSED, Fate.UNSENT})
"""The fates that make a run end with exit code 1."""


@dataclass(slots=True)
class Account:
    """What became of all files of a task.

    Attributes:
        counters: ``FATE.files`` and ``FATE.bytes``, for the commit.
        errors: those that are not there and should be.
        planned: what a dry run would send.
    """

    counters: Counter[str] = field(default_factory=Counter)
    errors: list[ScanError] = field(default_factory=list)
    planned: list[Outcome] = field(default_factory=list)

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Count some files."""
        for outcome in outcomes:
            fate = outcome.fate
            self.counters[f"{fate}.files"] += 1
            if fate in COUNTED_BYTES:
                self.counters[f"{fate}.bytes"] += outcome.size
            if fate in TROUBLES:
                self.errors.append(
                    ScanError(outcome.piece.path, outcome.errno, fate, outcome.reason[:4000])
                )
            if fate is Fate.PLANNED:
                self.planned.append(outcome)


def pieces_of(columns: Columns, root: bytes) -> list[Piece]:
    """The regular files among some entries; those whose stat failed are not among them.

    Args:
        columns: with all of `zfs_walk.scan.columns.ROWS`.
        root: absolute path that names are relative to.
    """
    pieces = []
    above = len(root.rstrip(b"/")) + 1
    start = 0
    for row, end in enumerate(columns.name_ends):
        mode = columns.mode[row]
        if stat.S_ISREG(mode) and not columns.error[row]:
            directory = columns.directories[columns.directory[row]]
            path = directory.rstrip(b"/") + b"/" + bytes(columns.names[start:end])
            pieces.append(Piece(path[above:], path, columns.size[row], columns.mtime[row], mode))
        start = end
    return pieces


def packed(pieces: Sequence[Piece], threads: int, together: int) -> list[list[Piece]]:
    """Files as they are sent: each by itself, or small ones together; the largest first.

    Args:
        pieces: the files.
        threads: how many packs are sent at once.
        together: how many files of `LARGEST_PARCEL` bytes in all the sink sends at once; 1: one.
    """
    large = [piece for piece in pieces if together == 1 or piece.size > LARGEST_PARCEL]
    packs = [[piece] for piece in sorted(large, key=lambda piece: -piece.size)]
    small = sorted(
        (piece for piece in pieces if together > 1 and piece.size <= LARGEST_PARCEL),
        key=lambda piece: -piece.size,
    )
    # No thread is to have all of them while the others have none.
    most = min(together, -(-len(small) // threads))
    size = 0
    pack: list[Piece] = []
    for piece in small:
        if pack and (len(pack) >= most or size + piece.size > LARGEST_PARCEL):
            packs.append(pack)
            pack, size = [], 0
        pack.append(piece)
        size += piece.size
    return [*packs, pack] if pack else packs
