"""A process that queues, takes and acknowledges, and is killed at any moment.

It tells what each call returned for; what it told must be in the journal that it leaves behind,
which is read with sqlite3.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.process import mounts
from tests.process.place import Place, Process, wait_for

LIFE = """
import itertools, sys, threading, time
from pathlib import Path
from zfs_walk.mirror.journal import Journal
from zfs_walk.mirror.records import Change, Done, Entry, Kind, Order

journal = Journal(Path(sys.argv[1]), "here -> there")
speech = threading.Lock()
say = lambda *words: speech.acquire() and (print(*words, flush=True), speech.release())
say("clean" if journal.clean else "unclean")

def put():
    for number in itertools.count(int(sys.argv[2])):
        names = [b"%d-%d" % (number, i) for i in range(10)]
        journal.put(Change(name, Kind.SEND, 1, 0.0) for name in names)
        say("put", *(name.decode() for name in names))

def work():
    while True:
        taken = journal.take(5, time.time(), Order.OLDEST)
        say("took", *(action.path.decode() for action in taken))
        for action in taken:
            if action.path.endswith(b"-7"):
                journal.put([Change(action.path, Kind.SEND, 2, time.time() + 3600)])
                say("again", action.path.decode())
        results = [Done(a, Entry(a.path, 1, 2, 3, 4, 5, "")) for a in taken]
        say("finishing", *(action.path.decode() for action in taken))
        journal.done(results)
        say("done", *(action.path.decode() for action in taken))

for target in (put, work, work):
    threading.Thread(target=target, daemon=True).start()
threading.Event().wait()
"""
"""One thread puts, two take and acknowledge; every seventh name has a change while it is in hand,
which must stay to be done an hour later."""


@dataclass
class Told:
    """What the processes said, all their lives together."""

    put: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)
    again: set[str] = field(default_factory=set)
    finishing: set[str] = field(default_factory=set)
    done: set[str] = field(default_factory=set)

    def hear(self, lines: Iterator[str]) -> None:
        for line in lines:
            word, *names = line.split()
            if not line.endswith("\n"):
                continue
            {
                "put": self.put, "took": self.taken, "again": self.again,
                "finishing": self.finishing, "done": self.done,
            }[word].update(names)  # fmt: skip


def rows(file: Path, query: str) -> set[str]:
    with closing(sqlite3.connect(file)) as db:
        return {path.decode() for (path,) in db.execute(query)}


def start(place: Place, file: Path, life: int) -> Process:
    process = place.start_python(LIFE, str(file), str(life * 1_000_000))
    assert process.stdout is not None
    said = process.stdout.readline()
    assert said == "unclean\n", place.end(process, 5.0).err
    return process


@pytest.mark.slow
def test_what_was_told_is_there_however_often_it_is_killed(place: Place) -> None:
    file = place.folder / "journal.db"
    told = Told()
    for life in range(8):
        process = start(place, file, life)
        size = len(told.done)
        assert process.stdout is not None
        # Another moment each time; the lines say when, not a clock.
        for _ in range(40 + 13 * life):
            told.hear(iter([process.stdout.readline()]))
        process.kill()
        told.hear(iter(process.stdout))
        process.wait()
        assert len(told.done) > size

        queued = rows(file, "SELECT path FROM action")
        index = rows(file, "SELECT path FROM entry")
        assert told.done <= index
        assert index <= told.finishing, "nothing is done that nobody had"
        assert told.put <= queued | index, "what put() returned for is queued or done"
        assert told.taken - told.finishing <= queued, "what was in hand is still queued"
        assert told.again <= queued, "a change of what was in hand is still queued"
        later = "SELECT path FROM action WHERE not_before > 0"
        assert told.again <= rows(file, later)


@pytest.mark.root
@pytest.mark.slow
def test_a_full_disk_loses_nothing_that_was_told(place: Place) -> None:
    with mounts.tmpfs(place.folder / "disk", "size=4m") as disk:
        file = disk / "journal.db"
        # However far the journal has come when the disk is full: so much can be freed.
        (disk / "reserve").write_bytes(bytes(1 << 20))
        told = Told()
        process = start(place, file, 0)
        assert process.stdout is not None
        for _ in range(40):
            told.hear(iter([process.stdout.readline()]))
        with (disk / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
            while True:
                ballast.write(b"x" * 4096)
        complaints: list[str] = []
        assert process.stderr is not None
        while not complaints or "JournalError" not in complaints[-1]:
            complaints.append(process.stderr.readline())
            assert complaints[-1], "it has ended"
        assert "could not be written" in complaints[-1]
        process.kill()
        told.hear(iter(process.stdout))
        process.wait()
        for name in ("ballast", "reserve"):
            (disk / name).unlink()
        queued = rows(file, "SELECT path FROM action")
        assert told.put <= queued | rows(file, "SELECT path FROM entry")
        start(place, file, 1)
        wait_for("it goes on", lambda: rows(file, "SELECT path FROM entry") > told.done)


def test_a_second_process_is_refused_with_the_number_of_the_first(place: Place) -> None:
    file = place.folder / "journal.db"
    first = start(place, file, 0)
    second = place.end(place.start_python(LIFE, str(file), "1"), 20.0)
    assert f"Another process (pid {first.pid})" in second.err
    assert first.poll() is None
