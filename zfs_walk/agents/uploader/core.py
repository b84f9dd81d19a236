"""The uploader agent's state machine: ``handle(event, now) -> [Instruction]``.

Its mirrors need no broker: one that is away, unknown, or does not want this agent stops nothing,
and is tried again for ever. It imports no socket, file, process or clock.
"""

import logging
import math
from typing import Final

from zfs_walk.agents.commands import heartbeat, obey
from zfs_walk.agents.events import (
    Connected,
    Drain,
    Exit,
    FromBroker,
    Note,
    Reconnect,
    Send,
    Tick,
    Welcomed,
)
from zfs_walk.agents.link import Identity, Link, on_error
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
    Bye,
    ByeAck,
    Command,
    CommandDone,
    Error,
    HeartbeatAck,
    Message,
    QueueOrder,
    QueueRows,
    Rehello,
    SteerOrder,
    Welcome,
)

UNWANTED_FOR: Final = 30.0
"""Seconds until a broker that did not want this agent is asked again: whoever put that right sees
it in the next look, and the broker's log has two lines a minute."""

REMEMBERED: Final = 256
"""Orders whose answers are kept for a broker that repeats them."""


class UploaderCore:
    """One uploader process.

    Attributes:
        link: its session.
    """

    def __init__(self, identity: Identity, now: float) -> None:
        """Nothing is connected yet.

        Args:
            identity: who the agent is.
            now: monotonic seconds.
        """
        self.link = Link(identity, math.inf, math.inf, now)
        self._out: list[Instruction] = []
        self._leaving = ""
        self._closed = self._bye_sent = False
        self._unwanted = ""
        # Orders in hand, and what became of the last ones: the broker repeats them until it hears.
        self._orders: dict[int, CommandDone | None] = {}

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
                self._turned_away(reason, now)
            case Drain(reason):
                self._leave(reason)
            case Closed():
                self._closed = True
            case Served(answer):
                self._served(answer)
            case Tick():
                self._tick(event, now)
        self._say_bye()
        out = list(self._out)
        self._out.clear()
        return out

    def _tick(self, tick: Tick, now: float) -> None:
        instruction = self.link.tick(now)
        if instruction is not None:
            if self.link.welcomed and isinstance(instruction, Reconnect):
                text = "the broker is silent: trying again, and mirroring on meanwhile"
                self._out.append(Note(logging.INFO, text))
            self._out.append(instruction)
        beat = self.link.beat(now)
        if beat:
            self._out.append(heartbeat(beat, tick))

    # ------------------------------------------------------------------ the broker

    def _from_broker(self, message: Message, now: float) -> None:
        match message:
            case Welcome():
                self.link.welcome(message, now)
                self._out.append(Welcomed(message.session, message.endpoints))
                self._bye_sent = False
                self._unwanted = ""
            case Rehello():
                self._out.append(self.link.rehello(message, now))
            case Command():
                self._obey(message)
            case SteerOrder() | QueueOrder():
                self._serve(message)
            case HeartbeatAck():
                self.link.acknowledged(message, now)
            case Error():
                self._on_error(message, now)
            case ByeAck():
                self._out.append(Exit(""))
            case _:
                pass  # whatever else it says is a sign of life

    def _on_error(self, error: Error, now: float) -> None:
        instruction = on_error(error, leaving=bool(self._leaving))
        if isinstance(instruction, Exit) and instruction.failure:
            self._turned_away(instruction.failure, now)
        else:
            self._out.append(instruction)

    def _turned_away(self, reason: str, now: float) -> None:
        """Said once; tried again, as a mirror must not end because of a broker."""
        if reason != self._unwanted:
            self._unwanted = reason
            text = f"mirroring on without the broker: {reason}"
            self._out.append(Note(logging.ERROR, text))
        self._out.append(self.link.turned_away(UNWANTED_FOR, now))

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

    def _say_bye(self) -> None:
        """Once the mirrors have ended; without a broker there is nobody to tell."""
        if not self._closed:
            return
        if not self.link.live:
            self._out.append(Exit(""))
        elif not self._bye_sent:
            self._bye_sent = True
            self._out.append(Send(Bye(self._leaving)))
