"""The scout agent's state machine: ``handle(event, now) -> [Instruction]``.

Holds the claims of this session and brings their lists to the broker. A broker that is away stops
nothing: what changes meanwhile is told when one answers again. It imports no socket, file, process
or clock.
"""

import logging
import math
from collections.abc import Sequence

from zfs_walk.agents.commands import heartbeat, obey
from zfs_walk.agents.events import (
    CommonInstruction,
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
from zfs_walk.agents.scout.claim import OwnClaim
from zfs_walk.agents.scout.events import Event, Folder, Stirred
from zfs_walk.protocol.messages import (
    Bye,
    ByeAck,
    Claimed,
    ClaimRefused,
    Command,
    Error,
    FilesAck,
    HeartbeatAck,
    Message,
    Rehello,
    Resync,
    Welcome,
)


class ScoutCore:
    """One scout process.

    Attributes:
        link: its session.
        claims: its folders, by number.
    """

    def __init__(
        self,
        identity: Identity,
        folders: Sequence[Folder],
        patience: float,
        now: float,
    ) -> None:
        """Nothing is connected yet.

        Args:
            identity: who the agent is.
            folders: what it claims.
            patience: seconds to wait for a first broker; for one that went away it waits for ever.
            now: monotonic seconds.
        """
        self.link = Link(identity, patience, math.inf, now)
        self._out: list[CommonInstruction] = []
        self.claims = [OwnClaim(number, folder, self._out) for number, folder in enumerate(folders)]
        self._lease_ttl = 15.0
        self._leaving = ""
        self._failure = ""
        self._bye_sent = False

    def health(self) -> str:
        """What keeps it from its work, the gravest first."""
        if not self.link.live:
            return "no broker answers"
        if self._leaving:
            return f"it is leaving: {self._leaving}"
        trouble = [f"{claim.path}: {claim.refused or claim.why}" for claim in self.claims
                   if claim.refused or claim.why]  # fmt: skip
        return "; ".join(trouble)[:4096] or "ok"

    def next_deadline(self, now: float) -> float:
        """When the next `Tick` is due at the latest."""
        return self.link.next_deadline(now)

    def handle(self, event: Event, now: float) -> list[CommonInstruction]:
        """Take an event, return what is to be done."""
        gap = self.link.asleep(now)
        if gap:
            for claim in self.claims:
                claim.slept(gap, now)
        match event:
            case Connected():
                self._out.append(self.link.connected((), now))
            case FromBroker(message):
                # What was read from a socket before it was given up is too late.
                if self.link.heard(now):
                    self._from_broker(message, now)
            case Stirred():
                self.claims[event.claim].stirred(event)
                self._advance(self.claims[event.claim], now)
            case Drain(reason):
                self._leave(reason)
            case Tick():
                self._tick(event, now)
        out = list(self._out)
        self._out.clear()
        return out

    def _tick(self, tick: Tick, now: float) -> None:
        instruction = self.link.tick(now)
        if instruction is not None:
            if self.link.welcomed and isinstance(instruction, Reconnect):
                text = "the broker is silent: trying again, and watching on meanwhile"
                self._out.append(Note(logging.INFO, text))
            self._out.append(instruction)
        beat = self.link.beat(now)
        if beat:
            self._out.append(heartbeat(beat, tick))
        for claim in self.claims:
            self._advance(claim, now)
        self._say_bye()

    def _advance(self, claim: OwnClaim, now: float) -> None:
        if self.link.live and not self._leaving:
            claim.advance(self.link.heartbeat, now)

    # ------------------------------------------------------------------ the broker

    def _from_broker(self, message: Message, now: float) -> None:
        match message:
            case Welcome():
                self._welcome(message, now)
            case Rehello():
                self._out.append(self.link.rehello(message, now))
            case Claimed() | ClaimRefused() | FilesAck() | Resync():
                if message.claim < len(self.claims) and not self._leaving:
                    self._about(self.claims[message.claim], message, now)
            case Command():
                self._obey(message)
            case HeartbeatAck():
                self.link.acknowledged(message, now)
            case Error():
                self._out.append(on_error(message, leaving=bool(self._leaving)))
            case ByeAck():
                self._out.append(Exit(self._failure))
            case _:
                pass  # whatever else it says is a sign of life

    def _welcome(self, message: Welcome, now: float) -> None:
        self.link.welcome(message, now)
        self._lease_ttl = message.lease_ttl_ms / 1000
        self._out.append(Welcomed(message.session, message.endpoints))
        self._bye_sent = False
        for claim in self.claims:
            claim.welcomed(now)
            self._advance(claim, now)
        self._say_bye()

    def _about(
        self, claim: OwnClaim, message: Claimed | ClaimRefused | FilesAck | Resync, now: float
    ) -> None:
        match message:
            case Claimed():
                claim.granted(message, now)
            case ClaimRefused():
                self._refused(claim, message, now)
            case FilesAck(_, generation, version):
                claim.sender.acked(generation, version, now)
            case Resync():
                claim.resync(now)
        self._advance(claim, now)

    def _refused(self, claim: OwnClaim, message: ClaimRefused, now: float) -> None:
        """At the start it is an error of whoever started it; later the other folders go on."""
        if claim.stood:
            claim.lost(message, self._lease_ttl, now)
        else:
            self._failure = f"claim-refused: {claim.path}: {message.detail}"
            self._leave(f"{claim.path} is refused")

    def _obey(self, command: Command) -> None:
        self._out += obey(command, "a scout", "it gives its folders back and ends")
        if command.name == "drain":
            self._leave("drained by request")

    # ------------------------------------------------------------------ the end

    def _leave(self, reason: str) -> None:
        self._leaving = self._leaving or reason
        self._say_bye()

    def _say_bye(self) -> None:
        """BYE ends the claims at once; without a broker there is nobody to tell."""
        if not self._leaving:
            return
        if not self.link.live:
            self._out.append(Exit(self._failure))
        elif not self._bye_sent:
            self._bye_sent = True
            self._out.append(Send(Bye(self._leaving)))
