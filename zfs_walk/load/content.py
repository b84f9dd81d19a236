"""What is written: bytes that follow from (seed, owner, file, pass, offset), so that none is kept.

The body is a pool of `POOL` random bytes, made from the seed, over and over. Each sector of
`SECTOR` bytes begins with a stamp of 24 bytes, three words that are spread by a multiplication, so
that no few flipped bits make a stamp of another one: owner and file, pass and era (the sector's
number divided by `ERA`), the sector within the era. What that proves:

- Every bit that is read is compared, so a single flipped one is found.
- No two sectors of one owner are the same, so one that is at another place, in another file, of an
  earlier pass, or was never written, is found, down to one sector of a block, and its stamp says
  what it is instead. Owners are told apart by 32 bits of a hash, those of one agent for certain.
- Blocks that were asked to be duplicates are excepted: one that is exchanged for its twin is the
  same bytes.

Stamping costs about 12 us a MiB, as only the sector numbers change from one block to the next. What
nobody verifies is stamped every `GRAIN` (2 us a MiB): no two grains are the same, as nothing that
de-duplicates is to find more than was asked for.
"""

import hashlib
import random
from array import array
from bisect import bisect_left
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from zfs_walk.load.buffers import Buffer

SECTOR: Final = 512
"""The smallest unit that a disk loses or misplaces."""

POOL: Final = 1 << 20
"""Bytes after which bodies repeat. A compressor whose window is smaller finds nothing in them; a
larger pool would not stay in a core's cache, and be slower to write than what is compared with."""

GRAIN: Final = 4_096
"""Bytes of the blocks that are duplicates, and of which a share is zeros: no file system compresses
or de-duplicates smaller ones."""

ERA: Final = 1 << 20
"""Sectors that are numbered by one table: 8 MiB of memory for 512 MiB of a file."""

