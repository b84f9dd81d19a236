"""What the gateway of a site answers over HTTP."""

import base64
import contextlib
import http.client
import json
from pathlib import Path
from typing import Any, NamedTuple

from tests.process.place import Site


class Listed(NamedTuple):
    """A file of `/files`; they sort as the answer does."""

    name: bytes
    host: str
    claim: Path
    size: int
    mtime_ns: int


def connect(site: Site, timeout: float = 20.0) -> http.client.HTTPConnection:
    """A connection to the gateway."""
    return http.client.HTTPConnection(site.http.removeprefix("http://"), timeout=timeout)


def fetch(
    site: Site, path: str, method: str = "GET", **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    """Ask once; names of headers with _ in the place of -."""
    with contextlib.closing(connect(site)) as connection:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=sent)
        reply = connection.getresponse()
        return reply, reply.read()


def told(site: Site, path: str) -> Any:
    """The JSON of a path."""
    reply, body = fetch(site, path)
    assert reply.status == 200, body
    return json.loads(body)


def status(site: Site, path: str) -> int:
    """The status of an answer; 0 if there is none."""
    try:
        return fetch(site, path)[0].status
    except (OSError, http.client.HTTPException):
        return 0


def listed(site: Site) -> list[Listed]:
    """All of `/files`, in its order."""
    return [
        Listed(
            base64.b64decode(file["filename_b64"])
            if "filename_b64" in file
            else file["filename"].encode(),
            file["host"], Path(file["claim"]), file["size"], file["mtime_ns"],
        )
        for file in told(site, "/files")["files"]
    ]  # fmt: skip
