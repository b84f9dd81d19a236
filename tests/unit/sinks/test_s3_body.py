"""A piece of a file as the body of a request."""

import threading
from pathlib import Path

import pytest

from zfs_walk.sinks.conformance.place import Origin
from zfs_walk.sinks.s3_body import Body, Held

MIB = 1 << 20
CONTENT = bytes(range(256)) * (8 * MIB // 256)


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin(tmp_path)


def pieces(body: Body) -> list[int]:
    """The bytes of each read, to the end; what is read must be what is there."""
    found, at = [], body.tell()
    while data := body.read():
        assert data == CONTENT[MIB + at : MIB + at + len(data)]
        found.append(len(data))
        at += len(data)
    return found


@pytest.mark.parametrize("held", ["held", ""])
def test_what_is_not_limited_is_sent_in_ever_larger_blocks(origin: Origin, held: str) -> None:
    source, told = origin.made(b"file", CONTENT), list[int]()
    piece = Held(source, MIB, 4 * MIB) if held else source
    body = Body(piece, MIB, 4 * MIB, told.append)
    assert pieces(body) == [MIB] * 4
    assert told == [], "it was read to be signed"
    body.seek(0)
    body.sending = True
    read = pieces(body)
    assert read == told
    assert (sum(told), told[0], max(told)) == (4 * MIB, 1 << 16, MIB)
    source.close()


def test_whoever_signs_gets_no_more_than_asked_for(origin: Origin) -> None:
    source = origin.made(b"file", CONTENT)
    body = Body(source, MIB, MIB, list[int]().append)
    read = []
    while data := body.read(5_000):
        read.append(len(data))
    assert (max(read), sum(read)) == (5_000, MIB)
    source.close()


def test_what_is_limited_is_sent_in_small_blocks(origin: Origin) -> None:
    source, told = origin.made(b"file", CONTENT), list[int]()

    pause = threading.Event()

    def report(count: int) -> None:
        told.append(count)
        pause.wait(0.02)

    body = Body(source, MIB, MIB, report)
    body.sending = True
    pieces(body)
    assert told == [1 << 16] * 16
    source.close()
