"""Ctrl-C of a walk: the first pauses it, the second ends the process."""

import os
import signal
from types import FrameType

from zfs_walk.agents.signals import HANDLED


class Interrupts:
    """Takes SIGINT, SIGTERM and SIGHUP from its creation on.

    Attributes:
        asked: the user wants the walk to pause.
    """

    def __init__(self) -> None:
        """Handle the signals; they may have been blocked since before the workers' zygote."""
        self.asked = False
        for number in HANDLED:
            signal.signal(number, self._handle)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.asked:
            os._exit(128 + number)
        self.asked = True
