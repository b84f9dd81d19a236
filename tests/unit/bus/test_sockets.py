"""Sockets never block, and say what became of a message."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from zfs_walk.bus.ends import Dealer, Router, Sent, Waiter
from zfs_walk.bus.sockets import HIGH_WATER, Bus
from zfs_walk.bus.wake import Wake
from zfs_walk.errors import WrongUseError
from zfs_walk.protocol.codec import MAX_MESSAGE


class KeepingBus(Bus):
    """Keeps its sockets alive until its end, so that a test need not."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[zmq.Socket[bytes]] = []

    def _socket(self, kind: int) -> "zmq.Socket[bytes]":
        self.made.append(super()._socket(kind))
        return self.made[-1]


@pytest.fixture
def bus() -> Iterator[Bus]:
    made = KeepingBus()
    yield made
    made.close()


def receive(end: Router) -> tuple[bytes, list[bytes]]:
    """The next message, which must come soon."""
    waiter = Waiter()
    waiter.add(end)
    until = time.monotonic() + 20
    while time.monotonic() < until:
        message = end.receive()
        if message is not None:
            return message[0], message[2]
        waiter.wait(0.1)
    raise AssertionError


def connected(bus: Bus, router: Router) -> tuple[Dealer, bytes]:
    """A dealer that the router has heard, and its route."""
    dealer = bus.dealer(router.endpoint, "walker/here")
    while dealer.send([b"first"]) is not Sent.ACCEPTED:
        time.sleep(0.01)
    route, frames = receive(router)
    assert frames == [b"first"]
    return dealer, route


def test_a_router_says_that_nobody_is_there(bus: Bus) -> None:
    router = bus.router("tcp://127.0.0.1:*")
    assert router.send(b"nobody", [b"x"]) is Sent.GONE


def test_a_router_says_that_somebody_has_left(bus: Bus) -> None:
    router = bus.router("tcp://127.0.0.1:*")
    dealer, route = connected(bus, router)
    assert router.send(route, [b"x"]) is Sent.ACCEPTED
    dealer.close()
    until = time.monotonic() + 20
    while router.send(route, [b"x"]) is not Sent.GONE:
        assert time.monotonic() < until
        router.receive()


def test_a_router_says_that_somebody_does_not_read(bus: Bus) -> None:
    router = bus.router("inproc://full")
    _, route = connected(bus, router)
    sent = [router.send(route, [b"x"]) for _ in range(3 * HIGH_WATER)]
    assert set(sent) == {Sent.ACCEPTED, Sent.FULL}
    assert sent.count(Sent.ACCEPTED) <= 2 * HIGH_WATER


def test_a_dealer_keeps_nothing_for_a_broker_that_is_not_there(bus: Bus) -> None:
    dealer = bus.dealer("tcp://127.0.0.1:1", "walker/here")
    assert dealer.send([b"x"]) is Sent.FULL
    assert dealer.receive() is None


def test_two_dealers_never_have_one_identity(bus: Bus) -> None:
    router = bus.router("inproc://identities")
    routes = {connected(bus, router)[1] for _ in range(5)}
    assert len(routes) == 5
    assert all(route.startswith(b"walker/here/") for route in routes)


def test_the_largest_message_is_bounded(bus: Bus) -> None:
    router = bus.router("tcp://127.0.0.1:*")
    dealer, _ = connected(bus, router)
    assert dealer.socket.getsockopt(zmq.MAXMSGSIZE) == MAX_MESSAGE
    assert router.socket.getsockopt(zmq.MAXMSGSIZE) == MAX_MESSAGE


def test_a_used_endpoint_is_named(bus: Bus) -> None:
    router = bus.router("tcp://127.0.0.1:*")
    with pytest.raises(WrongUseError, match=f"{router.endpoint} is in use"):
        bus.router(router.endpoint)


@pytest.mark.parametrize("endpoint", ["nonsense", "tcp://nowhere", "ipc://" + "x" * 300])
def test_what_is_no_endpoint_is_refused(bus: Bus, endpoint: str) -> None:
    with pytest.raises(WrongUseError, match="is no endpoint"):
        bus.dealer(endpoint, "walker/here")
    with pytest.raises(WrongUseError, match="can't be bound"):
        bus.router(endpoint)


def test_results_of_many_come_out_of_one_pull(bus: Bus, tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/results"
    pull = bus.pull(endpoint, bind=True)
    for number in range(3):
        bus.push(endpoint, bind=False).send_waiting([bytes([number])])
    waiter = Waiter()
    waiter.add(pull)
    got: set[bytes] = set()
    while len(got) < 3:
        frames = pull.receive()
        if frames is None:
            waiter.wait(1.0)
        else:
            got.add(frames[0])
    assert got == {b"\0", b"\1", b"\2"}


def test_a_wait_ends_with_its_time() -> None:
    begun = time.monotonic()
    with_nothing = Waiter()
    wake = Wake()
    with_nothing.add(wake.fileno())
    assert with_nothing.wait(0.05) == set()
    assert 0.04 < time.monotonic() - begun < 5
    wake.close()


def test_a_ring_ends_a_wait_and_is_forgotten_when_cleared() -> None:
    wake = Wake()
    waiter = Waiter()
    waiter.add(wake.fileno())
    ringing = threading.Timer(0.05, wake.ring)
    ringing.start()
    assert waiter.wait(20.0) == {wake.fileno()}
    ringing.join()
    wake.clear()
    assert waiter.wait(0.0) == set()
    wake.clear()
    wake.close()


def test_a_ring_after_the_end_and_a_million_before_it_are_harmless() -> None:
    wake = Wake()
    for _ in range(200_000):
        wake.ring()
    wake.close()
    wake.ring()
