"""What goes through a child process: bytes, and slices of files that are never read here.

The child is cat, so what was sent comes back.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from zfs_walk.sinks.sftp_child import Child
from zfs_walk.sinks.sftp_session import LostError, filled
from zfs_walk.sinks.sftp_wire import Slice

CONTENT = os.urandom(3_000_000)


@pytest.fixture
def echo() -> Iterator[Child]:
    with closing(Child(["cat"], 10.0)) as child:
        yield child


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "file").write_bytes(CONTENT)
    opened = os.open(tmp_path / "file", os.O_RDONLY)
    yield opened
    os.close(opened)


def returned(child: Child, size: int) -> bytes:
    """So many bytes that come back."""
    found = b""
    while len(found) < size:
        found += child.receive()
    return found


def sent(child: Child, data: bytes, bulk: bytes | Slice) -> bytes:
    """Send, and take what comes back meanwhile: neither side takes all of it at once."""
    found: list[bytes] = []
    size = len(data) + len(bulk)
    thread = threading.Thread(target=lambda: found.append(returned(child, size)))
    thread.start()
    try:
        child.send(data, bulk)
    finally:
        thread.join()
    return found[0]


@pytest.mark.parametrize(("offset", "size"), [(0, len(CONTENT)), (1_234_567, 1_000_001), (5, 1)])
def test_a_slice_of_a_file_comes_after_the_bytes(
    echo: Child, file: int, offset: int, size: int
) -> None:
    wanted = b"head" + CONTENT[offset : offset + size]
    assert sent(echo, b"head", Slice(file, offset, size)) == wanted
    assert sent(echo, b"head", CONTENT[offset : offset + size]) == wanted


def test_what_a_file_has_lost_is_zeros(echo: Child, file: int) -> None:
    end = len(CONTENT) - 100_000
    wanted = b"head" + CONTENT[end:] + bytes(50_000)
    assert sent(echo, b"head", Slice(file, end, 150_000)) == wanted


def test_what_can_not_be_read_is_zeros_and_is_told_after_that(echo: Child, tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(returned(echo, 100_004)))
    thread.start()
    with pytest.raises(IsADirectoryError):
        echo.send(b"head", Slice(folder, 0, 100_000))
    thread.join()
    assert found == [b"head" + bytes(100_000)]
    assert sent(echo, b"next", b"bytes") == b"nextbytes"
    os.close(folder)


def test_a_child_that_has_ended_is_a_lost_connection(file: int) -> None:
    with closing(Child(["true"], 10.0)) as child:
        child._process.wait()
        with pytest.raises(LostError):
            child.send(b"head", Slice(file, 0, len(CONTENT)))


def test_one_that_takes_nothing_is_given_up(file: int) -> None:
    with closing(Child(["sleep", "60"], 0.5)) as child:
        with pytest.raises(LostError, match="no answer"):
            child.send(b"head", Slice(file, 0, len(CONTENT)))
        child._process.kill()


def test_a_slice_that_others_read_is_the_same(file: int, tmp_path: Path) -> None:
    assert filled(Slice(file, 10, 1000)) == (CONTENT[10:1010], None)
    assert filled(Slice(file, len(CONTENT) - 10, 15)) == (CONTENT[-10:] + bytes(5), None)
    folder = os.open(tmp_path, os.O_RDONLY)
    data, failure = filled(Slice(folder, 0, 7))
    assert (data, type(failure)) == (bytes(7), IsADirectoryError)
    os.close(folder)
