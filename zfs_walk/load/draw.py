"""Sizes by their weights, and blocks of a file in their order; the same ones for the same seed."""

import random
from array import array
from collections.abc import Iterator
from itertools import accumulate, islice, repeat
from typing import Final

from zfs_walk.load.spec import Sizes

WINDOW: Final = 1 << 18
"""Blocks that are drawn from at a time: all of a file of 1 GiB in blocks of 4 KiB. A larger file is
gone through window by window, so that the order of its blocks takes no more than 1 MiB."""


class Dice:
    """Draws from weighted values.

    Args:
        seed: of this consumer and purpose.
        sizes: what is drawn from.
    """

    def __init__(self, seed: str, sizes: Sizes) -> None:
        self._random = random.Random(seed)  # noqa: S311 -- no secret
        self._sizes = [size for size, _ in sizes]
        self._bounds = list(accumulate(weight for _, weight in sizes))
        self._one = self._sizes[0] if len(sizes) == 1 else None

    def roll(self) -> int:
        """The next one."""
        if self._one is not None:
            return self._one
        return self._random.choices(self._sizes, cum_weights=self._bounds)[0]


def cut(seed: str, size: int, blocks: Sizes) -> Iterator[tuple[int, int]]:
    """A file's blocks from its begin to its end: (offset, length)."""
    offset = 0
    if len(blocks) == 1:
        [(length, _)] = blocks
        offset = size - size % length
        yield from zip(range(0, offset, length), repeat(length))
    dice = Dice(seed, blocks)
    while offset < size:
        length = min(dice.roll(), size - offset)
        yield offset, length
        offset += length


class Pass:
    """Goes once over every block of a file in random order, window by window.

    Args:
        seed: of this consumer, file and pass.
        blocks: from the file's begin to its end: (offset, length).
    """

    def __init__(self, seed: str, blocks: Iterator[tuple[int, int]]) -> None:
        self._blocks = blocks
        self._random = random.Random(seed)  # noqa: S311 -- no secret

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """The blocks: (offset, length)."""
        draw = self._random.random
        while True:
            window = list(islice(self._blocks, WINDOW))
            if not window:
                return
            offsets, lengths = (array("Q", column) for column in zip(*window, strict=True))
            # Drawn one by one: to shuffle all of a window at once would be a stall of 0.2 s.
            for left in range(len(offsets), 0, -1):
                at, last = int(draw() * left), left - 1
                offset, length = offsets[at], lengths[at]
                offsets[at], lengths[at] = offsets[last], lengths[last]
                yield offset, length
