"""Which files of the watch's list are mirrored, and as what."""
# ruff: noqa: PTH116 -- paths are bytes here, which pathlib does not take

import os
import stat
from collections.abc import Iterable, Iterator
from threading import Lock
from typing import Final

from zfs_walk.mirror.mapping import Symlinks
from zfs_walk.watch.tree import LINK, Row
from zfs_walk.watch.watch import Watch

PARTIAL: Final = ".zfs-walk.*.part"
"""Half-sent files of a mirror whose other side is the folder of this one."""

_PAGE: Final = 1_000
"""Rows that are asked for at once: the watch waits meanwhile."""


class Mapper:
    """Applies a mapping's policy for symbolic links. Any thread may use it.

    Args:
        folder: absolute path of the mirrored folder, without links.
        symlinks: what becomes of symbolic links.
    """

    def __init__(self, folder: bytes, symlinks: Symlinks) -> None:
        self._below = folder.rstrip(b"/") + b"/"
        self._symlinks = symlinks
        self._lock = Lock()
        self._skipped: set[bytes] = set()
        # What a followed link leads to, and the links that lead to a file.
        self._targets: dict[bytes, bytes] = {}
        self._links: dict[bytes, set[bytes]] = {}

    @property
    def skipped(self) -> int:
        """Symbolic links of which nothing is sent."""
        return len(self._skipped)

    def forget(self, name: bytes) -> None:
        """A name is not in the list any more."""
        with self._lock:
            self._forget(name)

    def take(self, row: Row) -> Row | None:
        """A row as it is sent; None: nothing is sent of it."""
        if not (row.flags & LINK or self._skipped or self._targets):
            # Where there are no links nothing is known of any.
            return row
        found = None
        with self._lock:
            self._forget(row.name)
            if not row.flags & LINK or self._symlinks is Symlinks.RECORD:
                return row
            if self._symlinks is Symlinks.FOLLOW:
                found = self._follow(row.name)
            if found is None:
                self._skipped.add(row.name)
                return None
        mode = stat.S_IMODE(found.st_mode)
        return Row(row.name, found.st_size, found.st_mtime_ns, 0, mode)

    def rows(self, watch: Watch) -> Iterator[Row]:
        """The whole list of a watch, sorted, as it is sent; it may change meanwhile."""
        after = b""
        while page := watch.page(after, _PAGE):
            after = page[-1].name
            for row in page:
                sent = self.take(row)
                if sent is not None:
                    yield sent

    def led_to(self, names: Iterable[bytes]) -> set[bytes]:
        """The followed links that lead to some files, whose change is theirs too."""
        with self._lock:
            if not self._links:
                return set()
            return {link for name in names for link in self._links.get(name, ())}

    def _forget(self, name: bytes) -> None:
        self._skipped.discard(name)
        target = self._targets.pop(name, None)
        if target is not None:
            self._links[target].discard(name)
            if not self._links[target]:
                del self._links[target]

    def _follow(self, name: bytes) -> os.stat_result | None:
        """What a link leads to, if that is a regular file below the folder."""
        real = os.path.realpath(self._below + name)
        if not real.startswith(self._below):
            return None
        target = real[len(self._below) :]
        self._targets[name] = target
        self._links.setdefault(target, set()).add(name)
        try:
            found = os.stat(real, follow_symlinks=False)
        except OSError:
            return None
        return found if stat.S_ISREG(found.st_mode) else None
