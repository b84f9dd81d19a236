"""``zfs-agent``: what runs on a host."""

import os
import secrets
import signal
import sys
from types import FrameType

import click

from zfs_walk import __version__
from zfs_walk.agents.core import AgentSettings
from zfs_walk.agents.link import Identity
from zfs_walk.agents.loop import AgentLoop
from zfs_walk.agents.pool import Nursery
from zfs_walk.bus.sockets import Bus
from zfs_walk.cli.command import broker_option, host_name, run_command, set_up_logging, shared
from zfs_walk.cli.state import free_slot, ipc_folder, lock, state_base
from zfs_walk.protocol.messages import WALKER

FOREVER = 10.0 * 366 * 86_400


@click.command(
    epilog="""Examples:

\b
  zfs-agent --role walker
  zfs-agent --role walker --broker tcp://127.0.0.1:5570 --workers 8 --wait

The first SIGTERM or Ctrl-C gives all work back and ends; a second one ends at once (the broker
grants the work anew).

Exit codes: 0 drained, 2 wrong use or refused, 4 no broker, 5 another protocol version, 13 workers
can't live."""
)
@click.option("--role", type=click.Choice([WALKER]), required=True, help="What this agent does.")
@broker_option
@click.option(
    "--workers", type=click.IntRange(1, 1024), default=os.cpu_count() or 1,
    help="Worker processes; default: one per core.",
)  # fmt: skip
@click.option("--name", help="Unique on this host; default: the role and the lowest free number.")
@click.option("--host", help="This host's name, if not the system's.")
@click.option("--state", metavar="DIR", help="Folder for locks and temporary files.")
@click.option("--wait", is_flag=True, help="Wait for a broker that is not there, for ever.")
@click.option("--timeout", type=float, default=10.0, show_default=True,
              help="Seconds to wait for a broker.")  # fmt: skip
@click.option("--dir-timeout", type=float, default=300.0, show_default=True,
              help="Seconds that one directory may take.")  # fmt: skip
@shared
def main(
    role: str,
    broker: str,
    workers: int,
    name: str | None,
    host: str | None,
    state: str | None,
    timeout: float,
    dir_timeout: float,
    verbose: int,
    *,
    wait: bool,
) -> None:
    """Serve a bus as one of its agents, until SIGTERM."""
    set_up_logging(verbose)
    folder = state_base(state)
    nursery = Nursery(workers, ipc_folder(), str(folder))
    # Locks come after the fork: workers would hold them on after this process's death.
    if name is None:
        name, _ = free_slot(folder, role)
    else:
        lock(folder, f"{name}.lock")
    identity = Identity(
        role, host_name(host), name, secrets.token_hex(8), os.getpid(), __version__, workers
    )
    settings = AgentSettings(identity, patience=FOREVER if wait else timeout)
    bus = Bus()
    try:
        loop = AgentLoop(nursery, bus, broker, settings, dir_timeout)
        _handle_signals(loop)
        loop.run()
    finally:
        bus.close()


def _handle_signals(loop: AgentLoop) -> None:
    """First: give everything back. Second: end at once; the zygote cleans up after us."""

    def first(number: int, _frame: FrameType | None) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, second)
        loop.drain(f"drained by {signal.Signals(number).name}")

    def second(number: int, _frame: FrameType | None) -> None:
        sys.stderr.flush()
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, first)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})


def run() -> None:
    """Console entry point."""
    run_command(main, "zfs-agent")
