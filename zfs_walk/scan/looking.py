"""Looking at the entries of one directory: what counts, what is wrong, what is to be walked."""

import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from zfs_walk.scan.entries import Source, Stat, Unstatted
from zfs_walk.scan.filters import SNAPSHOTS, ZFS_SNAPSHOTS, Verdict, matcher
from zfs_walk.scan.handles import Handle, join
from zfs_walk.scan.interface import ScanError, ScanOptions

LONGEST_PATH: Final = 4 * 2**20
"""Bytes of a path below its root; deeper directories are an error: no message could carry them."""


_SNAPSHOT_NAMES: Final = frozenset({SNAPSHOTS, ZFS_SNAPSHOTS})

SCARCE: Final = frozenset({errno.EMFILE, errno.ENFILE})
DENIED: Final = frozenset({errno.EACCES, errno.EPERM})
TRANSIENT: Final = SCARCE | {
    *(errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY, errno.ENOMEM),
    *(errno.ENOTCONN, errno.ECONNABORTED, errno.ECONNREFUSED, errno.ECONNRESET, errno.ESHUTDOWN),
    *(errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.EREMOTEIO),
}


@dataclass(slots=True)
class Looked:
    """The entries of one directory that count, and what else was seen; nothing is counted yet.

    ``walk`` holds the names of the subdirectories to walk.
    """

    source: Source
    modes: list[int] = field(default_factory=list)
    stats: Sequence[Stat] | None = None
    errnos: dict[int, int] = field(default_factory=dict)
    errors: list[ScanError] = field(default_factory=list)
    walk: list[bytes] = field(default_factory=list)
    vanished: int = 0
    excluded: int = 0
    excluded_default: int = 0
    load: int = 0

    def keep(self, indices: list[int]) -> None:
        """Leave all others out."""
        self.source = self.source.select(indices)
        self.modes = [self.modes[index] for index in indices]
        if self.stats is not None:
            self.stats = [self.stats[index] for index in indices]
        if self.errnos:
            old, self.errnos = self.errnos, {}
            for new, index in enumerate(indices):
                if index in old:
                    self.errnos[new] = old[index]


