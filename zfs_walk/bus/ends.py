"""What sockets do, never blocking: a small class for each kind, and a waiter for all of them.

Their options are set where they are made, in `zfs_walk.bus.sockets`.
"""

from collections.abc import Sequence
from enum import Enum, auto
from typing import Final

import zmq
from zmq.backend import Socket as Bare

from zfs_walk.bus.handshakes import OwnHandshake

DONTWAIT: Final = int(zmq.DONTWAIT)
MORE: Final = int(zmq.SNDMORE | zmq.DONTWAIT)
"""Flags as plain numbers for pyzmq's own C methods: through its Python ones, with enumerations, a
message of two frames costs 4.3 us to receive and 2.3 us to send, so 2.0 us and 0.4 us."""

PARTING_MS: Final = 1_000
"""How long what was published last may take to leave when a publisher closes."""


class Sent(Enum):
    """What became of a send. An accepted send is not a delivery; only an answer is."""

    ACCEPTED = auto()
    FULL = auto()
    GONE = auto()


class End:
    """One socket, never blocking."""

    def __init__(self, socket: "zmq.Socket[bytes]") -> None:
        """Take over a socket."""
        self.socket = socket

    def close(self) -> None:
        """Close the socket; what it has not sent is dropped."""
        self.socket.close()

    def _receive(self) -> list[bytes] | None:
        try:
            frame = Bare.recv(self.socket, DONTWAIT, copy=False)
        except zmq.Again:
            return None
        return [frame.bytes, *self._rest(frame)]

    def _rest(self, frame: zmq.Frame) -> list[bytes]:
        """The frames of a message after this one."""
        frames = []
        while frame.more:
            frame = Bare.recv(self.socket, DONTWAIT, copy=False)
            frames.append(frame.bytes)
        return frames

    def _send(self, frames: Sequence[bytes]) -> Sent:
        try:
            for frame in frames[:-1]:
                Bare.send(self.socket, frame, MORE)
            Bare.send(self.socket, frames[-1], DONTWAIT)
        except zmq.Again:
            return Sent.FULL
        except zmq.ZMQError as error:
            if error.errno == zmq.EHOSTUNREACH:
                return Sent.GONE
            raise
        return Sent.ACCEPTED


class Bound(End):
    """One end of the broker's.

    Attributes:
        endpoint: where it is bound, with the port that the system chose.
    """

    def __init__(self, socket: "zmq.Socket[bytes]") -> None:
        """Take over a socket that has just been bound."""
        super().__init__(socket)
        endpoint = socket.getsockopt(zmq.LAST_ENDPOINT)
        self.endpoint = (
            bytes(endpoint).rstrip(b"\0").decode() if isinstance(endpoint, bytes) else ""
        )

    def unbind(self) -> None:
        """End every connection that came over the endpoint, and take no new ones."""
        self.socket.unbind(self.endpoint)

    def bind_again(self) -> bool:
        """Take connections again; False: the system has not let go of the endpoint yet."""
        try:
            self.socket.bind(self.endpoint)
        except zmq.ZMQError:
            return False
        return True


class Router(Bound):
    """The broker's end: frames with the route that they came along, and with whose key."""

    def __init__(self, socket: "zmq.Socket[bytes]", *, secure: bool) -> None:
        """Take over a socket; ``secure``: every peer has shown a key."""
        super().__init__(socket)
        self.secure = secure

    def receive(self) -> tuple[bytes, str, list[bytes]] | None:
        """The next message, or None: its route, the peer's public key, the frames.

        The key is empty where none is demanded: on inproc, ipc, and with ``--insecure``.
        """
        try:
            route = Bare.recv(self.socket, DONTWAIT, copy=False)
        except zmq.Again:
            return None
        user = route.get("User-Id") if self.secure else ""
        return route.bytes, str(user), self._rest(route)

    def send(self, route: bytes, frames: Sequence[bytes]) -> Sent:
        """Send along a route."""
        return self._send([route, *frames])


class Dealer(End):
    """An agent's or client's end.

    Attributes:
        handshake: why the broker can't be spoken to, if it is there.
    """

    def __init__(self, socket: "zmq.Socket[bytes]", handshake: OwnHandshake) -> None:
        """Take over a socket and what tells of its handshake."""
        super().__init__(socket)
        self.handshake = handshake

    def close(self) -> None:
        """Close the socket; what it has not sent is dropped."""
        self.socket.disable_monitor()
        self.handshake.monitor.close()
        super().close()

    def receive(self) -> list[bytes] | None:
        """The next message, or None."""
        return self._receive()

    def send(self, frames: Sequence[bytes]) -> Sent:
        """Send to the broker; FULL as long as nobody is connected."""
        return self._send(frames)


