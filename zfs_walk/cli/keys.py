"""Single keys and signals, for screens that are left by pressing one."""

import contextlib
import os
import select
import signal
import sys
import termios
import time
import tty
from types import FrameType
from typing import Final, Self

QUIT: Final = b"qQ\x04"
"""Keys that leave: q, and the end of file."""

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class QuitAsked(BaseException):
    """The user wants to leave."""


class Keys:
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
                raise QuitAsked
