"""The relay fans out, remembers, and lets nobody hold it up."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from zfs_walk.broker.history import History
from zfs_walk.broker.relay import INSIDE, Relay
from zfs_walk.bus.ends import Sub, Waiter
from zfs_walk.bus.publisher import LOOK_EVERY, Publisher
from zfs_walk.bus.sockets import FAN_OUT_HIGH_WATER, LONGEST_TOPIC, Bus
from zfs_walk.protocol.codec import BUS
from zfs_walk.protocol.messages import FileChanges, LogMark, LogRecord, Message, UploaderActions
from zfs_walk.protocol.statistics import Origin

ORIGIN = Origin("p1", "walker", "h1", "walker-1", 7, 0, "0")
TOPIC = b"log.info.walker.h1"
PATIENCE = 30.0


def record(seq: int) -> LogRecord:
    return LogRecord(ORIGIN, seq, 1, "", 0, "info", "zfs_walk", "said", (), "")


class Place:
    """A relay with its history, a publisher, and sockets that are closed at the end.

    ``early``: what came to subscribers before all their subscriptions were in effect.
    """

    def __init__(self) -> None:
        self.bus = Bus()
        self.history = History()
        self.relay = Relay(self.bus, "tcp://127.0.0.1:*", "tcp://127.0.0.1:*", self.history)
        self.relay.start()
        self.publisher = Publisher(self.bus, self.relay.publish, ORIGIN)
        self.subs: list[Sub] = []
        self.early: list[list[bytes]] = []

    def subscriber(self, *topics: bytes) -> Sub:
        """One whose subscriptions are in effect."""
        joined = f"joined.{len(self.subs)}".encode()
        sub = self.bus.sub(self.relay.subscribe, [*topics, joined])
        self.subs.append(sub)
        while (frames := self.next(sub)) != [joined]:
            self.early.append(frames)
        return sub

    def leaves(self, sub: Sub) -> None:
        """A subscriber does."""
        self.subs.remove(sub)
        sub.close()

    def next(self, sub: Sub) -> list[bytes]:
        """The next message, which must come soon."""
        waiter = Waiter()
        waiter.add(sub)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            frames = sub.receive()
            if frames is not None:
                return frames
            waiter.wait(0.1)
        raise AssertionError

    def next_message(self, sub: Sub, kind: type[Message]) -> Message:
        """The next message of a kind."""
        while True:
            message: Message = BUS.decode(self.next(sub)[1:])
            if isinstance(message, kind):
                return message

    def say(self, number: int) -> None:
        """Publish records."""
        for _ in range(number):
            self.publisher.publish(TOPIC, record)

    def kept(self, number: int) -> None:
        """Wait until the history has so many."""
        until = time.monotonic() + PATIENCE
        while self.history.counts()[0] < number:
            assert time.monotonic() < until
            time.sleep(0.005)

    def close(self) -> None:
        for sub in self.subs:
            sub.close()
        self.publisher.close()
        self.relay.stop()
        self.bus.close()


@pytest.fixture
def place() -> Iterator[Place]:
    made = Place()
    yield made
    made.close()


def test_what_is_published_reaches_whoever_subscribed_it_and_the_history(place: Place) -> None:
    sub, other = place.subscriber(b"log.info."), place.subscriber(b"log.error.")
    place.say(3)
    assert [place.next_message(sub, LogRecord) for _ in range(3)] == [*map(record, (1, 2, 3))]
    assert place.next_message(sub, LogMark) == LogMark(ORIGIN, 3)
    assert other.receive() is None
    assert place.history.logs(0, 0, 9)[0] == tuple(map(record, (1, 2, 3)))


def test_after_joined_the_history_ends_where_the_stream_begins(place: Place) -> None:
    place.say(100)
    sub = place.subscriber(b"log.")
    known = {each.seq for each in place.history.logs(0, 0, 1_000)[0]}
    place.say(1)
    live = {BUS.decode(frames[1:]).seq for frames in place.early}
    while 101 not in live:
        message = place.next_message(sub, LogRecord)
        assert isinstance(message, LogRecord)
        live.add(message.seq)
    assert known | live == set(range(1, 102))


def test_a_mark_is_repeated_when_its_publisher_is_gone(place: Place) -> None:
    sub = place.subscriber(b"log.")
    place.say(2)
    place.publisher.close()
    first = place.next_message(sub, LogMark)
    assert first == LogMark(ORIGIN, 2)
    assert place.next_message(sub, LogMark) == first


def test_a_subscriber_that_reads_nothing_holds_nobody_up(place: Place) -> None:
    idle = place.subscriber(b"log.")
    idle.socket.set_hwm(1)
    sub = place.subscriber(b"log.")
    place.say(2 * FAN_OUT_HIGH_WATER)
    place.kept(2 * FAN_OUT_HIGH_WATER)
    last = 0
    while last < 2 * FAN_OUT_HIGH_WATER:
        message = place.next_message(sub, LogRecord)
        assert isinstance(message, LogRecord)
        last = message.seq


def test_what_is_strange_is_counted_and_no_more(place: Place) -> None:
    stranger = place.bus.pub(place.relay.publish)
    stranger.look(PATIENCE)
    assert stranger.wanted == {b""}
    for frames in (
        [b"log.info.walker.h1"],
        [b"log.info.walker.h1", b"ZW\x01", b"\xff"],
        [b"log.info.walker.h1", b"ZW\x09", b"\x80"],
        [b"status.walker.h1", b"ZW\x01", b"\x81\xa1t\xa3NEW"],
        [b"elsewhere", b"ZW\x01", b"\x80"],
        [b"", b"", b""],
        [b"log." + bytes(LONGEST_TOPIC), b"ZW\x01", b"\x80"],
    ):
        stranger.send_waiting(frames)
    place.say(1)
    place.kept(1)
    until = time.monotonic() + PATIENCE
    while place.relay.malformed < 7:
        assert time.monotonic() < until
        time.sleep(0.005)
    stranger.close()
    assert place.history.counts()[0] == 1


def test_lists_of_files_are_taken_from_the_broker_only(place: Place) -> None:
    forged, real = (
        FileChanges(ORIGIN, 1, "h1", b"/data", 1, 2, (), (name,), (1,), (2,), (0,))
        for name in (b"forged", b"real")
    )
    sub = place.subscriber(b"files.")
    place.publisher.publish(b"files.h1", lambda _seq: forged)
    place.say(1)
    place.kept(1)
    assert place.relay.malformed == 1
    inside = Publisher(place.bus, INSIDE, ORIGIN)
    inside.publish(b"files.h1", lambda _seq: real)
    assert place.next_message(sub, FileChanges) == real
    inside.close()


def test_rebinding_ends_every_connection_and_publishers_come_back(place: Place) -> None:
    sub = place.subscriber(b"log.")
    place.say(1)
    assert place.next_message(sub, LogRecord) == record(1)
    place.kept(1)
    place.relay.rebind()
    until = time.monotonic() + PATIENCE
    while not sub.lost_connection():
        assert time.monotonic() < until
        time.sleep(0.005)
    # What was on its way when the publisher's connection ended is lost, and its number shows it.
    said = 1
    while place.history.counts()[0] == 1:
        assert time.monotonic() < until
        place.say(1)
        said += 1
        time.sleep(0.02)
    place.say(5)
    said += 5

    def kept() -> tuple[LogRecord, ...]:
        return place.history.logs(0, 0, 10_000)[0]

    while kept()[-1].seq < said:
        assert time.monotonic() < until
        time.sleep(0.005)
    assert kept()[-5:] == tuple(map(record, range(said - 4, said + 1)))
    again = place.subscriber(b"log.")
    place.say(1)
    assert place.next_message(again, LogRecord) == record(said + 1)


# A process of its own, which ends without closing: ZeroMQ would end it as it would the broker.
DEEP = """
import os, sys, zmq
socket = zmq.Context().socket(zmq.SUB)
monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
socket.setsockopt(zmq.SUBSCRIBE, bytes(500_000))
socket.connect(sys.argv[1])
os._exit(0 if monitor.poll(20_000) else 1)
"""


def test_a_subscription_that_is_too_long_ends_its_connection_only(place: Place) -> None:
    subprocess.run([sys.executable, "-c", DEEP, place.relay.subscribe], check=True)
    sub = place.subscriber(b"log.")
    place.say(1)
    assert place.next_message(sub, LogRecord) == record(1)


def wants(place: Place, topic: bytes, *, wanted: bool) -> None:
    """The publisher comes to know it."""
    until = time.monotonic() + PATIENCE
    while place.publisher.wants(topic) is not wanted:
        assert time.monotonic() < until
        time.sleep(0.005)


def test_publishers_know_whether_somebody_listens_to_what_is_made_on_demand(place: Place) -> None:
    place.say(1)
    place.kept(1)
    assert not place.publisher.wants(b"actions.h1")
    one, two = place.subscriber(b"actions.h1"), place.subscriber(b"actions.", b"log.")
    wants(place, b"actions.h2", wanted=True)
    assert place.publisher.wants(b"actions.h1")
    place.leaves(two)
    wants(place, b"actions.h2", wanted=False)
    assert place.publisher.wants(b"actions.h1")
    place.leaves(one)
    wants(place, b"actions.h1", wanted=False)


def test_a_publisher_that_comes_later_knows_it_too(place: Place) -> None:
    place.subscriber(b"actions.")
    place.publisher.close()
    place.publisher = Publisher(place.bus, place.relay.publish, ORIGIN)
    wants(place, b"actions.h1", wanted=True)


def test_it_is_known_again_after_the_connections_were_ended(place: Place) -> None:
    sub = place.subscriber(b"actions.")
    wants(place, b"actions.h1", wanted=True)
    place.relay.rebind()
    until = time.monotonic() + PATIENCE
    while not sub.lost_connection():
        assert time.monotonic() < until
        time.sleep(0.005)
    wants(place, b"actions.h1", wanted=True)
    place.leaves(sub)
    wants(place, b"actions.h1", wanted=False)


def test_what_nobody_wanted_has_used_up_a_number_that_a_mark_tells(place: Place) -> None:
    sub = place.subscriber(b"actions.")
    message = UploaderActions(ORIGIN, 0, 1, (), ())
    for _ in range(2):
        place.publisher.publish(b"actions.h1", lambda seq: replace(message, seq=seq))
        place.publisher.pass_over(b"actions.h1")
    told = [place.next_message(sub, UploaderActions) for _ in range(2)]
    assert told == [replace(message, seq=1), replace(message, seq=3)]
    assert place.next_message(sub, LogMark) == LogMark(ORIGIN, 4)
    assert (place.relay.malformed, place.publisher.lost) == (0, 0)


def test_a_stranger_s_word_is_not_passed_on_to_publishers(place: Place) -> None:
    place.subscriber(b"actions.")
    wants(place, b"actions.h1", wanted=True)
    stranger = place.bus.xsub("tcp://127.0.0.1:*")
    stranger.socket.connect(place.relay.subscribe)
    stranger.socket.send(b"\x05actions.")
    stranger.socket.send(b"\x01actions.h9")
    wants(place, b"actions.h9", wanted=True)
    time.sleep(1.5 * LOOK_EVERY)
    assert place.publisher.wants(b"actions.h1")
    stranger.close()
