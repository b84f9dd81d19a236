"""How much work it is to send the files of a directory, and into how many parts that is cut.

Used by runs that send what they find: there a part is what one worker sends in one task, and what
one agent can give to another.
"""

import stat
from collections.abc import Iterable
from typing import Final
from zlib import crc32

from zfs_walk.scan.entries import Stat

LEAST: Final = 64 * 2**10
"""Bytes that a file counts at least: a small one costs round trips, not bytes."""

TASK: Final = 3 * 2**20
"""The load of one task: 48 small files, seven of 400 kB, or one larger file: about two for each of
four transfers. Larger tasks are shared worse, smaller ones leave transfers idle at their ends."""

FEWEST: Final = 4
"""Files of one part at least, where there are enough: as many as a worker sends at once."""

MOST_PARTS: Final = 4_096
"""Of one directory, as of every wide one (docs/protocol.md section 3)."""

OTHERS: Final = 16
"""One part in so many, and the first in any case, has the names that are no regular files: it is
done at once, and what is below the directory does not wait until its files are sent."""

_REGULAR: Final = 8
"""DT_REG of readdir."""


def load_of(modes: Iterable[int], stats: Iterable[Stat]) -> tuple[int, int]:
    """The load of the regular files among some entries, in bytes, and how many there are."""
    sizes = [
        found.st_size
        for mode, found in zip(modes, stats, strict=True)
        if stat.S_IFMT(mode) == stat.S_IFREG
    ]
    return sum(max(LEAST, size) for size in sizes), len(sizes)


def parts_of(load: int, files: int) -> int:
    """How many parts a directory is cut into; 0: it is one task as it is.

    The first is for all that is no regular file (`part_of`).
    """
    if load <= TASK:
        return 0
    wanted = min(-(-load // TASK), -(-files // FEWEST))
    return min(MOST_PARTS, wanted + 1 + wanted // (OTHERS - 1))


def part_of(name: bytes, kind: int, parts: int) -> int:
    """The part that a name belongs to.

    Args:
        name: of the entry.
        kind: its ``d_type``.
        parts: of the directory, two at least.
    """
    others = max(1, parts // OTHERS)
    if kind == _REGULAR:
        return others + crc32(name) % (parts - others)
    return crc32(name) % others
