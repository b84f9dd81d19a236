"""The tables of a mirror's journal, and how values are kept that SQLite has no type for."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar

from zfs_walk.mirror.records import Action, Entry, Kind, State

Row = TypeVar("Row")

SCHEMA: Final = 2

APPLICATION: Final = 0x7A66776D
"""SQLite's ``application_id`` of our files: "zfwm"."""

WAITING: Final = "waiting"
"""How `State.READY` is kept as long as an action's time has not come: nobody has to look through
the waiting ones for those that are due, or the other way round."""

TABLES: Final = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID",
    """
    CREATE TABLE action (
        id INTEGER PRIMARY KEY AUTOINCREMENT, path BLOB NOT NULL UNIQUE, kind TEXT NOT NULL,
        state TEXT NOT NULL,
        generation INTEGER NOT NULL, size INTEGER NOT NULL, added REAL NOT NULL,
        not_before REAL NOT NULL, tries INTEGER NOT NULL, error TEXT NOT NULL,
        unsure INTEGER NOT NULL, confirmed INTEGER NOT NULL, magnitude INTEGER NOT NULL)
    """,
    # "send" after "delete" in the alphabet, before it in the queue.
    "CREATE INDEX action_oldest ON action (kind DESC, added) WHERE state = 'ready'",
    # Not by size: names that are queued together would then be far from each other, each in a page
    # of its own, and what is written were doubled.
    "CREATE INDEX action_smallest ON action (kind DESC, magnitude) WHERE state = 'ready'",
    "CREATE INDEX action_waiting ON action (kind, not_before) WHERE state = 'waiting'",
    "CREATE INDEX action_taken ON action (path) WHERE state = 'taken'",
    "CREATE INDEX action_held ON action (path) WHERE state = 'held'",
    "CREATE INDEX action_aside ON action (path) WHERE state = 'aside'",
    # Sizes, times and numbers have no type: SQLite would make a rounded number of a text.
    """
    CREATE TABLE entry (
        path BLOB PRIMARY KEY, size NOT NULL, mtime_ns NOT NULL, dev NOT NULL, ino NOT NULL,
        mode NOT NULL, tag BLOB NOT NULL, born_ns NOT NULL) WITHOUT ROWID
    """,
    "CREATE INDEX entry_file ON entry (ino, dev)",
    """
    CREATE TABLE memory (
        path BLOB NOT NULL, fingerprint TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (path, fingerprint, key)) WITHOUT ROWID
    """,
    # The database counts by itself: a status must not look through a million rows.
    """
    CREATE TABLE tally (
        state TEXT NOT NULL, kind TEXT NOT NULL, actions INTEGER NOT NULL, bytes INTEGER NOT NULL,
        PRIMARY KEY (state, kind)) WITHOUT ROWID
    """,
    """
    CREATE TRIGGER action_comes AFTER INSERT ON action BEGIN
        UPDATE tally SET actions = actions + 1, bytes = bytes + new.size
            WHERE state = new.state AND kind = new.kind;
    END
    """,
    """
    CREATE TRIGGER action_changes AFTER UPDATE OF state, kind, size ON action BEGIN
        UPDATE tally SET actions = actions - 1, bytes = bytes - old.size
            WHERE state = old.state AND kind = old.kind;
        UPDATE tally SET actions = actions + 1, bytes = bytes + new.size
            WHERE state = new.state AND kind = new.kind;
    END
    """,
    """
    CREATE TRIGGER action_goes AFTER DELETE ON action BEGIN
        UPDATE tally SET actions = actions - 1, bytes = bytes - old.size
            WHERE state = old.state AND kind = old.kind;
    END
    """,
    """
    CREATE TRIGGER entry_comes AFTER INSERT ON entry BEGIN
        UPDATE meta SET value = value + 1 WHERE key = 'entries';
    END
    """,
    """
    CREATE TRIGGER entry_goes AFTER DELETE ON entry BEGIN
        UPDATE meta SET value = value - 1 WHERE key = 'entries';
    END
    """,
)

ACTION: Final = (
    "path, kind, state, generation, size, added, not_before, tries, error, unsure, confirmed"
)
"""The columns of `to_action`."""

KEPT_ACTION: Final = f"{ACTION}, magnitude"
"""The columns of `from_action`; the last is the size's number of binary digits."""

ENTRY: Final = "path, size, mtime_ns, dev, ino, mode, tag, born_ns"
"""The columns of `to_entry`."""


def kept_state(action: Action, now: float) -> str:
    """An action's state as it is kept."""
    if action.state is State.READY and action.not_before > now:
        return WAITING
    return action.state.value


def from_action(action: Action, now: float) -> tuple[Any, ...]:
    """The columns `KEPT_ACTION`."""
    # Names that are no UTF-8 come with the system's messages; SQLite takes no half characters.
    error = action.error.encode(errors="backslashreplace").decode()
    return (
        action.path, action.kind.value, kept_state(action, now), action.generation, action.size,
        action.added, action.not_before, action.tries, error, action.unsure, action.confirmed,
        action.size.bit_length(),
    )  # fmt: skip


def to_action(row: tuple[Any, ...]) -> Action:
    """An action, from the columns `ACTION`."""
    path, kind, state, generation, size, added, not_before, tries, error, unsure, confirmed = row
    return Action(
        path, Kind(kind), State.READY if state == WAITING else State(state), generation, size,
        added, not_before, tries, error, bool(unsure), bool(confirmed),
    )  # fmt: skip


def from_entry(entry: Entry) -> tuple[Any, ...]:
    """The columns `ENTRY`."""
    path, *numbers, tag, born_ns = entry
    return path, *map(from_number, numbers), from_text(tag), from_number(born_ns)


def to_entry(row: tuple[Any, ...]) -> Entry:
    """An entry, from the columns `ENTRY`."""
    path, size, mtime_ns, dev, ino, mode, tag, born_ns = row
    # One by one: a comparison has millions of them.
    return Entry(
        path, int(size), int(mtime_ns), int(dev), int(ino), int(mode),
        to_text(tag) if tag else "", int(born_ns),
    )  # fmt: skip


def from_number(number: int) -> int | str:
    """A number as it is kept: as text where SQLite's 64 bits with a sign are too few.

    Inodes have no sign, and the times of some file systems reach further than the year 2262.
    """
    return number if -(2**63) <= number < 2**63 else str(number)


def from_text(text: str) -> bytes:
    """A text that must come back as it was, also if it has half characters."""
    return text.encode(errors="surrogatepass")


def to_text(kept: bytes) -> str:
    """See `from_text`."""
    return kept.decode(errors="surrogatepass")


MANY: Final = 500
"""Rows that one statement writes: each statement lets all other threads go first."""


def batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """All rows, so many at once as one statement takes."""
    for start in range(0, len(rows), MANY):
        yield rows[start : start + MANY]


def marks(number: int) -> str:
    """So many of SQLite's placeholders."""
    return ", ".join("?" * number)
