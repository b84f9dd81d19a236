"""``zfs-broker``: the one process of a site that knows who is alive and holds the ledger."""

import logging
import os
import resource
import secrets
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zfs_walk import __version__
from zfs_walk.cli.command import (
    DEFAULT_BROKER,
    SECONDS,
    host_name,
    refuse_root,
    run_command,
    shared,
)
from zfs_walk.cli.logs import begin_logging, close_log, log_options, open_log
from zfs_walk.errors import WrongUseError

if TYPE_CHECKING:
    from zfs_walk.broker.history import History
    from zfs_walk.broker.relay import Relay
    from zfs_walk.bus.sockets import Bus

IPC = "ipc://"

BROKER = "broker"
"""Its role, and its name: a host has one."""

LOG = logging.getLogger("zfs_walk.broker")


@click.command(
    epilog="""Examples:

\b
  zfs-broker
  zfs-broker --bind tcp://0.0.0.0:5570 --state /var/lib/zfs_walk

Exit codes: 0 ended by a signal, 2 wrong use, 6 the state folder is in use or unusable, 7 the
journal can't be written, 14 a file of keys can't be used."""
)
@click.option(
    "--bind", metavar="ENDPOINT", default=DEFAULT_BROKER, show_default=True,
    help="Where to listen; tcp://127.0.0.1:* takes a free port.",
)  # fmt: skip
@click.option(
    "--publish",
    metavar="ENDPOINT",
    help="Takes logs and status of the agents; default: the port after that of --bind.",
)
@click.option(
    "--subscribe",
    metavar="ENDPOINT",
    help="Gives them to subscribers; default: the second port after that of --bind.",
)
@click.option("--host", help="This host's name, if not the system's.")
@click.option("--state", metavar="DIR", help="Folder of journal and log, on a local disk.")
@click.option("--heartbeat", type=SECONDS, default=1.0, show_default=True, help="Seconds.")
@click.option("--lease-ttl", type=SECONDS, default=15.0, show_default=True, help="Seconds.")
@click.option("--commit-interval", type=SECONDS, default=5.0, show_default=True, help="Seconds.")
@click.option(
    "--insecure",
    is_flag=True,
    help="Demand no keys: whoever can connect may do everything. Not as root.",
)
@log_options
@shared
def main(  # noqa: PLR0913, PLR0917 -- one argument an option
    bind: str,
    publish: str | None,
    subscribe: str | None,
    host: str | None,
    state: str | None,
    heartbeat: float,
    lease_ttl: float,
    commit_interval: float,
    log_size: int,
    log_count: int,
    verbose: int,
    *,
    insecure: bool,
) -> None:
    """Serve the bus: agents and commands connect here.

    Prints one line with the endpoint when it is ready.
    """
    # Whoever asks for --help does not wait for ZeroMQ and SQLite.
    from zfs_walk.broker.history import History  # noqa: PLC0415
    from zfs_walk.broker.loop import BrokerLoop  # noqa: PLC0415
    from zfs_walk.broker.relay import INSIDE  # noqa: PLC0415
    from zfs_walk.broker.sqlite import SqliteJournal  # noqa: PLC0415
    from zfs_walk.broker.state import Settings  # noqa: PLC0415
    from zfs_walk.bus.sockets import Bus  # noqa: PLC0415
    from zfs_walk.cli.first_keys import give_operator, open_keyring  # noqa: PLC0415
    from zfs_walk.cli.state import lock, state_base  # noqa: PLC0415
    from zfs_walk.protocol.records import Endpoints  # noqa: PLC0415
    from zfs_walk.protocol.statistics import Origin  # noqa: PLC0415

    begin_logging(verbose)
    for endpoint in filter(None, (bind, publish, subscribe)):
        _check_exposure(endpoint, insecure=insecure)
    host = host_name(host)
    folder = state_base(state)
    lock(folder)
    raise_descriptor_limit()
    curve, keys = (None, None) if insecure or bind.startswith(IPC) else open_keyring(folder)
    journal = SqliteJournal(folder / "journal.db")
    with ExitStack() as stack:
        bus = Bus(curve)
        stack.callback(bus.close)
        if keys is not None:
            bus.guard(keys)
        router = bus.router(bind)
        history = History()
        relay = _start_relay(bus, bind, publish, subscribe, history)
        stack.callback(relay.stop)
        origin = Origin(secrets.token_hex(8), BROKER, host, BROKER, os.getpid(), 0, __version__)
        log = open_log(bus, INSIDE, origin, folder, log_size, log_count)
        stack.callback(close_log, log)
        if curve is not None and keys is not None:
            keys.after_revocation(relay.rebind)
            connection = give_operator(keys, curve.public, router.endpoint, folder)
            LOG.info("connection file of this user: %s", connection)
        settings = Settings(
            heartbeat=heartbeat,
            lease_ttl=lease_ttl,
            commit_interval=commit_interval,
            host=host,
            endpoints=Endpoints(relay.publish, relay.subscribe, ""),
        )
        loop = BrokerLoop(router, journal, settings, keys=keys, history=history)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda _number, _frame: loop.stop())
        click.echo(f"zfs-broker: ready at {router.endpoint}, state in {folder}")
        sys.stdout.flush()
        LOG.info("ready at %s, state in %s", router.endpoint, folder)
        loop.run()


def _start_relay(
    bus: "Bus", bind: str, publish: str | None, subscribe: str | None, history: "History"
) -> "Relay":
    """Fan out what is published, at endpoints beside that of ``bind`` if none are named."""
    from zfs_walk.broker.relay import Relay  # noqa: PLC0415
    from zfs_walk.bus.endpoints import beside  # noqa: PLC0415

    relay = Relay(
        bus, publish or beside(bind, 1, "publish"), subscribe or beside(bind, 2, "subscribe"),
        history,
    )  # fmt: skip
    relay.start()
    return relay


def _check_exposure(bind: str, *, insecure: bool) -> None:
    if bind.startswith(IPC):
        _check_folder(Path(bind.removeprefix(IPC)).absolute().parent)
    if insecure:
        refuse_root()


def raise_descriptor_limit() -> None:
    """Take as many descriptors as the system allows: each connection is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _check_folder(folder: Path) -> None:
    """A socket file is as private as its folder."""
    try:
        found = folder.stat()
    except OSError as error:
        raise WrongUseError(reason=f"{folder}: {error.strerror}") from error
    if found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise WrongUseError(
            reason=f"{folder} is open to other users; bind a socket in a folder of your own with"
            " mode 0700"
        )


def run() -> None:
    """Console entry point."""
    run_command(main, "zfs-broker")


if __name__ == "__main__":
    run()
