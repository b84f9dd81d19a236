"""What `zfs-ctl doctor` looks at on a bus: the broker, its clock, its agents."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from zfs_walk import __version__
from zfs_walk.cli.asking import client_at
from zfs_walk.cli.findings import Finding, bad, ok, warn
from zfs_walk.cli.overview import Agent, Overview
from zfs_walk.cli.summary import show_text
from zfs_walk.errors import NoBrokerError, NoKeyError, ZfsWalkError
from zfs_walk.protocol.messages import Snapshot, SnapshotReply

CLOCK_WARN, CLOCK_BAD = 1.0, 60.0
"""Seconds between two hosts' clocks: logs get out of order; nobody can read them any more."""

LAG_WARN: Final = 500
"""Milliseconds that a loop wakes too late before its agents notice."""


@dataclass(frozen=True, slots=True)
class Reached:
    """What a broker said, and how far its clock is ahead of ours, give or take, in seconds."""

    overview: Overview
    offset: float
    error: float


def reach(broker: str, timeout: float) -> Reached | Finding:
    """Ask the broker, or say why that can't be done."""
    try:
        with client_at(broker, timeout) as client:
            client.ask(Snapshot)  # the first one takes the connection's time as well
            begun = time.time_ns()
            reply: SnapshotReply = client.ask(Snapshot)
            ended = time.time_ns()
    except (NoBrokerError, NoKeyError) as error:
        return warn("broker", str(error), "without one, `zfs-walk PATH` walks on this host alone")
    except ZfsWalkError as error:
        return bad("broker", str(error), "see docs/operations.md and docs/exit-codes.md")
    offset = (reply.time_ns - (begun + ended) / 2) / 1e9
    return Reached(Overview.of(reply), offset, (ended - begun) / 2e9)


def look_at_bus(reached: Reached) -> Iterator[Finding]:
    """Look at what the broker said."""
    broker = reached.overview.broker
    text = f"version {show_text(broker.version)} on {show_text(broker.host)}, pid {broker.pid}"
    if broker.version != __version__:
        cure = "install one release everywhere, the broker's first"
        yield warn("broker", f"{text}; this is {__version__}", cure)
    else:
        yield ok("broker", text)
    yield from _keys(secure=broker.secure)
    yield _clock(reached)
    lag = f"{broker.loop_lag_ms} ms"
    if broker.loop_lag_ms > LAG_WARN:
        cure = "look for a slow disk below its state folder, and for what else the host does"
        yield warn("broker's loop", f"wakes {lag} late", cure)
    else:
        yield ok("broker's loop", f"wakes {lag} late")
    if not reached.overview.agents:
        yield warn("agents", "none", "start one: zfs-agent --role walker")
    for agent in reached.overview.agents:
        yield _agent(agent)


def _keys(*, secure: bool) -> Iterator[Finding]:
    if secure:
        yield ok("keys", "demanded")
    else:
        cure = "start the broker without --insecure, and give every host a connection file"
        yield warn("keys", "INSECURE: whoever reaches the broker may do everything", cure)


def _clock(reached: Reached) -> Finding:
    text = f"{reached.offset:+.3f} s off this host's, within {reached.error:.3f} s"
    size = max(0.0, abs(reached.offset) - reached.error)
    cure = "let both hosts follow a time server (chrony, systemd-timesyncd)"
    if size > CLOCK_BAD:
        return bad("broker's clock", text, cure)
    return warn("broker's clock", text, cure) if size > CLOCK_WARN else ok("broker's clock", text)


def _agent(agent: Agent) -> Finding:
    line = agent.line
    check = show_text(f"{line.role} {line.name} on {line.host}")
    if line.state == "lost":
        cure = f"start it again there, or let it be: the broker forgets pid {line.pid} after a day"
        return bad(check, agent.health, cure)
    if line.state != "live":
        return warn(check, agent.health, "look at its host and at the network between")
    if not agent.same_version:
        cure = "install the broker's release there"
        return warn(check, f"version {show_text(line.version)}", cure)
    if agent.health not in {"", "ok"}:
        return warn(check, show_text(agent.health), "see its log: zfs-ctl tail --host")
    return ok(check, f"pid {line.pid}, {line.capacity} workers, version {show_text(line.version)}")
