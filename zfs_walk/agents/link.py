"""The agent's end of its session with the broker: HELLO, heartbeats, silence. No I/O, no clock."""

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from zfs_walk.agents.events import Exit, Note, Reconnect, Send
from zfs_walk.protocol.messages import (
    LEVELS,
    PROTO_MAX,
    PROTO_MIN,
    Error,
    HeartbeatAck,
    Hello,
    Rehello,
    Welcome,
)
from zfs_walk.protocol.records import Lease

MISSED = 3
"""Heartbeats without a word of the broker after which its socket is given up."""

HELLO_TIMEOUT = 2.0
"""Seconds that a HELLO may stay unanswered before a fresh socket is tried."""

LOOK_UP = 0.5
"""Seconds after which an agent looks whether its broker answers."""


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

    def __init__(
        self, identity: Identity, patience: float, lost_patience: float, now: float
    ) -> None:
        """Nothing is connected yet.

        Args:
            identity: who says HELLO.
            patience: seconds without any broker after the start until this gives up.
            lost_patience: likewise once there was one.
            now: monotonic seconds.
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
        self._beats = 0
        self._next_beat = self._last = now
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
        self._heard = self._next_beat = now
        self.heartbeat = message.heartbeat_ms / 1000
        self.term = max(self.term, message.term)

    def rehello(self, message: Rehello, now: float) -> Reconnect:
        """The broker knows no session of this socket."""
        self.term = max(self.term, message.term)
        return self._reconnect(now, elsewhere=False)

    def acknowledged(self, message: HeartbeatAck, now: float) -> None:
        """The broker says how often it wants to hear heartbeats."""
        self.heartbeat = max(0.001, message.heartbeat_ms / 1000)
        self._next_beat = min(self._next_beat, now + self.heartbeat)

    def hurry(self, now: float) -> None:
        """Let the next heartbeat be due now: it has news."""
        self._next_beat = min(self._next_beat, now)

    def beat(self, now: float) -> int:
        """The number of the heartbeat that is due now; 0: none is."""
        if not self.live or now < self._next_beat:
            return 0
        self._next_beat = now + self.heartbeat
        self._beats += 1
        return self._beats

    def next_deadline(self, now: float) -> float:
        """When the next heartbeat is due, or a look at the silence.

        Well within a heartbeat: who looks less often is taken for asleep, and blames nobody.
        """
        look = now + min(LOOK_UP, self.heartbeat / 2)
        return min(look, self._next_beat) if self.live else look

    def heard(self, now: float) -> bool:
        """Whatever the broker says is a sign of life; False if its socket was given up before."""
        self._heard = now
        return self._open

    def _reconnect(self, now: float, *, elsewhere: bool) -> Reconnect:
        """Give the socket up; the next one opens within a heartbeat, not everybody's at once."""
        self.live = self._open = False
        self._greeted = None
        if self._alone_since is None:
            self._alone_since = now
        return Reconnect(self._jitter.uniform(0.2, 1.0) * self.heartbeat, elsewhere)

    def turned_away(self, delay: float, now: float) -> Reconnect:
        """The broker does not want this agent: give the socket up for so many seconds."""
        return replace(self._reconnect(now, elsewhere=False), delay=delay)

    def tick(self, now: float) -> Exit | Reconnect | None:
        """Notice a broker that does not answer."""
        if self._alone_since is not None:
            limit = self._lost_patience if self.welcomed else self._patience
            if now - self._alone_since > limit:
                return Exit("no-broker")
        if self._greeted is not None and now - self._greeted > HELLO_TIMEOUT:
            return self._reconnect(now, elsewhere=True)
        if self.live and now - self._heard > MISSED * self.heartbeat:
            return self._reconnect(now, elsewhere=True)
        return None

    def asleep(self, now: float) -> float:
        """Seconds that this process has slept (SIGSTOP, a frozen VM) if it has; else 0.

        Nobody else is to blame for the silence meanwhile.
        """
        gap, self._last = now - self._last, now
        if gap <= self.heartbeat:
            return 0.0
        self._heard += gap
        if self._greeted is not None:
            self._greeted += gap
        if self._alone_since is not None:
            self._alone_since += gap
        return gap


def on_error(error: Error, *, leaving: bool) -> Exit | Note:
    """What an agent does about an ERROR of the broker.

    Args:
        error: what it says.
        leaving: the agent has said BYE, or is about to.
    """
    if error.code == "superseded" and leaving:
        return Exit("")  # only the answer to our BYE was lost
    if error.code in {"version", "name-in-use", "superseded", "not-allowed"}:
        return Exit(f"{error.code}: {error.detail}")
    return Note(logging.ERROR, f"the broker says {error.code}: {error.detail}")


def wrong_level(level: str) -> str:
    """What is wrong with the level of a set-log-level; empty: nothing."""
    return "" if level in LEVELS else f"{level!r} is no level; there are {', '.join(LEVELS)}"
