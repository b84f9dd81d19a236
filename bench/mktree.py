"""Make the trees that the benchmarks walk: the same arguments make the same tree.

    python bench/mktree.py ROOT DIRECTORIES MEAN_FILES [--wide NAMES] [--chain DEPTH]

DIRECTORIES directories hang at random below ROOT, each with an exponentially distributed number of
empty files around MEAN_FILES. ``--wide`` adds one directory with so many names. ``--chain`` puts
everything below so many folders with a single child each.
"""

import argparse
import os
import random
from pathlib import Path

SEED = 20_261_121
LONGEST = 900
"""Bytes of a path at which a branch ends, well below PATH_MAX: find's speed is the yardstick."""

SUFFIXES = ("", ".txt", ".dat", ".log", ".h5", ".py", ".jpg")


def touch(path: str) -> None:
    """Make an empty file."""
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o644))


def make_tree(root: Path, directories: int, mean: float, wide: int = 0, chain: int = 0) -> int:
    """Make a tree; returns the number of its entries, the root included."""
    random_ = random.Random(SEED)
    root.mkdir(parents=True)
    top = str(root)
    entries = 1
    for _ in range(chain):
        top = f"{top}/only"
        Path(top).mkdir()
        entries += 1
    made = [top]
    for number in range(directories):
        # Mostly near what was made last: deep branches, and some bushes near the root.
        parent = random_.choice(made[-2_000:] if random_.random() < 0.7 else made)
        if len(parent) > LONGEST:
            parent = top
        path = f"{parent}/dir{number:06d}"
        Path(path).mkdir()
        made.append(path)
        files = int(random_.expovariate(1 / mean))
        for file in range(files):
            touch(f"{path}/f{number}_{file:04d}{random_.choice(SUFFIXES)}")
        entries += 1 + files
    if wide:
        folder = f"{top}/wide"
        Path(folder).mkdir()
        for number in range(wide):
            touch(f"{folder}/name_{number:08d}")
        entries += 1 + wide
    return entries


def main() -> None:
    """Make the tree of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("directories", type=int)
    parser.add_argument("mean", type=float)
    parser.add_argument("--wide", type=int, default=0)
    parser.add_argument("--chain", type=int, default=0)
    given = parser.parse_args()
    entries = make_tree(given.root, given.directories, given.mean, given.wide, given.chain)
    print(f"{entries:,} entries")


if __name__ == "__main__":
    main()
