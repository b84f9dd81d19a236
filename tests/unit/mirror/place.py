"""A folder, another one that it is mirrored to by a handler, and trouble on the way."""

import os
import random
import stat
import subprocess
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock

from tests.process.place import wait_for
from zfs_walk.mirror.handler import Handler, Parts
from zfs_walk.mirror.handling import HandlerOptions, Happening, What
from zfs_walk.mirror.journal import Journal
from zfs_walk.mirror.pace import Pace
from zfs_walk.mirror.records import Action, Change, Kind, State
from zfs_walk.sinks.errors import SinkError
from zfs_walk.sinks.interface import Memory, Parcel, Remote, Report
from zfs_walk.sinks.local import LocalOptions, LocalSink
from zfs_walk.sinks.source import Source

Fault = Callable[[str, bytes, bool], None]
"""Told what is called, for which name, and whether it has just been done; it may raise."""


class Faults:
    """What all forks of a sink do beside their work."""

    def __init__(self) -> None:
        self.fault: Fault = lambda _what, _name, _after: None
        self.calls: list[tuple[str, bytes]] = []
        self.batches: list[int] = []
        """Of how many files each."""
        self.compared = False
        """Contents are compared, as by a sink that keeps checksums."""
        self._lock = Lock()

    def call(self, what: str, name: bytes, *, after: bool) -> None:
        if not after:
            with self._lock:
                self.calls.append((what, name))
        self.fault(what, name, after)


class TroubledSink(LocalSink):
    """A folder; before and after each call there may be trouble."""

    def __init__(self, url: str, options: LocalOptions, faults: Faults) -> None:
        super().__init__(url, options)
        self._faults = faults
        self._there = Path(url.removeprefix("file://"))

    def check(self) -> None:
        self._faults.call("check", b"", after=False)
        super().check()

    def send(self, source: Source, name: bytes, memory: Memory, report: Report) -> Remote:
        self._faults.call("send", name, after=False)
        sent = super().send(source, name, memory, report)
        self._faults.call("send", name, after=True)
        return sent

    def matches(self, source: Source, remote: Remote) -> bool:
        content = (self._there / os.fsdecode(remote.name)).read_bytes()
        return self._faults.compared and source.read(source.size, 0) == content

    def move(self, old: bytes, new: bytes) -> Remote:
        self._faults.call("move", new, after=False)
        moved = super().move(old, new)
        self._faults.call("move", new, after=True)
        return moved

    def delete(self, name: bytes) -> None:
        self._faults.call("delete", name, after=False)
        super().delete(name)
        self._faults.call("delete", name, after=True)


class Notes:
    """What is noted of a transfer that nobody goes on with."""

    def __init__(self) -> None:
        self._notes: dict[str, str] = {}

    def load(self) -> dict[str, str]:
        return self._notes

    def store(self, key: str, value: str) -> None:
        self._notes[key] = value


class TogetherSink(TroubledSink):
    """Takes several small files at once."""

    together = 4

    def send_together(self, parcels: Sequence[Parcel]) -> list[Remote | Exception]:
        self._faults.batches.append(len(parcels))
        return [self._sent(parcel) for parcel in parcels]

    def _sent(self, parcel: Parcel) -> Remote | Exception:
        notes = Notes()
        try:
            return self.send(parcel.source, parcel.name, notes, parcel.report)
        except Exception as error:  # noqa: BLE001 -- as every sink does
            with suppress(SinkError):
                self.abandon(parcel.name, notes)
            return error


Listing = dict[bytes, tuple[int, ...]]


class Place:
    """Everything that a handler needs.

    Args:
        top: an empty folder.
        options: of handlers.
        together: the sink takes several small files at once.
    """

    def __init__(self, top: Path, options: HandlerOptions, *, together: bool = False) -> None:
        self.options = options
        self._sink = TogetherSink if together else TroubledSink
        self.together = TogetherSink.together if together else 1
        self.here = top / "here"
        self.there = top / "there"
        for folder in (self.here, self.there):
            folder.mkdir()
        self._path = top / "journal"
        self.faults = Faults()
        self.happened: list[tuple[What, bytes]] = []
        self.held = ""
        self.pace = Pace()
        self.journal = Journal(self._path, "test")
        self.handler = self._handler()
        self._noticed: Listing = {}

    def _handler(self) -> Handler:
        sink = self._sink(f"file://{self.there}", LocalOptions(fsync=False), self.faults)
        return Handler(
            Parts(
                self.journal, os.fsencode(self.here), sink, self.options, self.pace, self._guard,
                self._told,
            )
        )  # fmt: skip

    def _guard(self, paths: Collection[bytes], doubt: str) -> str:
        assert paths
        return doubt or self.held

    def _told(self, happening: Happening) -> None:
        self.happened.append((happening.what, happening.action.path))

    def restart(self) -> None:
        assert self.handler.close(20)
        self.journal.close()
        self.journal = Journal(self._path, "test")
        self.handler = self._handler()
        self.handler.start()

    def limit(self, pace: Pace) -> None:
        """Another pace from now on."""
        self.pace = pace
        self.restart()

    def close(self) -> None:
        assert self.handler.close(20)
        self.journal.close()

    # -- what is seen

    def notice(self) -> None:
        """Queue what is different from the last time, as a watch would."""
        now = self._listing()
        before, self._noticed = self._noticed, now
        changes = [Change(name, Kind.DELETE, 0, 0.0) for name in before.keys() - now.keys()]
        for name, found in now.items():
            if before.get(name) != found:
                changes.append(Change(name, Kind.SEND, found[0], 0.0))
        self.journal.put(changes)
        self.handler.wake()

    def _listing(self) -> Listing:
        listing: Listing = {}
        top = os.fsencode(self.here)
        for folder, _, names in os.walk(top):
            for name in names:
                path = os.path.join(folder, name)  # noqa: PTH118 -- bytes
                found = os.lstat(path)
                if stat.S_ISREG(found.st_mode):
                    listing[path[len(top) + 1 :]] = (
                        found.st_size, found.st_mtime_ns, found.st_ino, found.st_mode,
                    )  # fmt: skip
        return listing

    def write(self, name: str, content: str = "content") -> Path:
        path = self.here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    # -- what comes of it

    def waiting(self) -> int:
        counts = self.journal.counts()
        return counts.ready + counts.taken

    def settle(self) -> None:
        wait_for("everything to be done", lambda: not self.waiting())

    def aside(self) -> list[Action]:
        return self.journal.actions(State.ASIDE, b"", 100)

    def calls(self, what: str) -> list[bytes]:
        return [name for called, name in self.faults.calls if called == what]

    def assert_equal(self) -> None:
        """Same names, contents, times and permissions, and nothing else."""
        assert state_of(self.there) == state_of(self.here)
        assert self.journal.entry_count() == len(self._listing())


def state_of(folder: Path) -> list[bytes]:
    """Names, sizes, times and permissions by find, and checksums of contents."""
    found = _run(folder, "find", ".", "-type", "f", "-printf", r"%P %s %T@ %m\0")
    sums = _run(folder, "find", ".", "-type", "f", "-exec", "sha256sum", "-z", "{}", "+")
    return sorted([*found.split(b"\0"), *sums.split(b"\0")])


def _run(folder: Path, *command: str) -> bytes:
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE).stdout


def dice(seed: int) -> random.Random:
    """Repeatable chances."""
    return random.Random(seed)
