"""Work that reads files that were laid out before."""

import os
import random
import time

from zfs_walk.load.draw import Dice
from zfs_walk.load.job import LaidOut, Steps


class ReadFiles(LaidOut):
    """Reads one file after the other, again and again."""

    def run(self) -> Steps:
        """Do it."""
        hands = self.hands
        read = hands.read_and_check if self.spec.verify else hands.read
        while not self.enough:
            for file, size in enumerate(self.files):
                begun = time.perf_counter_ns()
                hands.content.take(file, 0, size)
                descriptor = hands.open(self.path(file))
                try:
                    for offset, length in self.cut(file, size):
                        yield length
                        read(descriptor, offset, length)
                finally:
                    os.close(descriptor)
                if not size:
                    yield 0  # nobody would be heard while files are empty
                self.rolled_over(file, size, begun)
                if self.enough:
                    break


class ReadAnywhere(LaidOut):
    """Reads blocks of all files, wherever they are."""

    def run(self) -> Steps:
        """Do it."""
        hands, blocks = self.hands, Dice(f"blocks {self._seed}", self.spec.block)
        draw = random.Random(f"places {self._seed}").random  # noqa: S311 -- no secret
        descriptors: list[int] = []
        try:
            descriptors.extend(hands.open(self.path(file)) for file in range(len(self.files)))
            full = [file for file, size in enumerate(self.files) if size]
            if not full:
                hands.figures.stopped = "all files are empty: there is nothing to read"
                return
            while True:
                file = full[int(draw() * len(full))]
                size, length = self.files[file], blocks.roll()
                length = min(length, size)
                offset = int(draw() * (size // length)) * length
                yield length
                if self.spec.verify:
                    hands.path = self.path(file)
                    hands.content.take(file, 0, size, once=True)
                    hands.read_and_check(descriptors[file], offset, length)
                else:
                    hands.read(descriptors[file], offset, length)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
