"""The rows of the queue. Every function works in the transaction that its caller has opened."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

from zfs_walk.mirror import coalesce
from zfs_walk.mirror.records import Action, Change, Counts, Kind, Order, State
from zfs_walk.mirror.schema import (
    ACTION,
    KEPT_ACTION,
    WAITING,
    batches,
    from_action,
    marks,
    to_action,
)

SLICE: Final = 10_000
"""Rows that become due in one transaction: a tenth of a second of work."""

_ORDERS: Final = {Order.OLDEST: "added", Order.SMALLEST: "magnitude"}
_READY: Final = "state IN ('ready', 'waiting')"
_COLUMNS: Final = KEPT_ACTION.split(", ")

Step = Callable[[Action], Action | None]
"""What becomes of an action; None: it is not there any more."""


def put(db: sqlite3.Connection, changes: Iterable[Change], now: float) -> None:
    """Queue what was seen."""
    for change in changes:
        row = _row(db, change.path)
        before = to_action(row[:-1]) if row else None
        action = coalesce.queued(before, change, now)
        if row is None:
            db.execute(
                f"INSERT INTO action ({KEPT_ACTION}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 -- our own names
                from_action(action, now),
            )
        else:
            _write(db, row, action, now)


def take(db: sqlite3.Connection, limit: int, now: float, order: Order) -> list[Action]:
    """Take what is due."""
    for kind in Kind:
        db.execute(
            "UPDATE action SET state = 'ready' WHERE id IN (SELECT id FROM action"
            " WHERE state = 'waiting' AND kind = ? AND not_before <= ?"
            " ORDER BY not_before LIMIT ?)",
            (kind.value, now, max(limit, SLICE)),
        )
    rows = db.execute(
        f"SELECT id, {ACTION} FROM action WHERE state = 'ready'"  # noqa: S608 -- our own names
        f" ORDER BY kind DESC, {_ORDERS[order]}, id LIMIT ?",
        (limit,),
    ).fetchall()
    for some in batches([row[0] for row in rows]):
        db.execute(
            f"UPDATE action SET state = 'taken' WHERE id IN ({marks(len(some))})",  # noqa: S608 -- our own marks
            some,
        )
    return [coalesce.taken(to_action(row[1:])) for row in rows]


def step(db: sqlite3.Connection, path: bytes, rule: Step, now: float) -> None:
    """Let a rule say what becomes of a name's action, if there is one."""
    row = _row(db, path)
    if row is None:
        return
    after = rule(to_action(row[:-1]))
    if after is None:
        remove(db, [path])
    else:
        _write(db, row, after, now)


def finish(db: sqlite3.Connection, actions: Sequence[Action], now: float) -> None:
    """Take away what is done; what had a change since is ready again."""
    for some in batches(actions):
        meant = ", ".join(["(?, ?)"] * len(some))
        db.execute(
            f"WITH meant (path, generation) AS (VALUES {meant})"  # noqa: S608 -- our own marks
            " DELETE FROM action WHERE id IN (SELECT action.id FROM meant JOIN action"
            " ON action.path = meant.path AND action.generation = meant.generation)",
            [value for action in some for value in (action.path, action.generation)],
        )
        # Not the cursor's count: it has none for what begins with WITH.
        (removed,) = db.execute("SELECT changes()").fetchone()
        if removed < len(some):
            for action in some:
                rule = partial(coalesce.finished, generation=action.generation, now=now)
                step(db, action.path, rule, now)
                _renumber(db, action.path)


def _renumber(db: sqlite3.Connection, path: bytes) -> None:
    """What is queued of a name is another action than the one that is done."""
    (number,) = db.execute(
        "UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'action' RETURNING seq"
    ).fetchone()
    db.execute("UPDATE action SET id = ? WHERE path = ?", (number, path))


def find(db: sqlite3.Connection, path: bytes) -> Action | None:
    """A name's action."""
    row = _row(db, path)
    return to_action(row[:-1]) if row else None


def page(db: sqlite3.Connection, state: State | None, after: bytes, limit: int) -> list[Action]:
    """Actions in the order of their names, from the first past ``after``."""
    # Written out, not bound: only so does SQLite know that the index of a state is the right one.
    chosen = "1" if state is None else _READY if state is State.READY else f"state = '{state}'"
    rows = db.execute(
        f"SELECT {ACTION} FROM action WHERE {chosen} AND path > ? ORDER BY path LIMIT ?",  # noqa: S608 -- our own names
        (after, limit),
    )
    return [to_action(row) for row in rows]


def remove(db: sqlite3.Connection, paths: Sequence[bytes]) -> int:
    """Take actions away; returns how many there were."""
    return db.executemany("DELETE FROM action WHERE path = ?", [(path,) for path in paths]).rowcount


def counts(db: sqlite3.Connection) -> Counts:
    """How many actions are in each state."""
    numbers = dict.fromkeys(("ready", "taken", "held", "aside"), 0)
    waits_to_be_sent = 0
    for state, kind, actions, size in db.execute("SELECT * FROM tally"):
        numbers["ready" if state == WAITING else state] += actions
        if kind == Kind.SEND and state != State.ASIDE:
            waits_to_be_sent += int(size)
    return Counts(**numbers, bytes=waits_to_be_sent)


def deletions(db: sqlite3.Connection, most: int) -> int:
    """How many deletions of what is there are to be done, at most so many are counted."""
    # A query for each state: so each has an index, and none looks at what is to be sent.
    states = "ready", WAITING, "taken"
    rest = most
    for state in states:
        (found,) = db.execute(
            "SELECT count(*) FROM (SELECT 1 FROM action CROSS JOIN entry"  # noqa: S608 -- our own names
            f" WHERE state = '{state}' AND kind = 'delete' AND NOT confirmed"
            " AND entry.path = action.path LIMIT ?)",
            (rest,),
        ).fetchone()
        rest -= found
    return most - rest


def next_due(db: sqlite3.Connection, now: float) -> float | None:
    """When something can be taken."""
    if db.execute("SELECT 1 FROM action WHERE state = 'ready' LIMIT 1").fetchone():
        return now
    times = [
        when
        for kind in Kind
        for (when,) in db.execute(
            "SELECT min(not_before) FROM action WHERE state = 'waiting' AND kind = ?",
            (kind.value,),
        )
        if when is not None
    ]
    return max(now, min(times)) if times else None


def _row(db: sqlite3.Connection, path: bytes) -> tuple[Any, ...] | None:
    found = db.execute(f"SELECT {KEPT_ACTION} FROM action WHERE path = ?", (path,))  # noqa: S608 -- our own names
    row: tuple[Any, ...] | None = found.fetchone()
    return row


def _write(db: sqlite3.Connection, row: tuple[Any, ...], action: Action, now: float) -> None:
    """Keep what has changed of a row.

    Not all of it: an index is written anew wherever one of its columns is named, and of names from
    all over the tree each is in another page of it.
    """
    kept = from_action(action, now)
    changed = [i for i, column in enumerate(kept) if column != row[i]]
    if changed:
        columns = ", ".join(f"{_COLUMNS[i]} = ?" for i in changed)
        values = [kept[i] for i in changed]
        db.execute(f"UPDATE action SET {columns} WHERE path = ?", (*values, action.path))  # noqa: S608 -- our own names
