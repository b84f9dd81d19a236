"""``zfs-ctl top``: what is on a bus, again every second."""
# ruff: noqa: PLC0415 -- whoever asks for --help does not wait for ZeroMQ

import contextlib
import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

import click

from zfs_walk.cli.asking import EXIT_CODES, client_at, of_a_bus
from zfs_walk.cli.command import ENVIRONMENT, SECONDS, set_up_logging
from zfs_walk.errors import NoBrokerError, WrongUseError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from zfs_walk.bus.client import Client

QUIT = b"qQ\x04"
"""Keys that leave: q, and the end of file."""


class _Quit(BaseException):
    """The user wants to leave."""


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
    with contextlib.suppress(_Quit), _keys(), client_at(broker, timeout, _look) as client:
        # The first answer comes, or the error is said, before the screen is taken.
        shown = _look_at(client)
        with Live(shown, console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(shown, refresh=True)
                _pass(interval)
                try:
                    shown = _look_at(client)
                except NoBrokerError as error:
                    shown = Text(f"{error}\n\nTrying again; q leaves.", "bold red")


def _look_at(client: "Client") -> "RenderableType":
    from zfs_walk.cli.overview import Overview
    from zfs_walk.cli.screen import show
    from zfs_walk.protocol.messages import Snapshot

    return show(Overview.of(client.ask(Snapshot)))


@contextlib.contextmanager
def _keys() -> Iterator[None]:
    """Take single keys and signals; whatever happens, the terminal is as before in the end."""
    before = termios.tcgetattr(sys.stdin)
    handlers = {number: signal.signal(number, _leave) for number in (signal.SIGINT, signal.SIGTERM)}
    tty.setcbreak(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise _Quit


def _look() -> None:
    """Leave if a key says so."""
    _pass(0.0)


def _pass(seconds: float) -> None:
    """Let time pass, and leave when a key says so."""
    until = time.monotonic() + seconds
    while True:
        left = max(0.0, until - time.monotonic())
        ready, _, _ = select.select([sys.stdin], [], [], left)
        if not ready:
            return
        pressed = os.read(sys.stdin.fileno(), 64)
        if not pressed or any(key in QUIT for key in pressed):
            raise _Quit
