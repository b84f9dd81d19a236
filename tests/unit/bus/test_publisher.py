"""A publisher numbers what it publishes, never waits, and counts what it drops."""

import time
from collections.abc import Iterator

import pytest

from zfs_walk.bus.ends import Waiter, XSub
from zfs_walk.bus.publisher import QUEUE_BYTES, Publisher
from zfs_walk.bus.sockets import Bus
from zfs_walk.protocol.codec import BUS
from zfs_walk.protocol.messages import LogMark, LogRecord, Message
from zfs_walk.protocol.statistics import Origin

ORIGIN = Origin("p1", "walker", "h1", "walker-1", 7, 0, "0")
TOPIC, OTHER = b"log.info.walker.h1", b"log.error.walker.h1"


def record(seq: int, text: str = "said", origin: Origin = ORIGIN) -> LogRecord:
    return LogRecord(origin, seq, 1, "", 0, "info", "zfs_walk", text, (), "")


class KeepingBus(Bus):
    """Keeps the relay's ends alive until its own end, so that a test need not."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[XSub] = []

    def xsub(self, endpoint: str) -> XSub:
        self.made.append(super().xsub(endpoint))
        return self.made[-1]

    def close(self) -> None:
        for end in self.made:
            end.close()
        super().close()


@pytest.fixture
def bus() -> Iterator[Bus]:
    made = KeepingBus()
    yield made
    made.close()


def receive(end: XSub, number: int, seconds: float = 20.0) -> list[tuple[bytes, Message]]:
    """So many messages that are no marks, or what came in time."""
    waiter = Waiter()
    waiter.add(end)
    until = time.monotonic() + seconds
    got: list[tuple[bytes, Message]] = []
    while len(got) < number and time.monotonic() < until:
        frames = end.receive()
        if frames is None:
            waiter.wait(0.1)
            continue
        message = BUS.decode(frames[1:])
        if not isinstance(message, LogMark):
            got.append((frames[0], message))
    return got


def marks(end: XSub, seconds: float = 20.0) -> LogMark:
    """The next mark."""
    waiter = Waiter()
    waiter.add(end)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        frames = end.receive()
        if frames is None:
            waiter.wait(0.1)
            continue
        message = BUS.decode(frames[1:])
        if isinstance(message, LogMark):
            return message
    raise AssertionError


def test_each_topic_has_numbers_of_its_own(bus: Bus) -> None:
    relay = bus.xsub("tcp://127.0.0.1:*")
    publisher = Publisher(bus, relay.endpoint, ORIGIN)
    for topic in (TOPIC, OTHER, TOPIC):
        publisher.publish(topic, record)
    assert receive(relay, 3) == [(TOPIC, record(1)), (OTHER, record(1)), (TOPIC, record(2))]
    publisher.close()
    assert (publisher.published, publisher.lost) == (3, 0)


def test_what_is_published_before_the_broker_is_known_arrives(bus: Bus) -> None:
    publisher = Publisher(bus, "", ORIGIN)
    for _ in range(100):
        publisher.publish(TOPIC, record)
    relay = bus.xsub("tcp://127.0.0.1:*")
    publisher.connect(relay.endpoint)
    assert receive(relay, 100) == [(TOPIC, record(seq)) for seq in range(1, 101)]
    publisher.close()


def test_a_new_endpoint_gets_what_comes_next(bus: Bus) -> None:
    first, second = bus.xsub("tcp://127.0.0.1:*"), bus.xsub("tcp://127.0.0.1:*")
    publisher = Publisher(bus, first.endpoint, ORIGIN)
    publisher.publish(TOPIC, record)
    assert receive(first, 1) == [(TOPIC, record(1))]
    publisher.connect(second.endpoint)
    publisher.publish(TOPIC, record)
    assert receive(second, 1) == [(TOPIC, record(2))]
    publisher.close()


def test_a_full_queue_drops_the_newest_and_the_mark_tells(bus: Bus) -> None:
    publisher = Publisher(bus, "", ORIGIN)
    long = "x" * 60_000
    while not publisher.lost:
        publisher.publish(TOPIC, lambda seq: record(seq, long))
    for _ in range(11):
        publisher.publish(TOPIC, record)
    kept = QUEUE_BYTES // 60_000
    relay = bus.xsub("tcp://127.0.0.1:*")
    publisher.connect(relay.endpoint)
    got = receive(relay, kept)
    seqs = [message.seq for _, message in got if isinstance(message, LogRecord)]
    assert seqs == list(range(1, kept + 1))
    assert marks(relay) == LogMark(ORIGIN, kept + 12)
    publisher.close()
    assert (publisher.published, publisher.lost) == (kept, 12)


def test_numbers_of_what_was_lost_before_are_passed_over(bus: Bus) -> None:
    relay = bus.xsub("tcp://127.0.0.1:*")
    publisher = Publisher(bus, relay.endpoint, ORIGIN)
    publisher.skip(TOPIC, 3)
    publisher.publish(TOPIC, record)
    assert receive(relay, 1) == [(TOPIC, record(4))]
    publisher.close()
    assert publisher.lost == 3


def test_a_message_that_the_wire_does_not_take_is_lost_and_no_more(bus: Bus) -> None:
    relay = bus.xsub("tcp://127.0.0.1:*")
    publisher = Publisher(bus, relay.endpoint, ORIGIN)
    publisher.publish(TOPIC, lambda seq: record(seq, "x" * 2**24))
    publisher.publish(TOPIC, record)
    assert receive(relay, 1) == [(TOPIC, record(2))]
    publisher.close()


def test_a_topic_that_has_grown_is_marked_once(bus: Bus) -> None:
    relay = bus.xsub("tcp://127.0.0.1:*")
    publisher = Publisher(bus, relay.endpoint, ORIGIN)
    publisher.publish(TOPIC, record)
    assert marks(relay) == LogMark(ORIGIN, 1)
    publisher.publish(TOPIC, record)
    assert marks(relay) == LogMark(ORIGIN, 2)
    publisher.close()


def test_the_last_words_are_published_at_the_end(bus: Bus) -> None:
    relay = bus.xsub("tcp://127.0.0.1:*")
    publisher = Publisher(bus, relay.endpoint, ORIGIN)
    publisher.publish(TOPIC, record)
    assert len(receive(relay, 1)) == 1
    for _ in range(500):
        publisher.publish(TOPIC, record)
    publisher.close()
    assert len(receive(relay, 500)) == 500


@pytest.mark.parametrize("endpoint", ["", "tcp://127.0.0.1:9", "nonsense"])
def test_a_publisher_without_a_broker_ends(bus: Bus, endpoint: str) -> None:
    publisher = Publisher(bus, endpoint, ORIGIN)
    publisher.publish(TOPIC, record)
    publisher.close()
    assert publisher.published == 0
