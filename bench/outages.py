"""What is served when a scout or the broker breaks: python bench/outages.py SCRATCH.

SCRATCH has the trees of `scout.py`, or gets them. Heartbeats are every second. Each figure is the
median of the rounds, from the signal on.
"""

import argparse
import http.client
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from measure import HEAD, Row
from mktree import make_tree
from scout import DIRECTORIES, EACH
from watchers import Bus, until

SCOUTS, ROUNDS = 3, 5
HEARTBEAT = 1
RESTART = 5.0
"""Seconds that a broker's restart may take until everything is served again."""


class Trio:
    """Three scouts with a tree each.

    Args:
        scratch: where the trees are.
    """

    def __init__(self, scratch: Path) -> None:
        """Start them."""
        self.bus = Bus("--heartbeat", str(HEARTBEAT))
        self.folders = [scratch / f"scout{number}" for number in range(SCOUTS)]
        self.files = 0
        for folder in self.folders:
            if not folder.is_dir():
                make_tree(folder, DIRECTORIES, EACH)
            found = subprocess.run(
                ["find", folder, "-type", "f"], stdout=subprocess.PIPE, check=True
            )
            self.files += found.stdout.count(b"\n")
        self.scouts = [self.watch(folder) for folder in self.folders]
        until(lambda: self.served() == self.files, 300.0, 0.05)

    def watch(self, folder: Path) -> Any:
        """Start a scout."""
        return self.bus.scout(folder, "--poll", "0")

    def served(self) -> int:
        """Files that HTTP answers, as its pages count them; -1: it does not answer."""
        try:
            return sum(
                claim["files"] for claim in self.bus.get("/claims")["claims"] if claim["serving"]
            )
        except (OSError, http.client.HTTPException):
            return -1

    def shows(self, folder: Path) -> bool:
        """Files of a folder are in the answer."""
        page = self.bus.get("/files?limit=3")["files"]
        return any(file["claim"] == str(folder) for file in page)


def rounds(name: str, goal: float, once: Callable[[], float]) -> Row:
    """Do a thing several times."""
    times = [once() for _ in range(ROUNDS)]
    median = statistics.median(times)
    return Row(
        f"{name} (longest {max(times):.1f} s)", f"{median:.1f} s", f"< {goal:.0f} s",
        max(times) < goal,
    )  # fmt: skip


def seconds(condition: Callable[[], object]) -> float:
    """How long it takes until something holds."""
    begun = time.monotonic()
    until(condition, 60.0, 0.02)
    return time.monotonic() - begun


def breaks(trio: Trio) -> Iterator[Row]:
    """A scout that is stopped, one that is killed, and a broker that is."""
    folder = trio.folders[1]

    def stopped() -> float:
        scout = trio.scouts[1]
        scout.send_signal(signal.SIGSTOP)
        took = seconds(lambda: not trio.shows(folder))
        scout.send_signal(signal.SIGCONT)
        until(lambda: trio.shows(folder))
        return took

    yield rounds("SIGSTOP of a scout: its files leave /files", 3 * HEARTBEAT, stopped)

    def continued() -> float:
        scout = trio.scouts[1]
        scout.send_signal(signal.SIGSTOP)
        until(lambda: not trio.shows(folder))
        scout.send_signal(signal.SIGCONT)
        return seconds(lambda: trio.shows(folder))

    yield rounds("SIGCONT: they are back", 3 * HEARTBEAT, continued)

    def killed() -> float:
        trio.scouts[1].kill()
        trio.scouts[1].wait()
        took = seconds(lambda: not trio.shows(folder))
        trio.scouts[1] = trio.watch(folder)
        until(lambda: trio.served() == trio.files)
        return took

    yield rounds("SIGKILL of a scout: its files leave /files", 3 * HEARTBEAT, killed)

    def restarted() -> float:
        bus = trio.bus
        bus.broker.kill()
        bus.broker.wait()
        bus.start_broker(bus.endpoint, bus.url.removeprefix("http://").rstrip("/"))
        return seconds(lambda: trio.served() == trio.files)

    yield rounds(
        f"SIGKILL of the broker: from its restart until all {trio.files:,} files are served",
        RESTART, restarted,
    )  # fmt: skip
    pids = {scout.poll() for scout in trio.scouts}
    yield Row("scouts that ended meanwhile", str(len(pids - {None})), "0", pids == {None})


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scratch", type=Path)
    trio = Trio(parser.parse_args().scratch)
    try:
        print(HEAD)
        for row in breaks(trio):
            print(row, flush=True)
    finally:
        trio.bus.close()


if __name__ == "__main__":
    main()
