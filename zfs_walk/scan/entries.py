"""The entries of one directory while they are looked at, and how they become rows."""

import contextlib
import os
import stat
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final, NamedTuple, Protocol, Self

from zfs_walk.scan.columns import NO_TIME, ROWS, Columns

_FARTHEST: Final = 2**63 - 1


class Unstatted(NamedTuple):
    """What stands for the stat of an entry whose stat failed; the type is from its directory."""

    st_mode: int
    st_size: int = 0
    st_blocks: int = 0
    st_nlink: int = 0
    st_ino: int = 0
    st_dev: int = 0
    st_uid: int = 0
    st_gid: int = 0
    st_atime_ns: int = NO_TIME
    st_mtime_ns: int = NO_TIME
    st_ctime_ns: int = NO_TIME


Stat = os.stat_result | Unstatted


class Source(Protocol):
    """Some entries of one open directory, before they are looked at."""

    def __len__(self) -> int:
        """How many."""
        ...

    def name(self, index: int) -> str:
        """One name, as `os.fsdecode` shows it."""
        ...

    def names(self) -> list[str]:
        """All names."""
        ...

    def types(self) -> list[int]:
        """The S_IFMT bits of each; 0 where only a stat would tell (fifo, socket, device)."""
        ...

    def inode(self, index: int) -> int:
        """The inode that the directory itself holds; 0 where that is not known."""
        ...

    def stat(self, index: int) -> os.stat_result:
        """Lstat one entry."""
        ...

    def stats(self) -> list[os.stat_result]:
        """Lstat all entries; raises what the first failure raises."""
        ...

    def select(self, indices: Iterable[int]) -> Self:
        """Only these of them."""
        ...


class Listed:
    """Entries as scandir found them."""

    __slots__ = ("_entries",)

    def __init__(self, entries: list[os.DirEntry[str]]) -> None:
        """Take the entries of a scandir by descriptor, which must stay open for their stats."""
        self._entries = entries

    def __len__(self) -> int:
        """How many."""
        return len(self._entries)

    def name(self, index: int) -> str:
        """One name."""
        return self._entries[index].name

    def names(self) -> list[str]:
        """All names."""
        return [entry.name for entry in self._entries]

    def types(self) -> list[int]:
        """See `Source`; where the directory does not tell a type, this is a stat."""
        regular, folder, link = stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK
        try:
            return [
                regular if entry.is_file(follow_symlinks=False)
                else folder if entry.is_dir(follow_symlinks=False)
                else link if entry.is_symlink()
                else 0
                for entry in self._entries
            ]  # fmt: skip
        except OSError:
            # The directory does not say the type of each entry, and the stat of one failed.
            return list(map(self._type, self._entries))

    @staticmethod
    def _type(entry: os.DirEntry[str]) -> int:
        with contextlib.suppress(OSError):
            if entry.is_file(follow_symlinks=False):
                return stat.S_IFREG
            if entry.is_dir(follow_symlinks=False):
                return stat.S_IFDIR
            if entry.is_symlink():
                return stat.S_IFLNK
        return 0

    def inode(self, index: int) -> int:
        """The inode that readdir gave: below a mount point's."""
        return self._entries[index].inode()

    def stat(self, index: int) -> os.stat_result:
        """Lstat one entry, relative to the directory; scandir's entry keeps the answer."""
        return self._entries[index].stat(follow_symlinks=False)

    def stats(self) -> list[os.stat_result]:
        """Lstat all entries."""
        return [entry.stat(follow_symlinks=False) for entry in self._entries]

    def select(self, indices: Iterable[int]) -> "Listed":
        """Only these of them."""
        return Listed([self._entries[index] for index in indices])


