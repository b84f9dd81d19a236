"""The journal's file and its transactions: WAL, ``synchronous=FULL``, one writer."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from zfs_walk.broker import upkeep
from zfs_walk.broker.tables import SCHEMA
from zfs_walk.errors import JournalError, StateError
from zfs_walk.storage import connect, failure

LOG = logging.getLogger("zfs_walk.broker")


class Database:
    """An open journal of our schema.

    Attributes:
        connection: to read from; what writes goes through `writing`.
        in_transaction: something was written that is not committed.
    """

    def __init__(self, path: Path | str, first_run: int) -> None:
        """Open the file; make it or migrate it, if need be.

        Args:
            path: the file, or ":memory:".
            first_run: the number of the first run, if the journal is new.

        Raises:
            StateError: the file is no journal, or one of a newer schema.
            JournalError: it can't be written.
        """
        self._path = str(path)
        self.in_transaction = False
        try:
            self.connection = connect(self._path)
        except sqlite3.DatabaseError as error:
            raise self._failure(error) from error
        with ExitStack() as if_refused:
            if_refused.callback(self.connection.close)
            self._prepare(first_run)
            if_refused.pop_all()

    def _prepare(self, first_run: int) -> None:
        try:
            (schema,) = self.connection.execute("PRAGMA user_version").fetchone()
        except sqlite3.DatabaseError as error:
            raise self._failure(error) from error
        if schema == 0:
            with self.writing() as db:
                upkeep.create(db, first_run)
            self.commit()
        elif schema < SCHEMA:
            self._migrate(schema)
        elif schema != SCHEMA:
            raise StateError(
                path=self._path,
                reason=f"its journal has schema {schema}, this release knows {SCHEMA}; "
                "use the release that wrote it, or a newer one",
            )

    def _migrate(self, schema: int) -> None:
        """Bring an older journal to our schema in one transaction, after a copy."""
        copy = Path(f"{self._path}.schema-{schema}")
        # Of a migration that did not come to its end.
        copy.unlink(missing_ok=True)
        try:
            self.connection.execute("VACUUM INTO ?", (str(copy),))
            LOG.warning("the journal has schema %d; the old one is kept as %s", schema, copy)
            with self.writing() as db:
                upkeep.migrate(db, schema)
            self.commit()
            # And so that pages can be given back: connect() asks for it, an older one did not.
            self.connection.execute("VACUUM")
        except sqlite3.DatabaseError as error:
            raise self._failure(error) from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction if there is none; `commit` ends it."""
        try:
            if not self.in_transaction:
                self.connection.execute("BEGIN IMMEDIATE")
                self.in_transaction = True
            yield self.connection
        except sqlite3.DatabaseError as error:
            raise self._failure(error) from error

    def commit(self) -> None:
        """Make everything since the last commit durable."""
        if self.in_transaction:
            try:
                self.connection.execute("COMMIT")
            except sqlite3.DatabaseError as error:
                raise self._failure(error) from error
            self.in_transaction = False

    def undo(self) -> None:
        """Forget everything since the last commit."""
        if self.in_transaction:
            self.connection.rollback()
            self.in_transaction = False

    def close(self) -> None:
        """Undo an open transaction and close the file."""
        self.undo()
        self.connection.close()

    def _failure(self, error: sqlite3.DatabaseError) -> JournalError | StateError:
        return failure(self._path, error, "put a copy of it in its place (docs/operations.md)")
