"""The shape of a walked tree: how large its files are, how deep they lie, how many folders it has.

No I/O: `zfs_walk.load.shaping` takes one from a catalog.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MOST_DEPTH: Final = 200
"""Deeper files are counted with those of this depth: their paths would come near to PATH_MAX."""

PER_FOLDER: Final = 1_000
"""Files of a folder where a catalog has none of the folders of its files."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a tree is like.

    Attributes:
        sizes: bytes of a file, each with the number of files, ascending; of files of about the same
            size their mean.
        depths: of a file, each with the number of files, ascending; 1: in the root itself.
        folders: numbers of directories by their depth, from 0, the roots, to that of the deepest
            file's own.
    """

    sizes: tuple[tuple[int, int], ...]
    depths: tuple[tuple[int, int], ...]
    folders: tuple[int, ...]

    @classmethod
    def of(
        cls,
        sizes: Iterable[tuple[int, int]],
        depths: Iterable[tuple[int, int]],
        folders: Iterable[int],
    ) -> "Shape":
        """One that was made of lists on its way here.

        Raises:
            ValueError: it is none (or TypeError).
        """
        made = cls(
            tuple((int(size), int(number)) for size, number in sizes),
            tuple((int(depth), int(number)) for depth, number in depths),
            tuple(map(int, folders)),
        )
        deepest = max((depth for depth, _ in made.depths), default=0)
        rows = (*made.sizes, *made.depths)
        if (
            not made.sizes
            or not 1 <= deepest <= min(MOST_DEPTH, len(made.folders))
            or any(number < 1 or value < 0 for value, number in rows)
            or min(made.folders) < 0
        ):
            message = "this is the shape of nothing"
            raise ValueError(message)
        return made

    @property
    def files(self) -> int:
        """How many there are."""
        return sum(number for _, number in self.sizes)

    @property
    def bytes(self) -> int:
        """That they have together, about."""
        return sum(size * number for size, number in self.sizes)

    @property
    def mean(self) -> float:
        """Bytes of a file."""
        return self.bytes / self.files

    @property
    def largest(self) -> int:
        """Bytes of the largest file."""
        return self.sizes[-1][0]

    def largest_of(self, files: float) -> int:
        """Bytes of the largest one of so many files that have this shape."""
        above = 0
        for size, number in reversed(self.sizes):
            above += number
            # Where half a file is due, `zfs_walk.load.shares` deals one.
            if above * files >= self.files / 2:
                return size
        return self.sizes[0][0]

    def limited(self, most: int) -> "Shape":
        """The same, larger files made as large as this; 0: no limit."""
        return self._resized({size: min(size, most) for size, _ in self.sizes}) if most else self

    def rounded(self, unit: int) -> "Shape":
        """The same, sizes rounded up to multiples of a unit."""
        return self._resized({size: -(-size // unit) * unit for size, _ in self.sizes})

    def _resized(self, sizes: dict[int, int]) -> "Shape":
        numbers: Counter[int] = Counter()
        for size, number in self.sizes:
            numbers[sizes[size]] += number
        return Shape(tuple(sorted(numbers.items())), self.depths, self.folders)

    def files_per_folder(self, depth: int) -> float:
        """Files of this depth by the directories that they may be in, at least 1."""
        files = dict(self.depths)[depth]
        folders = self.folders[depth - 1] or -(-files // PER_FOLDER)
        return max(1.0, files / folders)

    def folders_per_folder(self, depth: int) -> int:
        """Directories of this depth by those that they may be in, at least 1."""
        above = self.folders[depth - 1]
        return max(1, round(self.folders[depth] / above)) if above else 1
