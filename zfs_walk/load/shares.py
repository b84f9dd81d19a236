"""Draws of which each kind has its share at any time, not only in the long run. No clock, no I/O.

Random draws would not do for a test: of 10,000 files 100 are expected to be of a kind, and by
chance there are 80 or 120.
"""

import random
from collections.abc import Sequence
from heapq import heapify, heapreplace
from typing import Final

from zfs_walk.load.spec import Sizes

DECK: Final = 100
"""Draws that are shuffled among themselves."""


class Shares:
    """Deals numbers from 0 on, each as often as its weight demands.

    The copies of number k are due at 1/2, 3/2, 5/2 ... times the sum of weights divided by its own,
    and are dealt in that order (Webster's method). By any moment x each number has been dealt as
    often as its share of x rounds to; so after n of them, with K numbers, one whose share is p has
    been dealt n p times, to within (1 + K p) / 2.

    Args:
        weights: of the numbers, none of them 0; one at least.
    """

    def __init__(self, weights: Sequence[int]) -> None:
        total = sum(weights)
        self._apart = [total / weight for weight in weights]
        self._due = [(apart / 2, number) for number, apart in enumerate(self._apart)]
        heapify(self._due)

    def deal(self) -> int:
        """The next one."""
        at, number = self._due[0]
        heapreplace(self._due, (at + self._apart[number], number))
        return number


class Deck:
    """The same, each `DECK` of them shuffled: no order of one deck goes with that of another.

    Args:
        seed: of this consumer and purpose.
        weights: as of `Shares`.
    """

    def __init__(self, seed: str, weights: Sequence[int]) -> None:
        self._random = random.Random(seed)  # noqa: S311 -- no secret
        self._shares = Shares(weights)
        self._cards: list[int] = []

    def draw(self) -> int:
        """The next one."""
        if not self._cards:
            self._cards = [self._shares.deal() for _ in range(DECK)]
            self._random.shuffle(self._cards)
        return self._cards.pop()


class SizeDeck:
    """Sizes, of which every power of two has its share, and within it every size.

    Args:
        seed: of this consumer and purpose.
        sizes: in bytes, with their weights.
    """

    def __init__(self, seed: str, sizes: Sizes) -> None:
        octaves: dict[int, list[tuple[int, int]]] = {}
        for size, weight in sizes:
            octaves.setdefault(size.bit_length(), []).append((size, weight))
        self._octaves = [
            ([size for size, _ in each], Shares([weight for _, weight in each]))
            for each in octaves.values()
        ]
        weights = [sum(weight for _, weight in each) for each in octaves.values()]
        self._deck = Deck(seed, weights)

    def roll(self) -> int:
        """The next one."""
        sizes, shares = self._octaves[self._deck.draw()]
        return sizes[shares.deal()]
