"""What moves take away on the other side, and whether it is known that they have. A core."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from zfs_walk.mirror.records import Done, Entry
from zfs_walk.mirror.result import Result
from zfs_walk.mirror.retry import Again


class _Doubt(NamedTuple):
    """A move has failed in the middle, and is tried again: ``entry`` may be gone.

    Attributes:
        entry: of the old name.
        path: of the action that moves it.
    """

    entry: Entry
    path: bytes


class Loans:
    """Entries that moves were given, until it is settled what has become of them."""

    def __init__(self) -> None:
        self._borrowed: dict[bytes, Entry] = {}
        self._doubts: dict[bytes, _Doubt] = {}

    def lend(self, path: bytes, old: Entry) -> None:
        """The action of a name is about to move ``old`` away."""
        self._borrowed[path] = old

    def doubted(self, path: bytes) -> bool:
        """Whether a move that is tried again may have taken away what the index has there."""
        return path in self._doubts

    def settle(self, results: Iterable[Result]) -> list[Entry]:
        """Tries are over, durably; returns entries that may be true no more.

        Another one of these, or one before, may have made an entry anew, or have taken it away.
        """
        return [entry for result in results for entry in self._settle(result)]

    def _settle(self, result: Result) -> list[Entry]:
        path = result.action.path
        borrowed = self._borrowed.pop(path, None)
        if isinstance(result.outcome, Again):
            if result.obstructed:
                # What is in the way may be deleted only if no move is waited for, and that may be
                # an earlier one of this file, which has changed since and is to be sent.
                doubtful = self._end(lambda doubt: doubt.path == path)
                return doubtful if borrowed is None else [*doubtful, borrowed]
            if borrowed is not None and result.unsure:
                self._doubts[borrowed.path] = _Doubt(borrowed, path)
            return []
        if isinstance(result.outcome, Done):
            for name in (path, *result.outcome.gone):
                self._doubts.pop(name, None)
        return self._end(lambda doubt: doubt.path == path)

    def end(self) -> list[Entry]:
        """Entries that may be true no more, as nobody will try their moves again."""
        return self._end(lambda _: True)

    def _end(self, which: Callable[[_Doubt], bool]) -> list[Entry]:
        ended = [doubt.entry for doubt in self._doubts.values() if which(doubt)]
        for entry in ended:
            del self._doubts[entry.path]
        return ended
