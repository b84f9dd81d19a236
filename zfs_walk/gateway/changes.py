"""``/files/changes``: what changes in the lists, as server-sent events."""

import asyncio
from typing import Final

import orjson
from aiohttp import web

from zfs_walk.gateway.connections import Connections, send
from zfs_walk.gateway.lists import Lists
from zfs_walk.gateway.query import Selection, parse_selection
from zfs_walk.gateway.ring import Change

KEEP_ALIVE: Final = 15.0
"""Seconds of silence after which a comment is sent: proxies give up a silent connection after 30 s
or more, and a reader that is gone is noticed."""

AT_ONCE: Final = 500
"""Changes that are put into one piece."""

RESET: Final = {
    "begin": "this stream begins: read /files now",
    "unknown": "what came after that event is not known any more: read /files again",
    "slow": "some changes were overtaken by others before they could be sent: read /files again",
}


class ChangesPage:
    """Serves the changes of `Lists`."""

    def __init__(self, lists: Lists, connections: Connections) -> None:
        """Serve these lists' changes."""
        self._lists, self._connections = lists, connections

    async def changes(self, request: web.Request) -> web.StreamResponse:
        """A stream that begins after the event that the reader had last, or with ``reset``."""
        selection = parse_selection(request.rel_url.raw_query_string)
        self._lists.check()
        headers = {
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store",
            # nginx would keep back what is small.
            "X-Accel-Buffering": "no",
        }
        response = web.StreamResponse(headers=headers)
        if request.method == "HEAD":
            return response
        with self._connections.stream(request):
            await response.prepare(request)
            await self._follow(response, selection, request.headers.get("Last-Event-ID"))
        return response

    async def _follow(
        self, response: web.StreamResponse, selection: Selection, known: str | None
    ) -> None:
        lists = self._lists
        place = lists.place(known)
        if place is None:
            place = lists.end()
            await send(response, self._reset("begin" if known is None else "unknown", place))
        with lists.waking() as wake:
            while True:
                wake.clear()
                changes = lists.changes(place, AT_ONCE)
                if changes is None:
                    place = lists.end()
                    await send(response, self._reset("slow", place))
                elif changes:
                    place = changes[-1].number
                    wanted = [self._wire(change) for change in changes if _is_in(change, selection)]
                    await send(response, b"".join(wanted))
                else:
                    try:
                        async with asyncio.timeout(KEEP_ALIVE):
                            await wake.wait()
                    except TimeoutError:
                        await send(response, b":\n\n")

    def _reset(self, why: str, place: int) -> bytes:
        return _event("reset", self._lists.id_of(place), {"why": RESET[why]})

    def _wire(self, change: Change) -> bytes:
        """Made when the first reader wants it: nobody may be there."""
        if not change.wire:
            name = self._lists.id_of(change.number)
            change.wire = _event(change.event, name, change.fields())
        return change.wire


def _is_in(change: Change, selection: Selection) -> bool:
    if change.name is None:
        return selection.host in {"", change.host}
    return selection.has(change.name, change.host)


def _event(event: str, name: str, fields: object) -> bytes:
    return b"event: %b\nid: %b\ndata: %b\n\n" % (
        event.encode(), name.encode(), orjson.dumps(fields),
    )  # fmt: skip
