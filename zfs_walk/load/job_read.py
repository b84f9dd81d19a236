"""Work that reads files that were laid out before."""

import os
import random
import time
from collections.abc import Iterator
from itertools import accumulate, chain, islice
from typing import Final

from zfs_walk.load.hands import Block
from zfs_walk.load.job import LaidOut, Steps

AT_ONCE: Final = 1024
"""Blocks that are read without coming back for each of them, where nothing is to be done between
two of them. With 16 to 256 of them p99 was 3 to 11 % longer, on two cores with four processes."""


class Reads(LaidOut):
    """Reads blocks; as its own, only which."""

    def read(self, blocks: Iterator[Block]) -> Steps:
        """Read them, in this order."""
        hands = self.hands
        if self.spec.is_paced:
            for descriptor, offset, length in blocks:
                yield length
                hands.read(descriptor, offset, length)
            return
        while some := list(islice(blocks, AT_ONCE)):
            while some:
                yield some[0][2]
                del some[: hands.read_each(some)]


class ReadFiles(Reads):
    """Reads one file after the other, again and again."""

    def run(self) -> Steps:
        """Do it."""
        hands = self.hands
        while not self.enough:
            for file, size in enumerate(self.files):
                begun = time.perf_counter_ns()
                path = self.path(file)
                descriptor = hands.open_cold(path)
                try:
                    if self.spec.verify:
                        hands.content.take(file, 0, size)
                        for offset, length in self.cut(file, size):
                            yield length
                            hands.read_and_check(descriptor, offset, length)
                    else:
                        yield from self.read((descriptor, *place) for place in self.cut(file, size))
                finally:
                    os.close(descriptor)
                if not size:
                    yield 0  # nobody would be heard while files are empty
                self.rolled_over(file, size, begun)
                if self.enough:
                    break


class ReadAnywhere(Reads):
    """Reads blocks of all files, wherever they are."""

    def run(self) -> Steps:
        """Do it."""
        hands = self.hands
        descriptors: list[int] = []
        try:
            descriptors.extend(
                hands.open_cold(self.path(file), order=self.spec.order)
                for file in range(len(self.files))
            )
            if not any(self.files):
                hands.figures.stopped = "all files are empty: there is nothing to read"
                return
            places = chain.from_iterable(self._places())
            if self.spec.verify:
                for file, offset, length in places:
                    yield length
                    hands.path = self.path(file)
                    hands.content.take(file, 0, self.files[file], once=True)
                    hands.read_and_check(descriptors[file], offset, length)
            else:
                yield from self.read(
                    (descriptors[file], offset, length) for file, offset, length in places
                )
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _places(self) -> Iterator[list[tuple[int, int, int]]]:
        """Blocks anywhere, without end, some at a time: file, offset, length.

        Every file is as likely as another, and every block of it.
        """
        dice = random.Random(f"places {self._seed}")  # noqa: S311 -- no secret
        draw = dice.random
        # By file and size of block: how many of these it has.
        table = [
            (file, size // min(length, size), min(length, size))
            for file, size in enumerate(self.files)
            if size
            for length, _ in self.spec.block
        ]
        weights = [weight for _, weight in self.spec.block]
        bounds = list(accumulate(weights * (len(table) // len(weights))))
        while True:
            rows = dice.choices(table, cum_weights=bounds, k=AT_ONCE)
            yield [(file, int(draw() * blocks) * length, length) for file, blocks, length in rows]
