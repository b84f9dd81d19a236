"""``zfs-broker``: the one process of a site that knows who is alive and holds the ledger."""

import os
import signal
import sys
from pathlib import Path

import click

from zfs_walk.cli.command import DEFAULT_BROKER, SECONDS, run_command, set_up_logging, shared
from zfs_walk.errors import WrongUseError

LOOPBACK = ("tcp://127.", "tcp://localhost:", "tcp://[::1]:")
IPC = "ipc://"


@click.command(
    epilog="""Examples:

\b
  zfs-broker
  zfs-broker --bind tcp://127.0.0.1:5570 --state /var/lib/zfs_walk

Exit codes: 0 ended by a signal, 2 wrong use, 6 the state folder is in use or unusable, 7 the
journal can't be written."""
)
@click.option(
    "--bind", metavar="ENDPOINT", default=DEFAULT_BROKER, show_default=True,
    help="Where to listen; tcp://127.0.0.1:* takes a free port.",
)  # fmt: skip
@click.option("--state", metavar="DIR", help="Folder of the journal, on a local disk.")
@click.option("--heartbeat", type=SECONDS, default=1.0, show_default=True, help="Seconds.")
@click.option("--lease-ttl", type=SECONDS, default=15.0, show_default=True, help="Seconds.")
@click.option("--commit-interval", type=SECONDS, default=5.0, show_default=True, help="Seconds.")
@click.option("--keep-runs", type=click.FloatRange(0.0, 10_000.0), default=30.0, show_default=True,
              metavar="DAYS", help="Forget runs so long after their end; 0: never.")  # fmt: skip
@click.option("--insecure", is_flag=True, help="Allow other hosts without keys. Not as root.")
@shared
def main(  # noqa: PLR0913, PLR0917 -- one argument an option
    bind: str,
    state: str | None,
    heartbeat: float,
    lease_ttl: float,
    commit_interval: float,
    keep_runs: float,
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
    from zfs_walk.cli.state import lock, state_base  # noqa: PLC0415

    set_up_logging(verbose)
    _check_exposure(bind, insecure=insecure)
    folder = state_base(state)
    lock(folder)
    journal = SqliteJournal(folder / "journal.db")
    bus = Bus()
    try:
        router = bus.router(bind)
        settings = Settings(
            heartbeat=heartbeat,
            lease_ttl=lease_ttl,
            commit_interval=commit_interval,
            keep_runs=keep_runs * 86_400.0,
        )
        loop = BrokerLoop(router, journal, settings)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda _number, _frame: loop.stop())
        click.echo(f"zfs-broker: ready at {router.endpoint}, state in {folder}")
        sys.stdout.flush()
        loop.run()
    finally:
        bus.close()


def _check_exposure(bind: str, *, insecure: bool) -> None:
    if bind.startswith(LOOPBACK):
        return
    if bind.startswith(IPC):
        _check_folder(Path(bind.removeprefix(IPC)).absolute().parent)
        return
    if not insecure:
        raise WrongUseError(
            reason=f"{bind} can be reached from other hosts, and this release has no keys yet; bind"
            " a loopback address or ipc://, or say --insecure"
        )
    if os.geteuid() == 0:
        raise WrongUseError(reason="--insecure is refused as root")


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
