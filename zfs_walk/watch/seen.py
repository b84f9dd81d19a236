"""What was seen, on its way from who looks to who keeps the list."""

from dataclasses import dataclass, field
from typing import NamedTuple


class Seen(NamedTuple):
    """One name: a file as `pack` makes it, a directory's `identity`, or None: nothing is listed."""

    path: bytes
    value: int | None
    directory: bool


@dataclass(slots=True)
class Looks:
    """What was seen, parents before what is in them, and which names could not be looked at."""

    seen: list[Seen] = field(default_factory=list)
    failed: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class Listing:
    """What is in one directory, or a piece of it.

    Attributes:
        directory: its path below the folder.
        files: paths of files, as `tree.pack` makes them.
        directories: paths of directories, and their `look.identity`.
        earlier: what earlier pieces of this directory held.
        last: the directory has been read to its end.
    """

    directory: bytes
    files: dict[bytes, int] = field(default_factory=dict)
    directories: dict[bytes, int] = field(default_factory=dict)
    earlier: set[bytes] = field(default_factory=set)
    last: bool = True

    def __contains__(self, path: bytes) -> bool:
        return path in self.files or path in self.directories or path in self.earlier
