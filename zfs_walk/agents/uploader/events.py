"""What happens to an uploader besides what every agent knows, and what its core asks for."""

from dataclasses import dataclass

from zfs_walk.agents.events import Common, CommonInstruction


@dataclass(frozen=True, slots=True)
class Unwanted:
    """The broker and this agent can't speak with each other."""

    reason: str


@dataclass(frozen=True, slots=True)
class Closed:
    """Every mirror has ended, whatever it had in hand."""


OwnEvent = Unwanted | Closed
Event = Common | OwnEvent


@dataclass(frozen=True, slots=True)
class Close:
    """End the mirrors; `Closed` says when that is done."""


Instruction = CommonInstruction | Close