_STAMP: Final = 24
_U32: Final = 0xFFFFFFFF
_U64: Final = (1 << 64) - 1
_STEP: Final = 0xB504F333F9D
"""What sector numbers are multiplied with: odd, and `ERA` of them stay below 2**64."""
_SPREAD: Final = 0x9E3779B97F4A7C15
_GATHER: Final = pow(_SPREAD, -1, 1 << 64)
"""What the other two words are multiplied with, modulo 2**64, and what undoes it."""
_MOST_ERAS: Final = 1 << 16
_MOST_ROUNDS: Final = 1 << 24
"""What is beyond is no stamp of ours: 32 TiB of one file, and so many passes over it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A place where the bytes are not those that were written.

    Attributes:
        path: of the file.
        offset: of the first wrong byte.
        length: bytes from there to the last wrong one.
        kind: flipped, damaged, zeros, misplaced, stale, swapped, foreign, truncated, grown or
            missing.
        detail: what is there, in words.
    """

    path: str
    offset: int
    length: int
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a sector says of itself."""

    owner: int
    file: int
    round: int
    sector: int


def owner_of(seed: str, name: str) -> int:
    """The 32 bits that stand for a consumer in its stamps; never 0, which is for duplicates."""
    digest = hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") or 1


@dataclass(frozen=True, slots=True)
class Texture:
    """What content is like.

    Attributes:
        zeros: percent of each `GRAIN` that compresses to nothing, 0 to 100.
        duplicates: percent of the `GRAIN`s that are found again every `POOL` bytes and in every
            file of this seed.
        unit: bytes that have a stamp each: `SECTOR`, or `GRAIN` if nobody verifies them; offsets
            are multiples of it.
    """

    zeros: int = 0
    duplicates: int = 0
    unit: int = SECTOR


class Content:
    """Makes the blocks of one file after the other, in one buffer.

    Args:
        seed: of the whole run.
        owner: of this consumer; see `owner_of`.
        largest: bytes of the largest block, a multiple of `SECTOR`.
        texture: what it is like.
    """

    def __init__(self, seed: str, owner: int, largest: int, texture: Texture = Texture()) -> None:
        self.owner = owner
        self._file = self._round = 0
        unit = texture.unit
        self._unit = unit
        self._step = _STEP * (unit // SECTOR)
        self._era_units = ERA * SECTOR // unit
        self._pool_units = POOL // unit
        size = POOL + -(-largest // unit) * unit
        self._buffer = Buffer(size)
        pool = _pool(seed, texture.zeros)
        for start in range(0, size, POOL):
            self._buffer.view[start : start + POOL] = pool[: size - start]
        words = self._buffer.view.cast("Q")
        self._who, self._when, self._where = (words[i :: unit // 8] for i in range(3))
        self._units = size // unit
        self._twins = _twins(texture.duplicates, self._units, unit)
        self._numbers = memoryview(array("Q", ()))
        self._era: int | None = 0
        self._once = False
        self._taken: tuple[int, int, int] | None = None

    def take(self, file: int, generation: int, size: int, *, once: bool = False) -> None:
        """Make blocks of this file from now on.

        Args:
            file: its number among the owner's.
            generation: how often it was written before.
            size: bytes of it at most.
            once: another file or pass is taken after one block: stamp no more than that.
        """
        taken = (file, generation, size)
        if self._taken == taken and not once:
            return
        self._taken = None if once else taken
        self._file, self._round = file, generation
        self._once = once
        units = -(-size // self._unit)
        self._number(min(units, self._era_units))
        if once:
            return
        used = min(units, self._units)
        self._fill(self._who, 0, used, self.owner | file << 32)
        self._fill(self._when, 0, used, generation << 32)
        self._era = 0

    def block(self, offset: int, length: int) -> memoryview:
        """Bytes of the file that was taken; they hold until the next call.

        Args:
            offset: in bytes, a multiple of the unit.
            length: in bytes.
        """
        at = offset % POOL
        unit = self._unit
        self._stamp(offset // unit, at // unit, -(-length // unit))
        return self._buffer.view[at : at + length]

    def is_at(self, offset: int, found: Buffer, length: int) -> bool:
        """Whether the first bytes of a buffer are what the file has at this offset."""
        at = offset % POOL
        unit = self._unit
        self._stamp(offset // unit, at // unit, -(-length // unit))
        return self._buffer.equals(at, found, length)

    def faults(self, path: str, offset: int, found: memoryview) -> list[Fault]:
        """What is wrong with bytes that are not what the file has at this offset."""
        wanted = self.block(offset, len(found))
        wrong = []
        for start in range(0, len(found), SECTOR):
            one, other = wanted[start : start + SECTOR], found[start : start + SECTOR]
            if bytes(one) != bytes(other):
                kind, detail = self._explain(offset + start, bytes(one), bytes(other))
                wrong.append((offset + start, bytes(one), bytes(other), kind, detail))
        faults = []
        # Neighbours that are wrong in the same way are one fault.
        for _, group in groupby(enumerate(wrong), lambda each: each[1][0] - each[0] * SECTOR):
            for kind, same in groupby((row for _, row in group), lambda row: row[3]):
                rows = list(same)
                first = rows[0][0] + _first_difference(rows[0][1], rows[0][2])
                last = (
                    rows[-1][0]
                    + len(rows[-1][1])
                    - _first_difference(rows[-1][1][::-1], rows[-1][2][::-1])
                )
                faults.append(Fault(path, first, last - first, kind, rows[0][4]))
        return faults

    # ------------------------------------------------------------------ stamps

    def _stamp(self, number: int, at: int, count: int) -> None:
        era, low = divmod(number, self._era_units)
        if low + count > self._era_units:
            first = self._era_units - low
            self._stamp(number, at, first)
            self._stamp(number + first, at + first, count - first)
            return
        self._where[at : at + count] = self._numbers[low : low + count]
        if self._once:
            self._fill(self._who, at, at + count, self.owner | self._file << 32)
            self._fill(self._when, at, at + count, self._round << 32 | era)
        elif era != self._era:
            if 4 * count >= self._units:
                self._fill(self._when, 0, self._units, self._round << 32 | era)
                self._era = era
            else:
                # Somewhere else in a large file: the next one is elsewhere again.
                self._fill(self._when, at, at + count, self._round << 32 | era)
                self._era = None

    def _fill(self, column: memoryview, start: int, end: int, value: int) -> None:
        spread = array("Q", (value * _SPREAD & _U64,))
        column[start:end] = memoryview(spread * (end - start))
        first, last = bisect_left(self._twins, start), bisect_left(self._twins, end)
        for twin in self._twins[first:last]:
            column[twin : twin + 1] = _NOBODY

    def _number(self, count: int) -> None:
        """Have the numbers of so many units."""
        if len(self._numbers) >= count:
            return
        numbers = array("Q", range(0, count * self._step, self._step))
        # Twins are the same wherever they are.
        for twin in self._twins:
            if twin < self._pool_units:
                for number in range(twin, count, self._pool_units):
                    numbers[number] = twin * self._step
        self._numbers = memoryview(numbers)

    # ------------------------------------------------------------------ faults

    def _explain(self, offset: int, wanted: bytes, found: bytes) -> tuple[str, str]:
        """The kind of a fault in one sector, and what is there."""
        if not any(found):
            return "zeros", "zeros: it was never written, or the write was lost"
        bits = (int.from_bytes(wanted) ^ int.from_bytes(found)).bit_count()
        if bits <= _FEW_BITS:
            return "flipped", f"{bits} bits are flipped" if bits > 1 else "1 bit is flipped"
        stamp = _stamp_of(found) if wanted[:_STAMP] != found[:_STAMP] else None
        if stamp is not None and stamp.owner == self.owner:
            return self._elsewhere(offset, stamp)
        if stamp is not None:
            return "foreign", f"what another consumer ({stamp.owner:08x}) or another run wrote"
        return "damaged", "bytes that nobody wrote"

    def _elsewhere(self, offset: int, stamp: Stamp) -> tuple[str, str]:
        place = f"offset {stamp.sector * SECTOR}"
        if stamp.file != self._file:
            return "swapped", f"what belongs to file {stamp.file} at {place}"
        if stamp.sector != offset // SECTOR:
            return "misplaced", f"what belongs to {place} of this file"
        return "stale", f"what pass {stamp.round} wrote; this is pass {self._round}"


_NOBODY: Final = memoryview(array("Q", (0,)))
_FEW_BITS: Final = 8
"""Bits of one sector that are called flipped; more of them are damage."""


def _pool(seed: str, zeros: int) -> bytes:
    pool = bytearray(random.Random(f"pool {seed}").randbytes(POOL))  # noqa: S311 -- no secret
    empty = GRAIN * zeros // 100
    if empty:
        for end in range(GRAIN, POOL + 1, GRAIN):
            pool[end - empty : end] = bytes(empty)
    return bytes(pool)


def _twins(percent: int, units: int, unit: int) -> list[int]:
    """Units of the buffer that are part of a duplicate, in order."""
    grains = POOL // GRAIN
    # Spread, not side by side: 97 and 256 have no common factor.
    chosen = {grain * 97 % grains for grain in range(grains * percent // 100)}
    return [at for at in range(units) if at * unit % POOL // GRAIN in chosen]


def _stamp_of(sector: bytes) -> Stamp | None:
    """What a sector says of itself; None: it is no stamp, or that of a duplicate."""
    if len(sector) < _STAMP:
        return None
    who, when, where = (int.from_bytes(sector[i : i + 8], "little") for i in (0, 8, 16))
    low, rest = divmod(where, _STEP)
    who, when = who * _GATHER & _U64, when * _GATHER & _U64
    era, generation = when & _U32, when >> 32
    if rest or low >= ERA or era >= _MOST_ERAS or generation >= _MOST_ROUNDS or not who:
        return None
    return Stamp(who & _U32, who >> 32, generation, era * ERA + low)


def _first_difference(one: bytes, other: bytes) -> int:
    return next(i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)
