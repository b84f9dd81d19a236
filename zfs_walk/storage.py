"""Files of state that outlive a process: their locks, and SQLite as we want it."""

import contextlib
import fcntl
import os
import sqlite3
from pathlib import Path

from zfs_walk.errors import JournalError, StateError, StateInUseError


def lock(folder: Path, name: str = "lock") -> int:
    """Take the folder's lock, as long as this process lives; returns the descriptor.

    Raises:
        StateInUseError: another process has it.
        StateError: it can't be written.
    """
    try:
        descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(path=folder, reason=error.strerror) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(descriptor, 32).decode(errors="replace").strip() or "?"
        os.close(descriptor)
        raise StateInUseError(path=folder, pid=holder) from error
    # The number is for people only: a full disk is the journal's to complain about.
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


def is_locked(folder: Path, name: str = "lock") -> bool:
    """Whether a process that lives has the folder's lock."""
    try:
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def connect(path: Path | str) -> sqlite3.Connection:
    """Open a database that only this user can read: WAL, ``synchronous=FULL``, autocommit.

    Args:
        path: the file, or ":memory:".

    Raises:
        sqlite3.DatabaseError: it can't be; `failure` says what that means.
    """
    if str(path) != ":memory:":
        make_private(path)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        # Takes effect where there is no table yet.
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def failure(
    path: Path | str, error: sqlite3.DatabaseError, if_damaged: str
) -> JournalError | StateError:
    """What SQLite's error means to whoever runs us.

    Args:
        path: the file.
        error: that was raised.
        if_damaged: what to do about a file that is damaged.
    """
    if "malformed" in str(error):
        return StateError(path=path, reason=f"it is damaged ({error}); {if_damaged}")
    if "not a database" in str(error):
        return StateError(path=path, reason="it holds a file that is no journal")
    return JournalError(path=path, reason=str(error))


def make_private(path: Path | str) -> None:
    """Have a file for a database that its user alone can read; SQLite's other files get its mode.

    Paths are in it: the folder may be open to others.
    """
    with contextlib.suppress(OSError):  # SQLite will say what is wrong
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
