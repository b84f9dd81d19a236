"""The load generator beside fio: python bench/loadgen.py SCRATCH.

The same pattern on the same folder, in alternating rounds: files that are there before, written
over or read again and again, one for each of four processes. SCRATCH is a folder on the file system
that is measured, with room for 2 GiB. Needs fio.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import HEAD, Row, program, run

from zfs_walk.load.buffers import Buffer
from zfs_walk.load.content import Content

MIB = 1 << 20
PROCESSES = 4
FAST = 2e9
"""Bytes a second and core that content must be made, and verified, at."""


@dataclass(frozen=True)
class Pattern:
    """What both do.

    Attributes:
        name: in the table.
        fio: its options; ``load``: the keys of a load.
        goal: share of fio's that is wanted; ``latency``: quantiles are compared, too.
        processes: that do it at once.
    """

    name: str
    fio: tuple[str, ...]
    load: dict[str, Any]
    goal: float
    latency: bool = False
    processes: int = PROCESSES


WRITE = {"work": "mixed", "read-percent": 0, "block": "1M"}
READ = {"work": "read", "block": "1M"}
PATTERNS = (
    # Neither drops the page cache between two passes: who writes over does not read.
    Pattern("write 1 MiB, buffered",
            ("--rw=write", "--bs=1M", "--overwrite=1", "--invalidate=0"), WRITE, 0.97),
    Pattern("write 1 MiB, O_DIRECT", ("--rw=write", "--bs=1M", "--overwrite=1", "--direct=1"),
            WRITE | {"direct": True}, 0.97),
    Pattern("read 1 MiB, buffered", ("--rw=read", "--bs=1M"), READ, 0.97),
    Pattern("read 1 MiB, O_DIRECT", ("--rw=read", "--bs=1M", "--direct=1"),
            READ | {"direct": True}, 0.97),
    Pattern("random read 4 KiB, O_DIRECT", ("--rw=randread", "--bs=4k", "--direct=1"),
            {"work": "read", "order": "random", "block": "4K", "direct": True}, 0.9,
            latency=True),
    Pattern("random read 4 KiB, O_DIRECT, one process",
            ("--rw=randread", "--bs=4k", "--direct=1"),
            {"work": "read", "order": "random", "block": "4K", "direct": True}, 0.9,
            latency=True, processes=1),
)  # fmt: skip


@dataclass(frozen=True)
class Speed:
    """What one of them says of a run: operations a second, and latencies in ns."""

    rate: float
    p50: float
    p99: float


def fio(folder: Path, pattern: Pattern, seconds: float, size: int) -> Speed:
    """A run of fio's: files are laid out by it first."""
    found = run([
        # All its processes share one file if something of the job's name is right here (`bench`).
        "fio", "--name=beside-fio", f"--directory={folder}", "--ioengine=psync",
        f"--size={size}M", f"--numjobs={pattern.processes}", "--time_based",
        f"--runtime={seconds:g}", "--group_reporting", "--output-format=json", *pattern.fio,
    ])  # fmt: skip
    output = found.output[found.output.index("{") :]
    [job] = json.loads(output)["jobs"]
    side = job["write" if "write" in pattern.fio[0] else "read"]
    percentiles = side["clat_ns"]["percentile"]
    return Speed(side["iops"], percentiles["50.000000"], percentiles["99.000000"])


def ours(folder: Path, pattern: Pattern, seconds: float, size: int) -> Speed:
    """A run of ours."""
    load = {"target": str(folder), "file-size": f"{size}M", "files": 1, **pattern.load}
    with tempfile.TemporaryDirectory() as place:
        report = Path(place) / "report.json"
        run([
            *program("zfs-agent"), "--role", "loadgen", "--loads", json.dumps([load]),
            "--consumers", str(pattern.processes), "--duration", str(seconds), "--seed", "bench",
            "--max-fill", "100", "--report", str(report), "--state", f"{place}/state",
        ])  # fmt: skip
        said = json.loads(report.read_text())
    kind = said["totals"]["latency_ns"]["write" if "write" in pattern.fio[0] else "read"]
    return Speed(said["totals"]["operations_per_s"], kind["p50"], kind["p99"])


TOOLS: tuple[Callable[[Path, Pattern, float, int], Speed], ...] = (ours, fio)


