"""Fifty clients that ask as fast as they are answered; prints answers a second.

python bench/clients.py echo|heartbeat ENDPOINT SERVER PUBLIC SECRET SIZE SECONDS
With `echo` the frames are as long as those of `heartbeat`, and go to bench/echo.py.
python bench/clients.py status ENDPOINT ... ENDPOINT ... SECONDS
is one client that asks a broker and a bare ROUTER in turns; a line of figures for each.
"""

import statistics
import sys
import time
import uuid
from collections.abc import Iterator

import zmq

from zfs_walk.protocol.codec import BUS
from zfs_walk.protocol.messages import (
    CLIENT,
    PROTO_MAX,
    PROTO_MIN,
    WALKER,
    Heartbeat,
    Hello,
    Runs,
    Welcome,
)

CLIENTS = 50
WINDOW = 16
"""Questions that a client has open: enough that nobody waits for a round trip."""


def connect(context: "zmq.Context[zmq.Socket[bytes]]", keys: list[str]) -> "zmq.Socket[bytes]":
    """A DEALER with CURVE."""
    endpoint, server, public, secret = keys
    dealer = context.socket(zmq.DEALER)
    dealer.setsockopt(zmq.LINGER, 0)
    dealer.setsockopt(zmq.RCVTIMEO, 30_000)
    dealer.curve_serverkey = server.encode()
    dealer.curve_publickey = public.encode()
    dealer.curve_secretkey = secret.encode()
    dealer.connect(endpoint)
    return dealer


def greet(dealer: "zmq.Socket[bytes]", role: str, number: int) -> None:
    """Say HELLO as an agent or client of its own and wait for WELCOME."""
    name, boot = f"bench-{number}", uuid.uuid4().hex
    hello = Hello(PROTO_MIN, PROTO_MAX, role, "bench", name, boot, 1, 1, "0", 1, (), 0)
    dealer.send_multipart(BUS.encode(hello))
    answer = BUS.decode(dealer.recv_multipart())
    if not isinstance(answer, Welcome):
        message = f"the broker says {answer}"
        raise SystemExit(message)


def heartbeat(size: int) -> list[bytes]:
    """A heartbeat whose frames have about this many bytes; characters of two bytes in ``why``."""

    def frames(padding: int) -> list[bytes]:
        why = "\N{MIDDLE DOT}" * padding
        beat = Heartbeat(1, (), 0, serving=False, why=why, live=(), rss=0, cpu_ms=0, loop_lag_ms=0)
        return BUS.encode(beat)

    return frames(max(0, size - sum(map(len, frames(0)))) // 2)


def load(kind: str, keys: list[str], size: int, seconds: float) -> float:
    """Answers a second over all clients."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    dealers = [connect(context, keys) for _ in range(CLIENTS)]
    if kind == "heartbeat":
        for number, dealer in enumerate(dealers):
            greet(dealer, WALKER, number)
    frames = heartbeat(size)
    poller = zmq.Poller()
    for dealer in dealers:
        poller.register(dealer, zmq.POLLIN)
        for _ in range(WINDOW):
            dealer.send_multipart(frames)
    answers = 0
    begun = 0.0
    now = time.perf_counter()
    warm = now + 0.5
    until = warm + seconds
    while now < until:
        for dealer, _ in poller.poll(1000):
            for _ in range(WINDOW):
                try:
                    dealer.recv_multipart(zmq.DONTWAIT)
                except zmq.Again:
                    break
                answers += 1
                dealer.send_multipart(frames)
        now = time.perf_counter()
        if not begun and now >= warm:
            begun, answers = now, 0
    context.destroy(linger=0)
    return answers / (now - begun)


def ask(keys: list[str], bare: list[str], seconds: float) -> Iterator[tuple[float, float]]:
    """Median and 99th percentile in ms of the broker's answers, then of the bare ROUTER's.

    They are asked in turns, one question at a time, so that what disturbs one disturbs both.
    """
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    dealers = [connect(context, keys), connect(context, bare)]
    greet(dealers[0], CLIENT, 0)
    times: list[list[float]] = [[], []]
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        for dealer, taken in zip(dealers, times, strict=True):
            begun = time.perf_counter()
            dealer.send_multipart(BUS.encode(Runs("r", 0)))
            dealer.recv_multipart()
            taken.append((time.perf_counter() - begun) * 1000)
            time.sleep(0.002)
    context.destroy(linger=0)
    for taken in times:
        yield statistics.median(taken), statistics.quantiles(taken, n=100)[98]


def main() -> None:
    """Print the figure."""
    kind, *rest = sys.argv[1:]
    if kind == "status":
        for percentiles in ask(rest[:4], rest[4:8], float(rest[8])):
            print(*percentiles)
    else:
        print(load(kind, rest[:4], int(rest[4]), float(rest[5])))


if __name__ == "__main__":
    main()
