"""ZAP 1.0 (ZeroMQ's RFC 27): at every handshake a thread is asked whether the key may connect."""

import logging
import queue
import threading
import time
from typing import Any, Final

import zmq
from zmq.utils import z85

from zfs_walk.bus.complaints import Complaints
from zfs_walk.bus.handshakes import EVENTS, Handshakes, peer_of, read_event
from zfs_walk.bus.verdict import Judge, Verdict
from zfs_walk.bus.vital import run_vital
from zfs_walk.bus.wake import Wake

LOG = logging.getLogger("zfs_walk.bus")

ENDPOINT: Final = "inproc://zeromq.zap.01"
VERSION: Final = b"1.0"
CREDENTIALS: Final = 7
"""Frames of a request with mechanism CURVE: six, and the public key."""


class Authenticator:
    """Answers ZAP, and logs who is refused; a peer's User-Id is its public key in Z85."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", judge: Judge) -> None:
        """Begin to answer; sockets with CURVE may be bound from now on.

        Args:
            context: of the sockets that are to be guarded.
            judge: knows the keys.
        """
        self._judge = judge
        self._wake = Wake()
        self._over = False
        self._complaints: dict[tuple[str, bytes], Complaints] = {}
        self._new: queue.SimpleQueue[zmq.Socket[bytes]] = queue.SimpleQueue()
        self._monitors: dict[Any, Handshakes] = {}
        self._zap = context.socket(zmq.REP)
        self._zap.setsockopt(zmq.LINGER, 0)
        self._zap.bind(ENDPOINT)
        self._thread = threading.Thread(
            target=run_vital, args=("the check of keys", self._run), name="zap", daemon=True
        )
        self._thread.start()

    def watch(self, bound: "zmq.Socket[bytes]") -> None:
        """Log handshakes with this socket that never come to ZAP; called by its owner."""
        self._new.put(bound.get_monitor_socket(EVENTS))
        self._wake.ring()

    def close(self) -> None:
        """End the thread; the context is to be closed next."""
        self._over = True
        self._wake.ring()
        self._thread.join()
        self._wake.close()

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._zap, zmq.POLLIN)
        poller.register(self._wake.fileno(), zmq.POLLIN)
        while not self._over:
            for source, _ in poller.poll():
                if source is self._zap:
                    frames = self._zap.recv_multipart()
                    self._zap.send_multipart(self._answer(frames, time.monotonic()))
                elif source in self._monitors:
                    self._look(poller, source)
                else:
                    self._wake.clear()
            while not self._new.empty():
                monitor = self._new.get()
                # A socket that is bound again still has the same one.
                self._monitors.setdefault(monitor, Handshakes())
                poller.register(monitor, zmq.POLLIN)

    def _answer(self, frames: list[bytes], now: float) -> list[bytes]:
        """The reply to a request: version, its id, status, text, User-Id, metadata."""
        version, request, domain, address, _, mechanism, *credentials = (
            *frames, *[b""] * (CREDENTIALS - len(frames)),
        )  # fmt: skip
        user = z85.encode(credentials[0]) if [len(key) for key in credentials] == [32] else b""
        if version != VERSION or mechanism != b"CURVE" or not user:
            verdict = Verdict("it showed no CURVE key")
        else:
            verdict = self._judge.judge(domain.decode("ascii", "replace"), user.decode())
        if not verdict.refusal:
            return [VERSION, request, b"200", b"", user, b""]
        who = f"the key {verdict.name}" if verdict.name else "a peer"
        # One a key and socket, so that a flood of one kind hides no other; they are few.
        complaints = self._complaints.setdefault((verdict.name, domain), Complaints(LOG))
        complaints.say(
            f"{who} at {address.decode(errors='replace')} was refused on {domain.decode()}:"
            f" {verdict.refusal}",
            now,
        )
        return [VERSION, request, b"400", b"refused", b"", b""]

    def _look(self, poller: zmq.Poller, monitor: Any) -> None:
        kind, value = read_event(monitor.recv_multipart())
        if kind is zmq.Event.MONITOR_STOPPED:
            poller.unregister(monitor)
            del self._monitors[monitor]
            monitor.close()
            return
        address = peer_of(value) if kind is zmq.Event.ACCEPTED else ""
        self._monitors[monitor].note(kind, value, address, time.monotonic())
