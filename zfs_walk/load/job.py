"""What kinds of work have in common.

Each is a generator that yields the bytes of the operation that comes next, and does it when it is
resumed: whoever runs it decides when.
"""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from zfs_walk.load.draw import Dice, cut
from zfs_walk.load.figures import RECENT, Rollover
from zfs_walk.load.hands import Hands
from zfs_walk.load.places import Flat, Places, Tree
from zfs_walk.load.shares import SizeDeck
from zfs_walk.load.spec import KEEP_ALL, LoadSpec
from zfs_walk.load.witness import What, Witness

Steps = Iterator[int]
"""Bytes of the operation that comes next."""

HEARD_WITHIN: Final = 50_000_000
"""Nanoseconds from a rollover to the others' turn: of more than `RECENT` some are forgotten."""

LAID_OUT_BY: Final = 1 << 20
"""Bytes that are written at a time into a file that is to be there."""

_NS: Final = 1_000_000_000


class Job(ABC):
    """One consumer's work in its folder.

    Args:
        spec: what is wanted.
        seed: of the whole run.
        folder: that the consumer has for itself.
        hands: that do and count it.
        guard: says why no further file may be written; empty: it may.
    """

    def __init__(
        self, spec: LoadSpec, seed: str, folder: str, hands: Hands, guard: Callable[[], str]
    ) -> None:
        self.spec = spec
        self.hands = hands
        self.guard = guard
        self.begun = 0
        self._seed = f"{seed} {spec.name}"
        self._folder = folder
        self.witness = (
            Witness(spec.witness, spec.name, spec.target, folder) if spec.witness else None
        )
        self._sizes: Dice | SizeDeck
        self.places: Places
        if spec.shape is None:
            self._sizes = Dice(f"sizes {self._seed}", spec.file_size)
            self.places = Flat(folder)
        else:
            self._sizes = SizeDeck(f"sizes {self._seed}", spec.shape.sizes)
            self.places = Tree(folder, spec.shape, self._seed, spec.at_once, self._about_to_make)

    @abstractmethod
    def run(self) -> Steps:
        """Do it until nobody resumes it any more; after an error it is called again."""

    @abstractmethod
    def finish(self) -> Steps:
        """Verify what has not been, and remove what is not kept."""

    def tidy(self) -> Iterator[None]:
        """Remove folders that nothing is in."""
        if self.spec.keep != KEEP_ALL:
            yield from self.places.tidy()

    def begin(self) -> None:
        """Have the witness know where files will be."""
        if self.witness is not None:
            self.witness.begin()

    def end(self) -> None:
        """Have it know that nothing more will be done to them."""
        if self.witness is not None:
            self.witness.end()

    def lay_out(self, _hands: Hands) -> Steps:
        """Make what must be there before the run, with other hands: it is not counted."""
        yield from ()

    def path(self, file: int) -> str:
        """Of a file of this consumer."""
        return self.places.path(file)

    @property
    def enough(self) -> bool:
        """Whether it has rolled over as often as it shall."""
        return 0 < self.spec.count <= self.hands.figures.rollovers

    def told(self, what: What, file: int, size: int | None = None) -> None:
        """Have the witness tell what was done to a file just now, if there is one."""
        if self.witness is not None:
            self.witness.note(what, file, self.path(file), size)

    def _about_to_make(self, folder: str) -> None:
        """For the report, should it fail."""
        self.hands.doing, self.hands.path = "mkdir", folder

    def cut(self, file: int, size: int) -> Iterator[tuple[int, int]]:
        """The blocks of a file from its begin to its end."""
        return cut(f"cut {self._seed} {file}", size, self.spec.block)

    def lay_out_file(self, hands: Hands, file: int, size: int) -> Steps:
        """Write a file that is to be there before the run."""
        hands.content.take(file, 0, size)
        descriptor = hands.create(self.path(file))
        self.told(What.CREATED, file)
        try:
            if not size:
                yield 0  # nobody would be heard while files are empty
            for offset in range(0, size, LAID_OUT_BY):
                length = min(LAID_OUT_BY, size - offset)
                yield length
                hands.write(descriptor, offset, length)
            hands.sync(descriptor)
            hands.chill(descriptor)
        finally:
            os.close(descriptor)
        self.told(What.CLOSED, file, size)
        self.hands.figures.kept += size

    def rolled_over(self, file: int, size: int, begun: int) -> None:
        """Note that a file, or a pass over it, is whole."""
        figures, now = self.hands.figures, time.perf_counter_ns()
        figures.rollovers += 1
        figures.recent.append(
            Rollover(
                figures.rollovers, file, size, (now - self.begun) / _NS, (now - begun) / _NS
            )
        )  # fmt: skip
        del figures.recent[:-RECENT]
        self.hands.until = min(self.hands.until, now + HEARD_WITHIN)

    def remove(self, file: int, size: int) -> None:
        """Delete a file; it may be gone already."""
        with suppress(FileNotFoundError):
            Path(self.path(file)).unlink()
            self.told(What.DELETED, file)
        self.places.forget(file)
        self.hands.figures.kept -= size


class LaidOut(Job):
    """Works on files that are there before the run."""

    def __init__(
        self, spec: LoadSpec, seed: str, folder: str, hands: Hands, guard: Callable[[], str]
    ) -> None:
        super().__init__(spec, seed, folder, hands, guard)
        self.files = [self._sizes.roll() for _ in range(spec.files)]
        # So many are there, of which the last one may not be whole.
        self._begun = self._whole = 0

    def lay_out(self, hands: Hands) -> Steps:
        """Write them."""
        for file, size in enumerate(self.files):
            self._begun += 1
            yield from self.lay_out_file(hands, file, size)
            self._whole += 1

    def finish(self) -> Steps:
        """Remove them, unless they are kept."""
        if not self.spec.keep:
            for file in range(self._begun):
                yield 0
                self.remove(file, self.files[file] if file < self._whole else 0)
