"""Whether --rate holds, and whether a stall is told: python bench/pace.py SCRATCH.

Three consumers for half a minute, of which one is stopped for two seconds (SIGSTOP). What a limit
is compared with is not our own count, but what has come to the disk. SCRATCH needs 300 MiB.
"""

import argparse
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
from measure import HEAD, Row, program

SECONDS = 30.0
NEAR = 0.02
"""How far a rate may be off."""
STALL = 2.0
LEAST, MOST = 1.0, 0.1
"""Seconds of p99.9 after the stall: from the intended start, and of the operations."""

OPERATIONS = 4096
LOADS: dict[str, dict[str, Any]] = {
    "rate": {"rate": 1000, "block": OPERATIONS},
    "bandwidth": {"bandwidth": 4 << 20, "block": {"4K": 3, "60K": 1}},
    "stopped": {"rate": 500, "block": OPERATIONS},
}


def on_disk(target: Path, name: str) -> int:
    """Bytes of a consumer's files."""
    return sum(path.stat().st_size for path in target.glob(f"load-*/{name}/0*"))


def writer(process: int, name: str) -> psutil.Process:
    """The process that has a consumer's file open."""
    while True:
        for child in psutil.Process(process).children(recursive=True):
            if any(f"/{name}/0" in file.path for file in child.open_files()):
                return child
        time.sleep(0.1)


def run(scratch: Path) -> tuple[Path, dict[str, Any]]:
    """Load the target; returns it and the report."""
    target, report = scratch / "target", scratch / "report.json"
    target.mkdir()
    loads = [
        {"name": name, "target": str(target), "file-size": "1M", "keep": "all", **load}
        for name, load in LOADS.items()
    ]
    agent = subprocess.Popen(
        [*program("zfs-agent"), "--role", "loadgen", "--loads", json.dumps(loads), "--duration",
         str(SECONDS), "--report", str(report), "--state", str(scratch / "state")],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    victim = writer(agent.pid, "stopped")
    time.sleep(SECONDS / 3)
    victim.suspend()
    time.sleep(STALL)
    victim.resume()
    if agent.wait():
        message = f"it ended with {agent.returncode}"
        raise SystemExit(message)
    return target, json.loads(report.read_text())


def near(what: str, rate: float, wanted: float, unit: str) -> Row:
    """How near they are."""
    off = rate / wanted - 1
    shown = f"{rate:,.1f} {unit} ({off:+.2%})"
    return Row(what, shown, f"{wanted:,.0f} {unit}, {NEAR:.0%}", abs(off) <= NEAR)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scratch", type=Path)
    scratch = parser.parse_args().scratch / "pace"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    target, report = run(scratch)
    rates = {name: on_disk(target, name) / SECONDS for name in LOADS}
    [stopped] = [each for each in report["consumers"] if each["name"] == "stopped"]
    response, write = (stopped["latency_ns"][kind]["p99.9"] / 1e9 for kind in ("response", "write"))
    rows = (
        near("--rate over 30 s", rates["rate"] / OPERATIONS, 1000, "a second"),
        near("--bandwidth over 30 s", rates["bandwidth"], 4 << 20, "bytes a second"),
        near("--rate over 30 s, stopped for 2 s of them", rates["stopped"] / OPERATIONS, 500,
             "a second"),
        Row("stopped for 2 s: p99.9 from the intended start", f"{response:.2f} s",
            f">= {LEAST:g} s", response >= LEAST),
        Row("stopped for 2 s: p99.9 of the operations themselves", f"{1000 * write:.2f} ms",
            f"< {1000 * MOST:g} ms", write < MOST),
    )  # fmt: skip
    print(HEAD)
    for row in rows:
        print(row)
    shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
