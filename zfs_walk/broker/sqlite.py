"""The journal in SQLite.

``SqliteJournal(":memory:")`` is the same code without a disk; the model tests crash and restart
brokers over it.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple
from pathlib import Path

from zfs_walk.broker import ledger, queries, upkeep
from zfs_walk.broker.database import Database
from zfs_walk.broker.journal import (
    UNKNOWN,
    Books,
    Granted,
    Stored,
    StoredClaim,
    StoredMember,
    StoredRun,
    StoredSession,
    StoredUnit,
    Verdict,
)
from zfs_walk.broker.state import LOADS_OVER, OVER
from zfs_walk.broker.tables import pack_options, pack_places, signed
from zfs_walk.broker.upkeep import FORGOTTEN
from zfs_walk.errors import InternalError
from zfs_walk.protocol.loads import LoadSnapshot, Report
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
        self.term = 0
        self._first_id = first_id
        self._clock = clock
        self._counter = 0
        self._database = Database(path, first_run)
        self._db = self._database.connection

    def commit(self) -> None:
        """Make everything since the last commit durable."""
        self._database.commit()

    def close(self) -> None:
        """Undo an open transaction and close the file."""
        self._database.close()

    # ------------------------------------------------------------------ identities

    def take_term(self, at_least: int) -> int:
        """A new term, durable before anything is answered in it."""
        with self._database.writing() as db:
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
        return queries.everything(self._db, self._clock())

    def add_session(self, session: StoredSession) -> None:
        """A new session."""
        with self._database.writing() as db:
            db.execute("INSERT INTO session VALUES (?, ?, ?, ?, ?, ?)", astuple(session))

    def end_session(self, session: int) -> None:
        """A session that will not come back."""
        with self._database.writing() as db:
            db.execute("DELETE FROM session WHERE session = ?", (session,))
            db.execute("DELETE FROM claim WHERE session = ?", (session,))

    def set_claim(self, claim: StoredClaim) -> None:
        """A session's claim of this number; it begins now."""
        with self._database.writing() as db:
            db.execute(
                "INSERT OR REPLACE INTO claim VALUES (?, ?, ?, ?, ?, ?, ?)",
                (claim.session, claim.claim, claim.path, signed(claim.place.dev),
                 signed(claim.place.ino), pack_places(claim.ancestors), int(self._clock())),
            )  # fmt: skip

    def end_claim(self, session: int, claim: int) -> None:
        """A claim is over."""
        with self._database.writing() as db:
            db.execute("DELETE FROM claim WHERE session = ? AND claim = ?", (session, claim))

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
        with self._database.writing() as db:
            run = upkeep.take_number(db)
            db.execute(
                "INSERT INTO run VALUES (?, 'RUNNING', '', ?, ?, ?, ?, 0, ?, 0)",
                (run, pack_options(options), min_agents, len(roots), len(roots),
                 int(self._clock())),
            )  # fmt: skip
            db.executemany(
                "INSERT INTO root VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (run, i, root.path, root.host, root.fstype, signed(root.ino), root.network)
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
        with self._database.writing() as db:
            db.execute(
                "UPDATE run SET state = ?, reason = ?, elapsed_ms = ?, ended = ? WHERE run = ?",
                (state, reason, elapsed_ms, ended, run),
            )

    def retry(self, request: str, run: int) -> StoredUnit | None:
        """Make a unit of the run's quarantined items; nobody has died over them yet."""
        with self._database.writing() as db:
            uid = self.next_id()
            taken = upkeep.retry(db, request, run, uid)
        return StoredUnit(uid, run, 0, 0, 0, taken, 0) if taken else None

    def forget(self, run: int) -> None:
        """The run is not there any more, whatever of it is still to be deleted."""
        with self._database.writing() as db:
            db.execute("UPDATE run SET state = ? WHERE run = ?", (FORGOTTEN, run))
            db.execute("UPDATE load SET state = ? WHERE run = ?", (FORGOTTEN, run))

    def prune(self, run: int, most: int) -> int:
        """Delete a slice of a forgotten run; the run's own row goes last."""
        gone = self.drop_items(run, most)
        with self._database.writing() as db:
            return upkeep.prune(db, run, most, gone)

    def shrink(self, most: int) -> int:
        """Give free pages back; the file itself gets smaller at the next checkpoint."""
        with self._database.writing() as db:
            return upkeep.shrink(db, most)

    # ------------------------------------------------------------------ load runs

    def add_load(
        self, request: str, agents: int, duration_ms: int, wait_ms: int, config: bytes
    ) -> int:
        """A new load run, WAITING."""
        with self._database.writing() as db:
            run = upkeep.take_number(db)
            db.execute(
                "INSERT INTO load VALUES (?, 'WAITING', '', ?, ?, ?, 0, ?, 0, 0, ?)",
                (run, agents, duration_ms, wait_ms, self._clock(), config),
            )
            db.execute("INSERT INTO request VALUES (?, ?)", (request, run))
        return run

    def set_load(self, run: int, state: str, reason: str, *, stopped: bool) -> None:
        """A load run's new state."""
        ended = self._clock() if state in LOADS_OVER else 0
        with self._database.writing() as db:
            db.execute(
                "UPDATE load SET state = ?, reason = ?, stopped = ?, ended = ? WHERE run = ?",
                (state, reason, stopped, ended, run),
            )

    def begin_load(self, run: int, ahead: float) -> None:
        """The load run begins so many seconds from now."""
        with self._database.writing() as db:
            db.execute("UPDATE load SET began = ? WHERE run = ?", (self._clock() + ahead, run))

    def load_config(self, run: int) -> bytes:
        """What the agents of a load run are told."""
        row = self._db.execute("SELECT config FROM load WHERE run = ?", (run,)).fetchone()
        return bytes(row[0])

    def set_member(self, member: StoredMember) -> None:
        """An agent of a load run."""
        with self._database.writing() as db:
            db.execute(
                "INSERT OR REPLACE INTO load_member VALUES (?, ?, ?, ?, ?, ?)", astuple(member)[:6]
            )

    def set_report(self, session: int, report: Report) -> None:
        """A session's report of a run, in the place of the one before."""
        with self._database.writing() as db:
            db.execute(
                "INSERT OR REPLACE INTO report VALUES (?, ?, ?, ?, ?, ?)",
                (report.run, session, report.kind, report.seq, report.last, report.snapshot),
            )

    def reports(
        self, run: int, after: int, most_bytes: int
    ) -> tuple[tuple[LoadSnapshot, ...], bool]:
        """A run's reports of sessions past ``after``."""
        return queries.reports(self._db, run, after, most_bytes)

    # ------------------------------------------------------------------ units

    def grant(
        self, uid: int, epoch: int, session: int, most_items: int, most_bytes: int
    ) -> Granted:
        """Lease a unit under a new epoch, carved to the bounds of a message."""
        with self._database.writing() as db:
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
        with self._database.writing() as db:
            db.execute("UPDATE unit SET epoch = 0, session = 0 WHERE uid = ?", (uid,))

    def apply(self, session: int, commit: Commit) -> Verdict:
        """Apply a commit in a savepoint of its own, or nothing of it."""
        standing = ledger.judge(self._db, session, commit)
        if not isinstance(standing, ledger.Standing):
            return standing
        with self._database.writing() as db:
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
        with self._database.writing() as db:
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
        return queries.counters(self._db, run)

    def problems(self, run: int) -> tuple[Problem, ...]:
        """At most 100 examples of entries that could not be read."""
        return queries.problems(self._db, run)

    def quarantined(self, run: int) -> tuple[Quarantined, ...]:
        """At most 100 of the items that were given up."""
        return queries.quarantined(self._db, run)

    def segments(self, run: int, after: str, limit: int) -> tuple[Segment, ...]:
        """Committed segments in the order of their names."""
        return queries.segments(self._db, run, after, limit)

    def size(self) -> int:
        """Bytes of the database, without what is still to be written into it."""
        return queries.size(self._db)

    def books(self, run: int) -> Books:
        """The sums that must agree."""
        return queries.books(self._db, run)
