"""The scanner in pure Python: ``os.scandir`` and lstat relative to the directory's descriptor.

What makes it fast is what it does not do: in a directory without surprises (nothing vanished, no
pattern to match, nothing mounted) each entry costs a DirEntry, its lstat and a few turns of list
comprehensions; no code of ours is called per entry, and nothing is kept of one but its numbers.
Everything unusual is found by an exception or by looking at the subdirectories only, and takes the
slow path for that one directory.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from time import monotonic
from typing import Final

from zfs_walk.scan.allowance import Allowance
from zfs_walk.scan.columns import ROWS, Columns
from zfs_walk.scan.entries import Listed, Named, append
from zfs_walk.scan.handles import Handle, join
from zfs_walk.scan.interface import (
    Budget,
    Directory,
    NameBlock,
    Root,
    Scan,
    ScanOptions,
    Trace,
    UnreachableError,
    Wide,
)
from zfs_walk.scan.looking import SCARCE, TRANSIENT, Looked, Looker, depth_of, scan_error
from zfs_walk.scan.parts import parts_read, parts_unread

_BLOCK: Final = 4096
_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""Opening a directory: it is gone, or something else (a symbolic link, with O_NOFOLLOW) by now."""


class _WideError(Exception):
    """The directory is wide: this many parts."""

    def __init__(self, parts: int) -> None:
        super().__init__(parts)
        self.parts = parts


