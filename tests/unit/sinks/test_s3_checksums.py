"""Checksums as S3 has them. The oracles are published values and zlib."""

import zlib
from base64 import b64encode

import pytest

from zfs_walk.sinks.s3_checksums import ALGORITHMS, CRC32, CRC32C

CONTENT = bytes(range(256)) * 1_000


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_view_and_pieces_have_the_checksum_of_the_bytes(name: str) -> None:
    algorithm = ALGORITHMS[name]
    whole = algorithm.of([CONTENT])
    assert algorithm.of([memoryview(bytearray(CONTENT))]) == whole
    assert algorithm.of([memoryview(CONTENT)[:70_001], CONTENT[70_001:]]) == whole
    assert algorithm.of([CONTENT[:-1]]) != whole


def test_they_are_the_published_ones() -> None:
    # The check value of CRC-32/ISCSI in the catalogue of parametrised CRCs.
    assert CRC32C.of([b"123456789"]) == b64encode(0xE3069283.to_bytes(4)).decode()
    assert CRC32.of([CONTENT]) == b64encode(zlib.crc32(CONTENT).to_bytes(4)).decode()
