"""Whoever has a key that the judge knows is let in, and nobody else; each message says whose."""

import logging
import time
from collections.abc import Callable, Iterator

import pytest

from zfs_walk.bus.curve import Curve, new_pair
from zfs_walk.bus.ends import Dealer, Router, Sent, Waiter
from zfs_walk.bus.sockets import Bus
from zfs_walk.bus.verdict import Verdict

Peer = Callable[[Curve | None], Dealer]


class Known:
    """A judge who knows some keys, and notes what was asked."""

    def __init__(self) -> None:
        self.public: set[str] = set()
        self.asked: list[tuple[str, str]] = []

    def judge(self, domain: str, public: str) -> Verdict:
        self.asked.append((domain, public))
        return Verdict("" if public in self.public else "it is not known")


@pytest.fixture
def server() -> Curve:
    public, secret = new_pair()
    return Curve(public, secret, public)


@pytest.fixture
def known() -> Known:
    return Known()


@pytest.fixture
def bus(server: Curve, known: Known) -> Iterator[Bus]:
    made = Bus(server)
    made.guard(known)
    yield made
    made.close()


@pytest.fixture
def router(bus: Bus) -> Iterator[Router]:
    made = bus.router("tcp://127.0.0.1:*")
    yield made
    made.close()


@pytest.fixture
def peer(router: Router) -> Iterator[Peer]:
    """Connects with keys of its own, from a process's own context."""
    made: list[tuple[Bus, Dealer]] = []

    def connect(curve: Curve | None) -> Dealer:
        bus = Bus(curve)
        made.append((bus, bus.dealer(router.endpoint, "somebody")))
        return made[-1][1]

    yield connect
    for bus, dealer in made:
        dealer.close()
        bus.close()


def pair_for(server: Curve) -> Curve:
    public, secret = new_pair()
    return Curve(public, secret, server.public)


def heard(router: Router, dealer: Dealer) -> tuple[str, list[bytes]]:
    """What the router hears of a peer that is let in."""
    until = time.monotonic() + 20
    while dealer.send([b"hello", b"there"]) is not Sent.ACCEPTED:
        assert time.monotonic() < until
        time.sleep(0.01)
    waiter = Waiter()
    waiter.add(router)
    while (message := router.receive()) is None:
        assert time.monotonic() < until
        waiter.wait(0.1)
    return message[1], message[2]


def refused(dealer: Dealer) -> str:
    """Why a peer is not let in, as far as it is told."""
    until = time.monotonic() + 20
    while not dealer.handshake.reason:
        assert dealer.send([b"hello"]) is Sent.FULL
        assert time.monotonic() < until
        time.sleep(0.01)
        dealer.handshake.look()
    return dealer.handshake.reason


def test_a_secret_is_not_shown(server: Curve) -> None:
    assert server.secret not in repr(server)


def test_a_known_key_is_let_in_and_each_message_says_whose_it_is(
    server: Curve, known: Known, router: Router, peer: Peer
) -> None:
    mine = pair_for(server)
    known.public.add(mine.public)
    assert heard(router, peer(mine)) == (mine.public, [b"hello", b"there"])
    assert known.asked == [("bus", mine.public)]


def test_a_key_that_is_not_known_is_refused_and_told_so(
    server: Curve, router: Router, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    dealer = peer(pair_for(server))
    assert "revoked, or never added" in refused(dealer)
    assert dealer.handshake.refused
    assert router.receive() is None
    assert "a peer at 127.0.0.1 was refused on bus: it is not known" in caplog.messages


@pytest.mark.parametrize("other", ["another server's key", "no key"])
def test_who_has_another_servers_key_or_none_is_refused_without_zap(
    server: Curve, known: Known, router: Router, peer: Peer, other: str
) -> None:
    mine = pair_for(server)
    known.public.add(mine.public)
    curve = None if other == "no key" else Curve(mine.public, mine.secret, mine.public)
    assert "one side has no key" in refused(peer(curve))
    assert (known.asked, router.receive()) == ([], None)


def test_publishing_and_subscribing_are_asked_for_by_their_own_names(
    bus: Bus, server: Curve, known: Known
) -> None:
    mine = pair_for(server)
    known.public.add(mine.public)
    xsub, xpub = bus.xsub("tcp://127.0.0.1:*"), bus.xpub("tcp://127.0.0.1:*")
    other = Bus(mine)
    pub, sub = other.pub(xsub.endpoint), other.sub(xpub.endpoint, [b""])
    until = time.monotonic() + 20
    while len(known.asked) < 2:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert sorted(known.asked) == [("publish", mine.public), ("subscribe", mine.public)]
    for end in (pub, sub, xsub, xpub):
        end.close()
    other.close()


def test_without_anybody_who_answers_nobody_is_let_in(server: Curve) -> None:
    bus, other = Bus(server), Bus(pair_for(server))
    router = bus.router("tcp://127.0.0.1:*")
    dealer = other.dealer(router.endpoint, "somebody")
    assert refused(dealer)
    assert router.receive() is None
    for end in (router, dealer):
        end.close()
    other.close()
    bus.close()


def test_inside_a_process_no_key_is_needed(bus: Bus) -> None:
    router = bus.router("inproc://broker")
    dealer = bus.dealer("inproc://broker", "somebody")
    assert heard(router, dealer) == ("", [b"hello", b"there"])
    dealer.close()
    router.close()
