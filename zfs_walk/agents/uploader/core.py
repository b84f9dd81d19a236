"""The uploader agent's state machine: ``handle(event, now) -> [Instruction]``.

Its mirrors need no broker: one that is away, unknown, or does not want this agent stops nothing,
and is tried again for ever. It imports no socket, file, process or clock.
"""

from typing import Final

from zfs_walk.agents.commands import obey
from zfs_walk.agents.events import Connected, Drain, FromBroker, Send, Tick
from zfs_walk.agents.link import Identity, Link
from zfs_walk.agents.membership import Membership
from zfs_walk.agents.uploader.events import (
    Close,
    Closed,
    Event,
    Instruction,
    Serve,
    Served,
    Unwanted,
)
from zfs_walk.protocol.messages import (
    Command,
    CommandDone,
    Message,
    QueueOrder,
    QueueRows,
    SteerOrder,
)

REMEMBERED: Final = 256
"""Orders whose answers are kept for a broker that repeats them."""


class UploaderCore:
    """One uploader process."""

    def __init__(self, identity: Identity, now: float) -> None:
        """Nothing is connected yet.

        Args:
            identity: who the agent is.
            now: monotonic seconds.
        """
        self._bus = Membership(identity, now, "mirroring")
        self._out: list[Instruction] = []
        self._leaving = ""
        self._closed = False
        # Orders in hand, and what became of the last ones: the broker repeats them until it hears.
        self._orders: dict[int, CommandDone | None] = {}

    @property
    def link(self) -> Link:
        """Its session."""
        return self._bus.link

    def next_deadline(self, now: float) -> float:
        """When the next `Tick` is due at the latest."""
        return self.link.next_deadline(now)

    def handle(self, event: Event, now: float) -> list[Instruction]:
        """Take an event, return what is to be done."""
        self.link.asleep(now)
        match event:
            case Connected():
                self._out.append(self.link.connected((), now))
            case FromBroker(message):
                # What was read from a socket before it was given up is too late.
                if self.link.heard(now):
                    self._from_broker(message, now)
            case Unwanted(reason):
                self._out += self._bus.turned_away(reason, now)
            case Drain(reason):
                self._leave(reason)
            case Closed():
                self._closed = True
            case Served(answer):
                self._served(answer)
            case Tick():
                self._out += self._bus.tick(event, now)
        if self._closed:
            self._out += self._bus.leave(self._leaving)
        out = list(self._out)
        self._out.clear()
        return out

    # ------------------------------------------------------------------ the broker

    def _from_broker(self, message: Message, now: float) -> None:
        match message:
            case Command():
                self._obey(message)
            case SteerOrder() | QueueOrder():
                self._serve(message)
            case _:
                self._out += self._bus.hear(message, now, leaving=bool(self._leaving))

    def _serve(self, order: SteerOrder | QueueOrder) -> None:
        """Have an order carried out, once."""
        if order.id not in self._orders:
            self._orders[order.id] = None
            self._out.append(Serve(order))
            while len(self._orders) > REMEMBERED:
                del self._orders[next(iter(self._orders))]
        elif (answer := self._orders[order.id]) is not None:
            self._out.append(Send(answer))

    def _served(self, answer: CommandDone | QueueRows) -> None:
        if isinstance(answer, CommandDone):
            self._orders[answer.id] = answer
        else:
            # It is asked again if this does not arrive, and the answer is a newer one then.
            self._orders.pop(answer.id, None)
        if self.link.live:
            self._out.append(Send(answer))

    def _obey(self, command: Command) -> None:
        self._out += obey(
            command, "an uploader", "its transfers stop, to be gone on with at the next start"
        )
        if command.name == "drain":
            self._leave("drained by request")

    # ------------------------------------------------------------------ the end

    def _leave(self, reason: str) -> None:
        if not self._leaving:
            self._leaving = reason
            self._out.append(Close())
