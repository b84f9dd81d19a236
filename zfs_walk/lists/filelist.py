"""The sorted list of one folder's files, in little memory."""

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from sortedcontainers import SortedDict

from zfs_walk.protocol.files import ROW_BYTES

ROW: Final = struct.Struct("<qqB")
"""Size in bytes, mtime in ns since the epoch, flags. Packed, a row takes 64 bytes of memory beside
its name; as a tuple of integers 128 and more."""


class Columns(NamedTuple):
    """Rows, a tuple for each field; ``sizes`` in bytes, ``mtimes`` in ns since the epoch."""

    names: tuple[bytes, ...]
    sizes: tuple[int, ...]
    mtimes: tuple[int, ...]
    flags: tuple[int, ...]


NO_ROWS: Final = Columns((), (), (), ())


class FileList:
    """Names in the order of their bytes; each put, removal and lookup is O(log n).

    Attributes:
        name_bytes: the length of all names together.
    """

    def __init__(self) -> None:
        """A list without a row."""
        self._rows: SortedDict[bytes, bytes] = SortedDict()
        self.name_bytes = 0

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, name: bytes) -> bool:
        return name in self._rows

    def put(
        self,
        names: Iterable[bytes],
        sizes: Iterable[int],
        mtimes: Iterable[int],
        flags: Iterable[int],
    ) -> None:
        """Add rows, or put them in the place of those with their names; columns of one length."""
        self.put_packed(dict(zip(names, map(ROW.pack, sizes, mtimes, flags), strict=True)))

    def put_packed(self, rows: dict[bytes, bytes]) -> None:
        """As `put`, from names and `ROW`s."""
        held = self._rows
        self.name_bytes += sum(len(name) for name in rows if name not in held)
        held.update(rows)

    def remove(self, names: Iterable[bytes]) -> None:
        """Take rows out; a name that is not there is passed over."""
        held = self._rows
        for name in names:
            if held.pop(name, None) is not None:
                self.name_bytes -= len(name)

    def rows(self, prefix: bytes, after: bytes, limit: int) -> tuple[Columns, bool]:
        """The rows past a name, and whether there are more; O(log n) and what is returned.

        Args:
            prefix: of their names.
            after: the last name that is not wanted any more; empty: none.
            limit: rows at most; names of more than `ROW_BYTES` together end it earlier.
        """
        names: list[bytes] = []
        packed: list[bytes] = []
        size = 0
        more = False
        for name in self.names(prefix, after):
            more = len(names) >= limit or size >= ROW_BYTES
            if more:
                break
            names.append(name)
            packed.append(self._rows[name])
            size += len(name)
        return Columns(tuple(names), *unpacked(packed)), more

    def names(self, prefix: bytes, after: bytes, *, inclusive: bool = False) -> Iterator[bytes]:
        """Names past ``after``, or from it on; not to be used when the list changes."""
        first, include = prefix, True
        if after > prefix or (after == prefix and after):
            first, include = after, inclusive
        last = _following(prefix)
        if last is not None and first >= last:
            return iter(())
        found: Iterator[bytes] = self._rows.irange(first, last, inclusive=(include, False))
        return found

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All names and their `ROW`s; not to be used when the list changes."""
        return iter(self._rows.items())

    def packed(self, names: Iterable[bytes]) -> Iterator[bytes]:
        """The `ROW`s of names that are in the list."""
        return map(self._rows.__getitem__, names)


def _following(prefix: bytes) -> bytes | None:
    """The least name after all that begin with a prefix; None: there is none."""
    head = prefix.rstrip(b"\xff")
    return head[:-1] + bytes((head[-1] + 1,)) if head else None


def unpacked(
    rows: Sequence[bytes],
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """The columns of some `ROW`s."""
    if not rows:
        return (), (), ()
    sizes, mtimes, flags = zip(*map(ROW.unpack, rows), strict=True)
    return sizes, mtimes, flags
