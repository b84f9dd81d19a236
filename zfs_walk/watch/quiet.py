"""The monitor that never tells anything: the folder is polled, and that is all."""

import os
from typing import Final

from zfs_walk.watch.monitor import Event

NAME: Final = "poll"


class QuietMonitor:
    """Watches nothing."""

    name = NAME

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()

    def add(self, directory: bytes) -> bool:  # noqa: ARG002 -- the interface
        """Never watched: everything is polled."""
        return False

    def forget(self, directory: bytes) -> None:
        """Nothing was watched."""

    def fileno(self) -> int:
        """A descriptor that is never ready."""
        return self._reading

    def read(self) -> list[Event]:
        """Nothing."""
        return []

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._reading)
        os.close(self._writing)
