"""Sockets with their options; nowhere else is a socket option set (docs/protocol.md section 1)."""

import random
import uuid
from collections.abc import Iterable
from typing import Final

import zmq

from zfs_walk.bus.curve import Curve
from zfs_walk.bus.ends import Dealer, Pub, Pull, Push, Router, Sub, XPub, XSub
from zfs_walk.bus.handshakes import FAILURES, HANDSHAKE_MS, OwnHandshake
from zfs_walk.bus.verdict import Judge
from zfs_walk.bus.zap import Authenticator
from zfs_walk.errors import WrongUseError
from zfs_walk.protocol.codec import MAX_MESSAGE

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

LONGEST_TOPIC: Final = 4_096
"""Bytes of a topic, and of what a subscriber sends: ZeroMQ keeps a subscription as a tree with a
level for each byte and deletes it by recursion, which for 200,000 overflows the broker's stack."""

PUBLISH_WAIT_MS: Final = 100
"""How long a publisher's own thread waits for room before it looks whether it is to end."""


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

    def change_keys(self, curve: Curve | None) -> None:
        """Use these keys on every socket that is opened from now on."""
        self._curve = curve

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

    def router(self, endpoint: str) -> Router:
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

    def dealer(self, endpoint: str, name: str) -> Dealer:
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

    def pub(self, endpoint: str) -> Pub:
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

    def xsub(self, endpoint: str) -> XSub:
        """The relay's end for publishers: bound, and subscribed to everything.

        The bound on what waits here is per publisher, and small: a publisher whose messages wait
        keeps the rest itself.

        Raises:
            WrongUseError: the endpoint can't be bound.
        """
        socket = self._socket(zmq.XSUB)
        _keep_up(socket, endpoint)
        self._bind(socket, endpoint)
        socket.send(b"\x01")
        return XSub(socket)

    def xpub(self, endpoint: str) -> XPub:
        """The relay's end for subscribers: bound; drops for those whose queue is full.

        Raises:
            WrongUseError: the endpoint can't be bound.
        """
        socket = self._socket(zmq.XPUB)
        socket.setsockopt(zmq.SNDHWM, FAN_OUT_HIGH_WATER)
        socket.setsockopt(zmq.MAXMSGSIZE, LONGEST_TOPIC)
        _keep_up(socket, endpoint)
        self._bind(socket, endpoint)
        return XPub(socket)

    def sub(
        self, endpoint: str, topics: Iterable[bytes], high_water: int = SUBSCRIBER_HIGH_WATER
    ) -> Sub:
        """A subscriber's end: what begins with one of the topics; so many messages wait in it."""
        socket = self._socket(zmq.SUB)
        socket.setsockopt(zmq.RCVHWM, high_water)
        _keep_up(socket, endpoint)
        for topic in topics:
            socket.setsockopt(zmq.SUBSCRIBE, topic)
        monitor = _monitor(socket)
        self._connect(socket, endpoint)
        return Sub(socket, monitor)

    def push(self, endpoint: str, *, bind: bool) -> Push:
        """To one worker (bound by its agent), or a worker's results (connected)."""
        socket = self._socket(zmq.PUSH)
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_IPC_MS)
        (self._bind if bind else self._connect)(socket, endpoint)
        return Push(socket)

    def pull(self, endpoint: str, *, bind: bool) -> Pull:
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
