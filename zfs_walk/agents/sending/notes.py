"""Notes of transfers that were begun, each in a file of its own: see `zfs_walk.sinks.interface`.

They outlive the worker and the agent, so that large files are gone on with.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any, Final

from zfs_walk.errors import StateError
from zfs_walk.names import from_json, to_json

OLDEST: Final = 30 * 86_400.0
"""Seconds after which a note is forgotten that nobody has gone on with: longer than a pause that
somebody still means to end, shorter than what would pay for the parts for ever."""


class Notes:
    """Of all transfers to one sink.

    Args:
        folder: for them alone; it is there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, name: bytes) -> "Note":
        """The note of a name, whether there is one or not."""
        return Note(self._folder / f"{hashlib.sha256(name).hexdigest()[:40]}.json", name)

    def values(self) -> frozenset[str]:
        """All that was stored, for `zfs_walk.sinks.interface.Sink.sweep`."""
        return frozenset(value for note in self._all() for value in note.load().values())

    def forget_old(self) -> None:
        """Forget those that nobody has gone on with."""
        for note in self._all():
            if note.age > OLDEST:
                note.forget()

    def _all(self) -> Iterator["Note"]:
        for path in self._folder.glob("*.json"):
            yield Note(path, b"")


class Note:
    """Of one transfer: a `zfs_walk.sinks.interface.Memory`.

    Args:
        path: of its file, which need not be there.
        name: of the file that is sent.
    """

    def __init__(self, path: Path, name: bytes) -> None:
        self._path = path
        self._name = name
        self.fingerprint = ""
        self._lock = Lock()

    @property
    def exists(self) -> bool:
        """Something was stored."""
        return self._path.exists()

    @property
    def age(self) -> float:
        """Seconds since something was stored; 0: nothing is."""
        try:
            return max(0.0, time.time() - self._path.stat().st_mtime)
        except OSError:
            return 0.0

    def is_of(self, fingerprint: str) -> bool:
        """Whether it belongs to this content."""
        found = self._read()
        return found.get("fingerprint") == fingerprint and from_json(found) == self._name

    def load(self) -> dict[str, str]:
        """Everything that was stored."""
        values: dict[str, str] = self._read().get("values", {})
        return dict(values)

    def store(self, key: str, value: str) -> None:
        """Keep a value; it is durable when this returns.

        Raises:
            StateError: it can't be written.
        """
        between = self._path.with_suffix(f".{os.getpid()}")
        own = {**to_json(self._name), "fingerprint": self.fingerprint}
        try:
            with self._lock, between.open("w") as file:
                json.dump({**own, "values": self.load() | {key: value}}, file)
                file.flush()
                os.fsync(file.fileno())
                between.replace(self._path)
            _sync(self._path.parent)
        except OSError as error:
            raise StateError(path=self._path.parent, reason=error.strerror) from error

    def forget(self) -> None:
        """The transfer has ended."""
        self._path.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self._path.read_text())
        except (OSError, ValueError):
            # Not there; or damaged, which is as good as not there: the transfer begins anew.
            return {}
        return found


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
