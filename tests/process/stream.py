"""Programs that log, and what a tail shows of them; the log files are the oracle."""

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.process.place import Place, Process, Site

BURST = """
import logging, os, secrets, sys
from pathlib import Path
from zfs_walk.bus.client import Client
from zfs_walk.bus.curve import Curve
from zfs_walk.bus.logfile import LogFile
from zfs_walk.bus.loghandler import LogHandler
from zfs_walk.bus.publisher import Publisher
from zfs_walk.bus.sockets import Bus
from zfs_walk.config.connection import stored_for
from zfs_walk.protocol.statistics import Origin

broker, folder, name, number = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
key = stored_for(broker)
bus = Bus(Curve(key.public, key.secret, key.server))
client = Client(bus, (broker,), "h1", "0", 20.0)
client.greet()
origin = Origin(secrets.token_hex(8), "loadgen", "h1", name, os.getpid(), 0, "0")
publisher = Publisher(bus, client.endpoints.publish, origin)
handler = LogHandler(publisher, LogFile(folder / f"{name}.jsonl", 2**30))
log = logging.getLogger("zfs_walk.burst")
log.setLevel(logging.INFO)
log.addHandler(handler)
client.close()
print("ready", flush=True)
sys.stdin.readline()
for count in range(number):
    log.info("record %d of %s", count, name, extra={"run": 7, "count": count})
print("said", flush=True)
sys.stdin.readline()
handler.close()
bus.close()
print("lost", publisher.lost, flush=True)
"""
"""Logs through the public handler as fast as it can, once a line on its stdin says so."""


class Tail:
    """A ``zfs-ctl tail --json`` that writes to a file."""

    def __init__(self, site: Site, *arguments: str) -> None:
        self.out = site.place.folder / f"tail-{len(site.place.started)}.jsonl"
        into = ("sh", "-c", f'exec "$@" >{self.out}', "sh")
        self.process: Process = site.place.start(
            "ctl", "tail", "--json", "--broker", site.endpoint, *arguments, prefix=into
        )

    def lines(self) -> list[str]:
        """Whole lines so far."""
        text = self.out.read_text() if self.out.exists() else ""
        return text.splitlines() if text.endswith("\n") else text.splitlines()[:-1]

    def count(self) -> int:
        """How many lines there are, fast."""
        return self.out.read_bytes().count(b"\n") if self.out.exists() else 0

    def said(self) -> list[Any]:
        """What the lines say."""
        return [json.loads(line) for line in self.lines()]


def start_burst(site: Site, name: str, records: int) -> Process:
    """A program that has connected and waits for its line."""
    folder = site.place.folder / "log"
    process = site.place.start_python(
        BURST, site.endpoint, str(folder), name, str(records), talk=True
    )
    hear(process, "ready")
    return process


def tell(process: Process) -> None:
    """Give a program its line."""
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def hear(process: Process, word: str) -> str:
    """Wait until it says something."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith(word), line
    return line


def log_lines(*folders: Path) -> list[str]:
    """Every line of the log files, file by file."""
    return [
        line
        for folder in folders
        for path in sorted(folder.glob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]


def logs_of(place: Place) -> Path:
    """Where agents of a place log."""
    return place.state / "zfs_walk" / "log"


def by_publisher(lines: Iterable[str]) -> dict[str, list[str]]:
    """Lines in their order."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        found[json.loads(line)["publisher"]].append(line)
    return found
