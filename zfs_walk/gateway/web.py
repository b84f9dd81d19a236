"""The HTTP server of the gateway."""

import asyncio
import hmac
import socket
from typing import Any

from aiohttp import web

from zfs_walk.gateway.answers import Handler, answer, json_errors
from zfs_walk.gateway.changes import ChangesPage
from zfs_walk.gateway.connections import Connection, Connections
from zfs_walk.gateway.files import FilePages
from zfs_walk.gateway.lists import Lists
from zfs_walk.gateway.metrics import CONTENT_TYPE, exposition
from zfs_walk.gateway.watch import PATIENCE, Watch


def serve(listener: socket.socket, watch: Watch, lists: Lists, token: str) -> None:
    """Serve for ever.

    Args:
        listener: bound and listening.
        watch: knows the broker.
        lists: the scouts', not yet begun.
        token: that every request must bring; empty: none.
    """
    asyncio.run(_serve(listener, watch, lists, token))


async def _serve(listener: socket.socket, watch: Watch, lists: Lists, token: str) -> None:
    app = web.Application(middlewares=[json_errors, _authorised(token)])
    pages, connections = Pages(watch), Connections()
    files, changes = FilePages(lists, connections), ChangesPage(lists, connections)
    app.router.add_get("/metrics", pages.metrics)
    app.router.add_get("/healthz", pages.health)
    app.router.add_get("/readyz", pages.readiness)
    app.router.add_get("/files", files.files)
    app.router.add_get("/files/changes", changes.changes)
    app.router.add_get("/claims", files.claims)
    app.on_response_prepare.append(_prepare)
    lists.start(asyncio.get_running_loop())
    # A stream ends when its reader goes, not only when there is something to send.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    server, loop = runner.server, asyncio.get_running_loop()
    if server is None:
        return
    # Our own connections instead of a `web.SockSite`: those have no limit in time or number.
    listening = await loop.create_server(
        lambda: Connection(server, loop, connections), sock=listener
    )
    await listening.serve_forever()


class Pages:
    """What is served."""

    def __init__(self, watch: Watch) -> None:
        """Serve what a watch has seen."""
        self._watch = watch

    async def metrics(self, _request: web.Request) -> web.Response:
        """OpenMetrics."""
        body = exposition(self._watch.seen())
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    async def health(self, _request: web.Request) -> web.Response:
        """200 while the broker lives."""
        seen = self._watch.seen()
        return answer(
            200 if seen.fresh else 503,
            healthy=seen.fresh,
            age_seconds=round(seen.age, 3),
            limit_seconds=PATIENCE,
        )

    async def readiness(self, _request: web.Request) -> web.Response:
        """200 once the broker has answered, and as long as it does.

        A broker that can't write its journal, or is asked to stop, ends: it answers no more.
        """
        seen = self._watch.seen()
        ready = seen.fresh and seen.reply is not None
        return answer(200 if ready else 503, ready=ready, age_seconds=round(seen.age, 3))


async def _prepare(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop("Server", None)
    response.headers.setdefault("Cache-Control", "no-store")
    response.force_close()


def _authorised(token: str) -> Any:
    expected = f"Bearer {token}".encode()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        if token and not hmac.compare_digest(given, expected):
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
        return await handler(request)

    return check
