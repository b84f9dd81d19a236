"""Whoever follows the events of a monitor knows all names, whatever another process does."""
# ruff: noqa: PTH112, PTH208 -- names are bytes

import os
import subprocess
import sys

import pytest

from tests.unit.watch.monitors.conftest import Eyes, Told, find
from zfs_walk.watch.monitor import Event, Looked, Moved, Writing, Written

SCRIPT = """
import contextlib, os, random, shutil, sys
folder, outside, seed = sys.argv[1:]
chance = random.Random(int(seed))
os.chdir(folder)
for step in range(600):
    there = [below for below, _, _ in os.walk(".")]
    files = [f"{below}/{name}" for below, _, names in os.walk(".") for name in names]
    above = chance.choice(there)
    name = f"{above}/{chance.randrange(4)}"
    with contextlib.suppress(OSError, shutil.Error):
        match chance.randrange(9):
            case 0 | 1:
                open(name, "w").close()
            case 2 | 3:
                os.makedirs(f"{name}/{chance.randrange(4)}")
            case 4 if files:
                os.rename(chance.choice(files), name)
            case 5 | 6 if len(there) > 1:
                os.rename(chance.choice(there[1:]), name)
            case 7 if len(there) > 1 and chance.random() < 0.5:
                shutil.rmtree(chance.choice(there[1:]))
            case 8:
                if os.path.exists(outside + "/tree"):
                    os.rename(outside + "/tree", name)
                elif len(there) > 1:
                    os.rename(chance.choice(there[1:]), outside + "/tree")
open("end", "w").close()
"""


class Follower:
    """Keeps names as the events say, and adds directories before it lists them."""

    def __init__(self, eyes: Eyes) -> None:
        self.eyes = eyes
        self.names: set[bytes] = set()
        self.root = os.fsencode(eyes.folder)

    def below(self, path: bytes) -> set[bytes]:
        return {name for name in self.names if name.startswith(path + b"/")} | {path}

    def take(self, event: Event) -> None:
        match event:
            case Looked(path) | Writing(path) | Written(path):
                self.look(path)
            case Moved(old, new, directory):
                # What is known below a file is ahead of the events: it is told later.
                moved = (self.below(old) if directory else {old}) & self.names
                self.names -= self.below(old) | self.below(new)
                self.names |= {new + name[len(old) :] for name in moved}
                # What was looked for under its old name may have been under its new one by then.
                self.look(new)
            case _:
                raise AssertionError(event)

    def look(self, path: bytes) -> None:
        there = os.path.join(self.root, path)  # noqa: PTH118 -- bytes
        if not os.path.lexists(there):
            self.eyes.monitor.forget(path)
            self.names -= self.below(path)
            return
        self.names.add(path)
        if not os.path.isdir(there):
            self.names -= self.below(path) - {path}
            return
        self.eyes.monitor.add(path)
        try:
            now = {path + b"/" + name for name in os.listdir(there)}
        except (FileNotFoundError, NotADirectoryError):
            return
        known = {name for name in self.below(path) if name.count(b"/") == path.count(b"/") + 1}
        for name in now | known:
            self.look(name)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_who_follows_the_events_knows_all_names(eyes: Eyes, seed: int) -> None:
    outside = eyes.folder.parent / "outside"
    outside.mkdir()
    maker = subprocess.Popen([sys.executable, "-c", SCRIPT, eyes.folder, outside, str(seed)])
    follower = Follower(eyes)
    told = Told()
    while b"end" not in told.names:
        assert eyes.ready(40)
        events = eyes.monitor.read()
        told.take(events)
        for event in events:
            follower.take(event)
    assert maker.wait() == 0
    while eyes.ready(0):
        for event in eyes.monitor.read():
            follower.take(event)
    assert follower.names == find(eyes.folder)
    assert told.moves
