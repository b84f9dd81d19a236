"""Watched folders, and copies of their lists that follow every change."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.process.place import wait_for
from zfs_walk.watch.tree import Row
from zfs_walk.watch.watch import Watch, WatchOptions, WatchState

SETTLE = 0.01
EVENTS = ["watchdog", pytest.param("fanotify", marks=pytest.mark.root)]
"""The monitors that tell something."""

Rows = dict[bytes, tuple[int, int]]


def find(folder: Path, *tests: str) -> Rows:
    """Sizes and times of files and links below a folder, as GNU find sees them."""
    program = shutil.which("find")
    assert program is not None
    wanted = tests or ("(", "-type", "f", "-o", "-type", "l", ")")
    command = [program, str(folder), "-mindepth", "1", *wanted, "-printf", r"%P\0%s\0%T@\0"]
    fields = subprocess.run(command, capture_output=True, check=True).stdout.split(b"\0")
    return {
        # Whole seconds, rounded down, and then what is to be added: also before 1970.
        name: (int(size), int(time[:-11]) * 10**9 + int(time[-10:-1]))
        for name, size, time in zip(fields[0:-1:3], fields[1:-1:3], fields[2:-1:3], strict=True)
    }


class Watched:
    """A folder, its watch, and a copy of the list made of its pages and then of its changes."""

    def __init__(self, folder: Path, watch: Watch) -> None:
        self.folder = folder
        self.watch = watch
        self._copy: dict[bytes, Row] | None = None

    def pages(self, limit: int = 7) -> list[Row]:
        """The list as pages give it."""
        rows: list[Row] = []
        while page := self.watch.page(rows[-1].name if rows else b"", limit):
            rows += page
        return rows

    @property
    def rows(self) -> list[Row]:
        """The copy, brought up to date, in the order of the names."""
        if self._copy is None:
            self._copy = {row.name: row for row in self.pages()}
        while True:
            removed, rows = self.watch.changes(5)
            if not removed and not rows:
                return [self._copy[name] for name in sorted(self._copy)]
            for name in removed:
                self._copy.pop(name, None)
            self._copy |= {row.name: row for row in rows}

    def flags(self, name: bytes) -> int | None:
        """The flags of one file; None: it is not in the list."""
        return next((row.flags for row in self.rows if row.name == name), None)

    def serves(self) -> None:
        """Wait until the list is shown."""
        wait_for("the list", lambda: self.watch.state == WatchState(serving=True, why=""))

    def agrees(self, *tests: str) -> None:
        """Wait until the copy is what find finds; then the pages are the same."""
        expected = find(self.folder, *tests)

        def same() -> bool:
            return {row.name: (row.size, row.mtime_ns) for row in self.rows} == expected

        try:
            wait_for("the list", same)
        except AssertionError:
            found = {row.name: (row.size, row.mtime_ns) for row in self.rows}
            differ = {*found.items()} ^ {*expected.items()}
            raise AssertionError(f"differ: {sorted(differ)[:10]}") from None
        if not self.watch.statistics().writing:
            assert self.pages() == self.rows


Start = Callable[..., Watched]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The watched folder; what is beside it is not watched."""
    path = tmp_path / "watched"
    path.mkdir()
    return path


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Begins to watch the folder; with the poll alone every 50 ms, with events never."""
    watches: list[Watch] = []

    def begin(monitor: str, wake: Callable[[], None] = lambda: None, **changed: Any) -> Watched:
        options: dict[str, Any] = {
            "recursive": True,
            "hidden": True,
            "includes": (),
            "excludes": (),
            "poll": 0.05 if monitor == "poll" else 0.0,
            "settle": SETTLE,
            "monitor": monitor,
        }
        watch = Watch(os.fsencode(folder), WatchOptions(**options | changed), wake)
        watches.append(watch)
        watch.start()
        watched = Watched(folder, watch)
        watched.serves()
        return watched

    yield begin
    for watch in watches:
        watch.close()


@pytest.fixture(params=["poll", *EVENTS])
def watched(request: pytest.FixtureRequest, start: Start) -> Watched:
    """The folder, watched in every way."""
    return start(request.param)
