"""What the bus itself costs: python bench/bus.py [--rounds N] [--seconds S].

The broker's loop against a bare pyzmq ROUTER echo (bench/echo.py), both with CURVE, the same 50
clients and messages of the same size, in turns; one question at a time on an idle bus; and 1,000
agents without workers (bench/crowd.py) that join and then heartbeat.
"""

import argparse
import contextlib
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import zmq
from measure import HEAD, Row, program

HERE = Path(__file__).parent
ACK = "50"
"""Bytes of a HEARTBEAT_ACK: what the broker answers, where the echo sends back all that came."""

SIZES = {"200 bytes": 200, "8 kB": 8192}
AGENTS = 1_000

ROUNDS, QUIET, LEAST_QUIET = 40, 0.8, 5
"""Seconds of asking; the p99 in ms of a bare ROUTER in a quiet one; so many must be quiet."""


class Server:
    """A server process, its CPU time, and the keys to it."""

    def __init__(self, process: subprocess.Popen[str], keys: list[str]) -> None:
        """Take over a process that is ready."""
        self.process = process
        self.keys = keys

    def cpu(self) -> float:
        """Seconds of user and system time so far."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def load(self, kind: str, size: int, seconds: float) -> tuple[float, float]:
        """Answers a second, and the server's CPU microseconds an answer."""
        before = self.cpu()
        rate = float(script("clients.py", kind, *self.keys, str(size), str(seconds)))
        # The half second of warming up asks as well.
        return rate, (self.cpu() - before) / (rate * (seconds + 0.5)) * 1e6


def script(name: str, *arguments: str) -> str:
    """Run a script of this folder; returns what it prints."""
    done = subprocess.run(
        [sys.executable, HERE / name, *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


@contextlib.contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """End a process."""
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


@contextlib.contextmanager
def echo(*answer: str) -> Iterator[Server]:
    """The bare echo, or one that answers with so many bytes."""
    secret = zmq.curve_keypair()[1].decode()
    client = [key.decode() for key in zmq.curve_keypair()]
    process = subprocess.Popen(
        [sys.executable, HERE / "echo.py", secret, *answer], stdout=subprocess.PIPE, text=True
    )
    with ended(process):
        yield Server(process, [*line(process).split(), *client])


@contextlib.contextmanager
def broker() -> Iterator[Server]:
    """A real broker with its keys, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="zwb-") as folder:
        process = subprocess.Popen(
            [
                *program("zfs-broker"), "--bind", "tcp://127.0.0.1:*", "--state", f"{folder}/state",
                "--http", "none",
            ],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=os.environ | {"XDG_CONFIG_HOME": folder},
        )  # fmt: skip
        with ended(process):
            line(process)
            [found] = Path(folder).glob("zfs_walk/**/*.json")
            file = json.loads(found.read_text())
            keys = [file["endpoint"], file["server"], file["public"], file["secret"]]
            yield Server(process, keys)


def line(process: subprocess.Popen[str]) -> str:
    """The first line that a process prints."""
    text = process.stdout.readline() if process.stdout is not None else ""
    if not text:
        message = f"{process.args!r} did not start"
        raise SystemExit(message)
    return text


def throughput(rounds: int, seconds: float) -> list[Row]:
    """The broker's answers a second as a share of the echo's, in alternating rounds."""
    rows = []
    with echo() as bare, echo(ACK) as short, broker() as ours:
        for name, size in SIZES.items():
            turns = [
                (
                    ours.load("heartbeat", size, seconds),
                    bare.load("echo", size, seconds),
                    short.load("echo", size, seconds),
                )
                for _ in range(rounds)
            ]
            share = statistics.median(mine[0] / its[0] for mine, its, _ in turns)
            least = statistics.median(mine[0] / its[0] for mine, _, its in turns)
            rate, cost = (statistics.median(mine[i] for mine, _, _ in turns) for i in (0, 1))
            bare_rate, bare_cost = (
                statistics.median(its[i] for _, its, _ in turns) for i in (0, 1)
            )
            rows += [
                Row(f"broker / echo, {name}", f"{share:.0%}", ">= 60 %", share >= 0.6),
                Row(f"broker / a ROUTER that answers {ACK} bytes, {name}", f"{least:.0%}", ""),
                Row(f"broker, {name}", f"{rate:,.0f}/s, {cost:.0f} us of CPU each", ""),
                Row(f"echo, {name}", f"{bare_rate:,.0f}/s, {bare_cost:.0f} us of CPU each", ""),
            ]
    return rows


def latency(rounds: int) -> list[Row]:
    """One question at a time on an idle bus, in rounds of a second.

    A 99th percentile of half a millisecond shows whatever else the machine does. The bare ROUTER
    that is asked in turns tells the seconds in which that is little; only these count.
    """
    mine: list[tuple[float, ...]] = []
    bare: list[tuple[float, ...]] = []
    with broker() as ours, echo(ACK) as short:
        for _ in range(rounds):
            said = script("clients.py", "status", *ours.keys, *short.keys, "1").splitlines()
            for figures, answer in zip((mine, bare), said, strict=True):
                figures.append(tuple(map(float, answer.split())))
    quiet = [own[1] for own, its in zip(mine, bare, strict=True) if its[1] < QUIET]
    worst = statistics.median(quiet) if quiet else math.inf

    def of_all(figures: list[tuple[float, ...]], index: int) -> str:
        return f"{statistics.median(each[index] for each in figures):.2f} ms"

    return [
        Row("a request on an idle bus, median", of_all(mine, 0), ""),
        Row("of a bare ROUTER, in turns, median", of_all(bare, 0), ""),
        Row(
            f"a request on an idle bus, p99, in the {len(quiet)} of {rounds} seconds in which that"
            f" of a bare ROUTER is under {QUIET} ms",
            f"{worst:.2f} ms", "< 1 ms", worst < 1.0 and len(quiet) >= LEAST_QUIET,
        ),
        Row("p99 in all seconds; of a bare ROUTER", f"{of_all(mine, 1)}; {of_all(bare, 1)}", ""),
    ]  # fmt: skip


def crowd(seconds: float) -> list[Row]:
    """A thousand agents join, then heartbeat."""
    with broker() as ours:
        process = subprocess.Popen(
            [sys.executable, HERE / "crowd.py", *ours.keys, str(AGENTS), str(seconds + 1)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        joined, live = line(process).split()
        before, begun = ours.cpu(), time.monotonic()
        rest, _ = process.communicate("\n", timeout=seconds + 120)
        share = (ours.cpu() - before) / (time.monotonic() - begun)
    return [
        Row(
            f"{int(live):,} agents have joined after", f"{float(joined):.1f} s", "1,000 in < 10 s",
            int(live) == AGENTS and float(joined) < 10,
        ),
        Row("the broker's share of a core while they heartbeat", f"{share:.1%}", "< 10 %",
            share < 0.1),
        Row("connections that they lost meanwhile", rest.strip(), "0", rest.strip() == "0"),
    ]  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    given = parser.parse_args()
    print(HEAD)
    print(*throughput(given.rounds, given.seconds), sep="\n", flush=True)
    print(*latency(ROUNDS), sep="\n", flush=True)
    print(*crowd(5 * given.seconds), sep="\n")


if __name__ == "__main__":
    main()
