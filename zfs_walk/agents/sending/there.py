"""What the other side has already, a folder at a time: one request tells of many files."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from zfs_walk.agents.sending.pieces import Piece
from zfs_walk.sinks.interface import Folders, Remote

FEW: Final = 8
"""Files of a folder up to which each is looked at by itself, several at a time."""

FOR_EACH: Final = 4
"""Names that are listed for each file in hand at most: four lines of a list are about the bytes of
a look (S3: 300 each, and 1,000 with what is asked), and one request takes the place of many."""

There = Mapping[bytes, Mapping[bytes, Remote]]
"""By folder and name, what is there; of a folder that is not among them nothing is known."""


def folder_of(name: bytes) -> bytes:
    """The folder that a file is in; empty: the root."""
    return name.rpartition(b"/")[0]


def worth_listing(pieces: Iterable[Piece]) -> dict[bytes, int]:
    """The folders whose list costs less than a look at each file, and how many names it may have.

    The files in hand may be a small part of a folder's.
    """
    counts = Counter(folder_of(piece.name) for piece in pieces)
    return {folder: FOR_EACH * count for folder, count in counts.items() if count > FEW}


def list_folder(sink: Folders, folder: bytes, most: int) -> dict[bytes, Remote] | None:
    """What is right in a folder, by name; None: more than ``most``.

    Raises:
        SinkError: it can't be listed.
    """
    found = {remote.name: remote for remote in sink.files_in(folder, most + 1)}
    return found if len(found) <= most else None
