"""Writes into the database what mirrors tell, whenever that is there."""

import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event as Flag
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from zfs_walk.errors import ZfsWalkError
from zfs_walk.mirror.handling import Transferring
from zfs_walk.mirror.story import ENDS, Event
from zfs_walk.names import text
from zfs_walk.notify.outbox import Item, Outbox
from zfs_walk.notify.schema import prepare, tables

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Table

AT_ONCE: Final = 50
"""Items that are written in one transaction."""

PROGRESS_EVERY: Final = 2.0
"""Seconds between two looks at what is being sent."""

AGAIN: Final = (1.0, 30.0)
"""Seconds until a database that is away is tried again, at first and at most."""

_log = logging.getLogger("zfs_walk.notify")


@dataclass(frozen=True, slots=True)
class Progress:
    """How a mapping is.

    Attributes:
        row: columns of its row, but for its id and the time.
        transfers: files that it is sending.
    """

    row: Mapping[str, Any]
    transfers: Sequence[Transferring]


@dataclass(slots=True)
class Teller:
    """A mapping that tells.

    Attributes:
        id: of its journal.
        outbox: what it has told.
        items: in hand: taken from the outbox, and not written yet.
    """

    id: str
    outbox: Outbox
    items: list[Item] = field(default_factory=list)


class Writer:
    """Writes what tellers tell, in a thread of its own; it keeps nobody waiting.

    Args:
        engine: of the database.
        tellers: whose outboxes wake it.
        wake: set by them.

    Attributes:
        trouble: why nothing can be written; empty: it can.
        progress: how mappings are, by the ids of their journals; whoever knows sets it.
    """

    def __init__(self, engine: "Engine", tellers: Sequence[Teller], wake: Flag) -> None:
        self._engine = engine
        self._tellers = tuple(tellers)
        self._wake = wake
        self._closing = Flag()
        self._prepared = False
        self._pause = AGAIN[0]
        self._progress_at = 0.0
        self.trouble = ""
        self.progress: Mapping[str, Progress] = {}
        self._thread = Thread(target=self._run, name="notify", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self, timeout: float) -> None:
        """Write what there is if the database is there, for so many seconds; the rest is kept."""
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout)
        for teller in self._tellers:
            teller.outbox.close()
        self._engine.dispose()

    # -- the thread

    def _run(self) -> None:
        while True:
            closing = self._closing.is_set()
            wait = self._turn()
            if closing:
                return
            self._wake.wait(wait)
            self._wake.clear()
            if self.trouble:
                self._closing.wait(wait)

    def _turn(self) -> float:
        """Write what there is; returns seconds until it is to be looked again."""
        from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 -- an extra

        try:
            if not self._prepared:
                prepare(self._engine)
                self._prepared = True
            while self._write():
                pass
            self._tell_progress()
        except (SQLAlchemyError, ZfsWalkError) as error:
            return self._fail(error)
        except Exception as error:  # noqa: BLE001 -- no mirror ends because of it, and it is seen
            _log.exception("telling the database failed")
            return self._fail(error)
        if self.trouble:
            _log.info("the database is told again")
        self.trouble, self._pause = "", AGAIN[0]
        return PROGRESS_EVERY

    def _fail(self, error: Exception) -> float:
        reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        if reason != self.trouble:
            _log.warning("the database can't be told, what is to be told waits: %s", reason)
        self.trouble = reason
        self._pause = min(2 * self._pause, AGAIN[1])
        return self._pause * random.uniform(0.5, 1.0)  # noqa: S311 -- so that not all come at once

    def _write(self) -> bool:
        """Write some of what waits; False: there is nothing."""
        for teller in self._tellers:
            teller.items += teller.outbox.take(AT_ONCE - len(teller.items))
        having = [teller for teller in self._tellers if teller.items]
        if not having:
            return False
        rows = [row for teller in having for row in _rows(teller)]
        with self._engine.begin() as connection:
            _put(connection, tables().action, ("mapping_id", "number"), rows)
        for teller in having:
            teller.outbox.done(teller.items)
            teller.items = []
        return True

    def _tell_progress(self) -> None:
        now = monotonic()
        if now < self._progress_at and not self._closing.is_set():
            return
        self._progress_at = now + PROGRESS_EVERY
        known = tables()
        told_at = datetime.now(UTC)
        looks = list(self.progress.items())
        mappings = [{"mapping_id": id_, "told_at": told_at, **look.row} for id_, look in looks]
        transfers = [_transfer(id_, one) for id_, look in looks for one in look.transfers]
        with self._engine.begin() as connection:
            _put(connection, known.mapping, ("mapping_id",), mappings)
            ids = [id_ for id_, _ in looks]
            connection.execute(known.transfer.delete().where(known.transfer.c.mapping_id.in_(ids)))
            if transfers:
                connection.execute(known.transfer.insert(), transfers)


def _rows(teller: Teller) -> list[dict[str, Any]]:
    """What is to be written of its actions: of each the last that was told."""
    last = {event.number: event for item in teller.items for event in item.events}
    return [_action(teller.id, event) for event in last.values()]


def _action(mapping: str, event: Event) -> dict[str, Any]:
    changed = _time(event.time)
    return {
        "mapping_id": mapping,
        "number": event.number,
        **columns_of(event.path),
        "kind": event.kind.value,
        "stage": event.stage.value,
        "size": event.size,
        "tries": event.tries,
        "detail": _text(event.detail),
        "queued_at": _time(event.queued),
        "changed_at": changed,
        "ended_at": changed if event.stage in ENDS else None,
    }


def _transfer(mapping: str, one: Transferring) -> dict[str, Any]:
    return {
        "mapping_id": mapping,
        **columns_of(one.path),
        "size": one.size,
        "sent": one.sent,
        "since": _time(one.since),
        "parts": one.parts,
        "parts_done": one.parts_done,
    }


def columns_of(path: bytes) -> dict[str, Any]:
    """A path's columns: its bytes, and a text that shows them."""
    return {"path": path, "path_text": text(path)[0]}


def _text(given: str) -> str:
    """What every database takes: UTF-8 without NUL."""
    return given.encode(errors="backslashreplace").decode().replace("\0", "\\x00")


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _put(
    connection: "Connection", table: "Table", key: tuple[str, ...], rows: list[dict[str, Any]]
) -> None:
    """Write rows, in place of those that have the same keys."""
    from sqlalchemy.dialects import postgresql, sqlite  # noqa: PLC0415 -- an extra

    if not rows:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    insert = dialect.insert(table)
    others = {name: insert.excluded[name] for name in rows[0] if name not in key}
    connection.execute(insert.on_conflict_do_update(index_elements=key, set_=others), rows)
