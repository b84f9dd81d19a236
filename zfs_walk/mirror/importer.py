"""Taking over a queue of persist-queue's: what an older uploader has left undone.

Its items are pickles of whatever that uploader made. Which files they are about is all that is
wanted, as it is decided anew what to do about each: so every absolute name below the mirrored
folder counts, whatever the item calls it. No class of an item is imported and no code of it runs.
"""

import io
import os
import pickle
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple, Self
from urllib.parse import quote

from zfs_walk.errors import StateError
from zfs_walk.mirror.journal import Journal
from zfs_walk.mirror.records import Change, Kind

BATCH: Final = 1000
"""Changes in one transaction."""

DATABASE: Final = "data.db"
"""What persist-queue calls the file in the folder that it is given."""


class Imported(NamedTuple):
    """What became of an old queue.

    Attributes:
        items: that it had.
        paths: that were queued, a path twice if two items had it.
        unread: items that are no pickles, or name no file of the mirrored folder.
    """

    items: int
    paths: int
    unread: int


def take_over(old: Path, folder: bytes, journal: Journal) -> Imported:
    """Queue the files that an old queue names. It stays as it is; doing it again does no harm.

    Args:
        old: the folder that persist-queue was given, or the file in it.
        folder: that is mirrored, absolute, as the old uploader called it.
        journal: where they are queued.

    Raises:
        StateError: it is no such queue.
        JournalError: they can't be queued.
    """
    items = paths = unread = 0
    batch: list[Change] = []
    for data in _items(old / DATABASE if old.is_dir() else old):
        found = _names(data, folder.rstrip(b"/") + b"/")
        items += 1
        paths += len(found)
        unread += not found
        batch += [_look(folder, name) for name in found]
        if len(batch) >= BATCH:
            journal.put(batch)
            batch.clear()
    journal.put(batch)
    return Imported(items, paths, unread)


def _items(file: Path) -> Iterator[bytes]:
    """What any of persist-queue's SQLite queues has, the oldest first."""
    try:
        with closing(sqlite3.connect(f"file:{quote(os.fsencode(file))}?mode=ro", uri=True)) as db:
            tables = [
                name
                for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                if "queue_" in name and {"_id", "data"} <= _columns(db, name)
            ]
            if not tables:
                raise StateError(path=file, reason="it has no queue of persist-queue's")
            for name in tables:
                for (data,) in db.execute(f'SELECT data FROM "{name}" ORDER BY _id'):  # noqa: S608 -- the file's own name
                    yield data if isinstance(data, bytes) else b""
    except sqlite3.DatabaseError as error:
        raise StateError(path=file, reason=f"it is no queue of persist-queue's: {error}") from error


def _columns(db: sqlite3.Connection, table: str) -> set[str]:
    return {name for (name,) in db.execute("SELECT name FROM pragma_table_info(?)", (table,))}


def _look(folder: bytes, name: bytes) -> Change:
    """What is there now; who can't be looked at is not gone."""
    try:
        found = os.lstat(folder + b"/" + name)
    except (FileNotFoundError, NotADirectoryError):
        return Change(name, Kind.DELETE, 0, 0.0)
    except OSError:
        return Change(name, Kind.SEND, 0, 0.0)
    return Change(name, Kind.SEND, found.st_size if stat.S_ISREG(found.st_mode) else 0, 0.0)


# ------------------------------------------------------------------ pickles


class _Object:
    """Stands for every object of an item: its arguments and attributes, and nothing that runs."""

    def __new__(cls, *arguments: Any, **keywords: Any) -> Self:
        made = super().__new__(cls)
        made.inside = [arguments, keywords]
        return made

    def __init__(self, *_arguments: Any, **_keywords: Any) -> None:
        self.inside: list[Any]

    def __setstate__(self, state: Any) -> None:
        self.inside.append(state)

    def append(self, item: Any) -> None:
        self.inside.append(item)

    def __setitem__(self, key: Any, item: Any) -> None:
        self.inside.append(item)


class _Path(_Object):
    """Stands for a path of pathlib's, which is pickled in its parts."""

    def __new__(cls, *parts: Any) -> Self:
        made = super().__new__(cls)
        if parts and all(isinstance(part, str) for part in parts):
            made.inside.append(str(PurePosixPath(*parts)))
        return made


def _encode(text: Any, codec: Any) -> bytes:
    """Stands for how old pickles hold bytes: as text, each letter a byte."""
    if codec != "latin1":
        raise pickle.UnpicklingError(codec)
    return str(text).encode("latin1")


class _Reader(pickle.Unpickler):
    """Never gives a pickle what it asks for."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return _encode
        return _Path if module.startswith("pathlib") else _Object


def _names(data: bytes, below: bytes) -> list[bytes]:
    """The names below a folder that an item has anywhere, without the folder; no other texts."""
    try:
        waiting = [_Reader(io.BytesIO(data)).load()]
    except Exception:  # noqa: BLE001 -- damaged pickles fail in every way
        return []
    found: dict[bytes, None] = {}
    seen: set[int] = set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, str | bytes):
            name = _below(value, below)
            if name:
                found[name] = None
        elif id(value) not in seen:
            seen.add(id(value))
            if isinstance(value, dict):
                waiting += [*value.keys(), *value.values()]
            elif isinstance(value, list | tuple | set | frozenset):
                waiting += value
            elif isinstance(value, _Object):
                waiting += value.inside
    return list(found)


def _below(value: str | bytes, folder: bytes) -> bytes:
    raw = value.encode(errors="surrogateescape") if isinstance(value, str) else value
    path = os.path.normpath(raw)
    if b"\0" in path:
        return b""
    return path.removeprefix(folder) if path.startswith(folder) else b""
