"""The other side's list, for comparisons: the first one is read while the folder is read."""

from operator import attrgetter
from threading import Event as Flag
from time import monotonic
from typing import Final, Protocol

from zfs_walk.sinks.errors import SinkError, StoppedError
from zfs_walk.sinks.interface import Remote, Sink

LOOK_UP: Final = 0.1
"""Seconds after which whoever waits for the folder looks whether this is the end."""

STALE: Final = 60.0
"""Seconds that a list may wait for the folder to be watched; it is read anew then."""


class Sweep(Protocol):
    """Takes away what dead transfers have left."""

    def __call__(self, *, whole: bool) -> None:
        """Do it if the list was read as a whole; nothing is sent before this was called."""


class Listing:
    """Reads the list; `read` is called from the thread of a comparison, the rest from another one.

    Args:
        sink: of the other side; used in `read` only.
        sweep: called once, after the first try to read the list.
    """

    def __init__(self, sink: Sink, sweep: Sweep) -> None:
        self._sink = sink
        self._sweep = sweep
        self._swept = self._begun = False
        # Set: the first comparison has not begun to compare; and: the folder is watched.
        self._early, self._entered = Flag(), Flag()

    def begins(self) -> bool:
        """Whether a first comparison is to be begun now, though the folder is not watched yet."""
        if self._begun:
            return False
        self._begun = True
        self._early.set()
        return True

    def enter(self) -> bool:
        """The folder is watched from now on.

        Returns:
            Whether the first comparison has waited for that, if it still runs.
        """
        early = self._early.is_set()
        self._entered.set()
        return early

    def leave(self) -> None:
        """The folder is not watched any more."""
        self._entered.clear()

    def read(self, stopped: Flag) -> list[Remote]:
        """All that the other side has, sorted by name; returns once the folder is watched.

        Raises:
            SinkError: it can't be listed.
            StoppedError: it was stopped.
        """
        while True:
            try:
                remotes = self._listed(stopped)
            except SinkError:
                self._early.clear()
                self._sweep_once(whole=False)
                raise
            self._sweep_once(whole=True)
            since = monotonic()
            while not self._entered.wait(LOOK_UP):
                if stopped.is_set():
                    raise StoppedError
            self._early.clear()
            if monotonic() - since < STALE:
                return remotes

    def _listed(self, stopped: Flag) -> list[Remote]:
        remotes = []
        for remote in self._sink.list(b""):
            remotes.append(remote)
            if stopped.is_set():
                raise StoppedError
        remotes.sort(key=attrgetter("name"))
        return remotes

    def _sweep_once(self, *, whole: bool) -> None:
        if not self._swept:
            self._swept = True
            self._sweep(whole=whole)
