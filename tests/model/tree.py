"""Virtual trees that simulated workers walk, and what a walk of them must find."""

import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

FOREVER = 10**6
"""A trouble that does not pass."""

LISTING = -2
"""The part that stands for the listing of a wide directory's names."""

PART_LIMIT = 12
"""Names of a directory past which it is wide."""


@dataclass(slots=True)
class Folder:
    """One directory: its names, which of them are directories, and what is wrong with it.

    Attributes:
        names: of its entries.
        folders: names of those that are directories.
        denied: it can't be read, and that counts as done.
        io: how many times reading it fails for a reason that may pass.
        deadly: how many times the worker that opens it crashes; ``deadly_part``: over which part,
            or -1 for the directory as a whole, or `LISTING`.
    """

    names: tuple[bytes, ...] = ()
    folders: frozenset[bytes] = frozenset()
    denied: bool = False
    io: int = 0
    deadly: int = 0
    deadly_part: int = -1


def below(path: bytes, name: bytes) -> bytes:
    """The path of an entry."""
    return path + b"/" + name if path else name


def worth(root: int, path: bytes) -> int:
    """A number for an entry, so that a sum of them shows what a mere count would hide."""
    return zlib.crc32(path, root + 1)


@dataclass(slots=True)
class Tree:
    """One root of a run."""

    root: int
    folders: dict[bytes, Folder] = field(default_factory=dict)

    @classmethod
    def grow(cls, rng: random.Random, root: int, size: int, trouble: float = 0.0) -> "Tree":
        """A random tree of about ``size`` directories, some of them wide, empty or in trouble."""
        tree = cls(root)
        shape = rng.choice((1.5, 3.0, 6.0))
        wide = rng.choice((0.04, 0.04, 0.4))
        queue = [b""]
        left = size
        while queue:
            path = queue.pop(rng.randrange(len(queue)))
            count = min(left, int(rng.expovariate(1 / shape)))
            if path == b"" or rng.random() < 0.02:
                count = min(left, max(count, rng.choice((2, 5, PART_LIMIT + 8))))
            left -= count
            files = rng.choice((0, 0, 1, 3))
            if rng.random() < wide:
                files = PART_LIMIT * rng.choice((1, 2, 4))
            folders = [b"d%d" % i for i in range(count)]
            names = folders + [b"f%d" % i for i in range(files)]
            rng.shuffle(names)
            tree.folders[path] = Folder(tuple(names), frozenset(folders))
            queue.extend(below(path, name) for name in folders)
            if path and rng.random() < trouble:
                tree.folders[path] = cls._spoilt(rng, tree.folders[path])
        return tree

    @staticmethod
    def _spoilt(rng: random.Random, folder: Folder) -> Folder:
        kind = rng.choice(("denied", "io", "deadly"))
        times = rng.choice((1, 2, FOREVER))
        folder.denied = kind == "denied"
        folder.io = times if kind == "io" else 0
        folder.deadly = times if kind == "deadly" else 0
        if len(folder.names) > PART_LIMIT and rng.random() < 0.5:
            folder.deadly_part = rng.choice((LISTING, rng.randrange(parts_of(len(folder.names)))))
        return folder

    def expected(self, given_up: set[tuple[bytes, int, int]]) -> Iterator[bytes]:
        """Paths of the entries that a walk counts, without those under (path, part, parts)."""
        if (b"", 0, 0) in given_up:
            return
        if not any(path == b"" and part == 0 for path, part, _ in given_up):
            yield b""
        stack = [b""]
        while stack:
            path = stack.pop()
            folder = self.folders[path]
            if folder.denied or (path, 0, 0) in given_up:
                continue
            lost = {(part, parts) for where, part, parts in given_up if where == path}
            for name in folder.names:
                if any(zlib.crc32(name) % parts == part for part, parts in lost):
                    continue
                entry = below(path, name)
                yield entry
                if name in folder.folders:
                    stack.append(entry)


def parts_of(names: int) -> int:
    """Into how many parts a wide directory of so many names is cut."""
    return max(2, names // 4)
