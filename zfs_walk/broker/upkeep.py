"""How the SQLite journal is made, migrated, pruned and shrunk, and takes up what was given up.

Every function works in the transaction that its caller has opened.
"""

import sqlite3
from typing import Final

import msgpack

from zfs_walk.broker.tables import MIGRATIONS, SCHEMA, TABLES

FORGOTTEN: Final = "FORGOTTEN"
"""The state of a run that nobody is to hear of any more."""

KEYS_OF_A_RUN: Final = {
    "ledger": "run, uid, epoch, seq",
    "lease": "uid, epoch",
    "segment": "run, name",
    "problem": "rowid",
    "quarantine": "rowid",
    "counter": "run, name",
    "root": "run, idx",
    "report": "rowid",
    "load_member": "run, session",
    "request": "request",
}
"""The tables with rows of a run, besides those of its items, and their keys."""


def create(db: sqlite3.Connection, first_run: int) -> None:
    """Make the tables."""
    _execute_all(db, TABLES)
    db.execute("INSERT INTO meta VALUES ('term', 0), ('next_run', ?)", (first_run,))
    db.execute(f"PRAGMA user_version = {SCHEMA}")


def migrate(db: sqlite3.Connection, schema: int) -> None:
    """Make our schema of an older one."""
    for number in range(schema, SCHEMA):
        _execute_all(db, MIGRATIONS[number])
    db.execute(f"PRAGMA user_version = {SCHEMA}")


def _execute_all(db: sqlite3.Connection, statements: str) -> None:
    for statement in filter(str.strip, statements.split(";")):
        db.execute(statement)


def take_number(db: sqlite3.Connection) -> int:
    """The next run's number, whatever kind of run it is."""
    (run,) = db.execute("SELECT value FROM meta WHERE key = 'next_run'").fetchone()
    db.execute("UPDATE meta SET value = ? WHERE key = 'next_run'", (run + 1,))
    return int(run)


def retry(db: sqlite3.Connection, request: str, run: int, uid: int) -> int:
    """Make the unit ``uid`` of a run's quarantined items; returns how many there were."""
    # Nobody has died over them yet, in this attempt.
    taken = db.execute(
        "INSERT INTO item SELECT ?, row_number() OVER (), kind, root, path, part, parts, 0"
        " FROM quarantine WHERE run = ?",
        (uid, run),
    ).rowcount
    if not taken:
        return 0
    db.execute("DELETE FROM quarantine WHERE run = ?", (run,))
    db.execute("INSERT INTO unit VALUES (?, ?, 0, 0, ?, 0)", (uid, run, taken))
    db.execute(
        "INSERT INTO ledger VALUES (?, ?, 0, 0, 0, 0, ?, ?)", (run, uid, -taken, msgpack.packb({}))
    )
    db.execute("UPDATE run SET items = items + ? WHERE run = ?", (taken, run))
    db.execute("INSERT INTO request VALUES (?, ?)", (request, run))
    return taken


def prune(db: sqlite3.Connection, run: int, most: int, gone: int) -> int:
    """Delete a slice of a forgotten run, whose own row goes last.

    Args:
        db: in a transaction.
        run: the run's number.
        most: rows of the slice.
        gone: rows of it that are deleted already.

    Returns:
        How many rows of the slice there were; fewer than ``most``: nothing of the run is left.
    """
    for table, key in KEYS_OF_A_RUN.items():
        if gone >= most:
            return gone
        gone += db.execute(
            f"DELETE FROM {table} WHERE ({key}) IN"  # noqa: S608 -- our own names
            f" (SELECT {key} FROM {table} WHERE run = ? LIMIT ?)",
            (run, most - gone),
        ).rowcount
    if gone < most:
        db.execute("DELETE FROM run WHERE run = ?", (run,))
        db.execute("DELETE FROM load WHERE run = ?", (run,))
    return gone


def shrink(db: sqlite3.Connection, most: int) -> int:
    """Free at most so many pages; returns how many that were."""
    (before,) = db.execute("PRAGMA freelist_count").fetchone()
    # Each call is one step of the statement, which frees one page.
    for _ in range(min(before, most)):
        db.execute("PRAGMA incremental_vacuum(1)")
    (after,) = db.execute("PRAGMA freelist_count").fetchone()
    return int(before - after)
