"""What happens to an uploader besides what every agent knows, and what its core asks for."""

from dataclasses import dataclass

from zfs_walk.agents.events import Common, CommonInstruction
from zfs_walk.protocol.messages import CommandDone, QueueOrder, QueueRows, SteerOrder


@dataclass(frozen=True, slots=True)
class Unwanted:
    """The broker and this agent can't speak with each other."""

    reason: str


@dataclass(frozen=True, slots=True)
class Closed:
    """Every mirror has ended, whatever it had in hand."""


@dataclass(frozen=True, slots=True)
class Served:
    """An order was carried out, or refused."""

    answer: CommandDone | QueueRows


OwnEvent = Unwanted | Closed | Served
Event = Common | OwnEvent


@dataclass(frozen=True, slots=True)
class Close:
    """End the mirrors; `Closed` says when that is done."""


@dataclass(frozen=True, slots=True)
class Serve:
    """Carry out an order; `Served` says how it went."""

    order: SteerOrder | QueueOrder


OwnInstruction = Close | Serve
Instruction = CommonInstruction | OwnInstruction
