"""The database: its URL, and how it is connected to."""

import contextlib
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from zfs_walk.errors import MissingExtraError, WrongUseError

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.engine import URL

CONNECT: Final = 10
"""Seconds that connecting may take."""

STATEMENT: Final = 30
"""Seconds that a statement may take."""


def parse(text: str) -> "URL":
    """A database's URL, as SQLAlchemy has it.

    Raises:
        MissingExtraError: what it needs is not installed.
        WrongUseError: it is none, or of a database that is not supported.
    """
    try:
        from sqlalchemy.engine import make_url  # noqa: PLC0415 -- an extra
        from sqlalchemy.exc import ArgumentError  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError(
            feature="Telling a database", package="SQLAlchemy", extra="notify"
        ) from error
    try:
        url = make_url(text)
    except ArgumentError:
        # Not the text itself: it may have a password in it.
        reason = "a database's URL is sqlite:////PATH or postgresql://HOST/DATABASE"
        raise WrongUseError(reason=reason) from None
    name = url.get_backend_name()
    if name in {"postgresql", "postgres"}:
        return url.set(drivername="postgresql+psycopg")
    if name == "sqlite" and url.database not in {None, "", ":memory:"}:
        return url
    reason = f"no uploader writes to {name}; there are sqlite:////PATH and postgresql://HOST/NAME"
    raise WrongUseError(reason=reason)


def has_password(text: str) -> bool:
    """Whether a text that may be a URL has a password in it."""
    with contextlib.suppress(ValueError):
        found = urlsplit(text)
        return found.password is not None or "password" in parse_qs(found.query)
    return True


def open_engine(url: "URL") -> "Engine":
    """Nothing is connected yet.

    Raises:
        MissingExtraError: the database's driver is not installed.
    """
    from sqlalchemy import create_engine  # noqa: PLC0415 -- an extra
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    arguments: dict[str, Any] = {"timeout": STATEMENT}
    if url.get_backend_name() == "postgresql":
        arguments = {
            "connect_timeout": CONNECT,
            "options": f"-c statement_timeout={STATEMENT}s",
            "application_name": "zfs_walk",
            "keepalives_idle": CONNECT,
            "keepalives_interval": CONNECT,
            "keepalives_count": 3,
        }
    try:
        return create_engine(url, connect_args=arguments, poolclass=NullPool)
    except ImportError as error:
        raise MissingExtraError(
            feature="PostgreSQL", package="psycopg", extra="postgres"
        ) from error
