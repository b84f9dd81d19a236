"""Whatever is thrown at a broker: it lives, stays small, and the totals of a walk stay exact."""

import random
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgpack
import psutil
import pytest
import zmq

from tests.process import oracle
from tests.process.place import Process, Site, wait_for

pytestmark = pytest.mark.slow

MAGIC = b"ZW\x01"
MOST_GROWN = 256 * 2**20
"""Bytes that a broker may grow by: 16 messages of the largest size, and what msgpack makes of
them."""


def pack(value: object) -> bytes:
    packed: bytes = msgpack.packb(value)
    return packed


def hello(rng: random.Random, role: str, term: int = 0) -> list[bytes]:
    """A well-formed HELLO of somebody."""
    header = {
        "t": "HELLO", "proto_min": 1, "proto_max": 1, "role": role, "host": "fuzz",
        "name": f"{role}-{rng.random()}", "boot": str(rng.random()), "conn": 1, "pid": 1,
        "version": "0", "capacity": 0, "held": [], "highest_term": term,
    }  # fmt: skip
    return [MAGIC, pack(header)]


def number(rng: random.Random) -> int:
    """One that somebody might have, or nobody."""
    choices = [0, 1, 2, 2**28, int(time.time()) << 28 | rng.randrange(40), 2**62, 2**63 - 1]
    return rng.choice([*choices, -1, -(2**63), 2**64 - 1])


def heartbeat(rng: random.Random) -> list[bytes]:
    """Of a session that is none, for leases of others."""
    held = [[number(rng), number(rng), number(rng)] for _ in range(rng.randrange(4))]
    header = {
        "t": "HEARTBEAT", "n": number(rng), "held": held, "want": rng.choice([0, 0, 0, -1]),
        "serving": True, "why": "", "live": [[number(rng)] * 4], "rss": 0, "cpu_ms": 0,
        "loop_lag_ms": 0,
    }  # fmt: skip
    return [MAGIC, pack(header)]


def commit(rng: random.Random) -> list[bytes]:
    """For a unit that is another's, or nobody's."""
    header = {
        "t": "COMMIT", "uid": number(rng), "epoch": number(rng), "seq": rng.randrange(5),
        "steal_id": 0, "found": number(rng), "done": number(rng),
        "counters": {"entries": number(rng)}, "errors": [], "segments": [], "release": True,
    }  # fmt: skip
    payload = [[number(rng)], [[number(rng), 0, 0, b"x", 0, 0, 0]], [[number(rng)]], [], []]
    return [MAGIC, pack(header), *map(pack, payload)]


def client(rng: random.Random) -> list[bytes]:
    """A client's request, mostly for nothing."""
    header = {
        "t": rng.choice(["STATUS", "VERIFY", "SEGMENTS", "RUNS", "AGENTS", "NONSENSE"]),
        "request": str(rng.random()), "deadline_ms": number(rng), "run": number(rng),
        "wait_ms": rng.choice([0, 2**32 - 1]), "after": "", "limit": number(rng),
    }  # fmt: skip
    return [MAGIC, pack(header)]


def broken(rng: random.Random) -> list[bytes]:
    """A message with a piece missing, exchanged or repeated."""
    frames = rng.choice([heartbeat, commit, client])(rng)
    which = rng.randrange(len(frames))
    frame = frames[which]
    frames[which] = rng.choice(
        [
            frame[: rng.randrange(len(frame))],
            frame + rng.randbytes(3),
            rng.randbytes(len(frame)),
            pack(rng.choice([None, [], {}, {"t": 5}, {1: 2}, [[[]]] * 9, "HELLO", 2**63])),
            b"\xc1" * 20,
            b"\x91" * 5_000,  # lists inside one another
            b"\xdd\xff\xff\xff\xff",  # a list of 4 billion elements, of which none comes
        ]
    )
    return frames[: rng.randrange(1, len(frames) + 1)]


def foreign(rng: random.Random) -> list[bytes]:
    """Frames of something else."""
    return [
        rng.choice([b"ZW\x02", b"ZW", b"", b"ZT\x01", b"GET / HTTP/1.1\r\n"]),
        *(rng.randbytes(rng.randrange(40)) for _ in range(rng.randrange(5))),
    ]


def huge(rng: random.Random) -> list[bytes]:
    """As large as the wire takes, and larger."""
    return [MAGIC, rng.choice([b"\x00", b"\xc0", b"\x90"]) * rng.choice([2**20, 2**24, 2**24 + 9])]


MAKERS: Sequence[Callable[[random.Random], list[bytes]]] = (
    heartbeat, commit, client, broken, broken, foreign,
)  # fmt: skip


@contextmanager
def dealer(site: Site) -> Iterator["zmq.Socket[bytes]"]:
    """A raw socket to the broker, with an operator's key: no other gets so far."""
    context = zmq.Context()
    made = context.socket(zmq.DEALER)
    made.setsockopt(zmq.LINGER, 1000)
    keys = site.connection()
    made.setsockopt(zmq.CURVE_SERVERKEY, keys["server"].encode())
    made.setsockopt(zmq.CURVE_PUBLICKEY, keys["public"].encode())
    made.setsockopt(zmq.CURVE_SECRETKEY, keys["secret"].encode())
    made.connect(site.endpoint)
    try:
        yield made
    finally:
        made.close()
        context.term()


