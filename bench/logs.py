"""What a stopped subscriber costs a walk: python bench/logs.py TREE [--rounds N].

A broker, an agent with two workers that log at debug, and `zfs-ctl tail --json` on the stream. Each
round walks TREE twice on this bus: with the tail stopped by SIGSTOP, and with no tail at all; in
turns, which of the two comes first changing each round. And what the log itself costs: the same
walk at debug and at info, without a tail.
"""

import argparse
import os
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from measure import HEAD, Row, program, run

READY = 30.0
"""Seconds that a broker or an agent may take to come up."""


class Stage:
    """A broker and an agent with two workers, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        """Start both."""
        self.endpoint = f"ipc://{folder}/broker"
        self._started: list[subprocess.Popen[str]] = []
        broker = [
            *program("zfs-broker"), "--bind", self.endpoint, "--state", f"{folder}/b", "--http",
            "none",
        ]  # fmt: skip
        process = subprocess.Popen(broker, stdout=subprocess.PIPE, text=True)
        self._started.append(process)
        if process.stdout is None or "ready" not in process.stdout.readline():
            message = "the broker did not start"
            raise SystemExit(message)
        agent = [
            *program("zfs-agent"), "--role", "walker", "--broker", self.endpoint, "--workers", "2",
            "--state", f"{folder}/a",
        ]  # fmt: skip
        self._started.append(subprocess.Popen(agent, text=True))
        until = time.monotonic() + READY
        while "live" not in self.ctl("agent", "list"):
            if time.monotonic() > until:
                message = "the agent did not come"
                raise SystemExit(message)

    def ctl(self, *words: str) -> str:
        """Operate the bus."""
        return run([*program("zfs-ctl"), *words, "--broker", self.endpoint]).output

    def walk(self, tree: str) -> float:
        """Seconds that a walk takes."""
        return run([*program("zfs-walk"), tree, "--broker", self.endpoint, "-q"]).wall

    @contextmanager
    def stopped_tail(self) -> Iterator[None]:
        """A tail that follows, and is stopped."""
        tail = subprocess.Popen(
            [*program("zfs-ctl"), "tail", "--json", "--since", "1d", "--broker", self.endpoint],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            if tail.stdout is None or not tail.stdout.readline():
                message = "the tail shows nothing"
                raise SystemExit(message)
            os.kill(tail.pid, signal.SIGSTOP)
            yield
        finally:
            tail.kill()
            tail.wait()
            if tail.stdout is not None:
                tail.stdout.close()

    def close(self) -> None:
        """End both."""
        for process in reversed(self._started):
            process.terminate()
            process.wait(READY)
            if process.stdout is not None:
                process.stdout.close()


def compare(one: Callable[[], float], other: Callable[[], float], rounds: int) -> float:
    """Median of the pairs' ratios, after one pair that does not count."""
    ratios = []
    for turn in range(rounds + 1):
        if turn % 2:
            a = one()
            b = other()
        else:
            b = other()
            a = one()
        if turn:
            ratios.append(a / b)
    return statistics.median(ratios)


def main() -> None:
    """Measure the tree of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tree")
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zwb-") as name:
        stage = Stage(Path(name))
        try:
            measure(stage, given.tree, given.rounds)
        finally:
            stage.close()


def measure(stage: Stage, tree: str, rounds: int) -> None:
    """Print the table."""

    def alone() -> float:
        return stage.walk(tree)

    def watched() -> float:
        with stage.stopped_tail():
            return stage.walk(tree)

    def at(level: str) -> Callable[[], float]:
        def walk() -> float:
            stage.ctl("log", "level", level)
            return stage.walk(tree)

        return walk

    print(HEAD)
    stage.ctl("log", "level", "debug")
    change = compare(watched, alone, rounds) - 1
    print(Row("walk at debug, a stopped subscriber / none", f"{100 * change:+.1f} %", "< 3 %",
              passed=change < 0.03), flush=True)  # fmt: skip
    change = compare(at("debug"), at("info"), rounds) - 1
    print(Row("walk at debug / at info", f"{100 * change:+.1f} %", ""))


if __name__ == "__main__":
    main()
