"""What comes of a try that did not succeed."""

import logging
import random
import time

from zfs_walk.errors import ZfsWalkError
from zfs_walk.mirror.handling import HandlerOptions
from zfs_walk.mirror.journal import Journal
from zfs_walk.mirror.records import Action
from zfs_walk.mirror.result import Result, Trouble, Try, what_of
from zfs_walk.mirror.retry import Again, Aside, consequence, failed
from zfs_walk.sinks.errors import ChangedError, SinkError, StoppedError
from zfs_walk.watch.look import OtherFolderError

_log = logging.getLogger("zfs_walk.mirror")


class Setback:
    """Makes results of errors.

    Args:
        journal: of the mapping; it is only read.
        options: how files are sent.
    """

    def __init__(self, journal: Journal, options: HandlerOptions) -> None:
        self._journal = journal
        self._options = options

    def failed(self, attempt: Try, error: Exception) -> Result:
        """Of a try that an error has ended."""
        action, unsure = attempt.action, attempt.unsure
        if isinstance(error, StoppedError):
            # Of a file that was being sent nothing shows yet.
            return Result(action, self.after(action, error))
        if isinstance(error, OtherFolderError):
            again = Again(time.time(), action.error, counts=False)
            whole = Trouble(f"the folder: {error}", again=True)
            return Result(action, again, unsure=unsure, trouble=whole)
        if not isinstance(error, ZfsWalkError | ChangedError | OSError):
            _log.error("a transfer failed", exc_info=error)
        trouble = None
        if isinstance(error, SinkError) and error.whole:
            trouble = Trouble(str(error), error.again)
        outcome = self.after(action, error)
        return Result(action, outcome, what_of(outcome), unsure=unsure, trouble=trouble)

    def after(self, action: Action, error: Exception | str) -> Again | Aside:
        """What becomes of an action that has failed, for an error or a reason in words."""
        tries, now = self._options.tries, time.time()
        chance = random.random()  # noqa: S311 -- spreads tries, no secret
        if isinstance(error, str):
            return failed(action, error, tries=tries, chance=chance, now=now)
        return consequence(action, error, tries=tries, chance=chance, now=now)

    def _in_the_way(self, path: bytes) -> bytes:
        """A name, of a file on the other side, that must go before this one can be; or empty."""
        above = path.rpartition(b"/")[0]
        while above:
            if self._journal.entry(above):
                return above
            above = above.rpartition(b"/")[0]
        below = path + b"/"
        return next(
            (
                entry.path
                for entry in self._journal.entries(below, 1)
                if entry.path.startswith(below)
            ),
            b"",
        )

    def obstructed(self, attempt: Try, error: SinkError) -> Result:
        """Another name's deletion comes first; if there will be none, say so."""
        action = attempt.action
        way = b"" if error.whole else self._in_the_way(action.path)
        if not way:
            return self.failed(attempt, error)
        outcome: Again | Aside
        if self._options.complete_sync:
            later = time.time() + self._options.deletion_delay
            outcome = Again(later, str(error), counts=False)
        else:
            shown = way.decode(errors="backslashreplace")
            reason = f"{error} On the other side {shown} is in the way, and nothing is deleted"
            outcome = Aside(f"{reason} there without complete_sync.")
        return Result(action, outcome, what_of(outcome), unsure=True, obstructed=True)
