"""What a walk costs besides the walk: python bench/cost.py TREE SMALL LARGE [--rounds N].

TREE: the broker's messages and CPU on it. SMALL, LARGE: two trees, one with ten times the files of
the other: memory must be the same. An empty folder, --help and import: how long a start takes.
"""

import argparse
import json
import re
import statistics
import sys
import tempfile

from measure import HEAD, Row, program, run

HANDLED = re.compile(r"handled (\d+) messages in (\d+) transactions with ([0-9.]+) s of CPU")


def broker_rows(tree: str, rounds: int) -> list[Row]:
    """Messages a directory, and the broker's share of the CPU."""
    messages, shares = [], []
    for _ in range(rounds):
        finished = run([*program("zfs-walk"), "-v", tree, "--json", "--quiet"])
        found = json.loads(finished.output)
        handled = HANDLED.search(finished.errors)
        if handled is None:
            message = f"the broker did not say what it did: {finished.errors}"
            raise SystemExit(message)
        messages.append(int(handled[1]) / found["directories"])
        shares.append(float(handled[3]) / finished.cpu)
    worst = max(messages)
    share = statistics.median(shares)
    return [
        Row("broker's messages a directory, most of the runs", f"{worst:.4f}", "< 0.05",
            passed=worst < 0.05),
        Row("broker's CPU / the walk's", f"{100 * share:.1f} %", "< 5 %", passed=share < 0.05),
    ]  # fmt: skip


def start_rows(rounds: int) -> list[Row]:
    """An empty folder, --help, import."""
    with tempfile.TemporaryDirectory() as empty:
        commands = {
            "zfs-walk of an empty folder": ([*program("zfs-walk"), "-q", empty], 0.6),
            "zfs-walk --help": ([*program("zfs-walk"), "--help"], 0.3),
            "zfs-agent --help": ([*program("zfs-agent"), "--help"], 0.3),
            "zfs-broker --help": ([*program("zfs-broker"), "--help"], 0.3),
            "zfs-ctl --help": ([*program("zfs-ctl"), "--help"], 0.3),
            "zfs-catalog --help": ([*program("zfs-catalog"), "--help"], 0.3),
            "import zfs_walk": ([sys.executable, "-c", "import zfs_walk"], 0.3),
        }
        rows = []
        for name, (command, goal) in commands.items():
            run(command)
            wall = statistics.median(run(command).wall for _ in range(rounds))
            rows.append(Row(name, f"{wall:.2f} s", f"< {goal} s", passed=wall < goal))
    return rows


def memory_row(small: str, large: str, rounds: int) -> Row:
    """The largest process on two trees."""
    peaks = {}
    for tree in (small, large):
        walk = [*program("zfs-walk"), "-q", tree]
        peaks[tree] = statistics.median(run(walk).rss for _ in range(rounds)) / 2**20
    growth = peaks[large] / peaks[small]
    return Row(
        "largest process, ten times the files",
        f"{peaks[small]:.0f} -> {peaks[large]:.0f} MiB",
        "< 1.1 times",
        passed=growth < 1.1,
    )


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tree")
    parser.add_argument("small")
    parser.add_argument("large")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    print(HEAD)
    for row in broker_rows(given.tree, given.rounds):
        print(row, flush=True)
    for row in start_rows(given.rounds):
        print(row, flush=True)
    print(memory_row(given.small, given.large, given.rounds))


if __name__ == "__main__":
    main()
