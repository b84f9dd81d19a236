"""Both sides are compared by what is there: what is equal is recorded, the rest is queued."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event as Flag
from time import time

import pytest

from zfs_walk.mirror.compare import Rules
from zfs_walk.mirror.folder import Folder
from zfs_walk.mirror.journal import Journal
from zfs_walk.mirror.mapping import Symlinks
from zfs_walk.mirror.origin import Device
from zfs_walk.mirror.reconcile import Found, Reconcile
from zfs_walk.mirror.records import Entry, Kind, Order
from zfs_walk.sinks.choose import open_sink
from zfs_walk.sinks.errors import StoppedError
from zfs_walk.sinks.interface import Remote, Sink
from zfs_walk.sinks.local import LocalOptions, LocalSink
from zfs_walk.watch.tree import Row

TIME = 1_700_000_000_123_456_789


class Forgetful(LocalSink):
    """Its list has no times, as that of S3; a look tells them."""

    def list(self, prefix: bytes) -> Iterator[Remote]:
        for remote in super().list(prefix):
            yield remote._replace(mtime_ns=None)


class Sides:
    """A folder, another one that is its mirror, and what is known of it."""

    def __init__(self, place: Path, sink: Callable[[str], Sink]) -> None:
        self.here, self.there = place / "here", place / "there"
        self.here.mkdir()
        self.there.mkdir()
        self.journal = Journal(place / "journal.db", "a test")
        self.sink = sink(f"file://{self.there}")

    def compare(
        self,
        *,
        complete_sync: bool = True,
        hidden: frozenset[bytes] = frozenset(),
        device: Device | None = None,
        stopped: Flag | None = None,
    ) -> Found:
        reconcile = Reconcile(
            Folder(bytes(self.here), Symlinks.SKIP),
            lambda: (row for row in rows(self.here) if row.name not in hidden),
            self.journal,
            self.sink,
            sorted(self.sink.list(b"")),
            Rules(complete_sync, 5.0, self.sink.granularity_ns),
            2,
            device,
            stopped or Flag(),
        )
        reconcile.run()
        return reconcile.found

    def queued(self) -> dict[bytes, Kind]:
        """Taken out of the queue."""
        actions = self.journal.actions(None, b"", 100_000)
        self.journal.forget(action.path for action in actions)
        return {action.path: action.kind for action in actions}

    def entries(self) -> list[Entry]:
        """What is known, but for the sink's own tags, and when files were made."""
        return [entry._replace(tag="", born_ns=0) for entry in self.journal.entries(b"", 100_000)]

    def sent(self, path: Path) -> Entry:
        """What is known of a file that was sent as it is here."""
        found = path.lstat()
        name = os.fsencode(path.relative_to(self.here))
        size, time, dev, ino = found.st_size, found.st_mtime_ns, found.st_dev, found.st_ino
        return Entry(name, size, time, dev, ino, found.st_mode, "")


def rows(folder: Path) -> list[Row]:
    found = [
        (os.fsencode(path.relative_to(folder)), path.lstat())
        for path in folder.rglob("*")
        if path.is_file()
    ]
    return sorted(
        Row(name, each.st_size, each.st_mtime_ns, 0, stat.S_IMODE(each.st_mode))
        for name, each in found
    )


def make(path: Path, text: str = "text", time: int = TIME) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, ns=(time, time))
    return path


@pytest.fixture(params=["times", "no times"])
def sides(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sides]:
    def forgetful(url: str) -> Sink:
        return Forgetful(url, LocalOptions())

    def ordinary(url: str) -> Sink:
        return open_sink(url, {})

    sides = Sides(tmp_path, ordinary if request.param == "times" else forgetful)
    yield sides
    sides.journal.close()
    sides.sink.close()


def test_at_first_what_is_there_is_recorded_and_the_rest_is_queued(sides: Sides) -> None:
    both = [
        make(side / name)
        for name in ("a", "b/c", "b-c", os.fsdecode(b"\xff"))
        for side in (sides.there, sides.here)
    ][1::2]
    make(sides.here / "new")
    make(sides.here / "longer", "texts")
    make(sides.there / "longer")
    make(sides.here / "later", time=TIME + 1)
    make(sides.there / "later")
    found = sides.compare(complete_sync=False)
    assert sides.queued() == dict.fromkeys((b"new", b"longer", b"later"), Kind.SEND)
    assert sides.entries() == sorted(map(sides.sent, both))
    assert found == Found(checked=7, equal=4, send=3)


