"""``zfs-broker``: the one process of a site that knows who is alive and holds the ledger."""

import logging
import os
import resource
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import click

from zfs_walk.cli.command import (
    DEFAULT_BROKER,
    SECONDS,
    refuse_root,
    run_command,
    set_up_logging,
    shared,
)
from zfs_walk.cli.http import DEFAULT_HTTP, HttpAddress, kept_gateway, plan_gateway
from zfs_walk.cli.notify import ServiceManager
from zfs_walk.errors import WrongUseError

LOG = logging.getLogger("zfs_walk.broker")

IPC = "ipc://"


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
@click.option("--state", metavar="DIR", type=click.Path(),
              help="Folder of the journal, on a local disk.")  # fmt: skip
@click.option("--heartbeat", type=SECONDS, default=1.0, show_default=True,
              help="Seconds between two heartbeats of an agent.")  # fmt: skip
@click.option("--lease-ttl", type=SECONDS, default=15.0, show_default=True,
              help="Seconds that work stays a silent agent's own.")  # fmt: skip
@click.option("--commit-interval", type=SECONDS, default=5.0, show_default=True,
              help="Longest time in seconds between two commits of a unit of work.")  # fmt: skip
@click.option("--keep-runs", type=click.FloatRange(0.0, 10_000.0), default=30.0, show_default=True,
              metavar="DAYS", help="Forget runs so long after their end; 0: never.")  # fmt: skip
@click.option(
    "--http", type=HttpAddress(), metavar="HOST:PORT|none", default=DEFAULT_HTTP, show_default=True,
    help="Where the gateway serves /metrics, /healthz and /readyz; port 0 takes a free one.",
)  # fmt: skip
@click.option("--http-token-file", metavar="FILE", type=click.Path(),
              help="Token that HTTP requests must bring; needed beyond loopback.")  # fmt: skip
@click.option(
    "--insecure",
    is_flag=True,
    help="Demand no keys: whoever can connect may do everything. Not as root.",
)
@shared
def main(  # noqa: PLR0913, PLR0917 -- one argument an option
    bind: str,
    state: str | None,
    heartbeat: float,
    lease_ttl: float,
    commit_interval: float,
    keep_runs: float,
    http: str,
    http_token_file: str | None,
    verbose: int,
    *,
    insecure: bool,
) -> None:
    """Serve the bus: agents and commands connect here.

    Prints one line with the endpoint when it is ready.
    """
    # Whoever asks for --help does not wait for ZeroMQ and SQLite.
    from zfs_walk.broker.loop import BrokerLoop  # noqa: PLC0415
    from zfs_walk.broker.sqlite import SqliteJournal  # noqa: PLC0415
    from zfs_walk.broker.state import Settings  # noqa: PLC0415
    from zfs_walk.bus.sockets import Bus  # noqa: PLC0415
    from zfs_walk.cli.first_keys import give_operator, open_keyring  # noqa: PLC0415
    from zfs_walk.cli.state import lock, state_base  # noqa: PLC0415
    from zfs_walk.protocol.records import Endpoints  # noqa: PLC0415

    set_up_logging(verbose)
    _check_exposure(bind, insecure=insecure)
    gateway = plan_gateway(http, http_token_file)
    manager = ServiceManager.of_this_process()
    folder = state_base(state)
    lock(folder)
    raise_descriptor_limit()
    curve, keys = (None, None) if insecure or bind.startswith(IPC) else open_keyring(folder)
    journal = SqliteJournal(folder / "journal.db")
    with ExitStack() as stack:
        stack.callback(manager.close)
        bus = Bus(curve)
        stack.callback(bus.close)
        if keys is not None:
            bus.guard(keys)
        router = bus.router(bind)
        if curve is not None and keys is not None:
            connection = give_operator(keys, curve.public, router.endpoint, folder)
            LOG.info("connection file of this user: %s", connection)
        url = stack.enter_context(
            kept_gateway(gateway, router.endpoint, curve.public if curve else "", keys, verbose)
        )
        settings = Settings(
            heartbeat=heartbeat,
            lease_ttl=lease_ttl,
            commit_interval=commit_interval,
            keep_runs=keep_runs * 86_400.0,
            endpoints=Endpoints("", "", url),
        )
        loop = BrokerLoop(router, journal, settings, keys=keys)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda _number, _frame: loop.stop())
        served = f"HTTP at {url}, " if url else ""
        click.echo(f"zfs-broker: ready at {router.endpoint}, {served}state in {folder}")
        sys.stdout.flush()
        manager.ready(f"serving at {router.endpoint}")
        stack.callback(manager.stopping)
        loop.run(manager.pulse)


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
