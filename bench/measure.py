"""Run whole commands, measure them from outside, and compare them pair by pair."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Run:
    """One finished command.

    Attributes:
        wall: seconds.
        cpu: user and system seconds, of the process and all it waited for.
        rss: bytes of the largest single process.
        output: what it printed.
        errors: what it said on stderr.
    """

    wall: float
    cpu: float
    rss: int
    output: str
    errors: str


def run(command: Sequence[str], *, env: dict[str, str] | None = None) -> Run:
    """Run a command to its end.

    Raises:
        RuntimeError: it failed.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begun = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, env=env)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        output = out.read().decode(errors="replace")
        errors = err.read().decode(errors="replace")
    if process.returncode:
        message = f"{command} ended with {process.returncode}: {errors[-2000:]}"
        raise RuntimeError(message)
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, output, errors)


def alternate(
    commands: dict[str, Sequence[str]],
    rounds: int,
    before: Callable[[str], None] = lambda _name: None,
) -> dict[str, list[Run]]:
    """Run all commands in turn, ``rounds`` times, after one round that does not count."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for turn in range(rounds + 1):
        for name, command in commands.items():
            before(name)
            finished = run(command)
            if turn:
                runs[name].append(finished)
    return runs


def ratio(runs: list[Run], others: list[Run]) -> float:
    """The median of the pairs' ratios of wall time."""
    return statistics.median(a.wall / b.wall for a, b in zip(runs, others, strict=True))


@dataclass(frozen=True, slots=True)
class Row:
    """A figure with its goal."""

    what: str
    figure: str
    goal: str
    passed: bool | None = None

    def __str__(self) -> str:
        """The row of a markdown table."""
        verdict = "" if self.passed is None else ("PASS" if self.passed else "FAIL")
        return f"| {self.what} | {self.figure} | {self.goal} | {verdict} |"


HEAD = "| what | figure | goal | |\n|---|---|---|---|"


def program(name: str) -> list[str]:
    """The installed command beside this Python."""
    beside = Path(sys.executable).with_name(name)
    if not beside.exists():
        message = f"{beside} is not there: run this with a Python that has zfs_walk installed"
        raise SystemExit(message)
    return [str(beside)]
