"""A client asks until it is answered, and no longer than it was told to."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from zfs_walk.bus.client import Client
from zfs_walk.bus.ends import Router, Waiter
from zfs_walk.bus.sockets import Bus
from zfs_walk.errors import NoBrokerError, RefusedError, VersionRefusedError, WrongUseError
from zfs_walk.protocol.codec import BUS
from zfs_walk.protocol.messages import Done, Drain, Error, Hello, Pause, Rehello, Welcome
from zfs_walk.protocol.records import NO_ENDPOINTS

ENDPOINT = "inproc://broker"
Answer = Callable[[Any], list[Any]]


class Broker(threading.Thread):
    """Answers each message as it is told to; notes what came."""

    def __init__(self, router: Router, answer: Answer) -> None:
        super().__init__(daemon=True)
        self.router, self.answer = router, answer
        self.came: list[Any] = []
        self.over = False

    def run(self) -> None:
        waiter = Waiter()
        waiter.add(self.router)
        while not self.over:
            arrived = self.router.receive()
            if arrived is None:
                waiter.wait(0.02)
                continue
            route, _, frames = arrived
            message = BUS.decode(frames)
            self.came.append(message)
            for reply in self.answer(message):
                raw = reply if isinstance(reply, list) else BUS.encode(reply)
                self.router.send(route, raw)
        self.router.close()


def welcome() -> Welcome:
    return Welcome(
        0, 1, 1, round(time.monotonic() * 1000), 1000, 15000, 5000, 4, NO_ENDPOINTS, (), ()
    )


@pytest.fixture
def bus() -> Iterator[Bus]:
    made = Bus()
    yield made
    made.close()


@pytest.fixture
def ask(bus: Bus) -> Iterator[Callable[..., tuple[Any, Broker]]]:
    """Asks a broker that answers so to pause run 3."""
    brokers: list[Broker] = []

    def ask(answer: Answer, timeout: float = 20.0) -> tuple[Any, Broker]:
        broker = Broker(bus.router(ENDPOINT), answer)
        brokers.append(broker)
        broker.start()
        client = Client(bus, (ENDPOINT,), "here", "0", timeout)
        try:
            return client.ask(lambda name, deadline: Pause(name, deadline, 3)), broker
        finally:
            client.close()
            broker.over = True
            broker.join()

    yield ask
    for broker in brokers:
        broker.join()


def test_a_request_is_answered(ask: Callable[..., tuple[Any, Broker]]) -> None:
    def answer(message: Any) -> list[Any]:
        return [welcome()] if isinstance(message, Hello) else [Done(message.request, "PAUSED")]

    reply, broker = ask(answer)
    assert reply.detail == "PAUSED"
    assert [type(message) for message in broker.came] == [Hello, Pause]
    assert broker.came[1].deadline_ms > round(time.monotonic() * 1000)


def test_answers_to_others_are_not_taken(ask: Callable[..., tuple[Any, Broker]]) -> None:
    def answer(message: Any) -> list[Any]:
        if isinstance(message, Hello):
            return [welcome()]
        late = [Done("another", "no"), Error("no-such-run", "no", "another")]
        return [*late, Done(message.request, "yes")]

    assert ask(answer)[0].detail == "yes"


def test_a_lost_answer_is_asked_for_again_under_the_same_name(
    ask: Callable[..., tuple[Any, Broker]],
) -> None:
    asked: list[str] = []

    def answer(message: Any) -> list[Any]:
        if isinstance(message, Hello):
            return [welcome()]
        asked.append(message.request)
        return [Done(message.request, "PAUSED")] if len(asked) > 1 else []

    begun = time.monotonic()
    assert ask(answer)[0].detail == "PAUSED"
    assert time.monotonic() - begun < 6
    assert len(asked) == 2
    assert len(set(asked)) == 1


def test_who_is_not_known_says_hello_again(ask: Callable[..., tuple[Any, Broker]]) -> None:
    hellos: list[Hello] = []

    def answer(message: Any) -> list[Any]:
        if isinstance(message, Hello):
            hellos.append(message)
            return [welcome()]
        return [Rehello(2)] if len(hellos) == 1 else [Done(message.request, "PAUSED")]

    begun = time.monotonic()
    assert ask(answer)[0].detail == "PAUSED"
    assert time.monotonic() - begun < 1.5
    assert [hello.conn for hello in hellos] == [1, 2]


def test_a_refusal_is_raised(ask: Callable[..., tuple[Any, Broker]]) -> None:
    def answer(message: Any) -> list[Any]:
        if isinstance(message, Hello):
            return [welcome()]
        return [Error("no-such-run", "no run 3", message.request)]

    with pytest.raises(RefusedError, match="no run 3"):
        ask(answer)


def test_another_version_is_raised_at_once(ask: Callable[..., tuple[Any, Broker]]) -> None:
    with pytest.raises(VersionRefusedError, match="you speak 1"):
        ask(lambda _: [Error("version", "you speak 1 to 1, this broker 2 to 2")])


def test_another_major_version_is_raised_at_once(
    ask: Callable[..., tuple[Any, Broker]],
) -> None:
    with pytest.raises(VersionRefusedError, match=r"speaks protocol 9\.x"):
        ask(lambda _: [[b"ZW\x09", b""]])


def test_silence_ends_with_the_time_given(ask: Callable[..., tuple[Any, Broker]]) -> None:
    begun = time.monotonic()
    with pytest.raises(NoBrokerError, match=ENDPOINT):
        ask(lambda _: [], 0.4)
    assert 0.4 <= time.monotonic() - begun < 3


class Silent:
    """Endpoints at which nobody speaks, and the order in which they were tried."""

    def __init__(self, bus: Bus, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
        self.endpoints = tuple(f"inproc://{name}" for name in names)
        self.tried: list[str] = []
        self._routers = [bus.router(endpoint) for endpoint in self.endpoints]
        dealer = bus.dealer

        def noted(endpoint: str, name: str) -> Any:
            self.tried.append(endpoint)
            return dealer(endpoint, name)

        monkeypatch.setattr(bus, "dealer", noted)

    def close(self) -> None:
        for router in self._routers:
            router.close()


def test_each_endpoint_has_its_turn_within_the_time_and_all_are_named(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = Silent(bus, ("a", "b", "c"), monkeypatch)
    client = Client(bus, silent.endpoints, "here", "0", 0.3)
    with pytest.raises(NoBrokerError, match="inproc://a, inproc://b, inproc://c"):
        client.ask(lambda name, deadline: Pause(name, deadline, 3))
    with pytest.raises(NoBrokerError, match="inproc://a, inproc://b, inproc://c"):
        client.greet()
    client.close()
    silent.close()
    assert set(silent.tried[:3]) == set(silent.endpoints)
    turns = [silent.endpoints.index(endpoint) for endpoint in silent.tried]
    assert turns == [turn % 3 for turn in range(len(turns))]


def test_the_endpoint_that_answered_stays_in_use(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    rehellos = [True]

    def answer(message: Any) -> list[Any]:
        if isinstance(message, Hello):
            return [welcome()]
        return [Rehello(1) if rehellos.pop() else Done(message.request, "PAUSED")]

    silent = Silent(bus, ("a",), monkeypatch)
    broker = Broker(bus.router(ENDPOINT), answer)
    broker.start()
    rehellos.insert(0, False)
    client = Client(bus, (*silent.endpoints, ENDPOINT), "here", "0", 20.0)
    assert client.ask(lambda name, deadline: Pause(name, deadline, 3)).detail == "PAUSED"
    assert silent.tried == [*silent.endpoints, ENDPOINT, ENDPOINT]
    assert client.endpoint == ENDPOINT
    client.close()
    broker.over = True
    broker.join()
    silent.close()


def test_a_client_that_waits_looks_up(bus: Bus) -> None:
    def check() -> None:
        raise KeyError

    router = bus.router(ENDPOINT)
    client = Client(bus, (ENDPOINT,), "here", "0", 20.0, check)
    with pytest.raises(KeyError):
        client.ask(lambda name, deadline: Pause(name, deadline, 3))
    client.close()
    router.close()


def test_who_waits_may_give_up_while_nobody_is_there(bus: Bus) -> None:
    """As `zfs-ctl top` does when q is pressed: not only once its time is over."""

    class Over(Exception):  # noqa: N818 -- no error
        pass

    def check() -> None:
        raise Over

    client = Client(bus, ("tcp://127.0.0.1:9",), "host", "1", 0.5, check)
    with pytest.raises(Over):
        client.ask(lambda name, until: Pause(name, until, 1))
    client.close()


def test_a_name_that_is_not_utf8_is_wrong_use(bus: Bus) -> None:
    router = bus.router(ENDPOINT)
    broker = Broker(router, lambda message: [welcome()] if isinstance(message, Hello) else [])
    broker.start()
    client = Client(bus, (ENDPOINT,), "host", "1", 5.0)
    with pytest.raises(WrongUseError, match="is not UTF-8"):
        client.ask(lambda name, until: Drain(name, until, "", "\udcff"))
    client.close()
    broker.over = True
    broker.join()
