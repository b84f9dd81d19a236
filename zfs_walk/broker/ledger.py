"""How the SQLite journal applies a commit: all of it, or nothing (docs/protocol.md, rules 1, 2)."""

import sqlite3
from collections.abc import Callable
from dataclasses import astuple, dataclass

import msgpack

from zfs_walk.broker.journal import (
    LEAST_COUNT,
    MOST_COUNT,
    UNKNOWN,
    Applied,
    Fenced,
    Gap,
    Repeat,
    RunOver,
    Unbalanced,
)
from zfs_walk.protocol.messages import Commit

# SQLite's own addition makes a float of what does not fit 64 bits.
ADD_COUNTER = f"""
INSERT INTO counter VALUES (?, ?, ?) ON CONFLICT (run, name) DO UPDATE SET value = CASE
    WHEN excluded.value > 0 AND value > {MOST_COUNT} - excluded.value THEN {MOST_COUNT}
    WHEN excluded.value < 0 AND value < {LEAST_COUNT + 1} - excluded.value - 1
        THEN {LEAST_COUNT + 1} - 1
    ELSE value + excluded.value END
"""  # noqa: S608 -- built of our own constants

EXAMPLES = 100
"""Examples of problems and of quarantined items that a run keeps (protocol, rule 13)."""


class _UnbalancedError(Exception):
    """Why a commit's books don't balance."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A commit may be applied if its books balance.

    Attributes:
        run: whose unit it is.
        applied: the last commit applied in its epoch.
        items: of the unit; ``run_items``: of the run.
    """

    run: int
    applied: int
    items: int
    run_items: int


def judge(
    db: sqlite3.Connection, session: int, commit: Commit
) -> Fenced | Repeat | RunOver | Gap | Standing:
    """Whether a commit is the next one of its epoch; reads only."""
    lease = db.execute(
        "SELECT session, seq, run FROM lease WHERE uid = ? AND epoch = ?",
        (commit.uid, commit.epoch),
    ).fetchone()
    if lease is None or lease[0] != session:
        return Fenced(UNKNOWN)
    _, applied, run = lease
    # Before all else: what was applied is ACKed, whatever has become of the unit since.
    if commit.seq <= applied:
        return Repeat(applied)
    state, run_items = db.execute("SELECT state, items FROM run WHERE run = ?", (run,)).fetchone()
    if state not in {"RUNNING", "DRAINING", "PAUSED"}:
        return RunOver(applied)
    unit = db.execute("SELECT epoch, items FROM unit WHERE uid = ?", (commit.uid,)).fetchone()
    if unit is None or unit[0] != commit.epoch:
        return Fenced(applied)
    if commit.seq > applied + 1:
        return Gap(applied)
    return Standing(run, applied, unit[1], run_items)


def apply(
    db: sqlite3.Connection, commit: Commit, standing: Standing, next_id: Callable[[], int]
) -> Applied | Unbalanced:
    """Apply a commit in a savepoint of its own; each set is checked by the rows that changed."""
    db.execute("SAVEPOINT apply")
    try:
        done = _change(db, commit, standing, next_id)
    except (_UnbalancedError, sqlite3.IntegrityError, OverflowError) as error:
        db.execute("ROLLBACK TO apply")
        db.execute("RELEASE apply")
        return Unbalanced(standing.applied, str(error))
    db.execute("RELEASE apply")
    return done


def _change(
    db: sqlite3.Connection, commit: Commit, standing: Standing, next_id: Callable[[], int]
) -> Applied:
    uid, run = commit.uid, standing.run
    items, run_items = standing.items, standing.run_items
    removed = db.executemany(
        "DELETE FROM item WHERE uid = ? AND n = ?", [(uid, n) for n in commit.removed]
    ).rowcount
    if commit.removed and removed != len(commit.removed):
        text = f"{len(commit.removed)} items removed, the unit had {removed} of them"
        raise _UnbalancedError(text)
    db.executemany(
        "INSERT INTO item VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [(uid, i.n, i.kind, i.root, i.path, i.part, i.parts, i.deaths) for i in commit.added],
    )
    grown = len(commit.added) - len(commit.removed)
    if grown != commit.found - commit.done - len(commit.quarantined):
        text = (
            f"{len(commit.added)} added - {len(commit.removed)} removed is not {commit.found}"
            f" found - {commit.done} done - {len(commit.quarantined)} quarantined"
        )
        raise _UnbalancedError(text)
    db.executemany(
        "UPDATE item SET deaths = ? WHERE uid = ? AND n = ?",
        [(suspect.deaths, uid, suspect.n) for suspect in commit.attempts],
    )
    split = tuple(_split(db, uid, run, group, next_id()) for group in commit.split)
    items += grown - sum(count for _, count in split)
    run_items += grown
    if items < 0 or run_items < 0:
        text = f"{items} items left in the unit, {run_items} in the run"
        raise _UnbalancedError(text)
    _book(db, commit, run)
    if items == 0:
        db.execute("DELETE FROM unit WHERE uid = ?", (uid,))
    elif commit.release:
        db.execute("UPDATE unit SET items = ?, epoch = 0, session = 0 WHERE uid = ?", (items, uid))
    else:
        db.execute("UPDATE unit SET items = ? WHERE uid = ?", (items, uid))
    db.execute("UPDATE run SET items = ? WHERE run = ?", (run_items, run))
    return Applied(items, run_items, split)


def _split(
    db: sqlite3.Connection, uid: int, run: int, group: tuple[int, ...], new: int
) -> tuple[int, int]:
    """Move a group of items to a unit of its own."""
    moved = db.executemany(
        "UPDATE item SET uid = ? WHERE uid = ? AND n = ?", [(new, uid, n) for n in group]
    ).rowcount
    if not group or moved != len(group):
        text = f"a group of {len(group)} items is split off, the unit had {moved} of them"
        raise _UnbalancedError(text)
    db.execute("INSERT INTO unit VALUES (?, ?, 0, 0, ?, 0)", (new, run, len(group)))
    return new, len(group)


def _book(db: sqlite3.Connection, commit: Commit, run: int) -> None:
    """Write the ledger's row and all that only adds up."""
    db.execute(
        "INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (run, commit.uid, commit.epoch, commit.seq, commit.found, commit.done,
         len(commit.quarantined), msgpack.packb(commit.counters)),
    )  # fmt: skip
    db.executemany(ADD_COUNTER, [(run, name, value) for name, value in commit.counters.items()])
    if commit.errors:
        (there,) = db.execute("SELECT count(*) FROM problem WHERE run = ?", (run,)).fetchone()
        db.executemany(
            "INSERT INTO problem VALUES (?, ?, ?, ?, ?)",
            [(run, e.path, e.errno, e.kind, e.reason) for e in commit.errors[: EXAMPLES - there]],
        )
    db.executemany(
        "INSERT INTO quarantine VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (run, i.kind, i.root, i.path, i.part, i.parts, i.deaths, q.reason)
            for q in commit.quarantined
            for i in (q.item,)
        ],
    )
    db.executemany(
        "INSERT INTO segment VALUES (?, ?, ?, ?, ?, ?)",
        [(run, *astuple(segment)) for segment in commit.segments],
    )
    db.execute(
        "UPDATE lease SET seq = ? WHERE uid = ? AND epoch = ?",
        (commit.seq, commit.uid, commit.epoch),
    )
