"""The HTTP server of the gateway."""

import asyncio
import hmac
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from zfs_walk.gateway.metrics import CONTENT_TYPE, exposition
from zfs_walk.gateway.watch import PATIENCE, Watch

LOG = logging.getLogger("zfs_walk.gateway")

SLOWEST: Final = 10.0
"""Seconds that a connection lives at most: a scraper's own limit is 10 s by default."""

MOST: Final = 200
"""Connections that are open at once; one more ends the oldest, so that whoever comes is served."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def serve(listener: socket.socket, watch: Watch, token: str) -> None:
    """Serve for ever.

    Args:
        listener: bound and listening.
        watch: knows the broker.
        token: that every request must bring; empty: none.
    """
    asyncio.run(_serve(listener, watch, token))


async def _serve(listener: socket.socket, watch: Watch, token: str) -> None:
    app = web.Application(middlewares=[_json_errors, _authorised(token)])
    pages = Pages(watch)
    app.router.add_get("/metrics", pages.metrics)
    app.router.add_get("/healthz", pages.health)
    app.router.add_get("/readyz", pages.readiness)
    app.on_response_prepare.append(_prepare)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    server, loop = runner.server, asyncio.get_running_loop()
    if server is None:
        return
    open_ones: dict[_Connection, None] = {}
    # Our own connections instead of a `web.SockSite`: those have no limit in time or number.
    listening = await loop.create_server(
        lambda: _Connection(server, loop, open_ones), sock=listener
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
        return _json(
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
        return _json(200 if ready else 503, ready=ready, age_seconds=round(seen.age, 3))


def _json(status: int, **fields: Any) -> web.Response:
    return web.json_response({"schema": 1, **fields}, status=status)


async def _prepare(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop("Server", None)
    response.headers["Cache-Control"] = "no-store"
    response.force_close()


@web.middleware
async def _json_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        response = _json(error.status, error=error.reason)
        for name in ("Allow", "WWW-Authenticate"):
            if name in error.headers:
                response.headers[name] = error.headers[name]
        return response


def _authorised(token: str) -> Any:
    expected = f"Bearer {token}".encode()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        if token and not hmac.compare_digest(given, expected):
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
        return await handler(request)

    return check


class _Connection(web.RequestHandler):
    """One connection: bounded in time, one of a bounded number, and quiet about what it runs on."""

    def __init__(
        self,
        server: web.Server,
        loop: asyncio.AbstractEventLoop,
        open_ones: "dict[_Connection, None]",
    ) -> None:
        super().__init__(server, loop=loop, access_log=None)  # type: ignore[arg-type]  # as documented
        self._open_ones = open_ones
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._timer = asyncio.get_running_loop().call_later(SLOWEST, self._abort)
        self._open_ones[self] = None
        if len(self._open_ones) > MOST:
            next(iter(self._open_ones))._abort()  # noqa: SLF001 -- one of us

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._open_ones.pop(self, None)
        super().connection_lost(exc)

    def _abort(self) -> None:
        self._open_ones.pop(self, None)
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 -- the overridden method's own
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 -- the same
    ) -> web.StreamResponse:
        """What is no HTTP gets an answer without a banner, and no line in the log."""
        if status >= 500:  # noqa: PLR2004 -- HTTP
            LOG.error("a request failed", exc_info=exc)
        response = _json(status, error="this is no request" if status < 500 else "failed")  # noqa: PLR2004
        response.headers.update({"Server": "", "Cache-Control": "no-store"})
        response.force_close()
        return response
