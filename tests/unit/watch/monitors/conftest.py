"""A folder, a monitor that watches it, and what it told until a name that was made last."""

import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.process.place import PATIENCE
from zfs_walk.watch.choose import open_monitor
from zfs_walk.watch.monitor import Event, Looked, Lost, Monitor, Moved, RootGone, Writing, Written

LAST = b"~last"
"""A file that a test makes when all is done: when it is told, all before it has been told."""


@dataclass
class Told:
    """What a monitor told.

    Attributes:
        names: what was said last of each name.
        moves: every move within the folder, in order.
        lost: why something was lost, each time.
        gone: why the folder is gone, each time.
    """

    names: dict[bytes, type[Event]] = field(default_factory=dict)
    moves: list[Moved] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)

    def take(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case Looked(path) | Writing(path) | Written(path):
                    self.names[path] = type(event)
                case Moved():
                    self.moves.append(event)
                case Lost(why):
                    self.lost.append(why)
                case RootGone(why):
                    self.gone.append(why)


class Eyes:
    """A monitor and the folder that it watches."""

    def __init__(self, monitor: Monitor, folder: Path) -> None:
        self.monitor = monitor
        self.folder = folder

    def ready(self, seconds: float) -> bool:
        return bool(select.select([self.monitor.fileno()], [], [], seconds)[0])

    def told_when(self, enough: Callable[[Told], object]) -> Told:
        """Read until there is enough, and then what there is beyond."""
        told = Told()
        until = time.monotonic() + PATIENCE
        while not enough(told):
            left = until - time.monotonic()
            assert left > 0, f"told in vain: {told}"
            if self.ready(left):
                told.take(self.monitor.read())
        while self.ready(0):
            told.take(self.monitor.read())
        return told

    def told(self) -> Told:
        """All that was told of what happened until now."""
        last = os.fsencode(self.folder) + b"/" + LAST
        with open(last, "xb"):  # noqa: PTH123 -- bytes
            pass
        told = self.told_when(lambda told: LAST in told.names)
        os.unlink(last)  # noqa: PTH108 -- bytes
        self.told_when(lambda told: LAST in told.names)
        del told.names[LAST]
        return told


@pytest.fixture(params=["watchdog", pytest.param("fanotify", marks=pytest.mark.root)])
def name(request: pytest.FixtureRequest) -> str:
    """Every monitor that tells something."""
    found: str = request.param
    return found


@pytest.fixture
def eyes(name: str, folder: Path) -> Iterator[Eyes]:
    """Each monitor on the folder."""
    monitor, _ = open_monitor(name, os.fsencode(folder), recursive=True)
    yield Eyes(monitor, folder)
    monitor.close()


def find(folder: Path) -> set[bytes]:
    """All names below a folder, as GNU find sees them."""
    program = shutil.which("find")
    assert program is not None
    command = [program, str(folder), "-mindepth", "1", "-printf", "%P\\0"]
    out = subprocess.run(command, capture_output=True, check=True).stdout
    return set(out.split(b"\0")) - {b""}