class PureScanner:
    """Reads directories of one run with nothing but the standard library.

    Not thread-safe. Between two calls it holds one descriptor per root; within a call also those
    of the directories whose subdirectories are still to be opened (see `Handle`).

    Args:
        roots: the roots of the run; a `Directory` names one by its index.
        options: how the run reads.
        trace: told of every directory before it is opened.
    """

    name: str = "pure"

    def __init__(
        self, roots: Sequence[Root], options: ScanOptions, trace: Trace | None = None
    ) -> None:
        """Remember what to read; nothing is opened before the first call."""
        self._roots = list(roots)
        self._options = options
        self._trace = trace
        self._looker = Looker(options)
        self._handles: dict[int, Handle] = {}

    # -- the interface

    def scan(self, batch: Sequence[Directory], budget: Budget) -> Scan:
        """Walk the directories of ``batch``; see `Scanner.scan`."""
        allowance = Allowance(budget, monotonic())
        scan = Scan(Columns(self._options.columns))
        with self._call():
            for done, item in enumerate(batch, 1):
                if self._walk(item, scan, allowance, len(batch) - done):
                    scan.untouched = len(batch) - done
                    break
        return scan

    def list_names(self, directory: Directory) -> Iterator[NameBlock]:
        """All names of a wide directory in blocks; see `Scanner.list_names`.

        Where the file system does not say the types of its entries, CPython's scandir finds them
        by a stat of each.
        """
        self._note(directory)
        with self._call():
            try:
                opened = self._open(directory)
            except OSError as error:
                if error.errno in _GONE:
                    self._handle(directory.root).verify()
                raise
        try:
            with os.scandir(opened) as entries:
                while some := Listed(list(islice(entries, _BLOCK))):
                    names = [os.fsencode(name) for name in some.names()]
                    yield NameBlock(names, bytes(kind >> 12 for kind in some.types()))
        finally:
            os.close(opened)

    def scan_names(self, directory: Directory, block: NameBlock, *, own: bool) -> Scan:
        """Look at some names of one directory; see `Scanner.scan_names`."""
        scan = Scan(Columns(self._options.columns))
        depth = depth_of(directory.path)
        self._note(directory)
        with self._call():
            try:
                opened = self._open(directory)
                handle = self._handles[directory.root]
                try:
                    looked = self._looker.look(
                        handle, directory.path, Named(*block, opened), opened
                    )
                finally:
                    os.close(opened)
            except OSError as error:
                if self._refused(directory, error, scan, names=len(block.names)):
                    return scan
                looked = Looked(Listed([]))
            if own and not directory.path:
                self._own(directory.root, scan)
            self._record(directory, depth, looked, scan)
        scan.left = [Directory(directory.root, join(directory.path, it)) for it in looked.walk]
        return scan

    def close(self) -> None:
        """Close every descriptor; the scanner can't be used afterwards."""
        while self._handles:
            self._handles.popitem()[1].close()

    # -- walking

    def _walk(self, item: Directory, scan: Scan, allowance: Allowance, untouched: int) -> bool:
        """Walk one item depth first; returns whether the call has to come back."""
        root = item.root
        avoid = allowance.budget.avoid
        directory, depth = item, depth_of(item.path)
        # The directories that have subdirectories yet to be walked, outermost first.
        pending: list[tuple[bytes, int, list[bytes]]] = []
        while True:
            below = self._visit(directory, depth, scan)
            if pending and not pending[-1][2]:
                self._handles[root].release(pending.pop()[0])
            if avoid and below:
                below = self._avoided(directory, below, scan, avoid)
            if below:
                pending.append((directory.path, depth + 1, below))
            if scan.wide is not None or allowance.is_over(scan, pending, untouched):
                scan.left += [
                    Directory(root, join(parent, name))
                    for parent, _, names in pending
                    for name in names
                ]
                return True
            if not pending:
                return False
            parent, depth, names = pending[-1]
            directory = Directory(root, join(parent, names.pop()))

    def _avoided(
        self, parent: Directory, names: list[bytes], scan: Scan, avoid: frozenset[Directory]
    ) -> list[bytes]:
        """Give directories that are to be avoided back at once; returns the names of the others."""
        found = [Directory(parent.root, join(parent.path, name)) for name in names]
        scan.left += [directory for directory in found if directory in avoid]
        return [
            name for name, directory in zip(names, found, strict=True) if directory not in avoid
        ]

    def _visit(self, directory: Directory, depth: int, scan: Scan) -> list[bytes]:
        """Read one directory, into ``scan``; returns the names of the subdirectories to walk."""
        self._note(directory)
        limit = self._options.max_depth
        try:
            handle = self._handle(directory.root)
            if not handle.is_directory or (limit is not None and depth >= limit):
                looked = Looked(Listed([]))
            else:
                looked = self._read(handle, directory)
        except _WideError as wide:
            scan.wide = Wide(directory, wide.parts)
            return []
        except OSError as error:
            if self._refused(directory, error, scan):
                return []
            looked = Looked(Listed([]))
        if not directory.path:
            self._own(directory.root, scan)
        self._record(directory, depth, looked, scan)
        return looked.walk

    def _read(self, handle: Handle, directory: Directory) -> Looked:
        """List one directory and look at its entries; nothing is counted yet."""
        opened, entries = self._list(directory)
        kept = False
        try:
            if len(entries) > self._options.part_limit:
                raise _WideError(parts_unread(os.fstat(opened).st_size, self._options))
            looked = self._looker.look(handle, directory.path, Listed(entries), opened)
            length = len(self._roots[directory.root].path) + len(directory.path)
            parts = parts_read(looked, length + bool(directory.path), self._options)
            if parts:
                raise _WideError(parts)
            if looked.walk and directory.path:
                handle.keep(directory.path, opened)
                kept = True
            return looked
        finally:
            if not kept:
                os.close(opened)

    def _list(self, directory: Directory) -> tuple[int, list[os.DirEntry[str]]]:
        """Open a directory and list it, one name past ``part_limit`` at most."""
        while True:
            opened = self._open(directory)
            try:
                with os.scandir(opened) as entries:
                    return opened, list(islice(entries, self._options.part_limit + 1))
            except OSError as error:
                os.close(opened)
                if error.errno not in SCARCE or not self._shed(directory.root):
                    raise

    # -- recording

    def _record(self, directory: Directory, depth: int, looked: Looked, scan: Scan) -> None:
        """Count a directory that was read to its end, or that is done with an error."""
        columns = scan.columns
        rows = columns.wanted == ROWS
        append(
            columns,
            self._absolute(directory) if rows else b"",
            depth + 1,
            looked.source.names() if rows else (),
            looked.modes,
            looked.stats,
            looked.errnos,
        )
        found = len(looked.walk)
        scan.listed += 1
        scan.found += found
        level = scan.levels.setdefault(depth, [0, 0])
        level[0] += 1
        level[1] += found
        scan.load += looked.load
        scan.vanished += looked.vanished
        scan.excluded += looked.excluded
        scan.excluded_default += looked.excluded_default
        scan.errors += looked.errors

    def _own(self, root: int, scan: Scan) -> None:
        """Count the entry of the root itself."""
        path = self._roots[root].path
        try:
            found = os.lstat(path)
        except OSError as error:
            raise _unreachable(path) from error
        if found.st_ino != self._roots[root].ino:
            raise _unreachable(path)
        parent, name = os.path.split(path)
        names_only = self._options.names_only
        append(
            scan.columns,
            parent,
            0,
            [os.fsdecode(name)],
            [stat.S_IFMT(found.st_mode) if names_only else found.st_mode],
            None if names_only else [found],
            {},
        )

    def _refused(self, directory: Directory, error: OSError, scan: Scan, *, names: int = 1) -> bool:
        """A directory could not be read; returns whether it is not done, but has failed.

        Args:
            directory: the directory.
            error: why.
            scan: where the reason is noted.
            names: how many entries have vanished if the directory has.
        """
        code = error.errno or 0
        if code in TRANSIENT:
            scan.failed.append((directory, code))
            return True
        if code in _GONE:
            try:
                self._handle(directory.root).verify()
            except OSError as unknown:
                # Nobody can tell now whether it has vanished.
                scan.failed.append((directory, unknown.errno or 0))
                return True
            scan.vanished += names
        else:
            scan.errors.append(scan_error(self._absolute(directory), error))
        return False

    # -- roots and descriptors

    @contextmanager
    def _call(self) -> Iterator[None]:
        """What every call begins and ends with."""
        try:
            yield
        except UnreachableError:
            # The next call looks at every root anew.
            self.close()
            raise
        finally:
            for handle in self._handles.values():
                handle.end_call()

    def _note(self, directory: Directory) -> None:
        if self._trace is not None:
            self._trace.note(directory)

    def _handle(self, root: int) -> Handle:
        handle = self._handles.get(root)
        if handle is None:
            handle = self._handles[root] = Handle(self._roots[root], self._options.within)
        return handle

    def _open(self, directory: Directory) -> int:
        while True:
            try:
                return self._handle(directory.root).open(directory.path)
            except OSError as error:
                if error.errno not in SCARCE or not self._shed(directory.root):
                    raise

    def _shed(self, root: int) -> bool:
        """Close descriptors that can be opened again; returns whether there were any."""
        others = [index for index in self._handles if index != root]
        for index in others:
            self._handles.pop(index).close()
        own = self._handles.get(root)
        return (own is not None and own.shed()) or bool(others)

    def _absolute(self, directory: Directory) -> bytes:
        path = self._roots[directory.root].path
        return join(path, directory.path) if directory.path else path


def _unreachable(path: bytes) -> UnreachableError:
    return UnreachableError(f"{os.fsdecode(path)} is not the recorded root")
