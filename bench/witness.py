"""What scouts and uploaders see of a load, and when: python bench/witness.py SCRATCH.

A load generator writes down what it did (--witness); the lists of a scout, and the actions of an
uploader to a folder, are judged by it. SCRATCH is a folder on a fast local file system.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measure import HEAD, Row, program, run
from watchers import Bus, end, until

LOADS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("200 files of 64 KiB a second", {"file-size": "64K", "block": "64K", "rate": 200}),
    ("2,000 files of 4 KiB a second", {"file-size": "4K", "block": "4K", "rate": 2000}),
    ("small files are made, renamed and deleted at 2,000 a second",
     {"work": "metadata", "file-size": {"0": 1, "3000": 3}, "files": 2000, "rate": 2000}),
)  # fmt: skip


def load(target: Path, witness: Path, state: Path, keys: dict[str, Any], seconds: float) -> None:
    """Run a load that keeps what it makes."""
    given = [{"target": str(target), "name": "load", "keep": "all", **keys}]
    run([
        *program("zfs-agent"), "--role", "loadgen", "--loads", json.dumps(given),
        "--witness", str(witness), "--duration", str(seconds), "--state", str(state),
    ])  # fmt: skip


def judge(*words: str, env: dict[str, str] | None = None) -> "subprocess.Popen[str]":
    """Begin to judge."""
    command = [*program("zfs-ctl"), "load", "witness", *words, "--json", "--wait", "20"]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    )  # fmt: skip


def rows(kind: str, name: str, where: str, verdict: dict[str, Any]) -> Iterator[Row]:
    """What a verdict says."""
    found = verdict[kind]
    delay = found["delay_ns"]
    what = f"{name}: {where}"
    yield Row(f"{what}, recall of {found['there']:,} files", f"{found['recall']:.6f}", "1.0",
              found["recall"] == 1.0 and found["ok"])  # fmt: skip
    yield Row(f"{what}, from close, p50", f"{delay['p50'] / 1e6:.1f} ms", "")
    yield Row(f"{what}, from close, p99", f"{delay['p99'] / 1e6:.1f} ms", "")


def listed(scratch: Path, name: str, keys: dict[str, Any], seconds: float) -> Iterator[Row]:
    """What a scout lists of a load."""
    target = scratch / "target"
    target.mkdir()
    bus = Bus()
    try:
        bus.scout(target, "--poll", "30")
        until(lambda: bus.served() == 0)
        witness = scratch / "witness.jsonl"
        process = judge(str(witness), "--files", "--broker", bus.endpoint, env=bus.env)
        if process.stderr is not None:
            process.stderr.readline()  # "following the lists"
        load(target, witness, scratch / "state", keys, seconds)
        out, _ = process.communicate()
        yield from rows("files", name, "listed", json.loads(out))
    finally:
        bus.close()


def uploaded(scratch: Path, name: str, keys: dict[str, Any], seconds: float) -> Iterator[Row]:
    """When an uploader has a load on the other side."""
    target, there, state = (scratch / each for each in ("target", "there", "uploader"))
    target.mkdir()
    there.mkdir()
    config = scratch / "uploader.yaml"
    mapping = {"name": "m", "local": str(target), "to": f"file://{there}"}
    config.write_text(json.dumps(
        {"role": "uploader", "state": str(state), "notify": "file", "mappings": [mapping]}
    ))  # fmt: skip
    process = subprocess.Popen(
        [*program("zfs-agent"), "--config", str(config)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until((state / "notifications.db").exists)
        witness = scratch / "witness.jsonl"
        load(target, witness, scratch / "state", keys, seconds)
        judging = judge(str(witness), "--uploads", f"sqlite:///{state / 'notifications.db'}")
        out, _ = judging.communicate()
        yield from rows("uploads", name, "on the other side", json.loads(out))
    finally:
        end(process)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--seconds", type=float, default=10.0, help="of one load")
    given = parser.parse_args()
    print(HEAD, flush=True)
    passed = True
    for name, keys in LOADS:
        for measure in (listed, uploaded):
            folder = Path(tempfile.mkdtemp(prefix="witness-", dir=given.scratch)).resolve()
            try:
                for row in measure(folder, name, keys, given.seconds):
                    print(row, flush=True)
                    passed = passed and row.passed is not False
            finally:
                shutil.rmtree(folder)
    raise SystemExit(not passed)


if __name__ == "__main__":
    main()
