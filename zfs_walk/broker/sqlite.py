"""The journal in SQLite: WAL, ``synchronous=FULL``, one writer.

``SqliteJournal(":memory:")`` is the same code without a disk; the model tests crash and restart
brokers over it.
"""

import logging
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import astuple, replace
from pathlib import Path

import msgpack

from zfs_walk.broker import ledger, upkeep
from zfs_walk.broker.journal import (
    UNKNOWN,
    Books,
    Granted,
    Stored,
    StoredRun,
    StoredSession,
    StoredUnit,
    Verdict,
    add,
)
from zfs_walk.broker.state import OVER
from zfs_walk.broker.tables import SCHEMA
from zfs_walk.broker.upkeep import FORGOTTEN
from zfs_walk.errors import InternalError, JournalError, StateError
from zfs_walk.protocol.messages import Commit
from zfs_walk.protocol.records import (
    DIR,
    Item,
    Problem,
    Quarantined,
    RootRecord,
    Segment,
    WalkOptions,
)

LOG = logging.getLogger("zfs_walk.broker")

COUNTER_BITS = 28
COUNTER_STARTS = 2**24
"""A term's counter begins at a random number below this. If a clock was set back, a journal that
was restored from a copy comes to a term that the newer one had; without this it would issue the
same epochs again until somebody's HELLO names a later term, and segments would have the same
names."""


