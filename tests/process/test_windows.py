"""Files are sent in a mapping's windows only. The clock is the system's, in a zone of ours."""

import os
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.process.mirroring import Mirrored, listed, mirroring
from tests.process.place import places, wait_for

pytestmark = pytest.mark.slow

SOON = timedelta(seconds=15)
"""Enough for a process to start."""


@pytest.fixture
def mirrored() -> Iterator[Mirrored]:
    for place in places():
        yield from mirroring(place)


def soon(mirrored: Mirrored, hour: int) -> float:
    """Have it so late soon where the uploader is; returns when, in seconds since the epoch."""
    then = (datetime.now(UTC) + SOON).replace(microsecond=0)
    there = then.replace(hour=hour, minute=0, second=0)
    # POSIX counts to the west, and takes seconds.
    sign = "-" if there >= then else "+"
    mirrored.place.env["TZ"] = f"ZWT{sign}{abs(there - then)}"
    return then.timestamp()


def queued(mirrored: Mirrored) -> int:
    """How many actions; 0: there is no queue yet."""
    try:
        return len(mirrored.actions())
    except sqlite3.OperationalError:
        return 0


def arrived(folder: Path) -> list[float]:
    """When each file there was changed last, by the file system's clock."""
    return [path.stat().st_ctime for path in folder.rglob("*") if path.is_file()]


def test_what_is_queued_waits_for_the_window_to_open(mirrored: Mirrored) -> None:
    opens = soon(mirrored, 22)
    mirrored.configure(windows=["22:00-23:00"])
    mirrored.start()
    files = len(listed(mirrored.data)) - 1
    wait_for("all are queued", lambda: queued(mirrored) == files)
    assert time.time() < opens
    mirrored.becomes_equal("the window is open")
    assert min(arrived(mirrored.copy)) >= opens


def test_what_is_on_its_way_waits_from_the_moment_the_window_closes(mirrored: Mirrored) -> None:
    (mirrored.data / "large").write_bytes(os.urandom(200_000_000))
    closes = soon(mirrored, 22)
    mirrored.configure(windows=["20:00-22:00"], bwlimit=4_000_000, order="smallest")
    mirrored.start()

    def parts() -> list[int]:
        """What is half sent."""
        return [path.stat().st_size for path in mirrored.copy.glob(".zfs-walk.*.part")]

    wait_for("it is on its way", lambda: any(parts()))
    assert time.time() < closes
    wait_for("the window is closed", lambda: time.time() > closes + 1, SOON.seconds + 5)
    then = parts()
    (mirrored.data / "new").write_text("x")
    wait_for("it is queued", lambda: "new" in mirrored.actions())
    watched = time.monotonic() + 3
    while time.monotonic() < watched:
        assert parts() == then
    assert max(arrived(mirrored.copy)) <= closes + 1
    assert not (mirrored.copy / "new").exists()
