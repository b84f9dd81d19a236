"""``/files`` and ``/claims``: the merged list, in pages or as a stream, and who watches what."""

from collections.abc import Iterator
from typing import Any, Final

import orjson
from aiohttp import ETag, web

from zfs_walk.bus.filesjson import row_fields
from zfs_walk.gateway.answers import accepts_gzip
from zfs_walk.gateway.connections import Connections, abort, send
from zfs_walk.gateway.lists import Lists
from zfs_walk.gateway.query import Key, Query, parse_nothing

PIECE: Final = 1_000
"""Rows that are merged and sent at once: some 5 ms of the gateway's loop."""

TYPES: Final = {False: "application/json", True: "application/x-ndjson"}
"""Content types of one object and of lines."""

HEAD: Final = b'{"schema":1,"files":['

BETWEEN: Final = b'},{"filename":"'
BREAK: Final = b'}\n{"filename":"'
"""What is between two rows of an array, and of lines. It can't be in a string, where a quote has a
backslash before it, nor begin in one, after whose last quote there is no letter. One call for many
rows is 15 times as fast as one for each."""


class FilePages:
    """Serves `Lists`."""

    def __init__(self, lists: Lists, connections: Connections) -> None:
        """Serve these lists; whole ones as streams."""
        self._lists, self._connections = lists, connections

    async def files(self, request: web.Request) -> web.StreamResponse:
        """The merged list: a page, or all of it, streamed."""
        query = Query.parse(request.rel_url.raw_query_string)
        self._lists.check()
        etag = ETag(self._lists.stamp, is_weak=True)
        headers = {
            "Cache-Control": "no-cache",
            "Vary": "Accept-Encoding",
            "Content-Type": f"{TYPES[query.ndjson]}; charset=utf-8",
        }
        if _is_known(request, etag):
            response: web.StreamResponse = web.Response(status=304, headers=headers)
            response.etag = etag
            return response
        pieces = self.body(query)
        is_page = query.limit is not None and query.limit <= PIECE
        if is_page and request.method != "HEAD":
            response = web.Response(body=b"".join(pieces), headers=headers)
        else:
            response = web.StreamResponse(headers=headers)
        response.etag = etag
        if accepts_gzip(request.headers.get("Accept-Encoding", "")):
            response.enable_compression(web.ContentCoding.gzip)
        if is_page or request.method == "HEAD":
            return response
        with self._connections.stream(request):
            await self._stream(request, response, pieces)
        return response

    async def claims(self, request: web.Request) -> web.Response:
        """Who watches what, and how healthy it is."""
        parse_nothing(request.rel_url.raw_query_string)
        self._lists.check()
        body = orjson.dumps({"schema": 1, "claims": self._lists.claims()})
        return web.Response(body=body, content_type=TYPES[False])

    async def _stream(
        self, request: web.Request, response: web.StreamResponse, pieces: Iterator[bytes]
    ) -> None:
        await response.prepare(request)
        for piece in pieces:
            await send(response, piece)
            if self._lists.unready():
                # What is left would be too short, and look whole.
                abort(request)
                return
        await response.write_eof()

    def body(self, query: Query) -> Iterator[bytes]:
        """The body, merged anew for each piece: the lists may change between two of them."""
        if query.ndjson:
            for rows, _ in self._rows(query):
                if rows:
                    yield orjson.dumps(rows)[1:-1].replace(BETWEEN, BREAK) + b"\n"
            return
        begin, cursor = HEAD, None
        for rows, following in self._rows(query):
            # There are none where the rest of the list has left since the last piece.
            if rows:
                yield begin + orjson.dumps(rows)[1:-1]
                begin = b","
            cursor = following.cursor() if following else None
        yield (HEAD if begin is HEAD else b"") + b'],"next":' + orjson.dumps(cursor) + b"}\n"

    def _rows(self, query: Query) -> Iterator[tuple[list[dict[str, Any]], Key | None]]:
        """Pieces of rows, each with the key to go on after unless there are no more."""
        after, left = query.after, query.limit
        while True:
            most = PIECE if left is None else min(PIECE, left)
            rows = self._lists.rows(query.selection, after, most + 1)
            more = len(rows) > most
            del rows[most:]
            after = Key(*rows[-1][:3]) if more else None
            yield [row_fields(*row) for row in rows], after
            left = None if left is None else left - len(rows)
            if not more or left == 0:
                return


def _is_known(request: web.Request, etag: ETag) -> bool:
    known = request.if_none_match or ()
    return any(each.value in {"*", etag.value} for each in known)
