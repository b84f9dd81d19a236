"""A client of the broker: one request, one reply, a deadline."""

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from zfs_walk.bus.endpoints import InTurn
from zfs_walk.bus.ends import Dealer, Waiter
from zfs_walk.bus.sockets import Bus
from zfs_walk.errors import (
    HandshakeError,
    NoBrokerError,
    RefusedError,
    VersionRefusedError,
    WrongUseError,
)
from zfs_walk.protocol.codec import BUS, MAJOR, WrongMajorError
from zfs_walk.protocol.messages import (
    CLIENT,
    PROTO_MAX,
    PROTO_MIN,
    Error,
    Hello,
    Message,
    Rehello,
    Welcome,
)
from zfs_walk.protocol.records import NO_ENDPOINTS

RETRY: Final = 2.0
"""Seconds without an answer after which a fresh socket is tried; each further try has twice as many
for the answer, so that a request which takes long is not begun again and again."""

FIRST_TRY: Final = 0.5
"""Seconds for the first answer of each of several endpoints, of which most are dead: a broker that
lives answers in a hundredth of it. Twice as many in the next round."""

LOOK_UP: Final = 0.2
"""Seconds after which a waiting client looks up: signals, and ``check``."""


class Client:
    """Says HELLO as a client, asks, and waits for the answers; one thread's own.

    Attributes:
        timeout: seconds that a request may wait for a broker.
        endpoints: where the broker's other sockets are, by its last WELCOME.
        term: the broker's, by its last WELCOME.
    """

    def __init__(  # noqa: PLR0913, PLR0917 -- who asks whom, and how patiently
        self,
        bus: Bus,
        endpoints: Sequence[str],
        host: str,
        version: str,
        timeout: float,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Nothing is sent yet.

        Args:
            bus: the process's context.
            endpoints: the broker's, tried in turn.
            host: this host's name.
            version: of zfs_walk.
            timeout: seconds that a request may wait for a broker.
            check: called while waiting; raises to give up (a broker in this process has died).
        """
        self._in_turn = InTurn(endpoints)
        self._seconds = FIRST_TRY
        self.timeout = timeout
        self._bus = bus
        self._check = check
        self._host, self._version = host, version
        self._boot = secrets.token_hex(8)
        self._conn = 0
        self._dealer: Dealer | None = None
        self._waiter = Waiter()
        self._offset_ms = 0
        self._failure = ""
        self.endpoints = NO_ENDPOINTS
        self.term = 0

    @property
    def endpoint(self) -> str:
        """Where the broker is, or is looked for at the moment."""
        return self._in_turn.in_use

    def close(self) -> None:
        """Close the socket."""
        if self._dealer is not None:
            self._waiter.remove(self._dealer)
            self._dealer.close()
            self._dealer = None

    def greet(self) -> None:
        """Say HELLO, and learn the broker's term and its other endpoints.

        Raises:
            NoBrokerError: nobody answered in time.
            RefusedError: the broker said ERROR.
            VersionRefusedError: the broker speaks another version.
        """
        begun = time.monotonic()
        limit = begun + self.timeout
        while self._dealer is None and not self._try(limit):
            if time.monotonic() >= limit:
                raise NoBrokerError(endpoint=str(self._in_turn), waited=time.monotonic() - begun)

    def ask(self, request: Callable[[str, int], Message]) -> Any:
        """Send a request until it is answered; the reply's type is the request's business.

        Args:
            request: makes the message from a request id and a deadline (broker's ms).

        Raises:
            NoBrokerError: nobody answered in time.
            HandshakeError: the broker does not want this key, or is another one.
            RefusedError: the broker said ERROR.
            VersionRefusedError: the broker speaks another version.
        """
        begun = time.monotonic()
        limit = begun + self.timeout
        name = secrets.token_hex(16)
        patience = RETRY
        while True:
            now = time.monotonic()
            if now >= limit and self._failure:
                raise HandshakeError(endpoint=str(self._in_turn), reason=self._failure)
            if now >= limit:
                raise NoBrokerError(endpoint=str(self._in_turn), waited=now - begun)
            if self._dealer is None and not self._try(limit):
                continue
            until = min(limit, now + RETRY)
            deadline = max(1, round(limit * 1000) + self._offset_ms)
            if not self._send(request(name, deadline), until):
                self.close()
                continue
            reply = self._await(name, min(limit, now + patience))
            if reply is not None:
                return reply
            patience *= 2
            self.close()

    def _try(self, limit: float) -> bool:
        """Greet at the endpoint whose turn it is; if nobody answers there, the next one's comes."""
        seconds = min(RETRY, self.timeout / len(self._in_turn))
        if len(self._in_turn) > 1:
            seconds = min(seconds, self._seconds)
        if self._greet(min(limit, time.monotonic() + seconds)):
            self._seconds = FIRST_TRY
            return True
        if self._in_turn.advance():
            self._seconds = min(RETRY, 2 * self._seconds)
        return False

    def _greet(self, until: float) -> bool:
        self._dealer = self._bus.dealer(self.endpoint, f"client/{self._host}")
        self._waiter.add(self._dealer)
        self._conn += 1
        hello = Hello(
            PROTO_MIN, PROTO_MAX, CLIENT, self._host, f"client-{self._boot}", self._boot,
            self._conn, 0, self._version, 1, (), 0,
        )  # fmt: skip
        if self._send(hello, until):
            while time.monotonic() < until:
                message = self._receive(until)
                if isinstance(message, Error):
                    raise RefusedError(code=message.code, detail=message.detail)
                if isinstance(message, Welcome):
                    self._failure = ""
                    self._offset_ms = message.now_ms - round(time.monotonic() * 1000)
                    self.endpoints, self.term = message.endpoints, message.term
                    return True
        self.close()
        return False

    def _send(self, message: Message, until: float) -> bool:
        try:
            frames = BUS.encode(message)
        except UnicodeEncodeError as error:
            raise WrongUseError(reason=f"{error.object!r} is not UTF-8") from error
        dealer = self._dealer
        if dealer is None:
            return False
        while dealer.send(frames).name != "ACCEPTED":
            if time.monotonic() >= until:
                return False
            self._look_at_handshake(dealer)
            self._check()
            self._waiter.until_writable(dealer, wanted=True)
            self._waiter.wait(min(0.2, max(0.0, until - time.monotonic())))
            self._waiter.until_writable(dealer, wanted=False)
        return True

    def _look_at_handshake(self, dealer: Dealer) -> None:
        dealer.handshake.look()
        self._failure = dealer.handshake.reason or self._failure
        if dealer.handshake.refused:
            raise HandshakeError(endpoint=self.endpoint, reason=self._failure)

    def _receive(self, until: float) -> Message | None:
        dealer = self._dealer
        if dealer is None:
            return None
        frames = dealer.receive()
        if frames is None:
            self._check()
            self._waiter.wait(min(LOOK_UP, max(0.0, until - time.monotonic())))
            frames = dealer.receive()
        if frames is None:
            return None
        try:
            message: Message = BUS.decode(frames)
        except WrongMajorError as error:
            raise VersionRefusedError(
                endpoint=self.endpoint, theirs=f"{error.args[0]}.x", ours=f"{MAJOR}.{PROTO_MAX}"
            ) from error
        if isinstance(message, Error) and message.code == "version":
            raise VersionRefusedError(
                endpoint=self.endpoint, theirs=message.detail, ours=f"{MAJOR}.{PROTO_MAX}"
            )
        return message

    def _await(self, name: str, until: float) -> Message | None:
        while time.monotonic() < until:
            message = self._receive(until)
            if isinstance(message, Rehello):
                return None
            if isinstance(message, Error) and message.request in {"", name}:
                raise RefusedError(code=message.code, detail=message.detail)
            if message is not None and getattr(message, "request", None) == name:
                return message
        return None