def compare(scratch: Path, pattern: Pattern, rounds: int, seconds: float, size: int) -> list[Row]:
    """Pairs of runs; each of the two comes first equally often."""
    speeds: dict[str, list[Speed]] = {tool.__name__: [] for tool in TOOLS}
    for turn in range(rounds):
        for tool in TOOLS if turn % 2 else TOOLS[::-1]:
            folder = scratch / "bench-loadgen"
            # What was removed before is discarded by the disk when the file system commits it, and
            # that is not to be in the middle of the next run.
            os.sync()
            folder.mkdir()
            try:
                speeds[tool.__name__].append(tool(folder, pattern, seconds, size))
            finally:
                shutil.rmtree(folder)
    pairs = list(zip(speeds["ours"], speeds["fio"], strict=True))
    share = statistics.median(one.rate / other.rate for one, other in pairs)
    mine, theirs = (statistics.median(one.rate for one in speeds[name]) for name in ("ours", "fio"))
    rows = [
        Row(
            pattern.name, f"{share:.2f} of fio's ({mine:,.0f} of {theirs:,.0f} a second)",
            f">= {pattern.goal}", share >= pattern.goal,
        )
    ]  # fmt: skip
    for name in ("p50", "p99") if pattern.latency else ():
        ratio = statistics.median(getattr(one, name) / getattr(other, name) for one, other in pairs)
        told = statistics.median(getattr(one, name) for one in speeds["ours"])
        rows.append(
            Row(
                f"{pattern.name}: {name}", f"{ratio:.2f} of fio's ({told / 1000:.1f} us)",
                "0.9 to 1.1", 0.9 <= ratio <= 1.1,
            )
        )  # fmt: skip
    return rows


TOGETHER = 0.05
"""Seconds within which two agents are to begin."""


def barrier(scratch: Path, rounds: int) -> list[Row]:
    """How far apart two agents of a bus begin: the births of their first files are compared."""
    spreads: list[float] = []
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=scratch)))
        environment = {
            **os.environ, "HOME": str(place), "XDG_STATE_HOME": str(place),
            "XDG_CONFIG_HOME": str(place / "config"),
        }  # fmt: skip

        def start(*words: str) -> None:
            process = subprocess.Popen(
                words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)

        endpoint = f"ipc://{place}/broker"
        start(*program("zfs-broker"), "--bind", endpoint, "--http", "none")
        agent = (*program("zfs-agent"), "--role", "loadgen", "--broker", endpoint)
        for number in (1, 2):
            start(*agent, "--allow", str(folder), "--name", f"lg{number}", "--wait")
        load = {
            "target": str(folder), "file-size": "64K", "block": "64K", "keep": "all", "rate": 100,
        }  # fmt: skip
        for _ in range(rounds):
            run([
                *program("zfs-ctl"), "load", "start", "--loads", json.dumps([load]),
                "--consumers", "3", "--agents", "2", "--duration", "1", "--wait", "--broker",
                endpoint, "--timeout", "30",
            ], env=environment)  # fmt: skip
            runs = [_first_birth(each) for each in folder.iterdir()]
            spreads.append(max(runs) - min(runs))
            for each in folder.iterdir():
                shutil.rmtree(each)
    told = f"{statistics.median(spreads) * 1000:.1f} ms (longest {max(spreads) * 1000:.1f} ms)"
    goal = f"< {TOGETHER * 1000:g} ms"
    return [Row("two agents begin within", told, goal, max(spreads) < TOGETHER)]


def _first_birth(folder: Path) -> float:
    """When the first file below a folder was made, in seconds since the epoch."""
    files = [str(path) for path in folder.rglob("*") if path.is_file()]
    births = run(["stat", "-c", "%.9W", *files]).output.split()
    if not all(map(float, births)):
        message = f"the file system of {folder} keeps no time of birth"
        raise RuntimeError(message)
    return min(map(float, births))


def content(seconds: float) -> list[Row]:
    """How fast content is made and verified, in memory, by one core."""
    rows = []
    for block in (4 << 10, MIB):
        made = Content("bench", 1, block)
        made.take(1, 0, 256 * MIB)
        found = Buffer(block)
        found.view[:] = made.block(0, block)
        kib = block >> 10
        rate = _rate(lambda at: made.block(at, block), block, seconds)  # noqa: B023 -- called here
        rows.append(_row(f"content made, {kib} KiB", rate))
        rate = _rate(lambda _: made.is_at(0, found, block), block, seconds)  # noqa: B023 -- likewise
        rows.append(_row(f"content verified, {kib} KiB", rate))
    return rows


def _rate(once: Callable[[int], object], block: int, seconds: float) -> float:
    """Bytes a second of what does one block at an offset."""
    begun, done = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        for at in range(0, 64 * block, block):
            once(at)
        done += 64 * block
    return done / (time.perf_counter() - begun)


def _row(what: str, rate: float) -> Row:
    return Row(what, f"{rate / 1e9:.1f} GB/s", f">= {FAST / 1e9:g} GB/s", rate >= FAST)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--rounds", type=int, default=4, help="an even number")
    parser.add_argument("--seconds", type=float, default=5.0, help="of one run")
    parser.add_argument("--size", type=int, default=256, help="MiB of each process's file")
    parser.add_argument("--only", default="", help="patterns whose names have this")
    given = parser.parse_args()
    print(HEAD, flush=True)
    rows = content(0.5) if not given.only else []
    if given.only in "two agents begin within":
        rows += barrier(given.scratch, 5)
    for row in rows:
        print(row, flush=True)
    for pattern in PATTERNS:
        if given.only in pattern.name:
            rows += (
                new := compare(given.scratch, pattern, given.rounds, given.seconds, given.size)
            )
            for row in new:
                print(row, flush=True)
    raise SystemExit(any(row.passed is False for row in rows))


if __name__ == "__main__":
    main()
