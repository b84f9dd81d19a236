"""Who is gone is noticed, and who comes back comes in no herd: agents' cores on real sockets."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.process.place import PATIENCE, Site
from zfs_walk.agents.events import Connected, FromBroker, Reconnect, Send, Tick
from zfs_walk.agents.link import Identity
from zfs_walk.agents.walker.core import AgentCore, AgentSettings
from zfs_walk.agents.walker.events import Event
from zfs_walk.bus.curve import Curve
from zfs_walk.bus.ends import Dealer, Waiter
from zfs_walk.bus.sockets import Bus
from zfs_walk.config.connection import read_connection
from zfs_walk.protocol.codec import BUS
from zfs_walk.protocol.messages import WALKER, Hello

pytestmark = [pytest.mark.slow, pytest.mark.big]


class Member:
    """An agent's core with a socket and without workers."""

    def __init__(self, bus: Bus, waiter: Waiter, endpoint: str, number: int) -> None:
        identity = Identity(WALKER, f"host-{number}", "walker-1", f"boot-{number}", 1, "0", 1)
        self.core = AgentCore(AgentSettings(identity, patience=600.0), time.monotonic())
        self.core.start()
        self.hellos = 0
        self.delays: list[float] = []
        self._bus, self._waiter, self._endpoint = bus, waiter, endpoint
        self._outbox: list[list[bytes]] = []
        self._dealer: Dealer | None = None
        self._connect_at: float | None = 0.0

    def turn(self) -> None:
        """Take what came, send what there is, let time pass."""
        now = time.monotonic()
        if self._connect_at is not None and now >= self._connect_at:
            self._connect_at = None
            self._dealer = self._bus.dealer(self._endpoint, "walker/test")
            self._waiter.add(self._dealer)
            self._do(Connected())
        while self._dealer is not None and (frames := self._dealer.receive()) is not None:
            self._do(FromBroker(BUS.decode(frames)))
        self._do(Tick())
        while self._dealer is not None and self._outbox:
            if self._dealer.send(self._outbox[0]).name != "ACCEPTED":
                break
            self._outbox.pop(0)

    def _do(self, event: Event) -> None:
        for instruction in self.core.handle(event, time.monotonic()):
            match instruction:
                case Send(message):
                    self.hellos += isinstance(message, Hello)
                    self._outbox.append(BUS.encode(message))
                case Reconnect(delay):
                    self.delays.append(delay)
                    self._outbox.clear()
                    if self._dealer is not None:
                        self._waiter.remove(self._dealer)
                        self._dealer.close()
                        self._dealer = None
                    self._connect_at = time.monotonic() + delay


class Herd:
    """Many of them, in the test's own process."""

    def __init__(self, site: Site, number: int) -> None:
        [path] = Path(site.place.env["XDG_CONFIG_HOME"]).rglob("connections/*.json")
        connection = read_connection(path)
        assert connection is not None
        self.bus = Bus(Curve(connection.public, connection.secret, connection.server))
        self._waiter = Waiter()
        self.members = [
            Member(self.bus, self._waiter, site.endpoint, number) for number in range(number)
        ]

    def until(self, what: str, condition: Callable[[], bool]) -> None:
        """Turn all loops until a condition holds."""
        until = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < until, f"waited in vain: {what}"
            self._waiter.wait(0.01)
            for member in self.members:
                member.turn()

    def all_live(self, after_term: int = 0) -> bool:
        """The broker of a later term has welcomed everybody."""
        return all(m.core.link.live and m.core.link.term > after_term for m in self.members)

    def none_live(self) -> bool:
        return not any(member.core.link.live for member in self.members)


@pytest.fixture
def herd_of(site: Site) -> Iterator[Callable[[int], Herd]]:
    made: list[Herd] = []

    def make(number: int) -> Herd:
        made.append(Herd(site, number))
        return made[-1]

    yield make
    for herd in made:
        herd.bus.close()


def sessions(site: Site) -> dict[str, int]:
    return {agent["host"]: agent["session"] for agent in site.ctl("agent", "list")["agents"]}


def test_after_a_restart_everybody_comes_back_at_a_moment_of_its_own(
    site: Site, herd_of: Callable[[int], Herd]
) -> None:
    broker = site.start_broker("--lease-ttl", "60")
    herd = herd_of(50)
    herd.until("all are welcomed", herd.all_live)
    before = sessions(site)
    assert len(before) == 50
    term = herd.members[0].core.link.term
    broker.kill()
    site.place.end(broker)
    site.start_broker("--lease-ttl", "60")
    herd.until("all are back", lambda: herd.all_live(term))
    assert sessions(site) == before
    told = site.ctl("status")["broker"]
    assert (told["live"], told["suspect"], told["lost"]) == (50, 0, 0)
    # They say HELLO over most of a second, and no tenth of one gets a third of them.
    delays = [member.delays[0] for member in herd.members]
    assert all(0.2 <= delay <= 1.0 for delay in delays)
    tenths = [int(delay * 10) for delay in delays]
    assert max(map(tenths.count, tenths)) <= 16
    assert len(set(tenths)) >= 7


def test_a_broker_that_is_stopped_is_missed_and_found_again(
    site: Site, herd_of: Callable[[int], Herd]
) -> None:
    broker = site.start_broker("--heartbeat", "0.3", "--lease-ttl", "60")
    herd = herd_of(3)
    herd.until("all are welcomed", herd.all_live)
    before = sessions(site)
    broker.send_signal(signal.SIGSTOP)
    herd.until("nobody believes in it any more", herd.none_live)
    broker.send_signal(signal.SIGCONT)
    herd.until("all are back", herd.all_live)
    assert sessions(site) == before


def test_agents_that_fall_silent_are_missed(site: Site, herd_of: Callable[[int], Herd]) -> None:
    site.start_broker("--heartbeat", "0.3", "--lease-ttl", "2")
    herd = herd_of(4)
    herd.until("all are welcomed", herd.all_live)
    silent, talking = herd.members[:2], herd.members[2:]
    herd.members = talking

    def states() -> dict[str, str]:
        return {agent["host"]: agent["state"] for agent in site.ctl("agent", "list")["agents"]}

    gone = {f"host-{number}": "lost" for number in range(2)}
    there = {f"host-{number}": "live" for number in range(2, 4)}
    herd.until("the silent are lost, the others not", lambda: states() == gone | there)
    herd.members = silent + talking
    herd.until("all are there", lambda: set(states().values()) == {"live"})


def test_a_second_signal_ends_a_broker_at_once_and_the_journal_is_whole(site: Site) -> None:
    broker = site.start_broker()
    site.start_agents(1)
    # Both wait for it together, as if it were stuck in the first one's work.
    for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
        broker.send_signal(number)
    # Which of two that wait the process gets first is the system's affair.
    assert site.place.end(broker).code in {128 + signal.SIGINT, 128 + signal.SIGTERM}
    site.start_broker()
    assert str(site.ledger.rows("PRAGMA integrity_check")[0][0]) == "ok"
    assert len(site.names()) == 1
