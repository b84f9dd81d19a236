"""What a monitor misses, says that it lost, or has no room for, is found by reading everything."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from time import monotonic

import pytest

from tests.process.place import wait_for
from zfs_walk.scan.filters import Filter
from zfs_walk.watch.clerk import Clerk
from zfs_walk.watch.look import Looker, OtherFolderError, Place
from zfs_walk.watch.monitor import Event, Looked, Lost, RootGone
from zfs_walk.watch.patrol import Patrol
from zfs_walk.watch.quiet import QuietMonitor
from zfs_walk.watch.settle import By


class Poor(QuietMonitor):
    """Tells only what it is made to, and watches only so many directories."""

    name = "watchdog"

    def __init__(self) -> None:
        super().__init__()
        self.room = 100
        self.watched: set[bytes] = set()
        self.events: list[Event] = []

    def add(self, directory: bytes) -> bool:
        if directory in self.watched or len(self.watched) < self.room:
            self.watched.add(directory)
            return True
        return False

    def forget(self, directory: bytes) -> None:
        gone = {path for path in self.watched if (path + b"/").startswith(directory + b"/")}
        self.watched -= gone

    def read(self) -> list[Event]:
        events, self.events = self.events, []
        return events


class Round:
    """A patrol of a folder with a poor monitor; the poll is only done when events were lost."""

    def __init__(self, folder: Path, room: int = 100) -> None:
        path = os.fsencode(folder)
        found = folder.stat()
        self.monitor = Poor()
        self.monitor.room = room
        self.clerk = Clerk(0.0)
        place = Place(found.st_dev, found.st_ino)
        looker = Looker(path, place, Filter(), recursive=True)
        self.patrol = Patrol(
            *(path, looker, Filter(), self.monitor, self.clerk, Lock()), recursive=True, poll=0
        )
        self.until(lambda: self.patrol.complete)

    def until(self, condition: Callable[[], object]) -> None:
        def turned() -> object:
            self.patrol.turn()
            return condition()

        wait_for("its rounds", turned)

    def tell(self, *events: Event) -> None:
        """Let events be told, and all be done that follows."""
        self.monitor.events += events
        self.patrol.turn()
        self.until(lambda: self.patrol.timeout(monotonic()) > 0 and not self.waits)

    @property
    def waits(self) -> bool:
        return self.clerk.settle.next() is not None and not self.clerk.settle.writing

    @property
    def names(self) -> list[bytes]:
        return [row.name for row in self.clerk.tree.page(b"", 1_000)]


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    for number in range(5):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}" / "file").touch()
    return tmp_path


def test_what_was_lost_is_found_at_once(filled: Path) -> None:
    made = Round(filled)
    (filled / "0" / "new").touch()
    (filled / "1" / "file").unlink()
    (filled / "tree" / "of").mkdir(parents=True)
    (filled / "tree" / "of" / "many").touch()
    made.tell(Lost("too many"))
    made.until(lambda: made.clerk.found[By.POLL] == 3)
    assert made.names == [b"0/file", b"0/new", b"2/file", b"3/file", b"4/file", b"tree/of/many"]
    assert {b"tree", b"tree/of"} <= made.monitor.watched
    assert (made.clerk.lost, made.patrol.poll.done) == (1, 1)
    made.patrol.close()


def test_without_events_a_comparison_is_the_news_itself(filled: Path) -> None:
    path = os.fsencode(filled)
    found = filled.stat()
    looker = Looker(path, Place(found.st_dev, found.st_ino), Filter(), recursive=True)
    clerk = Clerk(0.0)
    patrol = Patrol(
        *(path, looker, Filter(), QuietMonitor(), clerk, Lock()), recursive=True, poll=0.01
    )
    while not patrol.complete:
        patrol.turn()
    before = patrol.poll.done
    (filled / "0" / "new").touch()
    (filled / "1" / "file").unlink()
    (filled / "2" / "file").unlink()
    (filled / "2").rmdir()
    (filled / "2").touch()
    (filled / "tree" / "of").mkdir(parents=True)
    (filled / "tree" / "of" / "many").touch()
    while patrol.poll.done < before + 2:  # one may have been under way
        patrol.turn()
    names = [row.name for row in clerk.tree.page(b"", 1_000)]
    assert names == [b"0/file", b"0/new", b"2", b"3/file", b"4/file", b"tree/of/many"]
    assert clerk.found[By.POLL] == 4
    assert patrol.unwatched >= {b"tree", b"tree/of"}
    patrol.close()


def test_what_is_lost_while_all_is_compared_is_compared_again(filled: Path) -> None:
    for number in range(9_000):
        (filled / "0" / f"{number}").touch()
    made = Round(filled)
    made.monitor.events.append(Lost("too many"))
    made.patrol.turn()
    # A wide directory takes more than one turn.
    assert made.patrol.poll.running
    made.tell(Lost("again"))
    assert made.patrol.poll.done == 2
    made.patrol.close()


def test_directories_beyond_the_limit_are_counted_and_said_how_to_watch(
    filled: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "zfs_walk.watch"):
        made = Round(filled, room=4)
    assert len(made.patrol.unwatched) == 2
    assert len(caplog.records) == 1
    assert "2 of 6 directories can't be watched: nobody polls them" in caplog.text
    assert "sysctl fs.inotify.max_user_watches=" in caplog.text
    made.patrol.close()


def test_when_the_limit_is_raised_they_are_watched_and_read_once_more(filled: Path) -> None:
    made = Round(filled, room=4)
    unwatched = set(made.patrol.unwatched)
    made.monitor.room = 100
    made.tell(Lost("too many"))
    assert not made.patrol.unwatched
    assert unwatched <= made.monitor.watched
    made.patrol.close()


def test_a_directory_that_is_gone_is_no_longer_unwatched(filled: Path) -> None:
    made = Round(filled, room=1)
    assert len(made.patrol.unwatched) == 5
    (filled / "0" / "file").unlink()
    (filled / "0").rmdir()
    made.tell(Looked(b"0"))
    assert made.patrol.unwatched == {b"1", b"2", b"3", b"4"}
    made.patrol.close()


def test_the_end_of_the_folder_ends_the_patrol(filled: Path) -> None:
    made = Round(filled)
    made.monitor.events.append(RootGone("moved"))
    with pytest.raises(OtherFolderError, match="moved"):
        made.patrol.turn()
    made.patrol.close()
