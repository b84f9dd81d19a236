"""What comes of a try to do an action."""

from dataclasses import dataclass
from typing import NamedTuple

from zfs_walk.mirror.handling import What
from zfs_walk.mirror.plan import Gone, Later, Local, Unreadable
from zfs_walk.mirror.records import Action, Done, Known
from zfs_walk.mirror.retry import Again, Aside


class Trouble(NamedTuple):
    """What keeps all transfers from succeeding.

    Attributes:
        reason: in words.
        again: waiting may help; otherwise somebody must put it right.
    """

    reason: str
    again: bool


@dataclass(frozen=True, slots=True)
class Result:
    """How a try went.

    Attributes:
        action: as it was taken.
        outcome: what becomes of the action.
        what: happened; None: nothing that anybody is told of.
        old: the name of what was moved.
        unsure: it failed in the middle.
        obstructed: on the other side something is in the way that is to be deleted.
        trouble: it concerns all; None: it does not.
    """

    action: Action
    outcome: Done | Later | Again | Aside
    what: What | None = None
    old: bytes = b""
    unsure: bool = False
    obstructed: bool = False
    trouble: Trouble | None = None

    @property
    def told(self) -> str:
        """What people are told beside `what`."""
        if isinstance(self.outcome, Again | Aside):
            return self.outcome.reason
        return self.old.decode(errors="backslashreplace")


@dataclass(slots=True)
class Try:
    """An action that is being done.

    Attributes:
        action: as it was taken.
        found: what has its name here.
        known: what the journal knows of it.
        unsure: the other side may have been changed by this try.
    """

    action: Action
    found: Local | Gone | Unreadable
    known: Known
    unsure: bool = False

    @property
    def path(self) -> bytes:
        """The action's."""
        return self.action.path


def what_of(outcome: Again | Aside) -> What | None:
    """What people are told of a try that did not succeed."""
    if isinstance(outcome, Aside):
        return What.ASIDE
    return What.FAILED if outcome.reason else None