class Looker:
    """Looks at directories as the options of a run say; keeps nothing between two of them.

    Args:
        options: how the run reads.
    """

    def __init__(self, options: ScanOptions) -> None:
        """Compile the filter."""
        self._options = options
        self._matcher = matcher(options.filter)

    def look(self, handle: Handle, path: bytes, source: Source, opened: int) -> Looked:
        """Look at the entries ``source`` of the directory ``path``, open as ``opened``.

        Raises:
            UnreachableError: something is missing, and so is the recorded root.
            OSError: a directory above can't be reached any more.
        """
        looked = Looked(source)
        if self._matcher.every:
            self._exclude(handle, path, looked)
        if self._options.names_only:
            looked.modes = looked.source.types()
            if not all(looked.modes):
                self._look_at_unknown(handle, path, looked)
        else:
            try:
                looked.stats = stats = looked.source.stats()
            except OSError:
                self._look_at_each(handle, path, looked)
            else:
                looked.modes = [found.st_mode for found in stats]
        # The type is the highest 4 of the mode's 16 bits: 4 is a directory.
        where = [index for index, mode in enumerate(looked.modes) if mode >> 12 == 4]  # noqa: PLR2004
        if where:
            self._look_below(handle, path, looked, where, opened)
        return looked

    def _exclude(self, handle: Handle, path: bytes, looked: Looked) -> None:
        judge = self._matcher.judge
        within, parent = os.fsdecode(path), _name(handle, path)
        kept = []
        source = looked.source
        for index, (name, kind) in enumerate(zip(source.names(), source.types(), strict=True)):
            verdict = judge(name, within, parent, is_directory=kind == stat.S_IFDIR)
            if verdict is Verdict.KEEP:
                kept.append(index)
            else:
                looked.excluded += 1
                looked.excluded_default += verdict is Verdict.DEFAULT
        if looked.excluded:
            looked.source = source.select(kept)

    def _look_at_each(self, handle: Handle, path: bytes, looked: Looked) -> None:
        """Lstat one entry after the other: at least one of them fails."""
        source = looked.source
        kept: list[int] = []
        stats: list[Stat] = []
        for index, kind in enumerate(source.types()):
            try:
                stats.append(source.stat(index))
            except OSError as error:
                if self._gone(handle, path, looked, source.name(index), error):
                    continue
                looked.errnos[len(kept)] = error.errno or 0
                stats.append(Unstatted(kind))
            kept.append(index)
        looked.source = source.select(kept)
        looked.stats = stats
        looked.modes = [found.st_mode for found in stats]

    def _look_at_unknown(self, handle: Handle, path: bytes, looked: Looked) -> None:
        """Names only: find the types that the directory did not tell."""
        source = looked.source
        kept: list[int] = []
        modes: list[int] = []
        for index, kind in enumerate(looked.modes):
            mode = kind
            if not kind:
                try:
                    mode = stat.S_IFMT(source.stat(index).st_mode)
                except OSError as error:
                    if self._gone(handle, path, looked, source.name(index), error):
                        continue
                    looked.errnos[len(kept)] = error.errno or 0
            kept.append(index)
            modes.append(mode)
        looked.source = source.select(kept)
        looked.modes = modes

    def _gone(self, handle: Handle, path: bytes, looked: Looked, name: str, error: OSError) -> bool:
        """Whether a failed stat means that the entry has vanished; otherwise note the error."""
        if error.errno == errno.ENOENT:
            handle.verify()
            looked.vanished += 1
            return True
        entry = join(handle.absolute(path), os.fsencode(name))
        looked.errors.append(scan_error(entry, error))
        return False

    def _look_below(  # noqa: C901 -- one decision a subdirectory, in find's order
        self, handle: Handle, path: bytes, looked: Looked, where: list[int], opened: int
    ) -> None:
        """Decide which of the subdirectories (at the indices ``where``) are walked, or counted."""
        options = self._options
        deeper = options.max_depth is None or depth_of(path) + 1 < options.max_depth
        device = os.fstat(opened).st_dev
        ancestry: set[tuple[int, int]] = set()
        dropped: set[int] = set()
        for index in where:
            name = looked.source.name(index)
            if name in _SNAPSHOT_NAMES and self._is_default(handle, path, name):
                looked.excluded += 1
                looked.excluded_default += 1
                dropped.add(index)
                continue
            below = join(path, os.fsencode(name))
            try:
                crossing = self._crossing(handle, looked, index, below, device)
            except OSError as error:
                # Who may not look at it can't enter it either; whatever else is wrong with it,
                # opening it will tell.
                if error.errno == errno.ENOENT:
                    handle.verify()
                    looked.vanished += 1
                    dropped.add(index)
                if error.errno == errno.ENOENT or error.errno in DENIED:
                    continue
                crossing = None
            if crossing is not None:
                ancestry = ancestry or handle.ancestry(path)
                if crossing in ancestry:
                    # As in find, such an entry is an error and nothing else.
                    looked.errors.append(ScanError(handle.absolute(below), errno.ELOOP, "loop"))
                    dropped.add(index)
                    continue
                if options.one_file_system and crossing[0] != handle.device:
                    continue
            if not deeper:
                continue
            if len(below) > LONGEST_PATH:
                looked.errors.append(
                    ScanError(handle.absolute(below), errno.ENAMETOOLONG, "too-long")
                )
                continue
            looked.walk.append(os.fsencode(name))
        if dropped:
            looked.keep([index for index in range(len(looked.modes)) if index not in dropped])

    def _crossing(
        self, handle: Handle, looked: Looked, index: int, below: bytes, device: int
    ) -> tuple[int, int] | None:
        """(device, inode) of a subdirectory on which something may be mounted, else None.

        Only a mount makes a directory its own ancestor. It shows in a stat: the device is another
        one, or the inode is not the one that the directory itself holds. Without stats the mount
        table tells where to look (``below``: the subdirectory's path below the root).

        Raises:
            OSError: it can't be looked at.
        """
        if looked.stats is not None:
            if index in looked.errnos:
                raise OSError(looked.errnos[index], "lstat failed")
            found = looked.stats[index]
            if found.st_dev == device and found.st_ino == looked.source.inode(index):
                return None
            return found.st_dev, found.st_ino
        if self._options.one_file_system or handle.mounts is None or below in handle.mounts:
            seen = looked.source.stat(index)
            return seen.st_dev, seen.st_ino
        return None

    def _is_default(self, handle: Handle, path: bytes, name: str) -> bool:
        if self._matcher.every:
            return False  # it has been judged already
        within, parent = os.fsdecode(path), _name(handle, path)
        verdict = self._matcher.judge(name, within, parent, is_directory=True)
        return verdict is Verdict.DEFAULT


def depth_of(path: bytes) -> int:
    """The depth of a directory, by its path below the root."""
    return path.count(b"/") + 1 if path else 0


def _name(handle: Handle, path: bytes) -> str:
    return os.fsdecode(handle.absolute(path).rpartition(b"/")[2])


def scan_error(path: bytes, error: OSError) -> ScanError:
    """Class an error by its errno."""
    code = error.errno or 0
    if code in DENIED:
        kind = "denied"
    elif code in TRANSIENT:
        kind = "io"
    elif code == errno.ENAMETOOLONG:
        kind = "too-long"
    else:
        kind = "other"
    return ScanError(path, code, kind)
