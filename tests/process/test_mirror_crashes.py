"""A mirror is killed at each point that matters; the next one makes both sides equal.

The oracle is find and sha256sum, and the queue read with sqlite3.
"""

import ast
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import zfs_walk
from tests.process.place import Place
from tests.servers.compare import differences
from zfs_walk import faults

MIRROR = """
import sys, time
from pathlib import Path
from zfs_walk.mirror import mirror
from zfs_walk.mirror.mapping import Mapping

here, url, state = sys.argv[1:]
mapping = Mapping(
    "test", here.encode(), url, complete_sync=True, guard_files=1000, settle=0.05, transfers=2,
    deletion_delay=0.3,
)
mirrored = mirror.Mirror(mapping, Path(state))
mirrored.start()

def wait():
    while not mirrored.even:
        time.sleep(0.01)

wait()
late = Path(here, f"late {time.time_ns()}")
late.write_text("late")
while not mirrored._journal.entry(late.name.encode()):
    time.sleep(0.01)
wait()
mirrored.close()
"""
"""Mirrors until both sides are equal, makes a file, and mirrors that."""

LARGE = 130 << 20
"""Bytes: enough for the notes of a transfer that goes on after a kill."""


class Mirrored:
    """Two folders, and what lies between them."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.here, self.there = place.folder / "here", place.folder / "there"
        self._state = place.folder / "state"
        for folder in (self.here, self.there):
            folder.mkdir()

    def run(self, point: str = "") -> int:
        words = (str(self.here), f"file://{self.there}", str(self._state))
        process = self._place.start_python(MIRROR, *words, env={faults.VARIABLE: point})
        ended = self._place.end(process)
        assert ended.code == (-signal.SIGKILL if point else 0), ended.err
        return ended.code

    def make(self) -> None:
        for number in range(40):
            path = self.here / f"{number % 4}/{number}"
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"content {number}")

    def change(self) -> None:
        """Something of everything: folders renamed, files changed, gone, new, and a large one."""
        (self.here / "0").rename(self.here / "renamed")
        for path in (self.here / "1").iterdir():
            path.unlink()
        for path in (self.here / "2").iterdir():
            path.write_text("other")
        (self.here / "new").write_text("new")
        with (self.here / "large").open("wb") as file:
            file.truncate(LARGE)

    def in_hand(self) -> int:
        with closing(sqlite3.connect(self._state / "journal.db")) as db:
            [number] = db.execute("SELECT count(*) FROM action WHERE state = 'taken'").fetchone()
        return int(number)

    def queued(self) -> int:
        with closing(sqlite3.connect(self._state / "journal.db")) as db:
            [number] = db.execute("SELECT count(*) FROM action").fetchone()
        return int(number)

    def parts(self) -> list[str]:
        return [path.name for path in self.there.rglob(".zfs-walk.*")]


@pytest.mark.slow
@pytest.mark.parametrize("point", [*faults.MIRROR, *faults.FILE])
def test_after_a_kill_both_sides_become_equal(place: Place, point: str) -> None:
    mirrored = Mirrored(place)
    mirrored.make()
    mirrored.run()
    assert differences(mirrored.here, mirrored.there) == []
    mirrored.change()

    mirrored.run(point)
    assert differences(mirrored.here, mirrored.there)
    if point not in {"mirror.noticed", "mirror.queued"}:
        assert mirrored.in_hand()

    mirrored.run()
    assert differences(mirrored.here, mirrored.there) == []
    assert mirrored.parts() == []
    assert mirrored.queued() == 0


@pytest.mark.slow
def test_one_that_is_killed_again_and_again_gets_there(place: Place) -> None:
    mirrored = Mirrored(place)
    mirrored.make()
    # The last one may leave nothing to be done.
    for point in ("mirror.sent:7", "mirror.sent:3", "mirror.taken", "mirror.acknowledged"):
        mirrored.run(point)
    mirrored.run()
    assert differences(mirrored.here, mirrored.there) == []
    assert mirrored.queued() == 0


def test_every_point_is_listed() -> None:
    listed = {name for group in vars(faults).values() if isinstance(group, tuple) for name in group}
    passed = set()
    for path in Path(zfs_walk.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="point", value=ast.Name("faults")),
                    args=[ast.Constant(str(name))],
                ):
                    passed.add(name)
    assert passed == listed
