"""What is known of transfers that were begun: see `zfs_walk.sinks.interface.Memory`."""

import sqlite3
from collections.abc import Sequence

from zfs_walk.mirror.database import Database
from zfs_walk.mirror.schema import batches, from_text, marks, to_text


def forget(db: sqlite3.Connection, paths: Sequence[bytes]) -> None:
    """Forget the notes of all transfers of some files, in the transaction that is open."""
    for some in batches(paths):
        db.execute(f"DELETE FROM memory WHERE path IN ({marks(len(some))})", some)  # noqa: S608 -- our own marks


def are_there(db: sqlite3.Connection, path: bytes) -> bool:
    """Whether there are notes of a transfer of a file."""
    return bool(db.execute("SELECT 1 FROM memory WHERE path = ? LIMIT 1", (path,)).fetchone())


class StoredMemory:
    """The notes of one transfer, in the journal.

    Attributes:
        path: of the file.
        fingerprint: of its content.
    """

    def __init__(self, database: Database, path: bytes, fingerprint: str) -> None:
        self.path = path
        self.fingerprint = fingerprint
        self._database = database

    def load(self) -> dict[str, str]:
        """Everything that was stored."""
        with self._database.reading() as db:
            rows = db.execute(
                "SELECT key, value FROM memory WHERE path = ? AND fingerprint = ?",
                (self.path, self.fingerprint),
            )
            return {to_text(key): to_text(value) for key, value in rows}

    def store(self, key: str, value: str) -> None:
        """Keep a value; it is durable when this returns.

        Raises:
            JournalError: it can't be written.
        """
        with self._database.writing() as db:
            db.execute(
                "INSERT OR REPLACE INTO memory VALUES (?, ?, ?, ?)",
                (self.path, self.fingerprint, from_text(key), from_text(value)),
            )
