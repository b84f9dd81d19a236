"""The agent's end of its session with the broker: HELLO, heartbeats, silence. No I/O, no clock."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from zfs_walk.agents.events import Exit, Reconnect, Send
from zfs_walk.protocol.messages import PROTO_MAX, PROTO_MIN, Hello, Welcome
from zfs_walk.protocol.records import Lease

MISSED = 3
"""Heartbeats without a word of the broker after which its socket is given up."""

HELLO_TIMEOUT = 2.0
"""Seconds that a HELLO may stay unanswered before a fresh socket is tried."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this process is.

    Attributes:
        role: walker, scout, uploader or loadgen.
        host: the host's name.
        name: unique among the agents of this role on the host.
        boot: random, new for each process.
        pid: of the agent's process.
        version: of zfs_walk.
        capacity: number of workers at the start.
    """

    role: str
    host: str
    name: str
    boot: str
    pid: int
    version: str
    capacity: int


class Link:
    """Says HELLO on each fresh socket and knows whether the broker is there."""

    def __init__(self, identity: Identity, patience: float, lost_patience: float) -> None:
        """Nothing is connected yet.

        Args:
            identity: who says HELLO.
            patience: seconds without any broker after the start until this gives up.
            lost_patience: likewise once there was one.
        """
        self.identity = identity
        self.capacity = identity.capacity
        self.live = False
        self.welcomed = False
        self.heartbeat = 1.0
        self.term = 0
        self._patience = patience
        self._lost_patience = lost_patience
        self._conn = 0
        self._open = False
        self._greeted: float | None = None
        self._heard = 0.0
        self._alone_since: float | None = None
        self._jitter = random.Random(identity.boot)  # noqa: S311 -- spreads reconnects, no secret

    def connected(self, held: Sequence[Lease], now: float) -> Send:
        """A fresh socket is open: say who we are."""
        self._conn += 1
        self._open = True
        self._greeted = now
        if self._alone_since is None:
            self._alone_since = now
        who = self.identity
        return Send(
            Hello(
                PROTO_MIN, PROTO_MAX, who.role, who.host, who.name, who.boot, self._conn, who.pid,
                who.version, self.capacity, tuple(held), self.term,
            )
        )  # fmt: skip

    def welcome(self, message: Welcome, now: float) -> None:
        """The session is open."""
        self.live = self.welcomed = True
        self._greeted = None
        self._alone_since = None
        self._heard = now
        self.heartbeat = message.heartbeat_ms / 1000
        self.term = max(self.term, message.term)

    def heard(self, now: float) -> bool:
        """Whatever the broker says is a sign of life; False if its socket was given up before."""
        self._heard = now
        return self._open

    def reconnect(self, now: float) -> Reconnect:
        """Give the socket up; the next one opens within a heartbeat, not everybody's at once."""
        self.live = self._open = False
        self._greeted = None
        if self._alone_since is None:
            self._alone_since = now
        return Reconnect(self._jitter.uniform(0.2, 1.0) * self.heartbeat)

    def tick(self, now: float) -> Exit | Reconnect | None:
        """Notice a broker that does not answer."""
        if self._alone_since is not None:
            limit = self._lost_patience if self.welcomed else self._patience
            if now - self._alone_since > limit:
                return Exit("no-broker")
        if self._greeted is not None and now - self._greeted > HELLO_TIMEOUT:
            return self.reconnect(now)
        if self.live and now - self._heard > MISSED * self.heartbeat:
            return self.reconnect(now)
        return None

    def shift(self, gap: float) -> None:
        """The process slept for ``gap`` seconds: nobody else is to blame for the silence."""
        self._heard += gap
        if self._greeted is not None:
            self._greeted += gap
        if self._alone_since is not None:
            self._alone_since += gap
