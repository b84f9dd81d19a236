"""Work that reads files that were laid out before."""

import os
import random
import time
from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice
from operator import mod, mul
from typing import Final

from zfs_walk.load.hands import Blocks
from zfs_walk.load.job import LaidOut, Steps

AT_ONCE: Final = 1024
"""Blocks that are read without coming back for each of them, where nothing is to be done between
two of them. What is done between two batches keeps another process waiting: with 128 of them p99
was 17 % longer, on two cores with four processes."""

Places = tuple[Sequence[int], Sequence[int], Sequence[int]]
"""Some blocks in columns: numbers of their files, offsets, lengths."""


class Reads(LaidOut):
    """Reads blocks; as its own, only which."""

    def read(self, batches: Iterator[Blocks]) -> Steps:
        """Read them, in this order."""
        hands = self.hands
        for batch in batches:
            if self.spec.is_paced:
                for descriptor, offset, length in zip(*batch, strict=True):
                    yield length
                    hands.read(descriptor, offset, length)
                continue
            left = batch
            while left.offsets:
                yield left.lengths[0]
                left = left.after(hands.read_each(left))


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
                        yield from self.read(self._batches(descriptor, self.cut(file, size)))
                finally:
                    os.close(descriptor)
                if not size:
                    yield 0  # nobody would be heard while files are empty
                self.rolled_over(file, size, begun)
                if self.enough:
                    break

    @staticmethod
    def _batches(descriptor: int, places: Iterator[tuple[int, int]]) -> Iterator[Blocks]:
        while some := list(islice(places, AT_ONCE)):
            offsets, lengths = zip(*some, strict=True)
            yield Blocks([descriptor] * len(some), offsets, lengths)


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
            if self.spec.verify:
                for batch in self._places():
                    for file, offset, length in zip(*batch, strict=True):
                        yield length
                        hands.path = self.path(file)
                        hands.content.take(file, 0, self.files[file], once=True)
                        hands.read_and_check(descriptors[file], offset, length)
            else:
                yield from self.read(
                    Blocks([descriptors[file] for file in files], offsets, lengths)
                    for files, offsets, lengths in self._places()
                )
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _places(self) -> Iterator[Places]:
        """Blocks anywhere, without end, some at a time.

        Every file is as likely as another, and every block of it.
        """
        dice = random.Random(f"places {self._seed}")  # noqa: S311 -- no secret
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
            files, blocks, lengths = zip(*rows, strict=True)
            # Of 64 bits: that some blocks of a file are likelier than others shows nowhere.
            draws = array("Q", dice.randbytes(8 * AT_ONCE))
            yield files, list(map(mul, map(mod, draws, blocks), lengths)), lengths