class SqliteJournal:
    """One file, or ``":memory:"``. Only one process may have it open; the caller holds the lock."""

    def __init__(
        self,
        path: Path | str,
        first_run: int = 1,
        first_id: Callable[[], int] = lambda: secrets.randbelow(COUNTER_STARTS),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open or create the journal.

        Args:
            path: the file, or ":memory:".
            first_run: the number of the first run, if the journal is new.
            first_id: where a term's counter begins.
            clock: seconds since the epoch, for when runs were submitted and ended.

        Raises:
            StateError: the file is no journal, or one of a newer schema.
            JournalError: it can't be written.
        """
        self.path = str(path)
        self.term = 0
        self._first_id = first_id
        self._clock = clock
        self._counter = 0
        self._open = False
        if self.path != ":memory:":
            _make_private(self.path)
        try:
            self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        except sqlite3.DatabaseError as error:
            raise self._failure(error) from error
        with ExitStack() as if_refused:
            if_refused.callback(self._db.close)
            self._prepare(first_run)
            if_refused.pop_all()

    def _prepare(self, first_run: int) -> None:
        try:
            # Takes effect where there is no table yet; elsewhere with the VACUUM below.
            self._db.execute("PRAGMA auto_vacuum=INCREMENTAL")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            (schema,) = self._db.execute("PRAGMA user_version").fetchone()
        except sqlite3.DatabaseError as error:
            raise self._failure(error) from error
        if schema == 0:
            with self._writing() as db:
                upkeep.create(db, first_run)
            self.commit()
        elif schema < SCHEMA:
            self._migrate(schema)
        elif schema != SCHEMA:
            raise StateError(
                path=self.path,
                reason=f"its journal has schema {schema}, this release knows {SCHEMA}; "
                "use the release that wrote it, or a newer one",
            )

    def _migrate(self, schema: int) -> None:
        """Bring an older journal to our schema in one transaction, after a copy."""
        copy = Path(f"{self.path}.schema-{schema}")
        # Of a migration that did not come to its end.
        copy.unlink(missing_ok=True)
        try:
            self._db.execute("VACUUM INTO ?", (str(copy),))
            LOG.warning("the journal has schema %d; the old one is kept as %s", schema, copy)
            with self._writing() as db:
                upkeep.migrate(db, schema)
            self.commit()
            self._db.execute("VACUUM")
        except sqlite3.DatabaseError as error:
            raise self._failure(error) from error

    # ------------------------------------------------------------------ transactions

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction if there is none; `commit` ends it."""
        try:
            if not self._open:
                self._db.execute("BEGIN IMMEDIATE")
                self._open = True
            yield self._db
        except sqlite3.DatabaseError as error:
            raise self._failure(error) from error

    def commit(self) -> None:
        """Make everything since the last commit durable."""
        if self._open:
            try:
                self._db.execute("COMMIT")
            except sqlite3.DatabaseError as error:
                raise self._failure(error) from error
            self._open = False

    def _failure(self, error: sqlite3.DatabaseError) -> JournalError | StateError:
        if "not a database" in str(error):
            return StateError(path=self.path, reason="it holds a file that is no journal")
        return JournalError(path=self.path, reason=str(error))

    def close(self) -> None:
        """Undo an open transaction and close the file."""
        if self._open:
            self._db.rollback()
            self._open = False
        self._db.close()

    # ------------------------------------------------------------------ identities

    def take_term(self, at_least: int) -> int:
        """A new term, durable before anything is answered in it."""
        with self._writing() as db:
            (stored,) = db.execute("SELECT value FROM meta WHERE key = 'term'").fetchone()
            self.term = max(stored + 1, at_least)
            db.execute("UPDATE meta SET value = ? WHERE key = 'term'", (self.term,))
        self.commit()
        self._counter = self._first_id()
        return self.term

    def next_id(self) -> int:
        """A number that no other term or call has."""
        self._counter += 1
        if self._counter >> COUNTER_BITS:
            raise InternalError(reason="a term's numbers are used up; a restart begins a new one")
        return self.term << COUNTER_BITS | self._counter

    def load(self) -> Stored:
        """Everything, for a start."""
        db = self._db
        runs = tuple(
            StoredRun(
                run, state, reason, self._roots(run), _options(options), min_agents, items, elapsed,
                bool(started), max(0, int(self._clock()) - ended) if ended else 0,
                self.counters(run),
            )
            for run, state, reason, options, min_agents, items, elapsed, started, ended
            in db.execute(
                "SELECT run, state, reason, options, min_agents, items, elapsed_ms,"
                " run IN (SELECT run FROM lease), ended FROM run WHERE state != ?", (FORGOTTEN,)
            ).fetchall()
        )  # fmt: skip
        units = tuple(
            StoredUnit(*row)
            for row in db.execute(
                "SELECT u.uid, u.run, u.epoch, coalesce(l.seq, 0), u.session, u.items, u.attempt"
                " FROM unit u LEFT JOIN lease l ON l.uid = u.uid AND l.epoch = u.epoch"
                " JOIN run r ON r.run = u.run WHERE r.state != ?",
                (FORGOTTEN,),
            )
        )
        sessions = tuple(
            StoredSession(*row)
            for row in db.execute("SELECT session, role, host, name, boot, key FROM session")
        )
        forgotten = tuple(
            run for (run,) in db.execute("SELECT run FROM run WHERE state = ?", (FORGOTTEN,))
        )
        return Stored(runs, units, sessions, forgotten)

    def add_session(self, session: StoredSession) -> None:
        """A new session."""
        with self._writing() as db:
            db.execute("INSERT INTO session VALUES (?, ?, ?, ?, ?, ?)", astuple(session))

    def end_session(self, session: int) -> None:
        """A session that will not come back."""
        with self._writing() as db:
            db.execute("DELETE FROM session WHERE session = ?", (session,))

    # ------------------------------------------------------------------ runs

    def answer(self, request: str) -> int:
        """The run that this SUBMIT made before, else 0."""
        row = self._db.execute("SELECT run FROM request WHERE request = ?", (request,)).fetchone()
        return row[0] if row else 0

    def add_run(
        self,
        request: str,
        roots: Sequence[RootRecord],
        options: WalkOptions,
        min_agents: int,
    ) -> tuple[StoredRun, StoredUnit]:
        """A new run with one unit that holds a DIR item for each root."""
        with self._writing() as db:
            (run,) = db.execute("SELECT value FROM meta WHERE key = 'next_run'").fetchone()
            db.execute("UPDATE meta SET value = ? WHERE key = 'next_run'", (run + 1,))
            db.execute(
                "INSERT INTO run VALUES (?, 'RUNNING', '', ?, ?, ?, ?, 0, ?, 0)",
                (run, msgpack.packb(astuple(options)), min_agents, len(roots), len(roots),
                 int(self._clock())),
            )  # fmt: skip
            db.executemany(
                "INSERT INTO root VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (run, i, root.path, root.host, root.fstype, _signed(root.ino), root.network)
                    for i, root in enumerate(roots)
                ],
            )
            db.execute("INSERT INTO request VALUES (?, ?)", (request, run))
            uid = self.next_id()
            db.execute("INSERT INTO unit VALUES (?, ?, 0, 0, ?, 0)", (uid, run, len(roots)))
            db.executemany(
                "INSERT INTO item VALUES (?, ?, ?, ?, x'', 0, 0, 0)",
                [(uid, i + 1, DIR, i) for i in range(len(roots))],
            )
        return (
            StoredRun(run, "RUNNING", "", tuple(roots), options, min_agents, len(roots), 0),
            StoredUnit(uid, run, 0, 0, 0, len(roots), 0),
        )

    def set_run(self, run: int, state: str, reason: str, elapsed_ms: int) -> None:
        """A run's new state."""
        ended = int(self._clock()) if state in OVER else 0
        with self._writing() as db:
            db.execute(
                "UPDATE run SET state = ?, reason = ?, elapsed_ms = ?, ended = ? WHERE run = ?",
                (state, reason, elapsed_ms, ended, run),
            )

    def retry(self, request: str, run: int) -> StoredUnit | None:
        """Make a unit of the run's quarantined items; nobody has died over them yet."""
        with self._writing() as db:
            uid = self.next_id()
            taken = upkeep.retry(db, request, run, uid)
        return StoredUnit(uid, run, 0, 0, 0, taken, 0) if taken else None

    def forget(self, run: int) -> None:
        """The run is not there any more, whatever of it is still to be deleted."""
        with self._writing() as db:
            db.execute("UPDATE run SET state = ? WHERE run = ?", (FORGOTTEN, run))

    def prune(self, run: int, most: int) -> int:
        """Delete a slice of a forgotten run; the run's own row goes last."""
        gone = self.drop_items(run, most)
        with self._writing() as db:
            return upkeep.prune(db, run, most, gone)

    def shrink(self, most: int) -> int:
        """Give free pages back; the file itself gets smaller at the next checkpoint."""
        with self._writing() as db:
            return upkeep.shrink(db, most)

    def _roots(self, run: int) -> tuple[RootRecord, ...]:
        return tuple(
            RootRecord(path, host, fstype, ino % 2**64, bool(network))
            for path, host, fstype, ino, network in self._db.execute(
                "SELECT path, host, fstype, ino, network FROM root WHERE run = ? ORDER BY idx",
                (run,),
            )
        )

    # ------------------------------------------------------------------ units

    def grant(
        self, uid: int, epoch: int, session: int, most_items: int, most_bytes: int
    ) -> Granted:
        """Lease a unit under a new epoch, carved to the bounds of a message."""
        with self._writing() as db:
            items: list[Item] = []
            size = 0
            for row in db.execute(
                "SELECT n, kind, root, path, part, parts, deaths FROM item WHERE uid = ?"
                " ORDER BY n LIMIT ?",
                (uid, most_items),
            ):
                size += len(row[3]) + 32
                if items and size > most_bytes:
                    break
                items.append(Item(*row))
            run, total = db.execute("SELECT run, items FROM unit WHERE uid = ?", (uid,)).fetchone()
            carved = carved_items = 0
            if total > len(items):
                carved, carved_items = self.next_id(), total - len(items)
                db.execute(
                    "UPDATE item SET uid = ? WHERE uid = ? AND n > ?", (carved, uid, items[-1].n)
                )
                db.execute(
                    "INSERT INTO unit VALUES (?, ?, 0, 0, ?, 0)", (carved, run, carved_items)
                )
            db.execute(
                "UPDATE unit SET epoch = ?, session = ?, items = ?, attempt = attempt + 1"
                " WHERE uid = ?",
                (epoch, session, len(items), uid),
            )
            db.execute("INSERT INTO lease VALUES (?, ?, ?, 0, ?)", (uid, epoch, session, run))
        return Granted(tuple(items), carved, carved_items)

    def free(self, uid: int) -> None:
        """Nobody holds the unit any more."""
        with self._writing() as db:
            db.execute("UPDATE unit SET epoch = 0, session = 0 WHERE uid = ?", (uid,))

    def apply(self, session: int, commit: Commit) -> Verdict:
        """Apply a commit in a savepoint of its own, or nothing of it."""
        standing = ledger.judge(self._db, session, commit)
        if not isinstance(standing, ledger.Standing):
            return standing
        with self._writing() as db:
            return ledger.apply(db, commit, standing, self.next_id)

    def applied(self, session: int, uid: int, epoch: int) -> int:
        """The last commit applied in an epoch that is or was this session's."""
        row = self._db.execute(
            "SELECT seq FROM lease WHERE uid = ? AND epoch = ? AND session = ?",
            (uid, epoch, session),
        ).fetchone()
        return row[0] if row else UNKNOWN

    def drop_items(self, run: int, most: int) -> int:
        """Delete a slice of an aborted run's items, and its units with the last one."""
        with self._writing() as db:
            rows = db.execute(
                "SELECT i.uid, i.n FROM item i JOIN unit u ON u.uid = i.uid"
                " WHERE u.run = ? LIMIT ?",
                (run, most),
            ).fetchall()
            db.executemany("DELETE FROM item WHERE uid = ? AND n = ?", rows)
            if len(rows) < most:
                db.execute("DELETE FROM unit WHERE run = ?", (run,))
        return len(rows)

    # ------------------------------------------------------------------ reading

    def counters(self, run: int) -> dict[str, int]:
        """The run's totals."""
        return dict(
            self._db.execute("SELECT name, value FROM counter WHERE run = ?", (run,)).fetchall()
        )

    def problems(self, run: int) -> tuple[Problem, ...]:
        """At most 100 examples of entries that could not be read."""
        return tuple(
            Problem(*row)
            for row in self._db.execute(
                "SELECT path, errno, kind FROM problem WHERE run = ?", (run,)
            )
        )

    def quarantined(self, run: int) -> tuple[Quarantined, ...]:
        """At most 100 of the items that were given up."""
        return tuple(
            Quarantined(Item(0, *row[:-1]), row[-1])
            for row in self._db.execute(
                "SELECT kind, root, path, part, parts, deaths, reason FROM quarantine"
                " WHERE run = ? LIMIT ?",
                (run, ledger.EXAMPLES),
            )
        )

    def segments(self, run: int, after: str, limit: int) -> tuple[Segment, ...]:
        """Committed segments in the order of their names."""
        return tuple(
            Segment(*row)
            for row in self._db.execute(
                "SELECT name, kind, rows, size, checksum FROM segment"
                " WHERE run = ? AND name > ? ORDER BY name LIMIT ?",
                (run, after, limit),
            )
        )

    def size(self) -> int:
        """Bytes of the database, without what is still to be written into it."""
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        (each,) = self._db.execute("PRAGMA page_size").fetchone()
        return int(pages * each)

    def books(self, run: int) -> Books:
        """The sums that must agree."""
        db = self._db
        (roots,) = db.execute("SELECT roots FROM run WHERE run = ?", (run,)).fetchone()
        found, done, quarantined = db.execute(
            "SELECT coalesce(sum(found), 0), coalesce(sum(done), 0), coalesce(sum(quarantined), 0)"
            " FROM ledger WHERE run = ?",
            (run,),
        ).fetchone()
        (left,) = db.execute(
            "SELECT count(*) FROM item i JOIN unit u ON u.uid = i.uid WHERE u.run = ?", (run,)
        ).fetchone()
        sums: dict[str, int] = {}
        for (packed,) in db.execute("SELECT counters FROM ledger WHERE run = ?", (run,)):
            for name, value in msgpack.unpackb(packed).items():
                sums[name] = add(sums.get(name, 0), value)
        return Books(roots, found, done, quarantined, left, self.counters(run), sums)


def _make_private(path: str) -> None:
    """Paths are in it: the folder may be open to others. SQLite's other files get its mode."""
    with suppress(OSError):  # SQLite will say what is wrong
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)


def _options(packed: bytes) -> WalkOptions:
    fields = msgpack.unpackb(packed)
    options = WalkOptions(*fields)
    return replace(options, excludes=tuple(options.excludes), includes=tuple(options.includes))


def _signed(number: int) -> int:
    """SQLite's integers have a sign; inodes have none."""
    return number - 2**64 if number >= 2**63 else number