class Watched:
    """A site with a walk going on, and its broker's memory."""

    def __init__(self, site: Site, tree: Path, slow: dict[str, str]) -> None:
        self.site, self.tree = site, tree
        self.broker: Process = site.start_broker("--heartbeat", "0.5", "--lease-ttl", "4")
        site.start_agents(2, env=slow)
        self.before = self.memory()
        self.walk = site.walk(tree)
        wait_for("the walk is in its middle", lambda: site.ledger.commits >= 3)

    def memory(self) -> int:
        """Resident bytes of the broker."""
        return int(psutil.Process(self.broker.pid).memory_info().rss)

    def goes_on(self) -> bool:
        """The walk is not over."""
        return self.walk.poll() is None

    def is_well(self) -> None:
        """The walk ends exactly, and the broker is what it was."""
        ended = self.site.place.end(self.walk)
        assert ended.code == 0, ended.err
        oracle.same_totals(ended.json, oracle.totals(self.tree))
        self.site.verify()
        assert self.broker.poll() is None
        assert self.memory() - self.before < MOST_GROWN


@pytest.fixture
def watched(site: Site, tree: Path, slow: dict[str, str]) -> Watched:
    return Watched(site, tree, slow)


@pytest.mark.parametrize("seed", range(3))
def test_junk_of_those_who_said_nothing_changes_nothing(watched: Watched, seed: int) -> None:
    rng = random.Random(seed)
    sent = 0
    with dealer(watched.site) as socket_:
        while watched.goes_on() and sent < 20_000:
            socket_.send_multipart(rng.choice(MAKERS)(rng))
            sent += 1
            while socket_.poll(0):
                socket_.recv_multipart()
    assert sent > 100
    watched.is_well()


@pytest.mark.parametrize("role", ["walker", "client", "scout"])
def test_junk_of_those_who_said_hello_changes_nothing(watched: Watched, role: str) -> None:
    rng = random.Random(role)
    sent = 0
    while watched.goes_on() and sent < 6_000:
        with dealer(watched.site) as socket_:
            socket_.send_multipart(hello(rng, role))
            assert socket_.poll(20_000)
            socket_.recv_multipart()
            for _ in range(300):
                socket_.send_multipart(rng.choice(MAKERS)(rng))
                sent += 1
                while socket_.poll(0):
                    socket_.recv_multipart()
    assert sent >= 300
    watched.is_well()


def test_huge_messages_do_not_stay_in_memory(watched: Watched) -> None:
    rng = random.Random(7)
    for _ in range(12):
        with dealer(watched.site) as socket_:
            socket_.send_multipart(huge(rng))
            socket_.poll(200)
    watched.is_well()


def test_one_who_never_reads_is_not_waited_for(watched: Watched) -> None:
    rng = random.Random(8)
    with dealer(watched.site) as socket_:
        socket_.setsockopt(zmq.SNDTIMEO, 10_000)
        socket_.send_multipart(hello(rng, "client"))
        for _ in range(10_000):
            socket_.send_multipart(client(rng))
        watched.is_well()


def test_a_term_of_the_far_future_is_refused_and_a_later_one_survived(watched: Watched) -> None:
    rng = random.Random(9)
    now = int(time.time())
    with dealer(watched.site) as socket_:
        for term in (2**62, now + 20 * 366 * 86_400, now + 1_000_000):
            socket_.send_multipart(hello(rng, "client", term))
            assert socket_.poll(20_000)
            socket_.recv_multipart()
    watched.is_well()


def test_raw_connections_by_the_thousand_change_nothing(watched: Watched) -> None:
    rng = random.Random(10)
    host, port = watched.site.endpoint.removeprefix("tcp://").split(":")
    opened = []
    for _ in range(1_000):
        raw = socket.create_connection((host, int(port)), 20)
        raw.settimeout(0.0)
        opened.append(raw)
        with suppress(BlockingIOError):
            raw.send(rng.choice([b"", b"\xff" + rng.randbytes(9), rng.randbytes(64), b"GET /\r\n"]))
        if len(opened) > 300:
            opened.pop(rng.randrange(len(opened))).close()
    watched.is_well()
    for raw in opened:
        raw.close()
    first = psutil.Process(watched.broker.pid)
    wait_for("its descriptors are closed", lambda: first.num_fds() < 100)


def test_another_major_version_is_told_which_one_is_spoken(site: Site) -> None:
    site.start_broker()
    with dealer(site) as socket_:
        socket_.send_multipart([b"ZW\x09", b"whatever"])
        assert socket_.poll(20_000)
        frames = socket_.recv_multipart()
    answer = msgpack.unpackb(frames[1])
    assert (frames[0], answer["t"], answer["code"]) == (MAGIC, "ERROR", "version")
    assert "9" in answer["detail"]
    assert "1" in answer["detail"]
