"""What follows from a failed try. A core: the time and the dice are given."""

import os
from typing import Final, NamedTuple

from zfs_walk.errors import ZfsWalkError
from zfs_walk.mirror.records import Action
from zfs_walk.sinks.errors import ChangedError, SinkError, StoppedError

CHANGED_DELAY: Final = 2.0
"""Seconds until a file is sent again that changed while it was sent: most writers pause by then."""


class Backoff(NamedTuple):
    """Pauses that double, up to a longest one, with full jitter.

    Many who failed at once do not come again at once.

    Attributes:
        first: seconds that the first pause takes at most.
        most: seconds that any takes at most.
    """

    first: float
    most: float

    def pause(self, failures: int, chance: float) -> float:
        """Seconds to wait.

        Args:
            failures: in a row, one at least.
            chance: at least 0, less than 1.
        """
        # The exponent is bounded, as the failures of years are not.
        return chance * min(self.most, self.first * 2.0 ** min(failures - 1, 60))


FILE: Final = Backoff(first=2.0, most=300.0)
"""Of one file: ten tries take some seven minutes, which a server's restart does not outlast."""


class Again(NamedTuple):
    """Try it again.

    Attributes:
        not_before: seconds since the epoch.
        reason: why it failed; empty: it did not.
        counts: it is one of its tries.
    """

    not_before: float
    reason: str
    counts: bool


class Aside(NamedTuple):
    """Set it aside; ``reason`` is why it failed the last time."""

    reason: str


def reason_of(error: Exception) -> str:
    """What failed, in words, as they are shown and kept."""
    match error:
        case ZfsWalkError():
            return str(error)
        case ChangedError():
            return "it changed while it was sent"
        case OSError(errno=int(number)):
            return os.strerror(number)
        case _:
            # The text of an unknown error may hold anything, also a secret.
            return f"a bug, please report it with the log: {type(error).__name__}"


def consequence(
    action: Action, error: Exception, *, tries: int, chance: float, now: float
) -> Again | Aside:
    """What becomes of an action that has failed.

    Args:
        action: as it was taken.
        error: why.
        tries: after so many it is set aside.
        chance: at least 0, less than 1.
        now: seconds since the epoch.
    """
    reason = reason_of(error)
    match error:
        case StoppedError() | FileNotFoundError():
            # Nothing failed; and about a file that vanished is decided anew.
            return Again(now, action.error, counts=False)
        case ChangedError():
            # Longer and longer for one that goes on being written: its end is a change, which makes
            # it due at once.
            pause = max(CHANGED_DELAY, min(FILE.most, (now - action.added) / 4))
            return Again(now + pause, reason, counts=False)
        case SinkError(whole=True):
            return Again(now, reason, counts=False)
        case SinkError(again=False):
            return Aside(reason)
        case ZfsWalkError() if not isinstance(error, SinkError):
            # Of our own state, say: no fault of the file's.
            return Again(now + FILE.pause(1, chance), reason, counts=False)
    return failed(action, reason, tries=tries, chance=chance, now=now)


def failed(action: Action, reason: str, *, tries: int, chance: float, now: float) -> Again | Aside:
    """Likewise, for a reason that may pass."""
    failures = action.tries + 1
    if failures >= tries:
        return Aside(reason)
    return Again(now + FILE.pause(failures, chance), reason, counts=True)
