"""Events that wait for the database: durable, first in, first out, each at least once."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from threading import Event as Flag
from typing import Any, Final, NamedTuple

import msgpack

from zfs_walk.errors import MissingExtraError
from zfs_walk.mirror.records import Kind
from zfs_walk.mirror.story import Event, Stage

_FILE: Final = "data.db"
"""What persist-queue calls it."""

_FORGET_EVERY: Final = 200
"""Items that were acknowledged, after which they are taken out of the file."""


class Item(NamedTuple):
    """What was put at once.

    Attributes:
        id: for `Outbox.done`.
        events: in their order.
    """

    id: int
    events: tuple[Event, ...]


class _Packed:
    """persist-queue's serializer: names are bytes, and nothing is run when it is read."""

    @staticmethod
    def dumps(value: Any) -> bytes:
        """To bytes."""
        packed: bytes = msgpack.packb(value, unicode_errors="surrogatepass")
        return packed

    @staticmethod
    def loads(raw: bytes) -> Any:
        """From bytes."""
        return msgpack.unpackb(raw, unicode_errors="surrogatepass")


class Outbox:
    """One mapping's. Several threads may put, one takes.

    Args:
        folder: of its own.
        wake: set whenever there is something new.

    Raises:
        MissingExtraError: persist-queue is not installed.
        sqlite3.DatabaseError: the file is damaged, or another program's.
    """

    def __init__(self, folder: Path, wake: Flag) -> None:
        try:
            from persistqueue import SQLiteAckQueue  # noqa: PLC0415 -- an extra
        except ImportError as error:
            raise MissingExtraError(
                feature="Telling a database", package="persist-queue", extra="notify"
            ) from error
        _check(folder / _FILE)
        # Whoever took something and did not say how it went is given it again.
        self._queue = SQLiteAckQueue(
            str(folder), multithreading=True, auto_resume=True, serializer=_Packed
        )
        self._wake = wake
        self._done = 0

    def put(self, events: Sequence[Event]) -> None:
        """Keep them; durable when it returns.

        Raises:
            sqlite3.DatabaseError: there is no room for them.
        """
        self._queue.put([(*event,) for event in events])
        self._wake.set()

    def take(self, most: int) -> list[Item]:
        """The oldest items, so many at most; they are given again after a new start."""
        from persistqueue import Empty  # noqa: PLC0415 -- an extra

        taken: list[Item] = []
        while len(taken) < most:
            try:
                raw = self._queue.get(block=False, raw=True)
            except Empty:
                break
            taken.append(Item(raw["pqid"], tuple(map(_event, raw["data"]))))
        return taken

    def done(self, items: Sequence[Item]) -> None:
        """They have arrived."""
        for item in items:
            self._queue.ack(id=item.id)
        self._done += len(items)
        if self._done >= _FORGET_EVERY:
            self._done = 0
            self._queue.clear_acked_data(max_delete=0, keep_latest=0)

    def close(self) -> None:
        """Close the file."""
        self._queue.close()


def _check(file: Path) -> None:
    """See that it is a database, or becomes one: persist-queue would leave it open if it is not."""
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA schema_version").fetchone()


def _event(raw: Sequence[Any]) -> Event:
    number, path, kind, stage, *rest = raw
    return Event(number, path, Kind(kind), Stage(stage), *rest)
