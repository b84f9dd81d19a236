"""A thousand agents without workers in one process, on real sockets.

python bench/crowd.py ENDPOINT SERVER PUBLIC SECRET AGENTS SECONDS: prints the seconds until the
last of them was welcomed; then they heartbeat for so many seconds after a line from stdin.
"""

import resource
import sys
import time

from zfs_walk.agents.events import Connected, FromBroker, Reconnect, Send, Tick
from zfs_walk.agents.link import Identity
from zfs_walk.agents.walker.core import AgentCore, AgentSettings
from zfs_walk.bus.curve import Curve
from zfs_walk.bus.ends import Dealer, Waiter
from zfs_walk.bus.sockets import Bus
from zfs_walk.protocol.codec import BUS
from zfs_walk.protocol.messages import WALKER


class Agent:
    """A core with a socket."""

    def __init__(self, bus: Bus, endpoint: str, number: int) -> None:
        """Connect."""
        identity = Identity(WALKER, f"host-{number}", "walker-1", f"boot-{number}", 1, "0", 1)
        self.core = AgentCore(AgentSettings(identity, patience=120.0), time.monotonic())
        self.dealer: Dealer = bus.dealer(endpoint, f"walker/{number}")
        self.core.start()
        self.reconnects = 0
        self.waiting: list[list[bytes]] = []
        self.due = 0.0
        self.do(Connected())

    def do(self, event: Connected | FromBroker | Tick) -> None:
        """Let the core handle something and send what it says."""
        for instruction in self.core.handle(event, time.monotonic()):
            match instruction:
                case Send(message):
                    self.waiting.append(BUS.encode(message))
                case Reconnect():
                    self.reconnects += 1
        while self.waiting and self.dealer.send(self.waiting[0]).name == "ACCEPTED":
            self.waiting.pop(0)
        now = time.monotonic()
        self.due = now + 0.01 if self.waiting else self.core.next_deadline(now)

    def read(self) -> None:
        """Take what came."""
        while (frames := self.dealer.receive()) is not None:
            self.do(FromBroker(BUS.decode(frames)))


def serve(agents: list[Agent], waiter: Waiter, seconds: float) -> None:
    """Turn the loops of all agents; ends early when all are welcomed and ``seconds`` is 0."""
    until = time.monotonic() + (seconds or 120.0)
    while time.monotonic() < until:
        waiter.wait(0.02)
        for agent in agents:
            agent.read()
        now = time.monotonic()
        for agent in agents:
            if now >= agent.due:
                agent.do(Tick())
        if not seconds and all(agent.core.link.live for agent in agents):
            return


def main() -> None:
    """Print how long the joining took, then heartbeat."""
    endpoint, server, public, secret, count, seconds = sys.argv[1:]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    bus = Bus(Curve(public, secret, server))
    begun = time.monotonic()
    agents = [Agent(bus, endpoint, number) for number in range(int(count))]
    waiter = Waiter()
    for agent in agents:
        waiter.add(agent.dealer)
    serve(agents, waiter, 0.0)
    live = sum(agent.core.link.live for agent in agents)
    print(time.monotonic() - begun, live, flush=True)
    sys.stdin.readline()
    serve(agents, waiter, float(seconds))
    print(sum(agent.reconnects for agent in agents), flush=True)


if __name__ == "__main__":
    main()
