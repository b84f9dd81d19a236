"""Sockets with their options; nowhere else is a socket option set (docs/protocol.md section 1)."""

import random
import uuid
from collections.abc import Iterable, Sequence
from enum import Enum, auto
from typing import Final

import zmq
from zmq.backend import Socket as Bare

from zfs_walk.bus.curve import Curve
from zfs_walk.bus.handshakes import FAILURES, HANDSHAKE_MS, OwnHandshake
from zfs_walk.bus.verdict import Judge
from zfs_walk.bus.zap import Authenticator
from zfs_walk.errors import WrongUseError
from zfs_walk.protocol.codec import MAX_MESSAGE

DONTWAIT: Final = int(zmq.DONTWAIT)
MORE: Final = int(zmq.SNDMORE | zmq.DONTWAIT)
"""Flags as plain numbers for pyzmq's own C methods: through its Python ones, with enumerations, a
message of two frames costs 4.3 us to receive and 2.3 us to send, so 2.0 us and 0.4 us."""

MAX_SOCKETS: Final = 4_096
"""Sockets of one process: an agent has one for each of its workers, which may be 1,024; ZeroMQ's
own limit is 1,023."""

HIGH_WATER: Final = 1_000
"""Messages that wait in a queue at most; a peer that lets them wait gets no more."""

HEARTBEAT_MS: Final = 10_000
"""ZMTP heartbeats: they notice a broken TCP connection; liveness proper is the protocol's."""

RECONNECT_MS: Final = (200, 1_000)
"""Jittered, so that agents do not come back all at once."""

RECONNECT_IPC_MS: Final = 10

TCP: Final = "tcp://"

DOMAINS: Final[dict[object, str]] = {zmq.ROUTER: "bus", zmq.XSUB: "publish", zmq.XPUB: "subscribe"}
"""What a key is shown for, by the kind of socket that the broker binds: the ZAP domain."""

FAN_OUT_HIGH_WATER: Final = 20_000
"""Published messages that wait for one subscriber: what the relay forwards in the quarter of a
second that ZeroMQ's own thread may wait for a busy core. A stopped subscriber costs 20 MB at most;
what is beyond is dropped for it alone."""

SUBSCRIBER_HIGH_WATER: Final = 200_000
"""Published messages that wait in a subscriber: two bursts of 100,000 while it prints; 200 MB of
its own memory at most, nobody else's."""

PUBLISH_WAIT_MS: Final = 100
"""How long a publisher's own thread waits for room before it looks whether it is to end."""

PARTING_MS: Final = 1_000
"""How long what was published last may take to leave when a publisher closes."""


class Sent(Enum):
    """What became of a send. An accepted send is not a delivery; only an answer is."""

    ACCEPTED = auto()
    FULL = auto()
    GONE = auto()


