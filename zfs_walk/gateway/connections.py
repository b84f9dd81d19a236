"""The connections of the gateway: bounded in time and number, apart from its streams."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web

from zfs_walk.gateway.answers import answer

LOG = logging.getLogger("zfs_walk.gateway")

SLOWEST: Final = 10.0
"""Seconds that a connection lives at most, unless it is a stream: a scraper's own limit is 10 s by
default."""

MOST: Final = 200
"""Connections that are open at once besides streams; one more ends the oldest, so that whoever
comes is served."""

MOST_STREAMS: Final = 500
"""Streams at once, of some 200 KB each; one more is refused, as those that are there are in use."""

STALLED: Final = 30.0
"""Seconds that a stream may wait for its reader to take something."""

LONGEST_LINE: Final = 64 * 2**10
"""Bytes of a request's line: a cursor has a name and a folder in it, of 4 KiB each on Linux."""


class Connections:
    """All connections, and how many of them are streams."""

    def __init__(self) -> None:
        """There are none yet."""
        self.open: dict[Connection, None] = {}
        self._streams = 0

    @contextmanager
    def stream(self, request: web.Request) -> Iterator[None]:
        """Let a connection last; a reader that takes nothing for `STALLED` seconds ends it.

        Raises:
            web.HTTPServiceUnavailable: there are too many of them.
        """
        if self._streams >= MOST_STREAMS:
            raise web.HTTPServiceUnavailable(
                reason=f"{MOST_STREAMS} streams are open already", headers={"Retry-After": "10"}
            )
        self._streams += 1
        try:
            if isinstance(request.protocol, Connection):
                request.protocol.last()
            yield
        except (TimeoutError, ConnectionError):
            abort(request)
        finally:
            self._streams -= 1


async def send(response: web.StreamResponse, piece: bytes) -> None:
    """Send a piece of a stream, at the reader's pace.

    Raises:
        TimeoutError: the reader takes nothing.
        ConnectionError: it is gone.
    """
    async with asyncio.timeout(STALLED):
        await response.write(piece)
    # Whoever reads fast must not keep the others waiting.
    await asyncio.sleep(0)


def abort(request: web.Request) -> None:
    """End a connection so that its reader knows: what he has got is not the whole."""
    if request.transport is not None:
        request.transport.abort()


class Connection(web.RequestHandler):
    """One connection, quiet about what it runs on."""

    def __init__(
        self, server: web.Server, loop: asyncio.AbstractEventLoop, all_of_them: Connections
    ) -> None:
        """Serve what comes.

        Args:
            server: aiohttp's.
            loop: the running one.
            all_of_them: this one will be counted among.
        """
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # as documented
            max_line_size=LONGEST_LINE,
        )
        self._open_ones = all_of_them.open
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, for a short time only."""
        super().connection_made(transport)
        self._timer = asyncio.get_running_loop().call_later(SLOWEST, self._abort)
        self._open_ones[self] = None
        if len(self._open_ones) > MOST:
            next(iter(self._open_ones))._abort()  # noqa: SLF001 -- one of us

    def last(self) -> None:
        """It is a stream: bounded in number otherwise, and not in time."""
        if self._timer is not None:
            self._timer.cancel()
        self._open_ones.pop(self, None)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget it."""
        self.last()
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
        response = answer(status, error="this is no request" if status < 500 else "failed")  # noqa: PLR2004
        response.headers.update({"Server": "", "Cache-Control": "no-store"})
        response.force_close()
        return response
