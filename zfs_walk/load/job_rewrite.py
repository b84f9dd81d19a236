"""Work that goes over its files again and again, and writes or reads each block."""

import os
import random
import time
from array import array
from collections.abc import Callable, Iterator
from typing import Final

from zfs_walk.load.draw import Pass
from zfs_walk.load.hands import Hands
from zfs_walk.load.job import LaidOut, Steps
from zfs_walk.load.spec import LoadSpec, Order, Sync, Work
from zfs_walk.load.witness import What

TORN: Final = 0xFFFFFFFF
"""In place of a block's pass: writing it failed, so nobody knows what is there."""


class Rewrite(LaidOut):
    """Goes over its files again and again; each block is written anew, or read."""

    def __init__(
        self, spec: LoadSpec, seed: str, folder: str, hands: Hands, guard: Callable[[], str]
    ) -> None:
        super().__init__(spec, seed, folder, hands, guard)
        self._smallest = min(size for size, _ in spec.block)
        # Of each block, by the place where it begins, how often it was written over.
        self._passes = [
            array("I", bytes(4 * (size // self._smallest + 1))) for size in self.files
        ]  # fmt: skip
        self._reads = spec.read_percent / 100 if spec.work is Work.MIXED else 0.0
        self._scattered = spec.order is Order.RANDOM or self._reads > 0
        self._rounds = 0
        self._next = 0

    def run(self) -> Steps:
        """Do it."""
        draw = random.Random(f"mixed {self._seed} {self._rounds}").random  # noqa: S311 -- no secret
        while not self.enough:
            file, size = self._next, self.files[self._next]
            self._next = (self._next + 1) % len(self.files)
            self._rounds += 1
            begun = time.perf_counter_ns()
            if not size:
                yield 0  # nobody would be heard while files are empty
            descriptor = self._open(file)
            try:
                for offset, length in self._blocks(file, size):
                    yield length
                    if draw() < self._reads:
                        self._read(descriptor, file, offset, length)
                    else:
                        self._write(descriptor, file, offset, length)
                if self.spec.sync is Sync.FILE or self.spec.verify:
                    self.hands.sync(descriptor)
            finally:
                os.close(descriptor)
            self.told(What.REWRITTEN, file, size)
            self.rolled_over(file, size, begun)
            if self.spec.verify:
                yield from self._verify(file)

    def _open(self, file: int) -> int:
        if self._reads:
            return self.hands.open_cold(self.path(file), os.O_RDWR, self.spec.order)
        # Its pages may be in the cache: who writes over them need not read them.
        return self.hands.open(self.path(file), os.O_RDWR)

    def _blocks(self, file: int, size: int) -> Iterator[tuple[int, int]]:
        if self.spec.order is Order.SEQUENTIAL:
            return self.cut(file, size)
        seed = f"order {self._seed} {file} {self._rounds}"
        return iter(Pass(seed, self.cut(file, size)))

    def _write(self, descriptor: int, file: int, offset: int, length: int) -> None:
        passes, at = self._passes[file], offset // self._smallest
        generation = 0 if passes[at] == TORN else passes[at] + 1
        self._take(file, generation)
        passes[at] = TORN
        self.hands.write(descriptor, offset, length)
        passes[at] = generation

    def _read(self, descriptor: int, file: int, offset: int, length: int) -> None:
        generation = self._passes[file][offset // self._smallest]
        if not self.spec.verify or generation == TORN:
            self.hands.read(descriptor, offset, length)
            return
        self._take(file, generation)
        self.hands.read_and_check(descriptor, offset, length)

    def _verify(self, file: int) -> Steps:
        """Every block of a file, of whatever pass it is."""
        size, passes = self.files[file], self._passes[file]
        try:
            descriptor = self.hands.open_cold(self.path(file))
        except FileNotFoundError:
            self.hands.missing(self.path(file))
            return
        try:
            for offset, length in self.cut(file, size):
                generation = passes[offset // self._smallest]
                if generation != TORN:
                    yield length
                    self._take(file, generation)
                    self.hands.verify(descriptor, offset, length)
            self.hands.check_size(descriptor, size)
        finally:
            os.close(descriptor)

    def _take(self, file: int, generation: int) -> None:
        """Another pass than the last block's costs a stamp of that block, or of all of them."""
        self.hands.content.take(file, generation, self.files[file], once=self._scattered)

    def finish(self) -> Steps:
        """All of them are verified once more, as a pass may have been half done."""
        if self.spec.verify:
            for file in range(self._whole):
                yield from self._verify(file)
        yield from super().finish()
