"""An agent's socket to its broker: opened, written to, given up; whatever the role."""

import dataclasses
import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from zfs_walk.agents.events import Exit, FromBroker, Welcomed
from zfs_walk.agents.link import Identity
from zfs_walk.bus.complaints import Complaints
from zfs_walk.bus.endpoints import InTurn, reachable
from zfs_walk.bus.ends import Dealer, Sent, Waiter
from zfs_walk.bus.loghandler import LogHandler
from zfs_walk.bus.sockets import Bus
from zfs_walk.errors import (
    ClaimRefusedError,
    HandshakeError,
    NoBrokerError,
    ProcessDiedError,
    RefusedError,
    VersionRefusedError,
    ZfsWalkError,
)
from zfs_walk.protocol.codec import BUS, MAJOR, MalformedError, UnsupportedError, WrongMajorError
from zfs_walk.protocol.messages import PROTO_MAX, Message

REFUSALS: Final = frozenset({"name-in-use", "superseded", "not-allowed"})
"""What a broker says to an agent that it does not want."""


class Connection:
    """One socket at a time, each with a fresh identity; its owner waits for it in ``waiter``."""

    def __init__(  # noqa: PLR0913, PLR0917 -- what a connection is made of
        self,
        bus: Bus,
        endpoints: Sequence[str],
        identity: Identity,
        waiter: Waiter,
        log: logging.Logger,
        handler: LogHandler | None,
    ) -> None:
        """Nothing is open yet; the first socket is due at once, if there is an endpoint.

        Args:
            bus: this process's context.
            endpoints: of the broker, tried in turn; none: it waits for `aim`.
            identity: who the agent is.
            waiter: the owner's, which the socket is to wake.
            log: the role's logger.
            handler: what numbers and publishes this process's log records; None: nothing does.
        """
        self._bus = bus
        self._endpoints = InTurn(endpoints)
        self._identity = identity
        self._waiter = waiter
        self._log = log
        self._handler = handler
        self._complaints = Complaints(log)
        self._dealer: Dealer | None = None
        self._outbox: deque[list[bytes]] = deque()
        self._writing = False
        self._failures: dict[str, str] = {}
        self.due: float | None = 0.0 if endpoints else None

    def aim(self, endpoints: Sequence[str]) -> None:
        """Look for the broker there, from the next socket on.

        Args:
            endpoints: tried in turn; one at least.
        """
        self._endpoints = InTurn(endpoints)
        if self._dealer is None and self.due is None:
            self.due = 0.0

    def open(self) -> None:
        """Open the socket that is due; whatever was to be sent before is out of date."""
        self.due = None
        name = f"{self._identity.role}/{self._identity.host}"
        self._dealer = self._bus.dealer(self._endpoints.in_use, name)
        self._waiter.add(self._dealer)
        self._outbox.clear()
        self._writing = False

    @property
    def endpoint(self) -> str:
        """Where the socket is connected, or the next one will be; empty: nobody knows yet."""
        return self._endpoints.in_use if len(self._endpoints) else ""

    def give_up(self, delay: float, *, elsewhere: bool) -> None:
        """Close the socket; the next one is due.

        Args:
            delay: seconds until then.
            elsewhere: it is to be connected to the next one of the broker's endpoints.
        """
        if self._dealer is not None:
            self._look_at_handshake(self._dealer)
            self._waiter.remove(self._dealer)
            self._dealer.close()
            self._dealer = None
        if elsewhere:
            self._endpoints.advance()
        self._outbox.clear()
        self.due = time.monotonic() + delay

    def close(self) -> None:
        """Close the socket for good."""
        if self._dealer is not None:
            self._dealer.close()

    def receive(self) -> list[FromBroker]:
        """What the broker has sent.

        Raises:
            VersionRefusedError: it speaks another version.
        """
        events: list[FromBroker] = []
        while self._dealer is not None and (frames := self._dealer.receive()) is not None:
            event = self._decode(frames)
            if event is not None:
                events.append(event)
        return events

    def send(self, message: Message) -> None:
        """Queue a message, and send what there is room for."""
        self._outbox.append(BUS.encode(message))
        self.flush()

    def flush(self) -> None:
        """Send what waits; be woken when there is room for the rest."""
        dealer = self._dealer
        if dealer is None:
            return
        while self._outbox:
            if dealer.send(self._outbox[0]) is not Sent.ACCEPTED:
                break
            self._outbox.popleft()
        if self._writing != bool(self._outbox):
            self._writing = bool(self._outbox)
            self._waiter.until_writable(dealer, wanted=self._writing)

    def welcomed(self, message: Welcomed) -> None:
        """Publish what was logged so far, and what will be."""
        if self._handler is not None:
            publisher = self._handler.publisher
            publisher.origin = dataclasses.replace(publisher.origin, session=message.session)
            publisher.connect(reachable(message.endpoints.publish, self.endpoint))
        self._log.info("session %x with the broker at %s", message.session, self.endpoint)

    def failure(self, instruction: Exit, patience: float) -> ZfsWalkError | None:
        """The error that a core's last word stands for; None: all is well.

        Args:
            instruction: what the core said.
            patience: seconds that the agent waited for a first broker.
        """
        if not instruction.failure:
            return None
        if instruction.failure == "no-broker":
            if self._dealer is not None:
                self._look_at_handshake(self._dealer)
            reasons = dict.fromkeys(filter(None, self._failures.values()))
            if reasons:
                return HandshakeError(endpoint=str(self._endpoints), reason="; ".join(reasons))
            return NoBrokerError(endpoint=str(self._endpoints), waited=patience)
        return self._refusal(instruction.failure)

    def _refusal(self, failure: str) -> ZfsWalkError:
        code, _, detail = failure.partition(": ")
        if code == "version":
            return VersionRefusedError(
                endpoint=self.endpoint, theirs=detail, ours=f"{MAJOR}.{PROTO_MAX}"
            )
        if code == "claim-refused":
            return ClaimRefusedError(detail=detail)
        if code in REFUSALS:
            return RefusedError(code=code, detail=detail)
        return ProcessDiedError(what="this agent", reason=failure)

    def _decode(self, frames: list[bytes]) -> FromBroker | None:
        try:
            return FromBroker(BUS.decode(frames))
        except WrongMajorError as error:
            raise VersionRefusedError(
                endpoint=self.endpoint, theirs=f"{error.args[0]}.x", ours=f"{MAJOR}.{PROTO_MAX}"
            ) from error
        except (MalformedError, UnsupportedError) as error:
            self._complaints.say(f"the broker sent something strange: {error}", time.monotonic())
            return None

    def _look_at_handshake(self, dealer: Dealer) -> None:
        dealer.handshake.look()
        reason = self._failures[self.endpoint] = dealer.handshake.reason
        if reason:
            text = f"{self.endpoint} can't be spoken to: {reason}"
            self._complaints.say(text, time.monotonic())
