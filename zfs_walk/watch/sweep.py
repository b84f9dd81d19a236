"""Reading directories with the scanner, a slice at a time, so that events are read meanwhile."""

import stat
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Final

from zfs_walk.scan.columns import ROWS, Columns
from zfs_walk.scan.filters import Filter
from zfs_walk.scan.handles import join
from zfs_walk.scan.interface import Budget, Directory, NameBlock, Scan, ScanOptions
from zfs_walk.scan.looking import TRANSIENT
from zfs_walk.scan.pure import PureScanner
from zfs_walk.scan.roots import identify
from zfs_walk.watch.seen import Listing
from zfs_walk.watch.tree import LINK, PERMISSIONS, pack

SLICE: Final = 0.02
"""Seconds of one slice: how long an event may wait because of a sweep."""

_WIDE: Final = 8_192
"""Names of a directory that is read in pieces: more would take more than a slice."""

_REGULAR, _LINK, _DIRECTORY = stat.S_IFREG, stat.S_IFLNK, stat.S_IFDIR


class Sweep:
    """Reads directories and all that is below them.

    It is the scanner's `Trace` too: that is how a watch is set before its directory is read.

    Args:
        folder: absolute path of the folder.
        rules: what is left out.
        recursive: go below the directories that are found.
        before: told of each directory before it is opened.
        modes: permissions of files count.

    Raises:
        OSError: the folder is not there.
    """

    def __init__(
        self,
        folder: bytes,
        rules: Filter,
        *,
        recursive: bool,
        before: Callable[[bytes], None],
        modes: bool = False,
    ) -> None:
        self._before = before
        self._recursive = recursive
        self._modes = PERMISSIONS if modes else 0
        self._inside = len(join(folder, b""))
        options = ScanOptions(
            max_depth=None if recursive else 1, part_limit=_WIDE, columns=ROWS, filter=rules
        )
        self._scanner = PureScanner([identify(folder)], options, self)
        self._batch: list[Directory] = []
        self._visited: list[bytes] = []
        # The wide directory that is being read in pieces.
        self._wide: tuple[Directory, Iterator[NameBlock]] | None = None
        self._earlier: set[bytes] = set()
        self.failed: list[bytes] = []
        """Directories that could not be read for a reason that may pass, since it was emptied."""

    def note(self, directory: Directory) -> None:
        """The scanner is about to open a directory."""
        self._before(directory.path)
        self._visited.append(directory.path)

    def add(self, directory: bytes) -> None:
        """Read a directory, and all below it, before what is left."""
        self._batch.insert(0, Directory(0, directory))

    @property
    def done(self) -> bool:
        """Nothing is left to read."""
        return not self._batch and self._wide is None

    def step(self) -> list[Listing]:
        """Read for about `SLICE` seconds; parents come before what is below them.

        Raises:
            UnreachableError: the folder is not the one that it was.
        """
        if self._wide is not None:
            return self._piece(*self._wide)
        self._visited.clear()
        batch = self._batch
        scan = self._scanner.scan(batch, Budget(seconds=SLICE))
        # What was begun last goes on first: so few directories are left in between.
        self._batch = scan.left + batch[len(batch) - scan.untouched :]
        unread = {directory.path for directory, _ in scan.failed}
        self.failed += unread
        if scan.wide is not None:
            unread.add(scan.wide.directory.path)
            self._begin(scan.wide.directory)
        found = {listing.directory: listing for listing in self._listings(scan)}
        return [found.get(path) or Listing(path) for path in self._visited if path not in unread]

    def _begin(self, wide: Directory) -> None:
        self._wide = wide, self._scanner.list_names(wide)
        self._earlier = set()

    def _piece(self, wide: Directory, blocks: Iterator[NameBlock]) -> list[Listing]:
        """Look at the next names of a wide directory."""
        end = monotonic() + SLICE
        pieces: list[Listing] = []
        while monotonic() < end:
            try:
                block = next(blocks, None)
            except OSError as error:
                self._wide = None
                if error.errno in TRANSIENT:
                    self.failed.append(wide.path)
                    return pieces
                return [*pieces, Listing(wide.path)]
            if block is None:
                self._wide = None
                return [*pieces, Listing(wide.path, earlier=self._earlier)]
            scan = self._scanner.scan_names(wide, block, own=False)
            self._batch += scan.left
            for piece in self._listings(scan):
                piece.last = False
                self._earlier |= piece.files.keys() | piece.directories.keys()
                pieces.append(piece)
        return pieces

    def close(self) -> None:
        """Hold nothing open: an open directory keeps its file system from being unmounted."""
        self._wide = None
        self._scanner.close()

    def _listings(self, scan: Scan) -> Iterator[Listing]:
        columns = scan.columns
        start = 0
        for index, absolute in enumerate(columns.directories):
            end = start
            while end < len(columns.directory) and columns.directory[end] == index:
                end += 1
            if columns.depths[index] > 0:
                listing = Listing(absolute[self._inside :])
                self._fill(listing, columns, start, end)
                yield listing
            start = end

    def _fill(self, listing: Listing, columns: Columns, start: int, end: int) -> None:
        """Take the rows of one directory from the columns."""
        prefix = listing.directory + b"/" if listing.directory else b""
        names, ends = columns.names, columns.name_ends
        begin = ends[start - 1] if start else 0
        for row in range(start, end):
            path = prefix + names[begin : ends[row]]
            begin = ends[row]
            if columns.error[row]:
                continue  # what can't be looked at is not listed
            mode = columns.mode[row]
            kind = stat.S_IFMT(mode)
            if kind in {_REGULAR, _LINK}:
                flags = LINK if kind == _LINK else 0
                size, mtime_ns = columns.size[row], columns.mtime[row]
                listing.files[path] = pack(size, mtime_ns, flags, mode & self._modes)
            elif kind == _DIRECTORY and self._recursive:
                listing.directories[path] = columns.dev[row] << 64 | columns.ino[row]
