"""Handshakes that fail before any key is shown: libzmq tells of them on a socket's monitor only."""

import errno
import logging
import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import zmq

from zfs_walk.bus.complaints import Complaints

LOG = logging.getLogger("zfs_walk.bus")

HANDSHAKE_MS: Final = 5_000
"""Who has not shown a key by then is disconnected: half-open connections cost descriptors."""

FAILURES: Final = (
    zmq.Event.HANDSHAKE_FAILED_NO_DETAIL
    | zmq.Event.HANDSHAKE_FAILED_PROTOCOL
    | zmq.Event.HANDSHAKE_FAILED_AUTH
)
EVENTS: Final = (
    zmq.Event.ACCEPTED
    | zmq.Event.HANDSHAKE_SUCCEEDED
    | zmq.Event.DISCONNECTED
    | zmq.Event.MONITOR_STOPPED
    | FAILURES
)

_EVENT: Final = struct.Struct("=HI")

JUNK: Final = "it does not speak ZeroMQ, or speaks without a key"
REASONS: Final[dict[int, str]] = {
    zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC: "it takes another key for this broker's",
    zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH: "it speaks without a key",
}


def read_event(frames: Sequence[bytes]) -> tuple[zmq.Event, int]:
    """What a monitor tells: the event and its value; pyzmq's own reader would import asyncio."""
    number, value = _EVENT.unpack(frames[0])
    return zmq.Event(number), value


def reason_of(event: zmq.Event, value: int) -> str:
    """What is wrong with a peer; empty if ZAP has said it already."""
    if event is zmq.Event.HANDSHAKE_FAILED_AUTH:
        return ""
    if event is zmq.Event.HANDSHAKE_FAILED_PROTOCOL:
        return REASONS.get(value, JUNK)
    if value == errno.EAGAIN:
        return f"it showed no key within {HANDSHAKE_MS // 1000} s"
    return "it left without showing a key"


REFUSED: Final = "the broker does not let this key in; it was revoked, or never added"
MISMATCH: Final = "one side has no key, or has another key of the broker's than the broker"


@dataclass(slots=True)
class OwnHandshake:
    """Why the own handshake with a broker failed, as far as the broker lets one know.

    Attributes:
        monitor: of the connecting socket.
        refused: the broker knows the key, or not, and does not want it.
        reason: what is to be told if nothing better comes; empty: nothing failed.
    """

    monitor: "zmq.Socket[bytes]"
    refused: bool = False
    reason: str = ""

    def look(self) -> None:
        """Take what has happened since."""
        while self.monitor.poll(0):
            kind, _ = read_event(self.monitor.recv_multipart())
            if kind is zmq.Event.HANDSHAKE_FAILED_AUTH:
                self.refused, self.reason = True, REFUSED
            elif kind in FAILURES:
                self.reason = self.reason or MISMATCH


@dataclass(slots=True)
class Handshakes:
    """What becomes of the connections of one bound socket.

    Only ACCEPTED and DISCONNECTED name a connection, by its descriptor. A failure is followed at
    once by the DISCONNECTED of the same connection; a success names nobody, so that of the young
    connections only their number of successes may be known. Nobody is blamed on a guess.

    Attributes:
        young: peers whose handshake may not be over: descriptor -> (address, accepted at).
        successes: of the young, so many have succeeded.
        failed: the reason of a failure whose DISCONNECTED is to come.
        complaints: one a reason, so that a flood of one kind hides no other.
    """

    young: dict[int, tuple[str, float]] = field(default_factory=dict)
    successes: int = 0
    failed: str | None = None
    complaints: dict[str, Complaints] = field(default_factory=dict)

    def note(self, event: zmq.Event, value: int, address: str, now: float) -> None:
        """Take an event of the monitor.

        Args:
            event: what happened.
            value: a descriptor, an errno or an error of the protocol.
            address: of the peer behind the descriptor, of ACCEPTED only.
            now: monotonic seconds.
        """
        self._grow_up(now)
        if event is zmq.Event.ACCEPTED:
            self.young[value] = address, now
        elif event is zmq.Event.HANDSHAKE_SUCCEEDED:
            self.successes += 1
            self._settle()
        elif event in FAILURES:
            self.failed = reason_of(event, value)
        elif event is zmq.Event.DISCONNECTED:
            self._disconnected(value, now)

    def _disconnected(self, descriptor: int, now: float) -> None:
        peer, _ = self.young.pop(descriptor, ("", 0.0))
        reason, self.failed = self.failed, None
        if reason is None and peer and not self.successes:
            # Libzmq ends what is no ZeroMQ at all without a word.
            reason = JUNK
        if reason:
            complaints = self.complaints.setdefault(reason, Complaints(LOG))
            complaints.say(f"{peer or 'a peer'} was refused: {reason}", now)
        self._settle()

    def _settle(self) -> None:
        """As many successes as young connections: none of them is young any more."""
        if self.successes >= len(self.young):
            self.young.clear()
            self.successes = 0

    def _grow_up(self, now: float) -> None:
        """Who is connected for longer than a handshake may take has succeeded."""
        for descriptor, (_, accepted) in list(self.young.items()):
            if now - accepted <= 2 * HANDSHAKE_MS / 1000:
                break
            del self.young[descriptor]
            self.successes = max(0, self.successes - 1)


def peer_of(descriptor: int) -> str:
    """The address behind a connection that was just accepted; empty if it is gone already."""
    try:
        copy = os.dup(descriptor)
    except OSError:
        return ""
    try:
        # The number may be another file's by now.
        connection = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        return ""
    try:
        with connection:
            name = connection.getpeername()
    except OSError:
        return ""
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else ""
