"""Every byte that is read is judged; a fault has its file, its offset and its kind."""

import os
import random
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zfs_walk.load.buffers import Buffer
from zfs_walk.load.content import ERA, GRAIN, POOL, SECTOR, Content, Fault, Texture, owner_of

BLOCK = 64 << 10
SIZE = 3 * POOL + 5 * BLOCK


def content(*, zeros: int = 0, duplicates: int = 0, largest: int = BLOCK) -> Content:
    made = Content("seed", owner_of("seed", "one"), largest, Texture(zeros, duplicates))
    made.take(7, 2, SIZE)
    return made


def written(made: Content, size: int = SIZE, block: int = BLOCK) -> bytearray:
    return bytearray().join(
        bytes(made.block(at, min(block, size - at))) for at in range(0, size, block)
    )


def judge(
    made: Content, data: bytes | bytearray, size: int = SIZE, block: int = BLOCK
) -> list[Fault]:
    found = Buffer(block)
    faults = []
    for at in range(0, size, block):
        piece = data[at : at + block]
        found.view[: len(piece)] = piece
        if not made.is_at(at, found, len(piece)):
            faults += made.faults("file", at, found.view[: len(piece)])
    return faults


def test_the_same_bytes_whatever_the_block_and_the_order() -> None:
    whole = written(content(), block=BLOCK)
    assert written(content(largest=4 * POOL), block=4 * POOL) == whole
    assert written(content(), block=SECTOR * 3) == whole
    made = content()
    places = list(range(0, SIZE, BLOCK))
    random.Random(1).shuffle(places)
    for at in places:
        assert made.block(at, BLOCK) == whole[at : at + BLOCK]


def test_blocks_of_many_files_in_turn_are_those_of_each_by_itself() -> None:
    alone = {file: written(_taken(file)) for file in (1, 2)}
    made = content(duplicates=20)
    for at in range(0, SIZE, BLOCK):
        for file, whole in alone.items():
            made.take(file, file, SIZE, once=True)
            assert made.block(at, BLOCK) == whole[at : at + BLOCK]


def _taken(file: int) -> Content:
    made = content(duplicates=20)
    made.take(file, file, SIZE)
    return made


def test_what_was_written_is_right() -> None:
    assert judge(content(), written(content())) == []


