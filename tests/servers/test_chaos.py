"""A tree that changes at random, while its uploader, its server and their connection break.

At the end both sides are the same, nothing half-sent is left, and no action. Things break for
CHAOS_SECONDS (default 60) a sink; CHAOS_SEED is another number for other changes. tests/README.md
says how to let it run for ten minutes.
"""

import json
import os
import random
import re
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.process.place import Place, Process, places, wait_for
from tests.servers import compare
from tests.servers.changes import Changes
from tests.servers.s3 import CREDENTIALS
from tests.servers.sides import Side, open_side, rclone_differences

pytestmark = [
    pytest.mark.slow,
    pytest.mark.big,
    pytest.mark.long,
    pytest.mark.timeout(3_600),
]

SECONDS = float(os.environ.get("CHAOS_SECONDS", "60"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))

LONG = SECONDS > 100
FILES = 20_000 if LONG else 1_000
LARGE = (2 << 30, 1 << 30, 64 << 20) if LONG else (48 << 20, 20 << 20)
"""Bytes of the large files; the others are small."""

IN_HAND = "SELECT count(*) FROM action WHERE state = 'taken'"

EVEN = 300 if LONG else 120
"""Seconds that all that is left may take at the end."""


def hears_sigterm(pid: int) -> bool:
    """A process has come so far that it ends in order."""
    [caught] = re.findall(r"SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


class Uploader:
    """The uploader, which is killed now and then.

    Attributes:
        open_at_kills: actions in hand that kills have left.
    """

    def __init__(self, place: Place, data: Path, side: Side, *, complete_sync: bool) -> None:
        self._place = place
        self._file = place.folder / "uploader.yaml"
        self._state = place.folder / "uploader-state"
        mapping = {
            "name": "one", "local": str(data), "to": side.url, "options": dict(side.options),
            "complete_sync": complete_sync, "guard_percent": 100, "poll": 5,
        }  # fmt: skip
        content = {"role": "uploader", "state": str(self._state), "mappings": [mapping]}
        self._file.write_text(json.dumps(content))
        self._process: Process | None = None
        self.open_at_kills = 0

    def start(self) -> None:
        self._process = self._place.start("agent", "--config", self._file)
        wait_for("it has its journal", (self._state / "mirrors/one/journal.db").exists)

    def kill(self, changes: Changes) -> None:
        """Kill it when it has something in hand, if that comes about soon."""
        assert self._process is not None
        until = time.monotonic() + 20.0
        while not self.left(IN_HAND) and time.monotonic() < until:
            changes.step()
        assert self._process.poll() is None, "it has ended by itself"
        self._process.kill()
        self._place.end(self._process)
        self._process = None
        self.open_at_kills += self.left(IN_HAND)

    def finish(self) -> None:
        """Let it end by itself, with nothing left to do."""
        if self._process is not None:
            process = self._process
            wait_for("it hears signals", lambda: hears_sigterm(process.pid))
            self._process.send_signal(signal.SIGTERM)
            assert self._place.end(self._process).code == 0
        ended = self._place.run("agent", "--config", self._file, "--once", seconds=EVEN)
        assert ended.code == 0, ended.err

    def left(self, query: str = "SELECT count(*) FROM action") -> int:
        """Of the journal, read beside whoever has it."""
        file = self._state / "mirrors/one/journal.db"
        with closing(sqlite3.connect(f"file:{file}?mode=rw", uri=True)) as db:
            return int(db.execute(query).fetchone()[0])


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    yield from places()


@pytest.fixture
def side(request: pytest.FixtureRequest, place: Place) -> Iterator[Side]:
    with ExitStack() as stack:
        yield open_side(request.param, place.folder, stack)


KINDS = ["file", "s3", "sftp"]
"""Of sinks."""


def upset(changes: Changes, uploader: Uploader, side: Side, seconds: float) -> None:
    """Change the tree for some seconds while things break."""
    chance = random.Random(SEED)
    end = time.monotonic() + seconds
    trouble_at = time.monotonic() + chance.uniform(1.0, 4.0)
    while time.monotonic() < end:
        for _ in range(chance.randrange(1, 40)):
            changes.step()
        time.sleep(chance.uniform(0.0, 0.2))
        if time.monotonic() >= trouble_at:
            if chance.random() < 0.5:
                uploader.kill(changes)
                if chance.random() < 0.5:
                    changes.step()
                uploader.start()
            else:
                side.disturb(chance)
            trouble_at = time.monotonic() + chance.uniform(1.0, 5.0)
    # The end is a kill: in a short time there may have been none.
    uploader.kill(changes)
    uploader.start()


@pytest.mark.parametrize("side", KINDS, indirect=True)
def test_both_sides_are_equal_whatever_breaks(place: Place, side: Side) -> None:
    data = place.folder / "data"
    data.mkdir()
    changes = Changes(data, SEED)
    changes.plant(FILES, LARGE)
    uploader = Uploader(place, data, side, complete_sync=True)
    uploader.start()
    upset(changes, uploader, side, SECONDS)
    uploader.finish()
    fetched = place.folder / "fetched"
    fetched.mkdir()
    here = compare.tree(data)
    assert compare.different(here, side.tree(fetched)) == []
    assert rclone_differences(data, side, here) == ""
    assert side.unfinished() == []
    assert uploader.left() == 0
    assert uploader.open_at_kills > 0, "no kill has left anything in hand"


@pytest.mark.parametrize("side", KINDS, indirect=True)
def test_without_complete_sync_nothing_that_was_sent_is_lost(place: Place, side: Side) -> None:
    data = place.folder / "data"
    data.mkdir()
    changes = Changes(data, SEED + 1, flips=False)
    changes.plant(FILES // 10)
    uploader = Uploader(place, data, side, complete_sync=False)
    uploader.finish()
    changes.settled()
    uploader.start()
    upset(changes, uploader, side, SECONDS / 4)
    uploader.finish()
    here = compare.tree(data)
    fetched = place.folder / "fetched"
    fetched.mkdir()
    there = side.tree(fetched)
    assert compare.different(here, {name: there[name] for name in here if name in there}) == []
    assert changes.deleted - there.keys() == set()