class Bus:
    """One ZeroMQ context of one process; never carried over a fork."""

    def __init__(self, curve: Curve | None = None) -> None:
        """Open the context.

        Args:
            curve: the process's keys, used on every TCP socket; inproc and ipc go without.
        """
        self._context = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, MAX_SOCKETS)
        self._curve = curve
        self._authenticator: Authenticator | None = None

    def guard(self, judge: Judge) -> None:
        """Ask ``judge`` about every peer of the TCP sockets that are bound from now on."""
        self._authenticator = Authenticator(self._context, judge)

    def close(self) -> None:
        """Close the context and whatever is still open; nothing lingers."""
        if self._authenticator is not None:
            self._authenticator.close()
        self._context.destroy(linger=0)

    def _socket(self, kind: int) -> "zmq.Socket[bytes]":
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SNDHWM, HIGH_WATER)
        socket.setsockopt(zmq.RCVHWM, HIGH_WATER)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE)
        socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        return socket

    def router(self, endpoint: str) -> "Router":
        """The broker's end.

        Raises:
            WrongUseError: the endpoint can't be bound.
        """
        socket = self._socket(zmq.ROUTER)
        # Without it a ROUTER "succeeds" on messages that it drops.
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 3 * HEARTBEAT_MS)
        socket.setsockopt(zmq.BACKLOG, 1024)
        socket.setsockopt(zmq.IPV6, endpoint.startswith("tcp://["))
        self._bind(socket, endpoint)
        return Router(socket, secure=self._curve is not None and endpoint.startswith(TCP))

    def dealer(self, endpoint: str, name: str) -> "Dealer":
        """An agent's or client's end: a fresh random identity, one endpoint, one broker's life."""
        socket = self._socket(zmq.DEALER)
        socket.setsockopt(zmq.IDENTITY, f"{name[:80]}/{uuid.uuid4().hex}".encode())
        # Nothing waits in a hidden queue for a broker that is not there: a reused or buffering
        # socket replays stale messages into a restarted one.
        socket.setsockopt(zmq.IMMEDIATE, 1)
        socket.setsockopt(zmq.RECONNECT_IVL, random.randint(*RECONNECT_MS))  # noqa: S311 -- jitter
        socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 3 * HEARTBEAT_MS)
        socket.setsockopt(zmq.IPV6, endpoint.startswith("tcp://["))
        monitor = socket.get_monitor_socket(FAILURES)
        monitor.setsockopt(zmq.LINGER, 0)
        self._connect(socket, endpoint)
        return Dealer(socket, OwnHandshake(monitor))

    def pub(self, endpoint: str) -> "Pub":
        """A publisher's end, connected to the relay; for a thread that may wait.

        It is an XPUB, which hears that the relay has subscribed: a PUB silently drops what is
        published before that. It waits for room where a PUB drops, so that drops are counted.
        """
        socket = self._socket(zmq.XPUB)
        socket.setsockopt(zmq.XPUB_NODROP, 1)
        # It hears of the relay's subscription again when a broken connection is made anew.
        socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        socket.setsockopt(zmq.SNDTIMEO, PUBLISH_WAIT_MS)
        _keep_up(socket, endpoint)
        monitor = _monitor(socket)
        self._connect(socket, endpoint)
        return Pub(socket, monitor)

    def xsub(self, endpoint: str, inside: str = "") -> "XSub":
        """The relay's end for publishers: bound, and subscribed to everything.

        Args:
            endpoint: of the publishers of other processes.
            inside: of this process's own publisher, if it has one.

        The bound on what waits here is per publisher, and small: a publisher whose messages wait
        keeps the rest itself.

        Raises:
            WrongUseError: the endpoint can't be bound.
        """
        socket = self._socket(zmq.XSUB)
        _keep_up(socket, endpoint)
        self._bind(socket, endpoint)
        bound = XSub(socket)
        if inside:
            self._bind(socket, inside)
        socket.send(b"\x01")
        return bound

    def xpub(self, endpoint: str) -> "XPub":
        """The relay's end for subscribers: bound; drops for those whose queue is full.

        Raises:
            WrongUseError: the endpoint can't be bound.
        """
        socket = self._socket(zmq.XPUB)
        socket.setsockopt(zmq.SNDHWM, FAN_OUT_HIGH_WATER)
        _keep_up(socket, endpoint)
        self._bind(socket, endpoint)
        return XPub(socket)

    def sub(self, endpoint: str, topics: Iterable[bytes]) -> "Sub":
        """A subscriber's end: what begins with one of the topics."""
        socket = self._socket(zmq.SUB)
        socket.setsockopt(zmq.RCVHWM, SUBSCRIBER_HIGH_WATER)
        _keep_up(socket, endpoint)
        for topic in topics:
            socket.setsockopt(zmq.SUBSCRIBE, topic)
        monitor = _monitor(socket)
        self._connect(socket, endpoint)
        return Sub(socket, monitor)

    def push(self, endpoint: str, *, bind: bool) -> "Push":
        """To one worker (bound by its agent), or a worker's results (connected)."""
        socket = self._socket(zmq.PUSH)
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_IPC_MS)
        (self._bind if bind else self._connect)(socket, endpoint)
        return Push(socket)

    def pull(self, endpoint: str, *, bind: bool) -> "Pull":
        """An agent's results of all its workers (bound), or a worker's tasks (connected)."""
        socket = self._socket(zmq.PULL)
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_IPC_MS)
        (self._bind if bind else self._connect)(socket, endpoint)
        return Pull(socket)

    def _bind(self, socket: "zmq.Socket[bytes]", endpoint: str) -> None:
        curve = self._curve
        if curve is not None and endpoint.startswith(TCP):
            socket.setsockopt(zmq.CURVE_SERVER, 1)
            socket.setsockopt(zmq.CURVE_SECRETKEY, curve.secret.encode())
            socket.setsockopt(zmq.ZAP_DOMAIN, DOMAINS[socket.type].encode())
            # Without it, whoever has any key is let in when nobody answers for ZAP.
            socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
            if self._authenticator is not None:
                self._authenticator.watch(socket)
        try:
            socket.bind(endpoint)
        except zmq.ZMQError as error:
            socket.close()
            if error.errno == zmq.EADDRINUSE:
                raise WrongUseError(
                    reason=f"{endpoint} is in use by another program; stop it or bind another one"
                ) from error
            raise WrongUseError(reason=f"{endpoint} can't be bound: {error.strerror}") from error

    def _connect(self, socket: "zmq.Socket[bytes]", endpoint: str) -> None:
        curve = self._curve
        if curve is not None and endpoint.startswith(TCP):
            socket.setsockopt(zmq.CURVE_SERVERKEY, curve.server.encode())
            socket.setsockopt(zmq.CURVE_PUBLICKEY, curve.public.encode())
            socket.setsockopt(zmq.CURVE_SECRETKEY, curve.secret.encode())
        try:
            socket.connect(endpoint)
        except zmq.ZMQError as error:
            socket.close()
            raise WrongUseError(
                reason=f"{endpoint} is no endpoint ({error.strerror}); they look like"
                " tcp://HOST:PORT or ipc:///PATH"
            ) from error


def _keep_up(socket: "zmq.Socket[bytes]", endpoint: str) -> None:
    """What both ends of the stream have: a broken connection is noticed and made again."""
    socket.setsockopt(zmq.RECONNECT_IVL, random.randint(*RECONNECT_MS))  # noqa: S311 -- jitter
    socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 3 * HEARTBEAT_MS)
    socket.setsockopt(zmq.IPV6, endpoint.startswith("tcp://["))


def _monitor(socket: "zmq.Socket[bytes]") -> "zmq.Socket[bytes]":
    """Tells when a connection breaks."""
    monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    monitor.setsockopt(zmq.LINGER, 0)
    return monitor


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
    """Publishes."""

    def subscribed(self, seconds: float) -> bool:
        """Wait for the relay's subscription; False if it has not come in time."""
        return bool(self.socket.poll(round(seconds * 1000))) and self._receive() is not None

    def send_waiting(self, frames: Sequence[bytes]) -> Sent:
        """Publish; FULL when there was no room within `PUBLISH_WAIT_MS`."""
        try:
            self.socket.send_multipart(frames)
        except zmq.Again:
            return Sent.FULL
        return Sent.ACCEPTED

    def part(self) -> None:
        """Close, when what was published has left or `PARTING_MS` are over."""
        self.socket.setsockopt(zmq.LINGER, PARTING_MS)
        self.close()


class XSub(Bound):
    """Takes what is published."""

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
