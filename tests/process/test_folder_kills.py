"""Whoever sends to a folder is killed: the name shows the old file or the new one, and both whole.

A process sends one file and is killed at a point; then another one sends it again.
"""

import hashlib
import signal

import pytest

from tests.process.place import Ended, Place
from tests.servers.compare import tree
from zfs_walk import faults
from zfs_walk.sinks.choose import open_sink

SEND = """
import json, os, sys
from pathlib import Path
from zfs_walk.sinks.choose import open_sink
from zfs_walk.sinks.source import Source

folder, target, memory = sys.argv[1:]

class Memory:
    def load(self):
        return json.loads(Path(memory).read_text())
    def store(self, key, value):
        Path(memory).write_text(json.dumps({**self.load(), key: value}))

source = Source(os.open(folder, os.O_RDONLY), b"d/file")
sink = open_sink(f"file://{target}", {})
sent = []
sink.send(source, b"d/file", Memory(), sent.append)
print(sum(sent))
"""

LARGE = 130 << 20
"""Bytes: two steps of 64 MiB, after each of which what was written is remembered, and a rest."""


class Sending:
    """A file that is sent, in place of another one, by processes that may be killed."""

    def __init__(self, place: Place, size: int) -> None:
        self._place = place
        self.origin, self.target = place.folder / "origin", place.folder / "target"
        self._memory = place.folder / "memory"
        self._memory.write_text("{}")
        self.size = size
        for folder in (self.origin, self.target):
            (folder / "d").mkdir(parents=True)
        (self.target / "d/file").write_bytes(b"old")
        with (self.origin / "d/file").open("wb") as file:
            # No two of its MiB are equal: one at the wrong place shows.
            for number in range(max(1, size >> 20)):
                block = hashlib.sha256(b"%d" % number).digest() * (1 << 15)
                file.write(block[: min(size, 1 << 20)])

    def send(self, point: str = "") -> Ended:
        words = (str(self.origin), str(self.target), str(self._memory))
        process = self._place.start_python(SEND, *words, env={faults.VARIABLE: point})
        return self._place.end(process)

    def arrived(self) -> bool:
        return tree(self.target)[b"d/file"] == tree(self.origin)[b"d/file"]

    def parts(self) -> list[str]:
        return [path.name for path in self.target.rglob(".zfs-walk.*.part")]


@pytest.mark.parametrize("size", [1000, pytest.param(LARGE, marks=pytest.mark.slow)])
@pytest.mark.parametrize("point", ["file.begun", "file.written", "file.shown"])
def test_after_a_kill_the_name_is_whole_and_the_next_one_finishes(
    place: Place, point: str, size: int
) -> None:
    sending = Sending(place, size)
    assert sending.send(point).code == -signal.SIGKILL
    if point == "file.shown":
        assert sending.arrived()
        assert sending.parts() == []
    else:
        assert (sending.target / "d/file").read_bytes() == b"old"
        assert len(sending.parts()) == 1

    assert sending.send().code == 0
    assert sending.arrived()
    # Of a short transfer nothing is remembered; its rest is swept.
    swept = open_sink(f"file://{sending.target}", {}).sweep(frozenset())
    assert swept == (1 if size < LARGE and point != "file.shown" else 0)
    assert sending.parts() == []
    assert sending.arrived()


def test_after_a_kill_a_long_transfer_goes_on_from_what_is_on_the_disk(place: Place) -> None:
    sending = Sending(place, LARGE)
    assert sending.send("file.remembered:2").code == -signal.SIGKILL
    assert len(sending.parts()) == 1
    ended = sending.send()
    assert int(ended.out) == LARGE - (128 << 20)
    assert sending.arrived()
    assert sending.parts() == []


def test_a_file_that_changed_after_the_kill_is_sent_from_its_beginning(place: Place) -> None:
    sending = Sending(place, LARGE)
    assert sending.send("file.remembered").code == -signal.SIGKILL
    with (sending.origin / "d/file").open("r+b") as file:
        file.write(b"new")
    # A new state of the file has a memory of its own, which is empty.
    (place.folder / "memory").write_text("{}")
    assert int(sending.send().out) == LARGE
    assert sending.arrived()
