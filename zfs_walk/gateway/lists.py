"""All served lists, copied from the bus by a thread of its own: no request of HTTP goes there."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, Protocol

from aiohttp import web

from zfs_walk.bus.filesjson import claim_fields, claim_place, file_fields, row_fields
from zfs_walk.gateway.query import Key, Selection
from zfs_walk.gateway.ring import Change, Ring
from zfs_walk.gateway.watch import Seen
from zfs_walk.lists.events import Changed, News
from zfs_walk.lists.replica import Copy, Replica, Row

SOON: Final = "1"
"""Seconds after which whoever was told to come again may do so: most lists are read in less."""

FIRST: Final = Key(b"", "", b"")
"""Before every row."""


class Hears(Protocol):
    """`Watch`, as the lists need it."""

    def seen(self) -> Seen:
        """As `Watch.seen`."""


class Followed(Protocol):
    """`FilesFollower`, as the lists need it."""

    replica: Replica
    lock: threading.Lock
    connected: bool


class Lists:
    """The copy, and what changes in it; used by HTTP's loop, while a thread feeds it."""

    def __init__(self, boot: str, source: Followed, watch: Hears) -> None:
        """Look at a copy.

        Args:
            boot: of this process: whoever remembers something of another one's is told so.
            source: has the copy, and feeds it.
            watch: knows whether the broker is there.
        """
        self._boot, self._source, self._watch = boot, source, watch
        self._replica, self._lock = source.replica, source.lock
        self._ring = Ring(boot)
        self._told = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._was_ready = False
        self._wakes: set[asyncio.Event] = set()
        self._replica.listeners.append(self._note)

    # ------------------------------------------------------------------ the feeding thread

    def changed(self) -> None:
        """Wake whoever waits for changes; called by the feeding thread after each event."""
        if self._ring.last != self._told and self._loop is not None:
            self._told = self._ring.last
            self._loop.call_soon_threadsafe(self._wake)

    def _note(self, news: News) -> None:
        """Number what changed, while the copy is locked."""
        host, path = news.host, news.path
        if not isinstance(news, Changed):
            copy = self._replica.copies.get((host, path))
            if copy is None:
                fields = {**claim_place(host, path), "serving": False, "gone": True}
            else:
                fields = _claim_fields(copy)
            self._ring.add("claim", None, host, partial(dict, fields))
            return
        for name in news.removed:
            self._ring.add("removed", name, host, partial(file_fields, name, host, path))
        for name, *figures in zip(*news.rows, strict=True):
            event = "added" if name in news.added else "changed"
            self._ring.add(event, name, host, partial(row_fields, name, host, path, *figures))

    # ------------------------------------------------------------------ HTTP's loop

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on this loop's readers are woken."""
        self._loop = loop

    @property
    def stamp(self) -> str:
        """Another one after every change."""
        return f"{self._boot}-{self._replica.stamp}"

    def unready(self) -> str:
        """Why the lists can't be told now; empty: they can."""
        seen = self._watch.seen()
        if not seen.fresh:
            return f"the broker has been silent for {seen.age:.0f} s"
        if not self._source.connected:
            return "the connection to the broker is being made"
        # Later on, a claim that comes back is left out until its list is read, and no other one.
        self._was_ready = self._was_ready or self._replica.ready
        return "" if self._was_ready else "the lists of the scouts are being read"

    def check(self) -> None:
        """Refuse what can't be answered now.

        Raises:
            web.HTTPServiceUnavailable: come again.
        """
        why = self.unready()
        if why:
            raise web.HTTPServiceUnavailable(reason=why, headers={"Retry-After": SOON})

    def rows(self, selection: Selection, after: Key | None, limit: int) -> list[Row]:
        """The next rows of the merged list, at most ``limit``."""
        with self._lock:
            return self._replica.merged(selection.prefix, selection.host, after or FIRST, limit)

    def claims(self) -> list[dict[str, Any]]:
        """All claims, by host and folder, as JSON has them."""
        with self._lock:
            copies = [copy for _, copy in sorted(self._replica.copies.items())]
        return [_claim_fields(copy) for copy in copies]

    def place(self, name: str | None) -> int | None:
        """A reader's place among the changes, by the id that he remembers."""
        with self._lock:
            return None if name is None else self._ring.place(name)

    def end(self) -> int:
        """The place after the last change."""
        return self._ring.last

    def id_of(self, place: int) -> str:
        """What a reader remembers a place by."""
        return self._ring.name(place)

    def changes(self, place: int, limit: int) -> list[Change] | None:
        """The next changes after a place; None: some of them are not there any more."""
        with self._lock:
            return self._ring.after(place, limit)

    @contextmanager
    def waking(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever something has changed."""
        wake = asyncio.Event()
        self._wakes.add(wake)
        try:
            yield wake
        finally:
            self._wakes.discard(wake)

    def _wake(self) -> None:
        for wake in self._wakes:
            wake.set()


def _claim_fields(copy: Copy) -> dict[str, Any]:
    files = copy.line.files if copy.files is None else len(copy.files)
    return claim_fields(copy.line, files, copy.line.since_ms / 1000)
