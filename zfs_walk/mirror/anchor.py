"""Which folder a mapping has mirrored: one that only looks like it must not empty the other side.

The other side is asked for nothing here. A folder of another mount is another one, for certain.
Otherwise device numbers may be others after a start of the host, or another file system's, and
every file system gives its top the same inode: the moment at which it was made tells them apart.
Where that leaves a doubt, the files tell (see `is_it`).
"""

import json
import os
from dataclasses import asdict, dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Final, Self

from zfs_walk.mirror.birth import born_ns
from zfs_walk.watch.folder import Folder

_SHARE: Final = 0.5
"""Of the files that are known: if at least so many are as they were, it is the same folder.
Another one has none, but for copies of some; most of a folder is seldom new."""


class Likeness(Enum):
    """How sure it is that a folder is the one that was mirrored."""

    SAME = auto()
    UNSURE = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Anchor:
    """A folder as it was when it was mirrored.

    Attributes:
        dev: its device.
        ino: its inode.
        born_ns: when it was made, ns since the epoch; 0: its file system does not tell.
        mount: where its file system was mounted.
    """

    dev: int
    ino: int
    born_ns: int
    mount: bytes

    @classmethod
    def of(cls, folder: Folder) -> Self:
        """A folder that is watched.

        Raises:
            OSError: it is gone.
        """
        opened = os.open(folder.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            born = born_ns(opened)
        finally:
            os.close(opened)
        return cls(folder.place.dev, folder.place.ino, born, folder.mount)

    @classmethod
    def load(cls, file: Path) -> Self | None:
        """What was stored; None: nothing, or nothing that can be read."""
        try:
            stored = json.loads(file.read_bytes())
            return cls(
                stored["dev"], stored["ino"], stored["born_ns"], os.fsencode(stored["mount"])
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def store(self, file: Path) -> None:
        """Keep it.

        Raises:
            OSError: it can't be written; what was stored stays.
        """
        stored = asdict(self) | {"mount": os.fsdecode(self.mount)}
        new = file.with_suffix(".new")
        new.write_text(json.dumps(stored), encoding="ascii")
        new.replace(file)

    def likeness(self, now: "Anchor") -> Likeness:
        """How sure it is that what is there now is the same folder."""
        if self.mount != now.mount:
            return Likeness.OTHER
        if self.ino == now.ino and self._is_as_old(now):
            return Likeness.SAME
        return Likeness.UNSURE

    def _is_as_old(self, now: "Anchor") -> bool:
        if self.born_ns and now.born_ns:
            return self.born_ns == now.born_ns
        return self.dev == now.dev


def is_it(known: int, intact: int) -> bool:
    """Whether a folder of which nothing else tells is the one that was mirrored, by its files.

    Args:
        known: files that are on the other side.
        intact: of them, those that are here as they were.
    """
    return intact >= known * _SHARE
