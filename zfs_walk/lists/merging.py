"""One sorted list of several."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

Packed = tuple[bytes, str, bytes, bytes]
"""Name, host, folder and `ROW`."""

LEAST: Final = 16
MOST: Final = 5_000
"""Rows that are taken from a list at once."""


def merged(sources: Iterable[Iterator[Packed]], limit: int) -> list[Packed]:
    """The first rows of all sources, in order; each source is in order itself.

    A piece of each source is taken, and what no later piece can come before is sorted: runs are
    merged in C that way, at three times the rate of `heapq.merge`.
    """
    pieces: list[tuple[list[Packed], Iterator[Packed]]] = [([], source) for source in sources]
    rows: list[Packed] = []
    while pieces and len(rows) < limit:
        size = min(MOST, (limit - len(rows)) // len(pieces) + LEAST)
        for piece, source in pieces:
            if not piece:
                piece.extend(islice(source, size))
        pieces = [each for each in pieces if each[0]]
        final = min((piece[-1] for piece, _ in pieces), default=None)
        if final is None:
            break
        ready: list[Packed] = []
        for piece, _ in pieces:
            upto = bisect_right(piece, final)
            ready += piece[:upto]
            del piece[:upto]
        ready.sort()
        rows += ready
    return rows[:limit]
