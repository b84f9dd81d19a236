"""Mirrors to servers are killed at each point that matters; the next one makes both sides equal.

What lies at the kill is read from the journal with sqlite3, what is there with other clients, and
what was sent is counted by a proxy. All mirrors of a server are of one folder and one state: what
one leaves, the next one finds.
"""

import functools
import json
import os
import signal
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.process.place import Place, Process, places
from tests.servers import compare, mirrors
from tests.servers.s3 import CREDENTIALS
from tests.servers.sides import InBucket, OnServer
from zfs_walk import faults

pytestmark = [pytest.mark.slow, pytest.mark.big]

SMALL = 64 << 10
"""Bytes of a small file."""
LARGE = 24 << 20
"""Bytes: five parts of S3."""
TOGETHER = 2
"""Files, and parts of one, that are sent at once."""
UNKNOWN = 4
"""New files in a change: SFTP has no checksums, so that one which was not acknowledged is sent."""
FIRST = 1_700_000_000
"""The time of the first change."""
IN_FLIGHT = 10 << 20
"""Bytes of a large file that a kill may cost: what is under way, in parts or in blocks."""
AROUND = 200_000
"""Bytes of everything else: logins, lists, and what belongs to each file."""

SIDES: dict[str, Callable[[ExitStack], InBucket | OnServer]] = {
    "s3": lambda stack: InBucket(stack, "weed"),
    "sftp": lambda stack: OnServer(stack, "sshd"),
}
POINTS = [
    *(("s3", point) for point in (*faults.MIRROR, *faults.S3)),
    *(("sftp", point) for point in (*faults.MIRROR, *faults.SFTP)),
]
WITH_LARGE = {*faults.S3, *faults.SFTP} - {"s3.put", "s3.copied"}
"""Points of sinks, for which a large file is sent."""
NOT_IN_HAND = {"mirror.noticed", "mirror.queued"}
"""Points at which nothing is in hand yet."""
ACKNOWLEDGED = "mirror.acknowledged"
"""The point at which some of it is out of hand."""


class Mirrored:
    """A folder, and the other side of it.

    Attributes:
        here: the folder.
        side: the other one.
    """

    def __init__(self, process: Process, folder: Path, side: InBucket | OnServer) -> None:
        self.here, self.side = folder / "here", side
        self._state = folder / "state"
        self._round = 0
        self._process = process
        for path in ("kept", "moved-0", "gone-0"):
            for number in range(4):
                self._write(f"{path}/{number}")
        self.run()
        assert self.differences() == []

    def _write(self, name: str, size: int = SMALL) -> int:
        path = self.here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))
        if self._round:
            # Each change has its own second: SFTP keeps no fractions of them.
            os.utime(path, (FIRST + self._round, FIRST + self._round))
        return size

    def run(self, point: str = "") -> None:
        """Mirror until both sides are equal, or to the death at a point."""
        told, said = self._process.stdin, self._process.stdout
        assert told is not None
        assert said is not None
        arguments = {
            "here": str(self.here), "url": self.side.url, "options": dict(self.side.options),
            "state": str(self._state), "point": point,
        }  # fmt: skip
        told.write(f"{json.dumps(arguments)}\n")
        told.flush()
        assert json.loads(said.readline()) == (-signal.SIGKILL if point else 0)

    def change(self, *, large: bool) -> int:
        """Something of everything; returns the bytes that are to be sent."""
        before, self._round = self._round, self._round + 1
        (self.here / f"moved-{before}").rename(self.here / f"moved-{self._round}")
        for path in (self.here / f"gone-{before}").iterdir():
            path.unlink()
        names = [
            f"{path}/{number}" for path in ("kept", f"gone-{self._round}") for number in range(4)
        ]
        size = sum(self._write(name) for name in names)
        return size + self._write("large", LARGE) if large else size

    def differences(self) -> list[str]:
        with tempfile.TemporaryDirectory(dir=self.here.parent) as fetched:
            return compare.different(compare.tree(self.here), self.side.tree(Path(fetched)))

    def count(self, query: str) -> int:
        """What the journal has, which nobody has open."""
        with closing(sqlite3.connect(self._state / "journal.db")) as db:
            return int(db.execute(query).fetchone()[0])

    def is_even(self) -> None:
        """Both sides are equal, and nothing else is anywhere."""
        assert self.differences() == []
        assert self.side.unfinished() == []
        assert self.count("SELECT count(*) FROM action") == 0


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        yield from places()


@pytest.fixture(scope="module")
def mirrored(place: Place) -> Iterator[Callable[[str], Mirrored]]:
    """What there is of a kind; it is made once."""
    process = place.start_python(Path(mirrors.__file__).read_text(), talk=True)
    with ExitStack() as stack:

        @functools.cache
        def mirrored(kind: str) -> Mirrored:
            folder = place.folder / kind
            folder.mkdir()
            return Mirrored(process, folder, SIDES[kind](stack))

        yield mirrored


@pytest.mark.parametrize(("kind", "point"), POINTS)
def test_after_a_kill_both_sides_become_equal(
    mirrored: Callable[[str], Mirrored], kind: str, point: str
) -> None:
    both, large = mirrored(kind), point in WITH_LARGE
    before, size = both.side.proxy.sent, both.change(large=large)
    both.run(point)
    if point in NOT_IN_HAND:
        assert both.differences()
    elif point == ACKNOWLEDGED:
        # Both transfers may have been acknowledged at once, and have taken nothing else yet.
        assert both.count("SELECT count(*) FROM action")
    else:
        assert both.count("SELECT count(*) FROM action WHERE state = 'taken'")

    both.run()
    sent = both.side.proxy.sent - before
    both.is_even()
    again = TOGETHER + (UNKNOWN if kind == "sftp" else 0)
    assert size <= sent <= size + AROUND + again * SMALL + (IN_FLIGHT if large else 0)


@pytest.mark.parametrize(("kind", "point"), [("s3", "s3.part-sent:3"), ("sftp", "sftp.synced")])
def test_mirror_and_server_are_killed_together_in_a_large_file(
    mirrored: Callable[[str], Mirrored], kind: str, point: str
) -> None:
    both = mirrored(kind)
    before, size = both.side.proxy.sent, both.change(large=True)
    both.run(point)
    both.side.kill()
    assert both.count("SELECT count(*) FROM memory")

    both.side.start()
    both.run()
    sent = both.side.proxy.sent - before
    both.is_even()
    assert size <= sent <= size + AROUND + (TOGETHER + UNKNOWN) * SMALL + IN_FLIGHT
