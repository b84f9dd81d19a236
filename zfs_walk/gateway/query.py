"""What a request for files asks for: its parameters, and where a page goes on. No I/O."""

from base64 import b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, NamedTuple, Self
from urllib.parse import parse_qsl

MOST_LIMIT: Final = 100_000
"""Rows of one page: what is more is better streamed."""

JSON, NDJSON = "json", "ndjson"


class WrongQueryError(Exception):
    """The text says what is wrong, and what is wanted."""


class Key(NamedTuple):
    """A row's place in the order of all."""

    name: bytes
    host: str
    path: bytes

    def cursor(self) -> str:
        """As text for a URL. None of the parts can have a zero byte."""
        parts = b"\0".join((self.name, self.host.encode(), self.path))
        return urlsafe_b64encode(parts).decode().rstrip("=")

    @classmethod
    def of_cursor(cls, text: str) -> Self:
        """Read a cursor.

        Raises:
            WrongQueryError: it is none of ours.
        """
        try:
            raw = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            name, host, path = raw.split(b"\0")
            key = cls(name, host.decode(), path)
        except (Error, ValueError) as error:
            message = "after: the `next` of an earlier answer is wanted"
            raise WrongQueryError(message) from error
        return key


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files.

    Attributes:
        prefix: what their names begin with.
        host: of the scout; empty: any.
    """

    prefix: bytes
    host: str

    def has(self, name: bytes, host: str) -> bool:
        """Whether this file is one of them."""
        return name.startswith(self.prefix) and self.host in {"", host}


@dataclass(frozen=True, slots=True)
class Query:
    """What ``/files`` is asked for.

    Attributes:
        selection: which files.
        after: those that sort after this one; None: from the first one.
        limit: at most so many; None: all.
        ndjson: a line of JSON a file, instead of one object.
    """

    selection: Selection
    after: Key | None
    limit: int | None
    ndjson: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URL's query.

        Raises:
            WrongQueryError: something in it is unknown, given twice, or not what it must be.
        """
        given = _parameters(text, {"prefix", "host", "after", "limit", "format"})
        form = given.get("format", b"json").decode(errors="replace")
        if form not in {JSON, NDJSON}:
            message = f"format: {JSON} or {NDJSON} wanted"
            raise WrongQueryError(message)
        cursor = given.get("after")
        return cls(
            _selection(given),
            None if cursor is None else Key.of_cursor(cursor.decode(errors="replace")),
            _limit(given.get("limit")),
            form == NDJSON,
        )


def parse_selection(text: str) -> Selection:
    """Read a query that only selects, that of ``/files/changes``.

    Raises:
        WrongQueryError: as in `Query.parse`.
    """
    return _selection(_parameters(text, {"prefix", "host"}))


def parse_nothing(text: str) -> None:
    """Read a query that must be empty.

    Raises:
        WrongQueryError: it is not.
    """
    _parameters(text, ())


def _parameters(text: str, known: Collection[str]) -> dict[str, bytes]:
    """Name -> value, whose escaped bytes need not be UTF-8."""
    found: dict[str, bytes] = {}
    wanted = ", ".join(sorted(known)) or "none"
    for name, value in parse_qsl(text, keep_blank_values=True, errors="surrogateescape"):
        if name not in known:
            message = f"{name.encode(errors='replace').decode()!r} is unknown; known are: {wanted}"
            raise WrongQueryError(message)
        if name in found:
            message = f"{name}: given twice"
            raise WrongQueryError(message)
        found[name] = value.encode(errors="surrogateescape")
    return found


def _selection(given: dict[str, bytes]) -> Selection:
    try:
        host = given.get("host", b"").decode()
    except UnicodeDecodeError as error:
        message = "host: a host's name, in UTF-8, wanted"
        raise WrongQueryError(message) from error
    return Selection(given.get("prefix", b""), host)


def _limit(value: bytes | None) -> int | None:
    if value is None:
        return None
    # No number of more digits is in range, and Python refuses to read the longest.
    number = int(value) if value.isdigit() and len(value) < 10 else 0  # noqa: PLR2004 -- digits
    if not 1 <= number <= MOST_LIMIT:
        message = f"limit: a number from 1 to {MOST_LIMIT} wanted; without one all are streamed"
        raise WrongQueryError(message)
    return number
