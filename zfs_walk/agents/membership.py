"""An agent's place on a bus: what each of them says and hears alike, whatever its role is.

No I/O, no clock: it is a part of their cores.
"""

import logging
import math
from typing import Final

from zfs_walk.agents.commands import heartbeat
from zfs_walk.agents.events import CommonInstruction, Exit, Note, Reconnect, Send, Tick, Welcomed
from zfs_walk.agents.link import Identity, Link, on_error
from zfs_walk.protocol.messages import (
    Bye,
    ByeAck,
    Error,
    HeartbeatAck,
    Message,
    Rehello,
    Welcome,
)

UNWANTED_FOR: Final = 30.0
"""Seconds until a broker that did not want this agent is asked again: whoever put that right sees
it in the next look, and the broker's log has two lines a minute."""


class Membership:
    """Greets, beats and leaves; what a role has of its own, its core does itself.

    Attributes:
        link: the session.
    """

    def __init__(
        self, identity: Identity, now: float, doing: str, patience: float | None = None
    ) -> None:
        """Nothing is connected yet.

        Args:
            identity: who the agent is.
            now: monotonic seconds.
            doing: what it goes on with when there is no broker.
            patience: seconds that it waits for a first broker, without which it can't do anything;
                None: it needs none, and one that does not want it is asked again.
        """
        self.link = Link(identity, math.inf if patience is None else patience, math.inf, now)
        self._doing = doing
        self._needed = patience is not None
        self._unwanted = ""
        self._bye_sent = False

    def tick(self, tick: Tick, now: float, want: int = 0) -> list[CommonInstruction]:
        """What is due: a heartbeat, or another socket.

        Args:
            tick: with the process's vitals.
            now: monotonic seconds.
            want: what the agent is ready for, as its heartbeat tells.
        """
        out: list[CommonInstruction] = []
        instruction = self.link.tick(now)
        if instruction is not None:
            if self.link.welcomed and isinstance(instruction, Reconnect):
                text = f"the broker is silent: trying again, and {self._doing} on meanwhile"
                out.append(Note(logging.INFO, text))
            out.append(instruction)
        beat = self.link.beat(now)
        if beat:
            out.append(heartbeat(beat, tick, want))
        return out

    def hear(self, message: Message, now: float, *, leaving: bool) -> list[CommonInstruction]:
        """Take what the broker says to any agent; all else is but a sign of life here.

        Args:
            message: of the broker.
            now: monotonic seconds.
            leaving: the agent has said BYE, or is about to.
        """
        match message:
            case Welcome():
                self.link.welcome(message, now)
                self._bye_sent = False
                self._unwanted = ""
                return [Welcomed(message.session, message.endpoints)]
            case Rehello():
                return [self.link.rehello(message, now)]
            case HeartbeatAck():
                self.link.acknowledged(message, now)
            case Error():
                instruction = on_error(message, leaving=leaving)
                if isinstance(instruction, Exit) and instruction.failure:
                    return self.turned_away(instruction.failure, now)
                return [instruction]
            case ByeAck():
                return [Exit("")]
        return []

    def turned_away(self, reason: str, now: float) -> list[CommonInstruction]:
        """The broker does not want this agent; who can do without one says so once."""
        if self._needed:
            return [Exit(reason)]
        out: list[CommonInstruction] = []
        if reason != self._unwanted:
            self._unwanted = reason
            out.append(Note(logging.ERROR, f"{self._doing} on without the broker: {reason}"))
        return [*out, self.link.turned_away(UNWANTED_FOR, now)]

    def leave(self, reason: str) -> list[CommonInstruction]:
        """Everything has ended; without a broker there is nobody to tell."""
        if not self.link.live:
            return [Exit("")]
        if self._bye_sent:
            return []
        self._bye_sent = True
        return [Send(Bye(reason))]
