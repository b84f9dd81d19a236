"""A follower has what the scouts say, through a real broker's loop, relay and sockets."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.broker.making import PUBLISHER, claim, files, hello
from zfs_walk.broker.history import History
from zfs_walk.broker.loop import BrokerLoop
from zfs_walk.broker.relay import INSIDE, Relay
from zfs_walk.broker.settings import Settings
from zfs_walk.broker.sqlite import SqliteJournal
from zfs_walk.bus.ends import Waiter
from zfs_walk.bus.files_follower import FilesFollower
from zfs_walk.bus.publisher import Publisher
from zfs_walk.bus.sockets import Bus
from zfs_walk.protocol.codec import BUS
from zfs_walk.protocol.messages import SCOUT, Claimed, FilesAck, Message, Welcome
from zfs_walk.protocol.records import Endpoints

PATIENCE = 30.0
ANY = "tcp://127.0.0.1:*"


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


class Broker:
    """A broker's loop, relay and publisher in this process; at the same endpoints again and again.

    Its context is its own, so that its end is that of a process to everybody else.
    """

    def __init__(self, journal: Path, before: "Broker | None" = None) -> None:
        self.bus = Bus()
        bind, publish, subscribe = before.endpoints if before else (ANY, ANY, ANY)
        self.relay = Relay(self.bus, publish, subscribe, History())
        self.publisher = Publisher(self.bus, INSIDE, PUBLISHER)
        self.relay.start()
        router = self.bus.router(bind)
        self.endpoints: tuple[str, str, str] = (
            router.endpoint, self.relay.publish, self.relay.subscribe,
        )  # fmt: skip
        settings = Settings(endpoints=Endpoints(self.relay.publish, self.relay.subscribe, ""))
        self.loop = BrokerLoop(router, SqliteJournal(journal), settings, publisher=self.publisher)
        self.thread = threading.Thread(target=self.loop.run)
        self.thread.start()

    def close(self) -> None:
        self.loop.stop()
        self.thread.join()
        self.publisher.close()
        self.relay.stop()
        self.bus.close()


class Scout:
    """Says what a test tells it to, and waits for each answer."""

    def __init__(self, bus: Bus, endpoint: str, host: str) -> None:
        self.dealer = bus.dealer(endpoint, "scout")
        self.waiter = Waiter()
        self.waiter.add(self.dealer)
        self.ask(hello("scout", role=SCOUT, host=host), Welcome)
        self.ask(claim(), Claimed)

    def ask(self, message: Message, answer: type[Message]) -> Any:
        until = time.monotonic() + PATIENCE
        while self.dealer.send(BUS.encode(message)).name != "ACCEPTED":
            assert time.monotonic() < until
            time.sleep(0.005)
        while time.monotonic() < until:
            frames = self.dealer.receive()
            if frames is None:
                self.waiter.wait(0.1)
            elif isinstance(said := BUS.decode(frames), answer):
                return said
        raise AssertionError

    def tell(self, *messages: Message) -> None:
        for message in messages:
            self.ask(message, FilesAck)


class Place:
    """A broker, a follower, and scouts."""

    def __init__(self, folder: Path) -> None:
        self.journal = folder / "journal.db"
        self.bus = Bus()
        self.broker = Broker(self.journal)
        self.said: list[str] = []
        endpoint = self.broker.endpoints[0]
        self.follower = FilesFollower(self.bus, (endpoint,), "here", "0", self.said.append)
        self.scouts: list[Scout] = []

    def scout(self, host: str) -> Scout:
        self.scouts.append(Scout(self.bus, self.broker.endpoints[0], host))
        return self.scouts[-1]

    def restart(self) -> None:
        self.broker.close()
        self.broker = Broker(self.journal, self.broker)

    def names(self) -> list[bytes]:
        with self.follower.lock:
            return [row[0] for row in self.follower.replica.merged()]

    def close(self) -> None:
        self.follower.close()
        for scout in self.scouts:
            scout.dealer.close()
        self.broker.close()
        self.bus.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.close()


def test_lists_are_read_back_and_followed(place: Place) -> None:
    names = sorted(b"%d" % number for number in range(5_000))
    first = place.scout("h1")
    for piece in range(5):
        part = names[piece * 1_000 : piece * 1_000 + 1_000]
        first.tell(files(1, piece + 1, *part, whole=True, last=piece == 4))
    place.follower.start()
    wait_for(lambda: place.names() == names)
    first.tell(files(1, 6, b"new", b"\xff", removed=(b"0",)))
    wait_for(lambda: place.names() == [*names[1:], b"new", b"\xff"])
    second = place.scout("h2")
    second.tell(files(1, 1, b"a", whole=True, last=True))
    wait_for(lambda: b"a" in place.names())
    assert place.follower.connected
    assert place.follower.replica.settled


def test_a_restarted_broker_s_lists_are_followed_without_a_new_follower(place: Place) -> None:
    place.follower.start()
    place.scout("h1").tell(files(1, 1, b"before", whole=True, last=True))
    wait_for(lambda: place.names() == [b"before"])
    place.restart()
    wait_for(lambda: place.follower.connected and not place.names())
    place.scout("h1").tell(files(2, 1, b"after", whole=True, last=True))
    wait_for(lambda: place.names() == [b"after"])
    assert [text.split()[0] for text in place.said] == ["following", "lost", "following"]


def test_a_follower_waits_for_a_broker_and_ends_when_it_is_told_to() -> None:
    bus = Bus()
    follower = FilesFollower(bus, ("tcp://127.0.0.1:9",), "here", "0")
    follower.start()
    assert not follower.replica.ready
    follower.close()
    assert follower.error is None
    bus.close()
