"""What becomes of every action, told in the transaction that makes it so.

SQLite notes each row that a transaction changes, whichever statement did it; right before the
transaction is durable its story is told. So nothing is left out, whatever is killed; what was told
of a transaction that did not become durable is told again, of the same action, with what became of
it in the end.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

from zfs_walk.mirror.records import Kind, State
from zfs_walk.mirror.schema import WAITING


class Stage(StrEnum):
    """Where an action stands."""

    QUEUED = "queued"
    """It waits for its turn."""

    TAKEN = "taken"
    """It is being done."""

    FAILED = "failed"
    """It has failed, and will be tried again."""

    HELD = "held"
    """It is a deletion that waits until somebody confirms it."""

    ASIDE = "aside"
    """It will not be tried again by itself."""

    SENT = "sent"
    MOVED = "moved"
    DELETED = "deleted"
    UNCHANGED = "unchanged"
    """The other side was as it should be."""

    DROPPED = "dropped"
    """It was taken out of the queue undone: another action, or somebody, has made it needless."""


ENDS: Final = frozenset({Stage.SENT, Stage.MOVED, Stage.DELETED, Stage.UNCHANGED, Stage.DROPPED})
"""After these an action is no more."""

_OF_STATE: Final = {
    WAITING: Stage.QUEUED,
    State.READY.value: Stage.QUEUED,
    State.TAKEN.value: Stage.TAKEN,
    State.HELD.value: Stage.HELD,
    State.ASIDE.value: Stage.ASIDE,
}
_WAITS: Final = frozenset({WAITING, State.READY.value})


class Event(NamedTuple):
    """An action stands somewhere else than before.

    Attributes:
        number: of the action: no other one of its journal has, or ever had, the same.
        path: below the mirrored folder.
        kind: send or delete.
        stage: where it stands.
        size: bytes of the file, as it was seen.
        tries: that have failed.
        detail: why the last one did; the old name of what was moved.
        queued: seconds since the epoch.
        time: of the change, seconds since the epoch.
    """

    number: int
    path: bytes
    kind: Kind
    stage: Stage
    size: int
    tries: int
    detail: str
    queued: float
    time: float


class Ended(NamedTuple):
    """How an action has ended.

    Attributes:
        stage: one of `ENDS`.
        detail: the old name of what was moved.
    """

    stage: Stage
    detail: str = ""


_DROPPED: Final = Ended(Stage.DROPPED)

NOTHING: Final[Mapping[bytes, Ended]] = {}
"""No action has ended."""

Tell = Callable[[Sequence[Event]], None]
"""Is told of changes, in their order; must have them for good when it returns."""

Hear = Callable[[Sequence[Event]], None]
"""Hears of changes that are durable; must not wait, and must raise nothing."""

_GONE: Final = "gone"

_COLUMNS: Final = "id, path, kind, state, size, tries, error, added"

_BEGIN: Final = (
    """
    CREATE TEMP TABLE story
        (id INTEGER PRIMARY KEY, path, kind, state, size, tries, error, added)
    """,
    """
    CREATE TEMP TRIGGER story_begins AFTER INSERT ON main.action BEGIN
        INSERT OR REPLACE INTO story VALUES (new.id, new.path, new.kind, new.state, new.size,
            new.tries, new.error, new.added);
    END
    """,
    """
    CREATE TEMP TRIGGER story_goes_on AFTER UPDATE OF kind, state, size, tries ON main.action BEGIN
        INSERT OR REPLACE INTO story VALUES (new.id, new.path, new.kind, new.state, new.size,
            new.tries, new.error, new.added);
    END
    """,
    # What is done has had another change meanwhile: that is another action in its row.
    """
    CREATE TEMP TRIGGER story_divides AFTER UPDATE OF id ON main.action BEGIN
        INSERT OR REPLACE INTO story VALUES (old.id, old.path, old.kind, 'gone', old.size,
            old.tries, old.error, old.added);
        INSERT OR REPLACE INTO story VALUES (new.id, new.path, new.kind, new.state, new.size,
            new.tries, new.error, new.added);
    END
    """,
    """
    CREATE TEMP TRIGGER story_ends AFTER DELETE ON main.action BEGIN
        INSERT OR REPLACE INTO story VALUES (old.id, old.path, old.kind, 'gone', old.size,
            old.tries, old.error, old.added);
    END
    """,
)


_END: Final = (
    *(f"DROP TRIGGER temp.{name}" for name in
      ("story_begins", "story_goes_on", "story_divides", "story_ends")),
    "DROP TABLE temp.story",
)  # fmt: skip


def begin(db: sqlite3.Connection) -> None:
    """Note changes from now on, on this connection."""
    for statement in _BEGIN:
        db.execute(statement)


def end(db: sqlite3.Connection) -> None:
    """Note nothing any more, on this connection."""
    for statement in _END:
        db.execute(statement)


def of_transaction(db: sqlite3.Connection, ended: Mapping[bytes, Ended], now: float) -> list[Event]:
    """What the transaction at hand has changed; the next one begins a story of its own.

    Args:
        db: its connection.
        ended: how actions have ended, by their names; others that are gone were dropped.
        now: seconds since the epoch.
    """
    rows = db.execute(f"SELECT {_COLUMNS} FROM temp.story ORDER BY id").fetchall()  # noqa: S608 -- our own names
    if rows:
        db.execute("DELETE FROM temp.story")
    return [_event(row, ended, now) for row in rows]


def _event(row: tuple[Any, ...], ended: Mapping[bytes, Ended], now: float) -> Event:
    number, path, kind, state, size, tries, error, added = row
    if state != _GONE:
        stage = Stage.FAILED if tries and state in _WAITS else _OF_STATE[state]
        return Event(number, path, Kind(kind), stage, size, tries, error, added, now)
    end = ended.get(path, _DROPPED)
    stage = end.stage
    return Event(number, path, Kind(kind), stage, size, tries, end.detail, added, now)
