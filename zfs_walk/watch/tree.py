"""The truth about one folder, in memory: its files in order, its directories, what has changed.

A core: it is told what was seen, and never looks itself. A file costs one key (its path) and one
integer, which holds size, time, permissions and flags; everything that belongs to a directory is a
range of the order, so nothing is kept per directory but its identity.
"""

from collections.abc import Collection, Iterator
from itertools import islice
from typing import Final, NamedTuple

from sortedcontainers import SortedDict

WRITING: Final = 1
"""Flag of a row: somebody has the file open for writing."""

LINK: Final = 2
"""Flag of a row: it is a symbolic link."""

PERMISSIONS: Final = 0o7777
"""The bits of a file's mode that a row may have."""

_FLAGS: Final = 8
_MODE: Final = 12
_TIME: Final = 64


class Row(NamedTuple):
    """One file.

    Attributes:
        name: below the folder.
        size: bytes.
        mtime_ns: ns since the epoch.
        flags: `WRITING` and `LINK`.
        mode: its permissions; 0: nobody asked for them.
    """

    name: bytes
    size: int
    mtime_ns: int
    flags: int
    mode: int = 0


def pack(size: int, mtime_ns: int, flags: int, mode: int = 0) -> int:
    """Size, time, flags and permissions as one integer; equal integers, equal rows."""
    time = mtime_ns & ((1 << _TIME) - 1)
    return ((size << _TIME | time) << _MODE | mode) << _FLAGS | flags


def unpack(name: bytes, packed: int) -> Row:
    """Make the row again."""
    flags = packed & ((1 << _FLAGS) - 1)
    packed >>= _FLAGS
    mode = packed & ((1 << _MODE) - 1)
    packed >>= _MODE
    time = packed & ((1 << _TIME) - 1)
    if time >> (_TIME - 1):
        time -= 1 << _TIME  # before 1970
    return Row(name, packed >> _TIME, time, flags, mode)


def above(path: bytes) -> bytes:
    """The directory that a path is in; ``b""``: the folder."""
    return path.rpartition(b"/")[0]


def is_within(path: bytes, directories: Collection[bytes]) -> bool:
    """Whether a path is one of some directories, or below one of them."""
    while path:
        if path in directories:
            return True
        path = above(path)
    return False


class Tree:
    """Files and directories of one folder, by their paths below it.

    Attributes:
        recording: changes are remembered for `changes`; as long as the first list is incomplete,
            nobody has one that they could change.
        stamp: differs whenever something was remembered.
    """

    def __init__(self) -> None:
        self.recording = False
        self.stamp = 0
        # Values: of files as `pack` makes them, of directories their identity.
        self._files: SortedDict[bytes, int] = SortedDict()
        self._directories: SortedDict[bytes, int] = SortedDict({b"": 0})
        self._changed: dict[bytes, None] = {}

    # -- what is there

    def __len__(self) -> int:
        """How many files."""
        return len(self._files)

    @property
    def directories(self) -> int:
        """How many directories, the folder included."""
        return len(self._directories)

    @property
    def unsent(self) -> int:
        """Names that `changes` has yet to give."""
        return len(self._changed)

    def file(self, path: bytes) -> int | None:
        """A file as `pack` makes it; None: it is none."""
        found: int | None = self._files.get(path)
        return found

    def identity(self, directory: bytes) -> int | None:
        """What a directory was entered with; None: it is none."""
        found: int | None = self._directories.get(directory)
        return found

    def children(self, directory: bytes) -> Iterator[bytes]:
        """The paths of the files and directories directly in a directory."""
        yield from _children(self._files, directory)
        yield from _children(self._directories, directory)

    def below(self, directory: bytes) -> list[bytes]:
        """The directories below one, itself included."""
        own = [directory] if directory in self._directories else []
        return own + list(_range(self._directories, directory))

    # -- what was seen

    def put(self, path: bytes, packed: int) -> None:
        """A file is there; a directory of this path is not."""
        if self._files.get(path) == packed:
            return
        if path in self._directories:
            self.remove(path)
        self._files[path] = packed
        self._record(path)

    def enter(self, directory: bytes, identity: int) -> None:
        """A directory is there; a file of this path is not."""
        if self._files.pop(directory, None) is not None:
            self._record(directory)
        self._directories[directory] = identity

    def remove(self, path: bytes) -> int:
        """Nothing that is listed is there; returns how many files left the list."""
        if self._files.pop(path, None) is not None:
            self._record(path)
            return 1
        if path not in self._directories:
            return 0
        for directory in self.below(path):
            del self._directories[directory]
        gone = list(_range(self._files, path))
        for name in gone:
            del self._files[name]
            self._record(name)
        return len(gone)

    def _record(self, path: bytes) -> None:
        if self.recording:
            self._changed[path] = None
            self.stamp += 1

    # -- what is told

    def page(self, after: bytes, limit: int) -> list[Row]:
        """The first rows, at most ``limit``, whose names sort after ``after``."""
        names = self._files.irange(after or None, inclusive=(not after, True))
        return [unpack(name, self._files[name]) for name in islice(names, limit)]

    def changes(self, limit: int) -> tuple[list[bytes], list[Row]]:
        """What changed since it was last given: names that left, and rows as they are now."""
        removed: list[bytes] = []
        rows: list[Row] = []
        for name in list(islice(self._changed, limit)):
            del self._changed[name]
            packed = self._files.get(name)
            if packed is None:
                removed.append(name)
            else:
                rows.append(unpack(name, packed))
        return removed, rows


def _range(paths: "SortedDict[bytes, int]", directory: bytes) -> Iterator[bytes]:
    """All paths below a directory, in order."""
    low, high = _bounds(directory)
    yield from paths.irange(low, high, inclusive=(True, False))


def _children(paths: "SortedDict[bytes, int]", directory: bytes) -> Iterator[bytes]:
    """The paths directly in a directory; what is deeper is jumped over, not walked."""
    at: bytes | None
    at, high = _bounds(directory)
    skipped = len(directory) + 1 if directory else 0
    while at is not None:
        resume = None
        for path in paths.irange(at, high, inclusive=(True, False)):
            slash = path.find(b"/", skipped)
            if slash >= 0:
                resume = path[:slash] + b"0"
                break
            yield path
        at = resume


def _bounds(directory: bytes) -> tuple[bytes, bytes | None]:
    """Between which paths everything below a directory lies: "0" is the byte after "/"."""
    # No name begins with NUL: from there on is all but the folder itself.
    return (directory + b"/", directory + b"0") if directory else (b"\0", None)
