"""Which broker a command talks to, and with which key."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from zfs_walk.cli.command import DEFAULT_BROKER, INSECURE
from zfs_walk.config.connection import (
    Connection,
    plain,
    read_connection,
    stored_default,
    stored_for,
)
from zfs_walk.errors import NoKeyError, WrongUseError

if TYPE_CHECKING:
    from zfs_walk.bus.curve import Curve


ENDPOINT = re.compile(r"tcp://.+:[0-9]+")
BARE = re.compile(r"[^/\s,]+:[0-9]+")
"""HOST:PORT without the scheme, as other programs take it."""

KEYLESS: Final = ("ipc://", "inproc://")


@dataclass(frozen=True, slots=True)
class Target:
    """A broker.

    Attributes:
        endpoints: where it may be, to be tried in turn; one at least.
        curve: this process's keys; None: none is wanted there.
    """

    endpoints: tuple[str, ...]
    curve: "Curve | None"

    @property
    def named(self) -> str:
        """Its endpoints, for messages."""
        return ", ".join(self.endpoints)


def find_target(broker: str) -> Target:
    """What ``--broker`` means; without it, what the stored connections say.

    Args:
        broker: endpoints or HOST:PORT with commas between them, a connection file, or nothing.

    Raises:
        WrongUseError: ``broker`` is neither, or its endpoints are those of several brokers.
        KeyFileError: a connection file is no good, or not safe.
        NoKeyError: there is no key for the broker, and ``--insecure`` is not given.
    """
    named = _endpoints_in(broker)
    insecure = click.get_current_context().meta.get(INSECURE)
    if named and (insecure or all(endpoint.startswith(KEYLESS) for endpoint in named)):
        return Target(named, None)
    connection = _stored(named) if named else _file(broker)
    if insecure:
        return Target((DEFAULT_BROKER,) if connection is None else connection.endpoints, None)
    if connection is None:
        raise NoKeyError(endpoint=broker or DEFAULT_BROKER)
    from zfs_walk.bus.curve import Curve  # noqa: PLC0415 -- ZeroMQ, which --help does not need

    curve = Curve(connection.public, connection.secret, connection.server)
    spelled = {plain(endpoint): endpoint for endpoint in connection.endpoints}
    first = (spelled.get(plain(endpoint), endpoint) for endpoint in named)
    return Target(tuple(dict.fromkeys((*first, *connection.endpoints))), curve)


def _endpoints_in(broker: str) -> tuple[str, ...]:
    """The endpoints that are named; nothing if it is a file, or nothing is."""
    parts = [part.strip() for part in broker.split(",")]
    if "://" not in broker and not all(map(BARE.fullmatch, parts)):
        return ()
    endpoints = [f"tcp://{part}" if BARE.fullmatch(part) else part for part in parts]
    for endpoint in endpoints:
        if not endpoint.startswith(KEYLESS) and not ENDPOINT.fullmatch(endpoint):
            raise WrongUseError(
                reason=f"{endpoint} is no endpoint; they look like tcp://HOST:PORT or ipc:///PATH"
            )
    return tuple(dict.fromkeys(endpoints))


def _stored(endpoints: tuple[str, ...]) -> Connection | None:
    """The connection to the broker at these endpoints; the first one that is stored."""
    stored = [stored_for(endpoint) for endpoint in endpoints if not endpoint.startswith(KEYLESS)]
    found = [connection for connection in stored if connection is not None]
    if len({connection.server for connection in found}) > 1:
        raise WrongUseError(
            reason=f"{', '.join(endpoints)} are different brokers: the stored connections to them"
            " have different keys of the broker; name the endpoints of one, or a connection file"
        )
    return found[0] if found else None


def _file(broker: str) -> Connection | None:
    if not broker:
        return stored_default(DEFAULT_BROKER)
    connection = read_connection(Path(broker))
    if connection is None:
        raise WrongUseError(
            reason=f"{broker} is no endpoint and no connection file; endpoints look like"
            " tcp://HOST:PORT or ipc:///PATH"
        )
    return connection
