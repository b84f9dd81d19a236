"""Names of wide directories on their way between workers: all arrive, or an error says so."""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfs_walk.agents.walker import spool as module
from zfs_walk.agents.walker.spool import Spool, SpoolError, deal
from zfs_walk.scan.interface import NameBlock

NAMES = st.lists(
    st.tuples(
        st.binary(min_size=1, max_size=255).filter(lambda name: not {0, 47} & set(name)),
        st.integers(0, 14),
    )
)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(str(tmp_path))
    yield made
    made.close()


def block(names: list[tuple[bytes, int]]) -> NameBlock:
    return NameBlock([name for name, _ in names], bytes(kind for _, kind in names))


def test_it_has_no_name(spool: Spool, tmp_path: Path) -> None:
    spool.write(0, block([(b"a", 1)]))
    assert list(tmp_path.iterdir()) == []


@given(NAMES.filter(bool), NAMES.filter(bool))
def test_what_is_written_is_read(
    first: list[tuple[bytes, int]], second: list[tuple[bytes, int]]
) -> None:
    made = Spool("/tmp")
    at, length = made.write(2**33, block(first))
    other = made.write(at + length, block(second))
    assert made.read(((at, length), other)) == block(first + second)
    made.close()


@given(st.lists(NAMES, max_size=4), st.integers(1, 7))
def test_each_name_is_dealt_to_the_part_of_its_hash(
    blocks: list[list[tuple[bytes, int]]], parts: int
) -> None:
    made = Spool("/tmp")
    wanted = tuple(range(0, parts, 2))
    extents, seen = deal(map(block, blocks), parts, wanted, made, 1000)
    everything = [pair for names in blocks for pair in names]
    assert seen == len(everything)
    assert set(extents) == set(wanted)
    for part in wanted:
        mine = block([pair for pair in everything if zlib.crc32(pair[0]) % parts == part])
        assert made.read(tuple(extents[part])) == mine
    made.close()


def test_many_names_are_written_in_pieces(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WRITE_BYTES", 100)
    blocks = [block([(b"%06d" % (50 * i + j), 8) for j in range(50)]) for i in range(20)]
    extents, seen = deal(iter(blocks), 3, (0, 1, 2), spool, 0)
    assert seen == 1000
    assert all(len(found) > 5 for found in extents.values())
    names = [name for part in range(3) for name in spool.read(tuple(extents[part])).names]
    assert sorted(names) == [name for names in blocks for name in names.names]


def test_a_write_that_is_cut_short_is_gone_on_with(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: real(file, data[:7], at))
    names = block([(b"a long name %d" % i, 8) for i in range(20)])
    assert spool.read((spool.write(50, names),)) == names


def test_a_full_disk_is_an_error_of_the_spool(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(SpoolError, match=f"{tmp_path}: No space left on device"):
        spool.write(0, block([(b"a", 1)]))


def test_names_that_are_gone_are_an_error(spool: Spool) -> None:
    extent = spool.write(0, block([(b"a", 1)]))
    spool.free()
    with pytest.raises(SpoolError, match="are gone"):
        spool.read((extent,))
