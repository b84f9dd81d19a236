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
from types import FrameType
from typing import TYPE_CHECKING, Self

import click

from zfs_walk.cli.asking import EXIT_CODES, client_at, of_a_bus
from zfs_walk.cli.command import ENVIRONMENT, SECONDS, set_up_logging
from zfs_walk.errors import NoBrokerError, WrongUseError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from zfs_walk.bus.client import Client

QUIT = b"qQ\x04"
"""Keys that leave: q, and the end of file."""


SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
    with (
        contextlib.suppress(_Quit),
        _Keys() as keys,
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


class _Keys:
    """Single keys and signals; whatever happens, the terminal is as before in the end.

    A signal is only noted: the screen is never left in the middle of being drawn.
    """

    def __enter__(self) -> Self:
        """Take over the terminal's keys."""
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._before = termios.tcgetattr(sys.stdin)
        self._handlers = {number: signal.signal(number, self._note) for number in SIGNALS}
        tty.setcbreak(sys.stdin)
        return self

    def __exit__(self, *_: object) -> None:
        """Give them back."""
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        os.close(self._read)
        os.close(self._write)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, b"q")

    def look(self) -> None:
        """Leave if a key or a signal says so."""
        self.wait(0.0)

    def wait(self, seconds: float) -> None:
        """Let time pass, and leave when a key or a signal says so."""
        until = time.monotonic() + seconds
        while True:
            left = max(0.0, until - time.monotonic())
            ready, _, _ = select.select([sys.stdin, self._read], [], [], left)
            if not ready:
                return
            pressed = os.read(sys.stdin.fileno(), 64) if sys.stdin in ready else b""
            if self._read in ready or not pressed or any(key in QUIT for key in pressed):
                raise _Quit
