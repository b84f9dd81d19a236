"""What is read from the SQLite journal; nothing is written."""

import sqlite3

import msgpack

from zfs_walk.broker.journal import (
    Books,
    Stored,
    StoredClaim,
    StoredLoad,
    StoredMember,
    StoredRun,
    StoredSession,
    StoredUnit,
    add,
)
from zfs_walk.broker.ledger import EXAMPLES
from zfs_walk.broker.tables import unpack_options, unpack_places, unsigned
from zfs_walk.broker.upkeep import FORGOTTEN
from zfs_walk.protocol.files import Place
from zfs_walk.protocol.loads import LoadSnapshot
from zfs_walk.protocol.records import Item, Problem, Quarantined, RootRecord, Segment


def everything(db: sqlite3.Connection, clock: float) -> Stored:
    """All that a broker must know at its start; ``clock``: seconds since the epoch."""
    now = int(clock)
    runs = tuple(
        StoredRun(
            run, state, reason, roots(db, run), unpack_options(options), min_agents, items, elapsed,
            bool(started), max(0, now - ended) if ended else 0, counters(db, run),
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
        run
        for (run,) in db.execute(
            "SELECT run FROM run WHERE state = ? UNION SELECT run FROM load WHERE state = ?",
            (FORGOTTEN, FORGOTTEN),
        )
    )
    claims = tuple(
        StoredClaim(
            session, claim, path, Place(unsigned(dev), unsigned(ino)), unpack_places(ancestors),
            max(0, now - claimed),
        )
        for session, claim, path, dev, ino, ancestors, claimed in db.execute(
            "SELECT session, claim, path, dev, ino, ancestors, claimed FROM claim"
        )
    )  # fmt: skip
    return Stored(runs, units, sessions, forgotten, claims, *_loads(db, clock))


def _loads(
    db: sqlite3.Connection, now: float
) -> tuple[tuple[StoredLoad, ...], tuple[StoredMember, ...]]:
    """The load runs and their agents."""
    loads = tuple(
        StoredLoad(
            run, state, reason, agents, duration, submitted + wait / 1000 - now,
            now - began if began else None, max(0.0, now - ended), bool(stopped),
        )
        for run, state, reason, agents, duration, wait, stopped, submitted, began, ended
        in db.execute(
            "SELECT run, state, reason, agents, duration_ms, wait_ms, stopped, submitted, began,"
            " ended FROM load WHERE state != ?", (FORGOTTEN,)
        )
    )  # fmt: skip
    members = tuple(
        StoredMember(*row)
        for row in db.execute(
            "SELECT m.run, m.session, host, name, m.state, detail, coalesce(max(seq), 0)"
            " FROM load_member m JOIN load l ON l.run = m.run"
            " LEFT JOIN report r ON r.run = m.run AND r.session = m.session"
            " WHERE l.state != ? GROUP BY m.run, m.session",
            (FORGOTTEN,),
        )
    )
    return loads, members


def reports(
    db: sqlite3.Connection, run: int, after: int, most_bytes: int
) -> tuple[tuple[LoadSnapshot, ...], bool]:
    """A run's reports of sessions past ``after``, one at least, and whether there are more."""
    found: list[LoadSnapshot] = []
    size = 0
    for session, seq, last, snapshot in db.execute(
        "SELECT session, seq, last, snapshot FROM report WHERE run = ? AND session > ?"
        " ORDER BY session",
        (run, after),
    ):
        size += len(snapshot)
        if found and size > most_bytes:
            return tuple(found), True
        found.append(LoadSnapshot(session, seq, bool(last), snapshot))
    return tuple(found), False


def roots(db: sqlite3.Connection, run: int) -> tuple[RootRecord, ...]:
    """The run's roots, as they were submitted."""
    return tuple(
        RootRecord(path, host, fstype, unsigned(ino), bool(network))
        for path, host, fstype, ino, network in db.execute(
            "SELECT path, host, fstype, ino, network FROM root WHERE run = ? ORDER BY idx", (run,)
        )
    )


def counters(db: sqlite3.Connection, run: int) -> dict[str, int]:
    """The run's totals."""
    return dict(db.execute("SELECT name, value FROM counter WHERE run = ?", (run,)).fetchall())


def problems(db: sqlite3.Connection, run: int) -> tuple[Problem, ...]:
    """At most 100 examples of entries that could not be read."""
    return tuple(
        Problem(*row)
        for row in db.execute("SELECT path, errno, kind, reason FROM problem WHERE run = ?", (run,))
    )


def quarantined(db: sqlite3.Connection, run: int) -> tuple[Quarantined, ...]:
    """At most 100 of the items that were given up."""
    return tuple(
        Quarantined(Item(0, *row[:-1]), row[-1])
        for row in db.execute(
            "SELECT kind, root, path, part, parts, deaths, reason FROM quarantine"
            " WHERE run = ? LIMIT ?",
            (run, EXAMPLES),
        )
    )


def segments(db: sqlite3.Connection, run: int, after: str, limit: int) -> tuple[Segment, ...]:
    """Committed segments in the order of their names."""
    return tuple(
        Segment(*row)
        for row in db.execute(
            "SELECT name, kind, rows, size, checksum FROM segment"
            " WHERE run = ? AND name > ? ORDER BY name LIMIT ?",
            (run, after, limit),
        )
    )


def size(db: sqlite3.Connection) -> int:
    """Bytes of the database, without what is still to be written into it."""
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (each,) = db.execute("PRAGMA page_size").fetchone()
    return int(pages * each)


def books(db: sqlite3.Connection, run: int) -> Books:
    """The sums that must agree."""
    (submitted,) = db.execute("SELECT roots FROM run WHERE run = ?", (run,)).fetchone()
    found, done, given_up = db.execute(
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
    return Books(submitted, found, done, given_up, left, counters(db, run), sums)
