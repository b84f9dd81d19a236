"""What people want of a mirror, besides that it goes on."""

import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final, NamedTuple

from zfs_walk.mirror.gate import Gate
from zfs_walk.mirror.importer import Imported, take_over
from zfs_walk.mirror.journal import Journal
from zfs_walk.mirror.mapping import Mapping
from zfs_walk.mirror.pace import Limit
from zfs_walk.mirror.records import Action, State
from zfs_walk.mirror.sending import Sending

PAUSED: Final = "somebody has paused it"
"""A reason to pause."""


class Calls(NamedTuple):
    """What a mirror is asked to do in its own thread; none of these waits.

    Attributes:
        rescan: compare both sides now, or once more if that is going on.
        accept: take the folder as it is, though it may be another one.
        wake: look at what was asked for.
    """

    rescan: Callable[[], None]
    accept: Callable[[], None]
    wake: Callable[[], None]


class Wishes:
    """Every method may be called from any thread, until the mirror is closed.

    Each raises `JournalError` if its journal can't be written; nothing has changed then.

    Args:
        mapping: what is mirrored.
        journal: its queue.
        sending: what sends.
        gate: holds deletions back.
        calls: what the mirror itself does.

    Attributes:
        limit: of bytes a second, its own.
    """

    def __init__(
        self, mapping: Mapping, journal: Journal, sending: Sending, gate: Gate, calls: Calls
    ) -> None:
        self._local = mapping.local
        self._journal = journal
        self._sending = sending
        self._gate = gate
        self._calls = calls
        self.limit = Limit(mapping.bwlimit or None)
        if journal.paused:
            sending.pause(PAUSED, stop=True)

    def pause(self) -> None:
        """Send nothing more until `resume`, also after a new start; changes are queued.

        What is being sent is stopped, and gone on with later.
        """
        self._journal.pause(paused=True)
        self._sending.pause(PAUSED, stop=True)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._journal.pause(paused=False)
        self._sending.resume(PAUSED)

    def rescan(self) -> None:
        """Compare both sides now, or once more if that is going on."""
        self._calls.rescan()

    def confirm(self) -> int:
        """Let the deletions go that are held, and take the folder as it is; returns how many."""
        self._calls.accept()
        count = self._gate.confirm()
        self._sending.hurry()
        self._stir()
        return count

    def retry(self, paths: Collection[bytes] | None = None) -> int:
        """Try what was set aside once more, all of it if ``None``; returns how many."""
        count = self._journal.retry(paths)
        self._sending.hurry()
        self._stir()
        return count

    def forget(self, paths: Collection[bytes]) -> int:
        """Take actions out of the queue undone, but for those in hand; returns how many.

        The next comparison of both sides finds what is still to be done.
        """
        return self._journal.forget(paths)

    def reset(self) -> int:
        """Take all actions out of the queue, but for those in hand, and compare both sides.

        Returns how many; what is to be done is found again.
        """
        count = self._journal.forget_all()
        self._calls.rescan()
        return count

    def actions(self, state: State | None, after: bytes, limit: int) -> list[Action]:
        """Actions of a state, or all, past ``after`` in the order of their names."""
        return self._journal.actions(state, after, limit)

    def take_over(self, queue: Path) -> Imported:
        """Queue what an older uploader has left; it had the folder under the mapping's own name.

        Raises:
            StateError: it is no queue of persist-queue's.
        """
        taken = take_over(queue, os.path.abspath(self._local), self._journal)  # noqa: PTH100 -- links stay
        self._stir()
        return taken

    def change_limit(self, bytes_a_second: int) -> None:
        """Let this mirror send so many; 0: as many as it can."""
        self.limit.change(bytes_a_second or None)

    def _stir(self) -> None:
        """Something of the queue can be done."""
        self._calls.wake()
        self._sending.wake()