def test_no_sector_is_found_twice_not_in_another_file_nor_in_another_pass() -> None:
    seen: set[bytes] = set()
    made = content()
    for file, generation in ((7, 2), (7, 3), (8, 2)):
        made.take(file, generation, SIZE)
        data = bytes(written(made))
        sectors = [data[at : at + SECTOR] for at in range(0, SIZE, SECTOR)]
        assert seen.isdisjoint(sectors)
        seen.update(sectors)
    assert len(seen) == 3 * (SIZE // SECTOR)


@pytest.mark.parametrize("block", [GRAIN, BLOCK, POOL + GRAIN])
@pytest.mark.parametrize("duplicates", [0, 25])
def test_what_nobody_verifies_has_as_many_equal_grains_as_were_asked_for(
    block: int, duplicates: int
) -> None:
    made = Content("seed", 5, block, Texture(duplicates=duplicates, unit=GRAIN))
    seen: Counter[bytes] = Counter()
    for file, generation in ((7, 2), (7, 3), (8, 2)):
        made.take(file, generation, SIZE)
        data = bytes(written(made, block=block))
        seen.update(data[at : at + GRAIN] for at in range(0, SIZE, GRAIN))
    grains = 3 * SIZE // GRAIN
    equal = sum(count for count in seen.values() if count > 1)
    assert abs(equal / grains * 100 - duplicates) < 1


@pytest.mark.parametrize("once", [False, True])
def test_grains_follow_from_file_pass_and_offset(*, once: bool) -> None:
    texture = Texture(unit=GRAIN)
    whole = Content("seed", 5, SIZE, texture)
    whole.take(7, 2, SIZE)
    data = bytes(whole.block(0, SIZE))
    other = Content("seed", 5, GRAIN, texture)
    for at in (2 * POOL, 0, SIZE - GRAIN, POOL + GRAIN):
        other.take(7, 2, SIZE, once=once)
        assert other.block(at, GRAIN) == data[at : at + GRAIN]


@settings(deadline=None)
@given(st.integers(0, SIZE * 8 - 1))
def test_a_single_flipped_bit_is_found_wherever_it_is(bit: int) -> None:
    made = content()
    at = bit // 8 // BLOCK * BLOCK
    found = Buffer(BLOCK)
    found.view[:] = made.block(at, BLOCK)
    found.view[bit // 8 - at] ^= 1 << bit % 8
    assert not made.is_at(at, found, BLOCK)
    fault = Fault("file", bit // 8, 1, "flipped", "1 bit is flipped")
    assert made.faults("file", at, found.view) == [fault]


def _lose(data: bytearray) -> None:
    data[BLOCK : BLOCK + GRAIN] = bytes(GRAIN)


def _repeat(data: bytearray) -> None:
    data[POOL : POOL + BLOCK] = data[:BLOCK]


def _misplace_a_sector(data: bytearray) -> None:
    data[5 * SECTOR : 6 * SECTOR] = data[4 * SECTOR : 5 * SECTOR]


def _overwrite(data: bytearray) -> None:
    data[BLOCK : BLOCK + 2 * SECTOR] = random.Random(2).randbytes(2 * SECTOR)


@pytest.mark.parametrize(
    ("harm", "offset", "length", "kind", "words"),
    [
        (_lose, BLOCK, GRAIN, "zeros", "never written"),
        (_repeat, POOL, BLOCK, "misplaced", "offset 0 of this file"),
        (_misplace_a_sector, 5 * SECTOR, SECTOR, "misplaced", f"offset {4 * SECTOR}"),
        (_overwrite, BLOCK, 2 * SECTOR, "damaged", "nobody"),
    ],
)
def test_harm_within_a_file_is_told(
    harm: Callable[[bytearray], None], offset: int, length: int, kind: str, words: str
) -> None:
    data = written(content())
    harm(data)
    faults = judge(content(), data)
    assert {fault.kind for fault in faults} == {kind}
    # Bytes at the edges that are the same are not wrong: bodies are, a pool's length apart.
    assert offset <= faults[0].offset < offset + 64
    end = max(fault.offset + fault.length for fault in faults)
    assert offset + length - SECTOR < end <= offset + length
    assert words in faults[0].detail


@pytest.mark.parametrize(
    ("file", "generation", "kind", "words"),
    [(7, 1, "stale", "pass 1 wrote; this is pass 2"), (9, 2, "swapped", "file 9 at offset")],
)
def test_what_another_pass_or_file_has_is_told(
    file: int, generation: int, kind: str, words: str
) -> None:
    other = content()
    other.take(file, generation, SIZE)
    data = written(content())
    data[GRAIN : 2 * GRAIN] = other.block(GRAIN, GRAIN)
    faults = judge(content(), data)
    assert [fault.kind for fault in faults] == [kind] * len(faults)
    assert words in faults[0].detail
    assert GRAIN <= faults[0].offset < GRAIN + 24


def test_what_another_consumer_wrote_is_told() -> None:
    other = Content("seed", owner_of("seed", "two"), BLOCK)
    other.take(7, 2, SIZE)
    assert judge(content(), written(other))[0].kind == "foreign"


def test_sectors_are_told_apart_beyond_what_one_table_numbers() -> None:
    size = ERA * SECTOR * 3
    made = Content("seed", 1, BLOCK)
    made.take(1, 0, size)
    edge = ERA * SECTOR
    across = bytes(made.block(edge - 4 * SECTOR, 8 * SECTOR))
    # The same bytes, whether a block crosses the border or not, and whatever came between.
    assert bytes(made.block(2 * edge, BLOCK)) != bytes(made.block(edge, BLOCK))
    assert bytes(made.block(edge - 4 * SECTOR, 4 * SECTOR)) == across[: 4 * SECTOR]
    assert bytes(made.block(edge, 4 * SECTOR)) == across[4 * SECTOR :]
    found = Buffer(BLOCK)
    found.view[:] = made.block(0, BLOCK)
    assert made.faults("file", edge, found.view)[0].detail == (
        "what belongs to offset 0 of this file"
    )


def test_a_file_need_not_end_with_a_sector() -> None:
    made = content()
    for rest in (1, 15, 24, 511):
        data = written(made, size=BLOCK + rest)
        assert judge(made, data, size=BLOCK + rest) == []
        data[-1] ^= 1
        assert judge(made, data, size=BLOCK + rest)[0].offset == BLOCK + rest - 1


@pytest.mark.parametrize("zeros", [0, 30, 50, 90])
def test_a_share_of_it_is_compressible(zeros: int) -> None:
    data = bytes(written(content(zeros=zeros)))
    # As file systems do: each of their blocks by itself.
    size = sum(len(zlib.compress(data[at : at + 131072], 1)) for at in range(0, SIZE, 131072))
    assert abs(size / SIZE - (1 - zeros / 100)) < 0.05


@pytest.mark.parametrize("percent", [0, 25, 100])
def test_a_share_of_the_blocks_are_duplicates(percent: int) -> None:
    made = content(duplicates=percent)
    grains: list[bytes] = []
    for file in (1, 2, 3):
        made.take(file, 0, 2 * POOL)
        data = bytes(written(made, size=2 * POOL))
        grains += [data[at : at + GRAIN] for at in range(0, len(data), GRAIN)]
    unique = len(grains) * (100 - percent) / 100
    assert len(set(grains)) == pytest.approx(unique + percent / 100 * POOL / GRAIN, abs=2)


def test_duplicates_are_judged_too() -> None:
    made = content(duplicates=50)
    data = written(made)
    assert judge(made, data) == []
    data[POOL + 3] ^= 16
    assert judge(made, data)[0].offset == POOL + 3


def test_two_seeds_have_nothing_in_common() -> None:
    other = Content("other", owner_of("other", "one"), BLOCK)
    other.take(7, 2, SIZE)
    one, two = written(content()), written(other)
    assert not any(one[at : at + SECTOR] == two[at : at + SECTOR] for at in range(0, SIZE, SECTOR))


def test_a_buffer_can_be_read_into_with_o_direct(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(written(content())))
    buffer = Buffer(BLOCK)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECT)
    except OSError as error:
        pytest.skip(f"no O_DIRECT here: {error.strerror}")
    try:
        assert os.preadv(descriptor, [buffer.view], BLOCK) == BLOCK
    finally:
        os.close(descriptor)
    assert content().is_at(BLOCK, buffer, BLOCK)