class Push(End):
    """Sends only."""

    def send(self, frames: Sequence[bytes]) -> Sent:
        """Send to the peer."""
        return self._send(frames)

    def send_waiting(self, frames: Sequence[bytes]) -> None:
        """Send, waiting for room; for a worker, whose agent reads whenever it lives."""
        self.socket.send_multipart(frames)


class Pull(End):
    """Receives only."""

    def receive(self) -> list[bytes] | None:
        """The next message, or None."""
        return self._receive()


class Watched(End):
    """An end that knows when its connection breaks."""

    def __init__(self, socket: "zmq.Socket[bytes]", monitor: "zmq.Socket[bytes]") -> None:
        """Take over a socket and its monitor."""
        super().__init__(socket)
        self._monitor = monitor

    def lost_connection(self) -> bool:
        """The connection broke since the last call; ZeroMQ makes it again by itself."""
        broken = False
        while int(self._monitor.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            self._monitor.recv_multipart()
            broken = True
        return broken

    def close(self) -> None:
        """Close the socket; what it has not sent is dropped."""
        self.socket.disable_monitor()
        self._monitor.close()
        super().close()


class Pub(Watched):
    """Publishes.

    Attributes:
        wanted: what the relay subscribes, as far as was looked: everything, ``b""``, as long as it
            listens, and besides what its own subscribers have asked for.
    """

    def __init__(self, socket: "zmq.Socket[bytes]", monitor: "zmq.Socket[bytes]") -> None:
        """Take over a socket and its monitor."""
        super().__init__(socket, monitor)
        self.wanted: frozenset[bytes] = frozenset()

    def look(self, seconds: float) -> None:
        """See what is subscribed, or is no more; wait so long for the first word of it."""
        if not self.socket.poll(round(seconds * 1000)):
            return
        while (frames := self._receive()) is not None:
            topic = frozenset({frames[0][1:]})
            begins = frames[0][:1] == b"\x01"
            self.wanted = self.wanted | topic if begins else self.wanted - topic

    def lost_connection(self) -> bool:
        """As of any end; what was subscribed over it is subscribed anew over the next one."""
        lost = super().lost_connection()
        if lost:
            self.wanted = frozenset()
        return lost

    def send_waiting(self, frames: Sequence[bytes]) -> Sent:
        """Publish; FULL when there was no room within its socket's time."""
        try:
            self.socket.send_multipart(frames)
        except zmq.Again:
            return Sent.FULL
        return Sent.ACCEPTED

    def part(self) -> None:
        """Close, when what was published has left or `PARTING_MS` are over."""
        self.socket.disable_monitor()
        self._monitor.close()
        self.socket.close(linger=PARTING_MS)


class XSub(Bound):
    """Takes what is published."""

    def send(self, wanted: bytes) -> None:
        """Tell publishers, those that come later too: ``1`` or ``0``, and a topic."""
        self._send([wanted])

    def receive(self) -> list[bytes] | None:
        """The next message, or None."""
        return self._receive()


class XPub(Bound):
    """Fans out."""

    def receive(self) -> list[bytes] | None:
        """The next message of a subscriber: ``1`` or ``0`` and what it (un)subscribes."""
        return self._receive()

    def send(self, frames: Sequence[bytes]) -> None:
        """Send to those who have subscribed it and have room."""
        self._send(frames)

    def part(self) -> None:
        """Close, when what was sent has left or `PARTING_MS` are over."""
        self.socket.close(linger=PARTING_MS)


class Sub(Watched):
    """A subscriber's end."""

    def receive(self) -> list[bytes] | None:
        """The next message, or None."""
        return self._receive()


class Waiter:
    """Waits until one of its ends or file descriptors can be read, or time is over."""

    def __init__(self) -> None:
        """Wait for nothing yet."""
        self._poller = zmq.Poller()

    def add(self, source: End | int) -> None:
        """Wait for this end or descriptor as well."""
        self._poller.register(source.socket if isinstance(source, End) else source, zmq.POLLIN)

    def remove(self, source: End | int) -> None:
        """Do not wait for it any more."""
        self._poller.unregister(source.socket if isinstance(source, End) else source)

    def until_writable(self, end: End, *, wanted: bool) -> None:
        """Also wake when this end takes messages."""
        flags = zmq.POLLIN | zmq.POLLOUT if wanted else zmq.POLLIN
        self._poller.modify(end.socket, flags)

    def wait(self, seconds: float) -> set[int]:
        """Wait; returns the descriptors (of those added as such) that can be read."""
        ready = self._poller.poll(max(0, round(seconds * 1000 + 0.499)))
        return {source for source, _ in ready if isinstance(source, int)}
