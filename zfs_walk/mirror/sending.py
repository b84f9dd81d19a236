"""The handler of a folder, and another one when the folder has become another one."""

from collections.abc import Callable
from threading import Lock

from zfs_walk.mirror.handler import Handler
from zfs_walk.mirror.handling import HandlerStatistics
from zfs_walk.watch.look import Place

_STOP = 10.0
"""Seconds for transfers to end when the folder has become another one."""


class Sending:
    """Has a handler, once there is a folder, and remembers why it is paused.

    Any thread may call its methods, but `serve` and `close`, which one thread does.

    Args:
        make: a new handler for the folder as it is: it holds on to the one that it was made for.
    """

    def __init__(self, make: Callable[[], Handler]) -> None:
        self._make = make
        self._lock = Lock()
        self._handler: Handler | None = None
        self._place: Place | None = None
        # Whether what is being sent is to end.
        self._pauses: dict[str, bool] = {}

    def serve(self, place: Place) -> None:
        """See that there is a handler of this folder.

        Raises:
            OSError: the folder is gone.
        """
        if self._handler is not None and self._place == place:
            return
        self.close(_STOP)
        handler = self._make()
        with self._lock:
            for reason, stop in self._pauses.items():
                handler.pause(reason, stop=stop)
            handler.start()
            self._handler, self._place = handler, place

    def close(self, timeout: float) -> None:
        """Stop, and wait for so many seconds for transfers to stop."""
        with self._lock:
            handler, self._handler = self._handler, None
        if handler is not None:
            handler.close(timeout)

    def pause(self, reason: str, *, stop: bool) -> None:
        """See `zfs_walk.mirror.handler.Handler.pause`; it holds for later handlers, too."""
        with self._lock:
            self._pauses[reason] = stop
            if self._handler is not None:
                self._handler.pause(reason, stop=stop)

    def resume(self, reason: str) -> None:
        """A reason to pause is over."""
        with self._lock:
            if self._pauses.pop(reason, None) is not None and self._handler is not None:
                self._handler.resume(reason)

    def wake(self) -> None:
        """There may be something to do."""
        with self._lock:
            if self._handler is not None:
                self._handler.wake()

    def hurry(self) -> None:
        """Somebody has done something about what was in the way."""
        with self._lock:
            if self._handler is not None:
                self._handler.hurry()

    def statistics(self) -> HandlerStatistics | None:
        """Of the handler; None: there is none."""
        with self._lock:
            return self._handler.statistics() if self._handler else None
