"""A journal's file: whose it is, whether it is whole, and its transactions."""

import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from zfs_walk.errors import StateError
from zfs_walk.mirror import story
from zfs_walk.mirror.records import Kind, State
from zfs_walk.mirror.schema import APPLICATION, SCHEMA, TABLES, WAITING
from zfs_walk.mirror.story import NOTHING, Ended
from zfs_walk.storage import connect, failure, lock

IF_DAMAGED: Final = "move it away: the next start compares both sides, and sends what differs"

CHECKPOINT_PAGES: Final = 4000
"""16 MiB: a page that many calls have changed is written to its place once for all of them."""


class Database:
    """An open journal of our schema; several threads may use it, no other process.

    Attributes:
        id: of the journal, random; it is kept as long as the journal.
        clean: the last process that had it has closed it.
    """

    def __init__(self, path: Path, identity: str) -> None:
        """Open the file, or make it.

        Args:
            path: the file, in a folder that is there.
            identity: of the two places that are kept equal.

        Raises:
            StateInUseError: another process, or another part of this one, has it open.
            StateError: it is no journal, a damaged one, of a newer schema, or of other places.
            JournalError: it can't be written.
        """
        self.id = ""
        self._path = path
        self._tell: story.Tell | None = None
        self._hear: story.Hear | None = None
        self._noting = False
        self._lock = threading.RLock()
        with ExitStack() as if_refused:
            descriptor = lock(path.parent, f"{path.name}.lock")
            if_refused.callback(os.close, descriptor)
            try:
                self._db = connect(path)
            except sqlite3.DatabaseError as error:
                raise failure(path, error, IF_DAMAGED) from error
            if_refused.callback(self._db.close)
            self._db.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            self._prepare(identity)
            self._at_close = if_refused.pop_all()

    def _prepare(self, identity: str) -> None:
        with self.reading() as db:
            (schema,) = db.execute("PRAGMA user_version").fetchone()
            (application,) = db.execute("PRAGMA application_id").fetchone()
            (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not schema and not application and not tables:
            self._create(identity)
        elif application != APPLICATION:
            raise StateError(path=self._path, reason="it holds another program's database")
        elif schema != SCHEMA:
            raise StateError(
                path=self._path,
                reason=f"its journal has schema {schema}, this release knows {SCHEMA}; "
                "use the release that wrote it, or a newer one",
            )
        self._check(identity)
        with self.writing() as db:
            (self.id,) = db.execute("SELECT value FROM meta WHERE key = 'id'").fetchone()
            (value,) = db.execute("SELECT value FROM meta WHERE key = 'clean'").fetchone()
            self.clean = bool(value)
            db.execute("UPDATE meta SET value = 0 WHERE key = 'clean'")

    def _create(self, identity: str) -> None:
        with self.writing() as db:
            for statement in TABLES:
                db.execute(statement)
            db.execute(
                "INSERT INTO meta VALUES"
                " ('identity', ?), ('id', ?), ('clean', 0), ('entries', 0), ('paused', 0)",
                (identity, uuid.uuid4().hex),
            )
            states = [WAITING, *(state.value for state in State)]
            db.executemany(
                "INSERT INTO tally VALUES (?, ?, 0, 0)",
                [(state, kind.value) for state in states for kind in Kind],
            )
            db.execute(f"PRAGMA application_id = {APPLICATION}")
            db.execute(f"PRAGMA user_version = {SCHEMA}")

    def _check(self, identity: str) -> None:
        with self.reading() as db:
            (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                reason = f"it is damaged ({verdict}); {IF_DAMAGED}"
                raise StateError(path=self._path, reason=reason)
            (owner,) = db.execute("SELECT value FROM meta WHERE key = 'identity'").fetchone()
        if owner != identity:
            raise StateError(
                path=self._path,
                reason=f"it is of {owner}, not of {identity}; give a mapping with other places "
                "another name, or move the file away if nothing of it is needed",
            )

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Have the database for oneself.

        Raises:
            StateError: it is damaged.
            JournalError: it can't be read.
        """
        with self._lock:
            try:
                yield self._db
            except sqlite3.DatabaseError as error:
                raise failure(self._path, error, IF_DAMAGED) from error

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """As `reading`, for several questions: their answers are of one moment, for one lock."""
        with self.reading() as db:
            db.execute("BEGIN")
            try:
                yield db
            finally:
                db.rollback()

    def tell(self, tell: story.Tell) -> None:
        """Tell what every transaction from now on makes of actions, before it is durable."""
        with self.reading() as db:
            self._tell = tell
            self._note(db)

    def hear(self, hear: story.Hear | None) -> None:
        """Let somebody hear what transactions make of actions, once they are durable, or nobody."""
        with self.reading() as db:
            self._hear = hear
            self._note(db)

    def _note(self, db: sqlite3.Connection) -> None:
        """Note changes only while somebody wants them: that costs every transaction something."""
        wanted = self._tell is not None or self._hear is not None
        if wanted != self._noting:
            (story.begin if wanted else story.end)(db)
            self._noting = wanted

    @contextmanager
    def writing(self, ended: Mapping[bytes, Ended] = NOTHING) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is durable afterwards, or, if something is raised, nothing.

        Args:
            ended: how actions end in it, by their names.

        Raises:
            StateError: the journal is damaged.
            JournalError: it can't be written.
        """
        with self.reading() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                events = story.of_transaction(db, ended, time.time()) if self._noting else ()
                if events and self._tell is not None:
                    self._tell(events)
                db.execute("COMMIT")
            except BaseException:
                db.rollback()
                raise
            if events and self._hear is not None:
                self._hear(events)

    def abort(self) -> None:
        """Close the file, without a word about the end."""
        self._at_close.close()

    def close(self) -> None:
        """Write down that this was a clean end, and close the file.

        Raises:
            JournalError: it can't be written; the file is closed nevertheless.
        """
        with self._at_close, self.writing() as db:
            db.execute("UPDATE meta SET value = 1 WHERE key = 'clean'")
