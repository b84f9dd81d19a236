"""What a broker's first start makes: its keys, and a connection for whoever started it."""

import logging
import os
import pwd
import socket
from pathlib import Path

from zfs_walk.broker.keys import GATEWAY, Key, Keyring
from zfs_walk.bus.curve import Curve, new_pair
from zfs_walk.cli.keyfile import KeyFile, server_curve
from zfs_walk.config.connection import OWN, Connection, file_for, read_connection
from zfs_walk.errors import KeyFileError
from zfs_walk.protocol.messages import OPERATOR, READER

LOG = logging.getLogger("zfs_walk.broker")


def open_keyring(state: Path) -> tuple[Curve, Keyring]:
    """The broker's own keys and those that it lets in.

    Raises:
        KeyFileError: a file of them is no good, or not safe.
    """
    return server_curve(state), Keyring(KeyFile(state))


def give_operator(keys: Keyring, server: str, endpoint: str, state: Path) -> Path:
    """See to it that this user's commands can operate the broker; returns the connection file.

    It is where this user's commands look for it, or, if that can't be written (a service may have
    no home), in the state folder. Whoever can write that can give themselves a key anyway, so one
    that was lost or revoked is made anew.

    Args:
        keys: that the broker lets in.
        server: the broker's public key.
        endpoint: where the broker is bound.
        state: the broker's state folder.

    Raises:
        KeyFileError: no connection file can be used.
    """
    reachable = reachable_at(endpoint)
    path = file_for(reachable)
    try:
        _give(keys, server, reachable, path)
    except KeyFileError as error:
        LOG.warning("%s; the connection file is %s", error, state / OWN)
        path = state / OWN
        _give(keys, server, reachable, path)
    return path


def lend_to_gateway(keys: Keyring, server: str) -> Curve:
    """Keys for the broker's own gateway, which looks and logs; good as long as the broker lives."""
    public, secret = new_pair()
    keys.lend(Key(GATEWAY, public, (READER, GATEWAY)))
    return Curve(public, secret, server)


def _give(keys: Keyring, server: str, endpoint: str, path: Path) -> None:
    known = read_connection(path)
    if known is not None and known.server == server and known.endpoint == endpoint:
        key = keys.holder(known.public)
        if key is not None and OPERATOR in key.roles:
            return
    public, secret = new_pair()
    name = _free_name(keys)
    further = known.further if known is not None and known.server == server else ()
    made = Connection(endpoint, server, public, secret, name, (OPERATOR,), further)
    made.write(path, replace=True)
    keys.add(name, public, (OPERATOR,))


def reachable_at(endpoint: str) -> str:
    """Where this host's commands find a broker that listens at ``endpoint``."""
    for wildcard, loopback in (
        ("tcp://0.0.0.0:", "tcp://127.0.0.1:"),
        ("tcp://*:", "tcp://127.0.0.1:"),
        ("tcp://[::]:", "tcp://[::1]:"),
    ):
        if endpoint.startswith(wildcard):
            return loopback + endpoint.removeprefix(wildcard)
    return endpoint


def _free_name(keys: Keyring) -> str:
    """Tells people whose key it is; what is valid under that name stays valid."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # as in many containers
        user = f"uid{os.getuid()}"
    name = base = f"{user}@{socket.gethostname()}"
    number = 1
    while keys.named(name) is not None:
        number += 1
        name = f"{base}-{number}"
    return name
