"""The other side's list, read while the folder is read."""

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event as Flag
from typing import TYPE_CHECKING

import pytest

from tests.process.place import wait_for
from zfs_walk.mirror.listing import Listing
from zfs_walk.sinks.choose import open_sink
from zfs_walk.sinks.errors import SinkError, StoppedError

if TYPE_CHECKING:
    from zfs_walk.sinks.interface import Remote


class Scene:
    """A listing of a folder, and a thread to read it in."""

    def __init__(self, there: Path, pool: ThreadPoolExecutor) -> None:
        self.there = there
        self.swept: list[bool] = []
        self.listing = Listing(open_sink(f"file://{there}", {}), self._sweep)
        self.stopped = Flag()
        self._pool = pool

    def _sweep(self, *, whole: bool) -> None:
        self.swept.append(whole)

    def read(self) -> "Future[list[Remote]]":
        return self._pool.submit(self.listing.read, self.stopped)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    there = tmp_path / "there"
    there.mkdir()
    with ThreadPoolExecutor(1) as pool:
        made = Scene(there, pool)
        yield made
        made.stopped.set()


def names(reading: "Future[list[Remote]]") -> list[bytes]:
    return [remote.name for remote in reading.result(10)]


def test_it_is_read_at_once_and_given_when_the_folder_is_watched(scene: Scene) -> None:
    for name in ("b", "a", "c"):
        (scene.there / name).touch()
    assert scene.listing.begins()
    assert not scene.listing.begins(), "the first one only"
    reading = scene.read()
    wait_for("it was read", lambda: scene.swept == [True])
    assert not reading.done()
    assert scene.listing.enter(), "the first comparison has waited"
    assert names(reading) == [b"a", b"b", b"c"]
    assert not scene.listing.enter(), "it has begun to compare"


def test_dead_transfers_are_swept_once(scene: Scene) -> None:
    scene.listing.enter()
    for _ in range(2):
        scene.read().result(10)
    assert scene.swept == [True]


def test_what_can_not_be_listed_does_not_wait_for_the_folder(scene: Scene) -> None:
    scene.there.rmdir()
    assert scene.listing.begins()
    with pytest.raises(SinkError):
        scene.read().result(10)
    assert scene.swept == [False], "sending begins nevertheless"
    assert not scene.listing.enter(), "another comparison is to be asked for"


def test_a_list_that_has_waited_for_long_is_read_anew(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = itertools.chain([0.0, 61.0], itertools.repeat(61.0))
    monkeypatch.setattr("zfs_walk.mirror.listing.monotonic", times.__next__)
    scene.listing.begins()
    reading = scene.read()
    wait_for("it was read", lambda: scene.swept)
    (scene.there / "late").touch()
    scene.listing.enter()
    assert names(reading) == [b"late"]


def test_it_ends_when_it_is_stopped_though_the_folder_never_comes(scene: Scene) -> None:
    reading = scene.read()
    wait_for("it was read", lambda: scene.swept)
    assert threading.active_count() > 1
    scene.stopped.set()
    with pytest.raises(StoppedError):
        reading.result(10)
