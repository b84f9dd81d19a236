"""Does what the queue asks for: takes actions, and has them done by several transfers at once."""

from collections.abc import Callable
from dataclasses import dataclass

from zfs_walk.mirror.handling import Guard, HandlerOptions, HandlerStatistics, Happening
from zfs_walk.mirror.journal import Journal
from zfs_walk.mirror.pace import Pace
from zfs_walk.sinks.interface import Sink


@dataclass(frozen=True, slots=True)
class Parts:
    """What a handler works with.

    Attributes:
        journal: of the mapping; whoever puts changes into it calls `Handler.wake` afterwards.
        folder: absolute path of what is mirrored.
        sink: becomes the handler's: it is closed with it.
        options: how files are sent.
        pace: of this mirror; its windows are kept, and it is stopped when transfers are to end.
        guard: is asked before anything is deleted.
        notify: told of what happens, from any of the handler's threads; must not wait.
    """

    journal: Journal
    folder: bytes
    sink: Sink
    options: HandlerOptions
    pace: Pace
    guard: Guard
    notify: Callable[[Happening], None]


class Handler:
    """Keeps the other side true. Every method may be called from any thread."""

    def __init__(self, parts: Parts) -> None:
        raise NotImplementedError

    def start(self) -> None:
        """Begin; nothing is sent before the sink's `check` has passed."""
        raise NotImplementedError

    def close(self, timeout: float) -> bool:
        """Stop, at most so many seconds later; returns whether every transfer has ended.

        What was begun is gone on with after the next start.
        """
        raise NotImplementedError

    def pause(self, reason: str, *, stop: bool) -> None:
        """Begin nothing until `resume` with the same reason.

        Args:
            reason: shown to people.
            stop: end what is being sent; it is gone on with later. Otherwise it is finished.
        """
        raise NotImplementedError

    def resume(self, reason: str) -> None:
        """A reason to pause is over."""
        raise NotImplementedError

    def wake(self) -> None:
        """There may be something to take; and a sink that was in trouble may be well again."""
        raise NotImplementedError

    def statistics(self) -> HandlerStatistics:
        """What it knows about itself."""
        raise NotImplementedError
