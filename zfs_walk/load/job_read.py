"""Work that reads files that were laid out before."""

import os
import random
import time
from collections.abc import Iterator
from itertools import islice
from typing import Final

from zfs_walk.load.draw import Dice
from zfs_walk.load.hands import Block
from zfs_walk.load.job import LaidOut, Steps

AT_ONCE: Final = 64
"""Blocks that are read without coming back for each of them, where nothing is to be done between
two of them."""


class Reads(LaidOut):
    """Reads blocks; as its own, only which."""

    def read(self, blocks: Iterator[Block]) -> Steps:
        """Read them, in this order."""
        if self.spec.is_paced:
            for block in blocks:
                yield block.length
                self.hands.read(block.descriptor, block.offset, block.length)
            return
        while True:
            some = list(islice(blocks, AT_ONCE))
            if not some:
                return
            while some:
                yield some[0].length
                del some[: self.hands.read_each(some)]


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
                        yield from self.read(
                            Block(path, descriptor, *place) for place in self.cut(file, size)
                        )
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
            if not any(self.files):
                hands.figures.stopped = "all files are empty: there is nothing to read"
                return
            descriptors.extend(hands.open_cold(self.path(file)) for file in range(len(self.files)))
            if self.spec.verify:
                for file, path, offset, length in self._places():
                    yield length
                    hands.path = path
                    hands.content.take(file, 0, self.files[file], once=True)
                    hands.read_and_check(descriptors[file], offset, length)
            else:
                yield from self.read(
                    Block(path, descriptors[file], offset, length)
                    for file, path, offset, length in self._places()
                )
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _places(self) -> Iterator[tuple[int, str, int, int]]:
        """Blocks anywhere, without end: file, path, offset, length."""
        blocks = Dice(f"blocks {self._seed}", self.spec.block)
        draw = random.Random(f"places {self._seed}").random  # noqa: S311 -- no secret
        paths = [self.path(file) for file in range(len(self.files))]
        full = [file for file, size in enumerate(self.files) if size]
        while True:
            file = full[int(draw() * len(full))]
            size, length = self.files[file], blocks.roll()
            length = min(length, size)
            yield file, paths[file], int(draw() * (size // length)) * length, length