def test_the_second_time_nothing_is_to_be_done(sides: Sides) -> None:
    for side in (sides.there, sides.here):
        make(side / "a")
        make(side / "b" / "c")
    sides.compare()
    entries = sides.entries()
    found = sides.compare()
    assert sides.queued() == {}
    assert sides.entries() == entries
    assert found == Found(checked=2, known=2, intact=2, equal=2)


def test_what_changed_while_nobody_watched_is_queued_and_nothing_else(sides: Sides) -> None:
    for name in ("same", "changed", "gone", "renamed"):
        make(sides.there / name)
        make(sides.here / name)
    sides.compare()
    make(sides.here / "changed", "other", TIME + 1)
    (sides.here / "gone").unlink()
    (sides.here / "renamed").rename(sides.here / "name")
    make(sides.here / "new")
    found = sides.compare()
    assert sides.queued() == {
        b"changed": Kind.SEND,
        b"gone": Kind.DELETE,
        b"name": Kind.SEND,
        b"new": Kind.SEND,
        b"renamed": Kind.DELETE,
    }
    assert (found.known, found.intact) == (4, 1)


def test_without_complete_sync_nothing_is_deleted(sides: Sides) -> None:
    for side in (sides.there, sides.here):
        make(side / "gone")
    make(sides.there / "nobody's")
    sides.compare(complete_sync=False)
    (sides.here / "gone").unlink()
    sides.compare(complete_sync=False)
    assert sides.queued() == {}


def test_with_it_what_nobody_knew_of_is_deleted_too(sides: Sides) -> None:
    make(sides.there / "nobody's")
    sides.compare()
    assert sides.queued() == {b"nobody's": Kind.DELETE}


def test_what_is_here_but_left_out_is_not_deleted(sides: Sides) -> None:
    for side in (sides.there, sides.here):
        make(side / "left out")
    sides.compare()
    sides.compare(hidden=frozenset({b"left out"}))
    assert sides.queued() == {}


def test_a_file_that_a_directory_took_the_place_of_is_deleted(sides: Sides) -> None:
    for side in (sides.there, sides.here):
        make(side / "a")
    sides.compare()
    (sides.here / "a").unlink()
    make(sides.here / "a" / "b")
    sides.compare()
    assert sides.queued() == {b"a": Kind.DELETE, b"a/b": Kind.SEND}


def test_what_somebody_took_away_or_changed_on_the_other_side_is_sent_again(sides: Sides) -> None:
    for side in (sides.there, sides.here):
        make(side / "taken")
        make(side / "changed")
        make(side / "same")
    sides.compare()
    (sides.there / "taken").unlink()
    make(sides.there / "changed", "other text")
    sides.compare()
    # What is known is what the handler goes by.
    assert [entry.path for entry in sides.entries()] == [b"same"]
    assert sides.queued() == {b"taken": Kind.SEND, b"changed": Kind.SEND}


def test_devices_that_have_another_number_are_recorded_anew(sides: Sides) -> None:
    same = make(sides.here / "same")
    gone = make(sides.here / "gone")
    expected = [sides.sent(gone), sides.sent(same)]
    device = expected[0].dev
    for path in (same, gone):
        make(sides.there / path.name)
    sides.journal.record(entry._replace(dev=77, ino=5) for entry in expected)
    gone.unlink()
    sides.compare(device=Device(77, device))
    assert sides.entries() == [expected[0]._replace(ino=5), expected[1]]
    assert sides.queued() == {b"gone": Kind.DELETE}


def test_a_comparison_that_is_stopped_is_gone_on_with(sides: Sides) -> None:
    for number in range(50):
        make(sides.there / str(number))
        make(sides.here / str(number))
    stopped = Flag()
    stopped.set()
    with pytest.raises(StoppedError):
        sides.compare(stopped=stopped)
    assert sides.compare().equal == 50
    assert sides.queued() == {}


def test_a_file_that_is_being_sent_is_not_lost_by_a_comparison(sides: Sides) -> None:
    make(sides.here / "a")
    sides.compare()
    [taken] = sides.journal.take(10, time() + 1, Order.OLDEST)
    make(sides.here / "a", "changed", TIME + 1)
    sides.compare()
    assert sides.journal.counts().taken == 1
    [again] = sides.journal.actions(None, b"", 10)
    assert again.generation > taken.generation
