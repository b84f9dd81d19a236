"""Answers in JSON, and what makes one of an error."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from zfs_walk.gateway.query import WrongQueryError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

KEPT_HEADERS = ("Allow", "Retry-After", "WWW-Authenticate")
"""Of an error's headers, those that a client needs."""


def answer(status: int, **fields: Any) -> web.Response:
    """A JSON object."""
    return web.json_response({"schema": 1, **fields}, status=status)


@web.middleware
async def json_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Say in JSON what is wrong."""
    try:
        return await handler(request)
    except WrongQueryError as error:
        return answer(400, error=str(error))
    except web.HTTPException as error:
        response = answer(error.status, error=error.reason)
        for name in KEPT_HEADERS:
            if name in error.headers:
                response.headers[name] = error.headers[name]
        return response


def accepts_gzip(header: str) -> bool:
    """Whether an Accept-Encoding takes gzip; ``gzip;q=0`` does not."""
    taken = {}
    for word in header.lower().split(","):
        coding, _, quality = word.partition(";")
        taken[coding.strip()] = quality.replace(" ", "") not in {
            "q=0",
            "q=0.0",
            "q=0.00",
            "q=0.000",
        }
    return taken.get("gzip", taken.get("*", False))