class Named:
    """Entries of a directory that was listed elsewhere: names and one byte of type each."""

    __slots__ = ("_descriptor", "_names", "_types")

    def __init__(self, names: list[bytes], types: Sequence[int], descriptor: int) -> None:
        """Take names and their d_types; ``descriptor``: the directory, open as long as this."""
        self._names = names
        self._types = types
        self._descriptor = descriptor

    def __len__(self) -> int:
        """How many."""
        return len(self._names)

    def name(self, index: int) -> str:
        """One name."""
        return os.fsdecode(self._names[index])

    def names(self) -> list[str]:
        """All names."""
        return list(map(os.fsdecode, self._names))

    def types(self) -> list[int]:
        """See `Source`."""
        # readdir(3): a d_type is the S_IFMT bits of the mode, shifted; DT_UNKNOWN is 0.
        return [kind << 12 for kind in self._types]

    def inode(self, index: int) -> int:  # noqa: ARG002 -- the interface's; a block has no inodes
        """Not known: a block of names has none."""
        return 0

    def stat(self, index: int) -> os.stat_result:
        """Lstat one entry, relative to the directory."""
        return os.stat(self._names[index], dir_fd=self._descriptor, follow_symlinks=False)

    def stats(self) -> list[os.stat_result]:
        """Lstat all entries."""
        lstat, parent = os.stat, self._descriptor
        return [lstat(name, dir_fd=parent, follow_symlinks=False) for name in self._names]

    def select(self, indices: Iterable[int]) -> "Named":
        """Only these of them."""
        chosen = list(indices)
        return Named(
            [self._names[index] for index in chosen],
            bytes(self._types[index] for index in chosen),
            self._descriptor,
        )


def append(  # noqa: PLR0913, PLR0917 -- all that is known of one directory's entries
    columns: Columns,
    directory: bytes,
    depth: int,
    names: Sequence[str] | None,
    modes: list[int],
    stats: Sequence[Stat] | None,
    errnos: dict[int, int],
) -> None:
    """Add the entries of one directory to the columns.

    Args:
        columns: where to.
        directory: its absolute path.
        depth: the entries' depth below the root.
        names: their names; not needed if only totals are wanted.
        modes: their modes.
        stats: their stats; None in a names-only run.
        errnos: index of an entry -> errno, for those whose stat failed.
    """
    if not modes:
        return
    count = len(modes)
    nothing = bytes(8 * count)
    columns.mode.fromlist(modes)
    if stats is None:
        columns.size.frombytes(nothing)
        columns.blocks.frombytes(nothing)
    else:
        columns.size.fromlist([found.st_size for found in stats])
        columns.blocks.fromlist([found.st_blocks for found in stats])
    if columns.wanted != ROWS:
        return
    _append_names(columns, names or ())
    index = columns.enter(directory, depth)
    columns.directory.fromlist([index] * count)
    errors = [0] * count
    for failed, code in errnos.items():
        errors[failed] = code
    columns.error.fromlist(errors)
    if stats is None:
        for integers in (columns.nlink, columns.ino, columns.dev, columns.uid, columns.gid):
            integers.frombytes(nothing)
        for times in (columns.atime, columns.mtime, columns.ctime):
            times.fromlist([NO_TIME] * count)
        return
    columns.nlink.fromlist([found.st_nlink for found in stats])
    columns.ino.fromlist([found.st_ino for found in stats])
    columns.dev.fromlist([found.st_dev for found in stats])
    columns.uid.fromlist([found.st_uid for found in stats])
    columns.gid.fromlist([found.st_gid for found in stats])
    _append_times(columns, stats)


def _append_names(columns: Columns, names: Sequence[str]) -> None:
    start = len(columns.names)
    blob = os.fsencode("".join(names))
    columns.names += blob
    if len(blob) == sum(map(len, names)):
        ends = list(accumulate(map(len, names), initial=start))
    else:
        ends = list(accumulate((len(os.fsencode(name)) for name in names), initial=start))
    del ends[0]
    columns.name_ends.fromlist(ends)


def _append_times(columns: Columns, stats: Sequence[Stat]) -> None:
    for column, times in (
        (columns.atime, [found.st_atime_ns for found in stats]),
        (columns.mtime, [found.st_mtime_ns for found in stats]),
        (columns.ctime, [found.st_ctime_ns for found in stats]),
    ):
        try:
            column.fromlist(times)
        except OverflowError:
            # Some file systems hold times past the year 2262, where 64 bits of ns end.
            column.fromlist([min(max(time, -_FARTHEST), _FARTHEST) for time in times])
