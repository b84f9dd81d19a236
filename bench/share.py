"""How agents share a walk: python bench/share.py CHAINED WIDE [--rounds N].

CHAINED hangs below folders with a single child each: three agents with one worker each. WIDE is
one directory with very many names: two agents with two workers each. And an agent that joins in
the middle: how long after its HELLO does it begin its first directory.

Shares are read from the broker's ledger with sqlite3, the time of joining from the agent's own log.
"""

import argparse
import contextlib
import re
import signal
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgpack
from measure import HEAD, Row, program, run

JOINED = re.compile(r"first directory ([0-9.]+) s after HELLO")


class Site:
    """A broker and agents in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        """Start the broker."""
        self.folder = folder
        self._processes: list[subprocess.Popen[str]] = []
        broker = self._start(
            [
                *program("zfs-broker"), "--bind", f"ipc://{folder}/broker",
                "--state", f"{folder}/b", "--http", "none",
            ],
            subprocess.PIPE,
        )  # fmt: skip
        if broker.stdout is None or "ready" not in broker.stdout.readline():
            message = "the broker did not start"
            raise SystemExit(message)
        self.endpoint = f"ipc://{folder}/broker"

    def _start(self, command: list[str], out: int | None = None) -> subprocess.Popen[str]:
        process = subprocess.Popen(command, stdout=out, stderr=None, text=True)
        self._processes.append(process)
        return process

    def agent(self, workers: int, log: Path | None = None) -> None:
        """Start an agent."""
        command = [
            *program("zfs-agent"), "-v", "--role", "walker", "--broker", self.endpoint,
            "--workers", str(workers), "--state", f"{self.folder}/a",
        ]  # fmt: skip
        with (log or Path("/dev/null")).open("w") as errors:
            self._processes.append(subprocess.Popen(command, stderr=errors, text=True))

    def walk(self, tree: str, agents: int) -> list[float]:
        """Walk a tree when so many agents are there; returns their shares of the entries."""
        run([
            *program("zfs-walk"), tree, "--broker", self.endpoint, "--min-agents", str(agents),
            "--quiet",
        ])  # fmt: skip
        return self.shares(agents)

    def shares(self, agents: int) -> list[float]:
        """Each agent's share of the newest run's entries, from the ledger."""
        entries: dict[int, int] = {}
        with contextlib.closing(sqlite3.connect(f"{self.folder}/b/journal.db")) as journal:
            for session, packed in journal.execute(
                "SELECT lease.session, ledger.counters FROM ledger JOIN lease USING (uid, epoch)"
                " WHERE ledger.run = (SELECT max(run) FROM run)"
            ):
                counted = msgpack.unpackb(packed).get("entries", 0)
                entries[session] = entries.get(session, 0) + counted
        total = sum(entries.values())
        shares = sorted(count / total for count in entries.values())
        return [0.0] * (agents - len(shares)) + shares

    def close(self) -> None:
        """End everything."""
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            if process.stdout is not None:
                process.stdout.close()


@contextlib.contextmanager
def site() -> Iterator[Site]:
    """A broker for a while."""
    with (
        tempfile.TemporaryDirectory(prefix="zwb-") as folder,
        contextlib.closing(Site(Path(folder))) as started,
    ):
        yield started


def least_share(tree: str, agents: int, workers: int, rounds: int) -> float:
    """The median of the smallest agent's share."""
    with site() as bus:
        for _ in range(agents):
            bus.agent(workers)
        return statistics.median(bus.walk(tree, agents)[0] for _ in range(rounds))


def joining(tree: str, rounds: int) -> float:
    """Median seconds from the HELLO of an agent that joins in the middle to its first directory."""
    waits = []
    for _ in range(rounds):
        with site() as bus:
            bus.agent(1)
            walk = subprocess.Popen(
                [*program("zfs-walk"), tree, "--broker", bus.endpoint, "--quiet"],
                stdout=subprocess.DEVNULL,
            )
            time.sleep(1.0)  # the walk is in its middle by then
            log = bus.folder / "joined.log"
            bus.agent(1, log)
            walk.wait()
            said = JOINED.search(log.read_text())
            waits.append(float(said[1]) if said else float("inf"))
    return statistics.median(waits)


def main() -> None:
    """Measure the trees of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chained")
    parser.add_argument("wide")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(HEAD)
    three = least_share(given.chained, 3, 1, given.rounds)
    print(Row("least of three agents, chained tree", f"{100 * three:.0f} %", ">= 20 %",
              passed=three >= 0.2), flush=True)  # fmt: skip
    two = least_share(given.wide, 2, 2, given.rounds)
    print(Row("least of two agents, one wide directory", f"{100 * two:.0f} %", ">= 15 %",
              passed=two >= 0.15), flush=True)  # fmt: skip
    wait = joining(given.chained, given.rounds)
    print(Row("first directory of one that joins, after HELLO", f"{wait:.2f} s", "< 0.5 s",
              passed=wait < 0.5))  # fmt: skip


if __name__ == "__main__":
    main()
