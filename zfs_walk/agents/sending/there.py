"""What the other side has already, a folder at a time: one request tells of many files."""

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from itertools import islice
from typing import Final

from zfs_walk.agents.sending.pieces import Piece
from zfs_walk.sinks.interface import Folders, Remote

FEW: Final = 8
"""Files of a folder up to which each is looked at by itself, several at a time."""

PAGE: Final = 1_000
"""Names that a server gives in one answer (S3)."""

FOR_EACH: Final = 50
"""Names that are listed for each file in hand at most: a page costs about as much as 20 looks."""

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
    return {folder: max(PAGE, FOR_EACH * count) for folder, count in counts.items() if count > FEW}


def list_folder(sink: Folders, folder: bytes, most: int) -> dict[bytes, Remote] | None:
    """What is right in a folder, by name; None: more than ``most``.

    Raises:
        SinkError: it can't be listed.
    """
    with closing(sink.files_in(folder)) as listing:
        found = {remote.name: remote for remote in islice(listing, most + 1)}
    return found if len(found) <= most else None
