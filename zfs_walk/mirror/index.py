"""The rows of the index. Every function works in the transaction that its caller has opened."""

import sqlite3
from collections.abc import Iterable
from typing import Final

from zfs_walk.mirror.records import Entry, Identity
from zfs_walk.mirror.schema import ENTRY, batches, from_entry, from_number, marks, to_entry


def record(db: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    """Keep what is on the other side."""
    for some in batches([from_entry(entry) for entry in entries]):
        rows = ", ".join([f"({marks(len(some[0]))})"] * len(some))
        db.execute(
            f"INSERT INTO entry ({ENTRY}) VALUES {rows}"  # noqa: S608 -- our own names and marks
            " ON CONFLICT (path) DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns,"
            " dev = excluded.dev, ino = excluded.ino, mode = excluded.mode, tag = excluded.tag,"
            " born_ns = excluded.born_ns",
            [value for row in some for value in row],
        )


def distrust(db: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    """They may be true no more: each is no file's copy, unless it is another one by now.

    Its size and time still tell `zfs_walk.mirror.plan.is_there` the old from the new.
    """
    db.executemany(
        "UPDATE entry SET dev = 0, ino = 0 WHERE path = ? AND size = ? AND mtime_ns = ?"
        " AND dev = ? AND ino = ? AND mode = ? AND tag = ? AND born_ns = ?",
        map(from_entry, entries),
    )


def drop(db: sqlite3.Connection, paths: Iterable[bytes]) -> None:
    """Forget what is not there any more."""
    for some in batches(list(paths)):
        db.execute(f"DELETE FROM entry WHERE path IN ({marks(len(some))})", some)  # noqa: S608 -- our own marks


def find(db: sqlite3.Connection, path: bytes) -> Entry | None:
    """A name's entry."""
    row = db.execute(f"SELECT {ENTRY} FROM entry WHERE path = ?", (path,)).fetchone()  # noqa: S608 -- our own names
    return to_entry(row) if row else None


_CANDIDATES: Final = 16
"""Entries of one file that are looked at: one with more hard links than these is sent."""


def known_as(db: sqlite3.Connection, identity: Identity) -> tuple[Entry, ...]:
    """The names, or some of them, under which this content of a file is there for certain."""
    dev, ino, size, mtime_ns = identity
    rows = db.execute(
        f"SELECT {ENTRY} FROM entry"  # noqa: S608 -- our own names
        " WHERE ino = ? AND dev = ? AND size = ? AND mtime_ns = ? AND NOT EXISTS"
        " (SELECT 1 FROM action WHERE action.path = entry.path AND action.unsure) ORDER BY path"
        " LIMIT ?",
        (*map(from_number, (ino, dev, size, mtime_ns)), _CANDIDATES),
    )
    return tuple(map(to_entry, rows))


def page(db: sqlite3.Connection, after: bytes, limit: int) -> list[Entry]:
    """Entries in the order of their names, from the first past ``after``."""
    rows = db.execute(
        f"SELECT {ENTRY} FROM entry WHERE path > ? ORDER BY path LIMIT ?",  # noqa: S608 -- our own names
        (after, limit),
    )
    return [to_entry(row) for row in rows]


def count(db: sqlite3.Connection) -> int:
    """How many there are."""
    (number,) = db.execute("SELECT value FROM meta WHERE key = 'entries'").fetchone()
    return int(number)
