"""``zfs-ctl top``: what is on a bus, again every second."""
# ruff: noqa: PLC0415 -- whoever asks for --help does not wait for ZeroMQ

import contextlib
import sys
from typing import TYPE_CHECKING

import click

from zfs_walk.cli.asking import EXIT_CODES, client_at, of_a_bus
from zfs_walk.cli.command import ENVIRONMENT, SECONDS, set_up_logging
from zfs_walk.cli.keys import Keys, QuitAsked
from zfs_walk.errors import NoBrokerError, WrongUseError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from zfs_walk.bus.client import Client


@click.command(
    epilog="Example: zfs-ctl top. Keys: q or Ctrl-C leaves." + EXIT_CODES,
    context_settings=ENVIRONMENT,
)
@click.option(
    "--interval", type=SECONDS, default=1.0, show_default=True, help="Seconds between two looks."
)
@of_a_bus
def top(interval: float, broker: str, timeout: float, verbose: int) -> None:
    """Watch the bus full-screen."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    set_up_logging(verbose)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise WrongUseError(reason="top wants a terminal; `zfs-ctl status` prints the same once")
    console = Console(highlight=False)
    with (
        contextlib.suppress(QuitAsked),
        Keys() as keys,
        client_at(broker, timeout, keys.look) as client,
    ):
        # The first answer comes, or the error is said, before the screen is taken.
        shown = _look_at(client)
        with Live(shown, console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(shown, refresh=True)
                keys.wait(interval)
                try:
                    shown = _look_at(client)
                except NoBrokerError as error:
                    shown = Text(f"{error}\n\nTrying again; q leaves.", "bold red")


def _look_at(client: "Client") -> "RenderableType":
    from zfs_walk.cli.overview import Overview
    from zfs_walk.cli.screen import show
    from zfs_walk.protocol.messages import Snapshot

    return show(Overview.of(client.ask(Snapshot)))
