"""``zfs-broker``: the one process of a site that knows who is alive and holds the ledger."""

import click

from zfs_walk.cli.command import DEFAULT_BROKER, SECONDS, run_command, shared
from zfs_walk.cli.http import DEFAULT_HTTP, HttpAddress, plan_gateway
from zfs_walk.cli.logs import begin_logging, log_options
from zfs_walk.cli.option_types import BoundEndpoint


@click.command(
    epilog="""Examples:

\b
  zfs-broker
  zfs-broker --bind tcp://0.0.0.0:5570 --state /var/lib/zfs_walk

Exit codes: 0 ended by a signal, 2 wrong use, 6 the state folder is in use or unusable, 7 the
journal can't be written, 10 a package is missing, 14 a file of keys can't be used."""
)
@click.option(
    "--bind", type=BoundEndpoint(), metavar="ENDPOINT", default=DEFAULT_BROKER, show_default=True,
    help="Where to listen; tcp://127.0.0.1:* takes a free port.",
)  # fmt: skip
@click.option("--publish", type=BoundEndpoint(), metavar="ENDPOINT",
              help="Takes logs and status of the agents; default: the port after that of --bind.",
)  # fmt: skip
@click.option("--subscribe", type=BoundEndpoint(), metavar="ENDPOINT",
              help="Gives them to subscribers; default: the second port after that of --bind.",
)  # fmt: skip
@click.option("--host", metavar="NAME", help="This host's name, if not the system's.")
@click.option("--state", metavar="DIR", type=click.Path(),
              help="Folder of journal, keys and log, on a local disk.")  # fmt: skip
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
@click.option("--insecure", is_flag=True,
              help="Demand no keys: whoever can connect may do everything. Not as root.",
)  # fmt: skip
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
    keep_runs: float,
    http: str,
    http_token_file: str | None,
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
    from zfs_walk.broker.settings import Settings  # noqa: PLC0415
    from zfs_walk.cli.command import host_name  # noqa: PLC0415
    from zfs_walk.cli.serve_broker import Sockets, check_exposure, serve  # noqa: PLC0415
    from zfs_walk.cli.state import state_base  # noqa: PLC0415
    from zfs_walk.storage import lock  # noqa: PLC0415

    begin_logging(verbose)
    sockets = Sockets(bind, publish, subscribe, insecure)
    check_exposure(sockets)
    gateway = plan_gateway(http, http_token_file)
    folder = state_base(state)
    lock(folder)
    settings = Settings(
        heartbeat=heartbeat,
        lease_ttl=lease_ttl,
        commit_interval=commit_interval,
        keep_runs=keep_runs * 86_400.0,
        host=host_name(host),
    )
    serve(folder, sockets, settings, gateway, (log_size, log_count), verbose)


def run() -> None:
    """Console entry point."""
    run_command(main, "zfs-broker")


if __name__ == "__main__":
    run()
