"""Which broker a command talks to, and with which key."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zfs_walk.cli.command import DEFAULT_BROKER, INSECURE
from zfs_walk.config.connection import Connection, read_connection, stored_default, stored_for
from zfs_walk.errors import NoKeyError, WrongUseError

if TYPE_CHECKING:
    from zfs_walk.bus.curve import Curve


ENDPOINT = re.compile(r"tcp://.+:[0-9]+")
BARE = re.compile(r"[^/\s]+:[0-9]+")
"""HOST:PORT without the scheme, as other programs take it."""


@dataclass(frozen=True, slots=True)
class Target:
    """A broker.

    Attributes:
        endpoint: where it listens.
        curve: this process's keys; None: none is wanted there.
    """

    endpoint: str
    curve: "Curve | None"


def find_target(broker: str) -> Target:
    """What ``--broker`` means; without it, what the stored connections say.

    Args:
        broker: an endpoint or HOST:PORT, a connection file, or nothing.

    Raises:
        WrongUseError: ``broker`` is neither.
        KeyFileError: a connection file is no good, or not safe.
        NoKeyError: there is no key for the broker, and ``--insecure`` is not given.
    """
    if BARE.fullmatch(broker):
        broker = f"tcp://{broker}"
    if click.get_current_context().meta.get(INSECURE):
        return Target(_endpoint_of(broker), None)
    if broker.startswith(("ipc://", "inproc://")):
        return Target(broker, None)
    connection = _find(broker)
    if connection is None:
        raise NoKeyError(endpoint=broker or DEFAULT_BROKER)
    from zfs_walk.bus.curve import Curve  # noqa: PLC0415 -- ZeroMQ, which --help does not need

    curve = Curve(connection.public, connection.secret, connection.server)
    return Target(connection.endpoint, curve)


def _find(broker: str) -> Connection | None:
    if not broker:
        return stored_default(DEFAULT_BROKER)
    if "://" in broker:
        if not ENDPOINT.fullmatch(broker):
            raise WrongUseError(
                reason=f"{broker} is no endpoint; they look like tcp://HOST:PORT or ipc:///PATH"
            )
        return stored_for(broker)
    connection = read_connection(Path(broker))
    if connection is None:
        raise WrongUseError(
            reason=f"{broker} is no endpoint and no connection file; endpoints look like"
            " tcp://HOST:PORT or ipc:///PATH"
        )
    return connection


def _endpoint_of(broker: str) -> str:
    """Without keys a connection file still says where the broker is."""
    if "://" in broker:
        return broker
    connection = _find(broker)
    return DEFAULT_BROKER if connection is None else connection.endpoint
