"""How fast a walk is against find, du and os.walk: python bench/walk.py TREE [--rounds N].

Whole processes, from outside; the tree is walked by each command in turn, and ratios are the
medians of the pairs of one round. The results are compared before times count. Warm cache.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from measure import HEAD, Row, Run, alternate, program, ratio

GOAL = 1.2
"""Wall time of zfs-walk, totals only, over find's, with the pure-Python scanner on two cores."""

OS_WALK = """
import os, sys
entries = size = 0
root = os.lstat(sys.argv[1])
entries, size = 1, root.st_size
for folder, folders, files in os.walk(sys.argv[1]):
    for name in folders + files:
        size += os.lstat(os.path.join(folder, name)).st_size
        entries += 1
print(entries, size)
"""

FIND, DU, WALK, TOTALS, CATALOG = (
    "find -printf '%s\\n'",
    "du -s --apparent-size",
    "os.walk + lstat",
    "zfs-walk",
    "zfs-walk -o",
)


def result_of(name: str, output: str) -> tuple[int, int] | None:
    """(entries, bytes) that a command found; None where it does not say."""
    if name == FIND:
        sizes = output.split()
        return len(sizes), sum(map(int, sizes))
    if name == WALK:
        entries, size = output.split()
        return int(entries), int(size)
    if name == DU:
        return None
    found = json.loads(output)
    return found["entries"], found["size"]


def table(runs: dict[str, list[Run]], entries: int) -> str:
    """All commands, as markdown."""
    lines = [
        f"{entries:,} entries",
        "",
        "| command | wall s | CPU s | largest process MiB | wall / find |",
        "|---|---|---|---|---|",
    ]
    for name, finished in runs.items():
        wall = statistics.median(run.wall for run in finished)
        cpu = statistics.median(run.cpu for run in finished)
        rss = statistics.median(run.rss for run in finished) / 2**20
        lines.append(
            f"| `{name}` | {wall:.2f} | {cpu:.2f} | {rss:.0f} | {ratio(finished, runs[FIND]):.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure the tree of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tree")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    scratch = Path(tempfile.mkdtemp())
    catalog = scratch / "catalog"

    def before(_name: str) -> None:
        shutil.rmtree(catalog, ignore_errors=True)

    walk = [*program("zfs-walk"), given.tree, "--json", "--quiet"]
    try:
        runs = alternate(
            {
                FIND: ["find", given.tree, "-printf", "%s\\n"],
                DU: ["du", "-s", "--apparent-size", given.tree],
                WALK: [sys.executable, "-c", OS_WALK, given.tree],
                TOTALS: walk,
                CATALOG: [*walk, "-o", str(catalog)],
            },
            given.rounds,
            before,
        )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    results = {name: result_of(name, finished[-1].output) for name, finished in runs.items()}
    different = {result for result in results.values() if result is not None}
    if len(different) != 1:
        message = f"the results differ: {results}"
        raise SystemExit(message)
    entries, _ = different.pop()
    print(table(runs, entries))
    against = ratio(runs[TOTALS], runs[FIND])
    print()
    print(HEAD)
    print(Row("zfs-walk / find, wall", f"{against:.2f}", f"<= {GOAL}", passed=against <= GOAL))


if __name__ == "__main__":
    main()
