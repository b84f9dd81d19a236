"""What a list of files costs, and what watchers see: python bench/scout.py SCRATCH.

SCRATCH is a folder on a fast local file system, with 2 million inodes. The first part is a broker
with a million files in the lists of ten scouts; the second one compares scouts with other watchers
on the same events.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from measure import HEAD, Row
from mktree import make_tree
from watchers import Bus, Inotifywait, Lsyncd, Scout, Watcher, Watchfiles, until

from zfs_walk.lists.filelist import FileList

SCOUTS, DIRECTORIES, EACH = 10, 4_000, 25
"""A million files, or nearly so."""

PAGES, DELTAS, STREAMS = 200, 200, 5
FOLDERS, CREATES = 200, 100_000
RATES = (5_000, 40_000, 100_000)
BURST, POLL = 200_000, 10
"""Files of a burst that no queue holds; seconds between two comparisons."""

QUIET = 3.0
"""Seconds without news after which a watcher has seen what it will see."""


def rss(pid: int) -> int:
    """Resident bytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def ms(seconds: float) -> str:
    """Milliseconds."""
    return f"{seconds * 1000:.1f} ms"


# ---------------------------------------------------------------------- a million files


def lists(scratch: Path) -> Iterator[Row]:
    """Ten scouts, a million files, one broker."""
    folders = [scratch / f"scout{number}" for number in range(SCOUTS)]
    for folder in folders:
        if not folder.is_dir():
            make_tree(folder, DIRECTORIES, EACH)
    found = subprocess.run(
        ["find", *folders, "-type", "f", "-printf", "%P\\n"], stdout=subprocess.PIPE, check=True
    ).stdout.split(b"\n")[:-1]
    files = len(found)
    bus = Bus()
    try:
        before = rss(bus.broker.pid)
        begun = time.monotonic()
        for folder in folders:
            bus.scout(folder, "--poll", "0", "--settle", "0")
        until(lambda: bus.served() == files, 600.0)
        until(lambda: len(lines(bus)) == files, 600.0, 0.5)
        yield Row(f"{files:,} files of {SCOUTS} scouts are served after",
                  f"{time.monotonic() - begun:.0f} s", "")  # fmt: skip
        each = (rss(bus.broker.pid) - before - sum(map(len, found))) / files
        yield Row("memory of the broker a file, besides its name", f"{each:.0f} bytes",
                  "< 300 bytes", each < 300)  # fmt: skip
        yield from pages(bus)
        yield stream(bus, found)
        yield from deltas(bus, folders[0])
    finally:
        bus.close()


def lines(bus: Bus) -> list[bytes]:
    """All files as HTTP answers them."""
    with urllib.request.urlopen(f"{bus.url}/files?format=ndjson") as answer:
        body: bytes = answer.read()
    return body.splitlines()


def pages(bus: Bus) -> Iterator[Row]:
    """Pages of a thousand, anywhere in the list."""
    times = []
    after = ""
    for _ in range(PAGES):
        begun = time.perf_counter()
        page = bus.get(f"/files?limit=1000{after}")
        times.append(time.perf_counter() - begun)
        after = f"&after={page['next']}"
    median = statistics.median(times)
    yield Row("a page of 1,000, median", ms(median), "< 20 ms", median < 0.02)
    yield Row(
        "a page of 1,000, the slowest of a hundred", ms(statistics.quantiles(times, n=100)[98]), ""
    )


def stream(bus: Bus, found: list[bytes]) -> Row:
    """All of it as lines of JSON, compared with find; the median of some readings."""
    times = []
    for _ in range(STREAMS):
        begun = time.perf_counter()
        body = lines(bus)
        times.append(time.perf_counter() - begun)
        names = [json.loads(line)["filename"].encode() for line in body]
        if names != sorted(found):
            return Row("/files?format=ndjson", "it differs from find", "", passed=False)
    rate = len(found) / statistics.median(times)
    return Row("/files?format=ndjson, the same as find", f"{rate:,.0f} files/s",
               "> 200,000 files/s", rate > 200_000)  # fmt: skip


def deltas(bus: Bus, folder: Path) -> Iterator[Row]:
    """From a file's close to its line in /files/changes, among a million others."""
    answer = urllib.request.urlopen(f"{bus.url}/files/changes")
    seen: dict[str, float] = {}

    def read() -> None:
        for line in answer:
            if line.startswith(b"data:") and b"delta" in line:
                seen.setdefault(json.loads(line[5:])["filename"], time.perf_counter())

    threading.Thread(target=read, daemon=True).start()
    times = []
    for number in range(DELTAS):
        name = f"delta{number}"
        (folder / name).touch()
        made = time.perf_counter()
        until(lambda name=name: name in seen, 10.0, 0.0005)
        times.append(seen[name] - made)
        time.sleep(0.01)
    median = statistics.median(times)
    yield Row("from a file's close to /files/changes, median", ms(median), "< 10 ms", median < 0.01)
    yield Row("the same, 99th percentile", ms(statistics.quantiles(times, n=100)[98]), "")


def changes() -> Iterator[Row]:
    """One change of a list, by its length."""
    figures = []
    for length in (10_000, 100_000, 1_000_000):
        files = FileList()
        names = [b"d%d/f%d" % divmod(number, EACH) for number in range(length)]
        for at in range(0, length, 2_000):
            some = names[at : at + 2_000]
            files.put(some, [1] * len(some), [2] * len(some), [0] * len(some))
        chosen = random.Random(1).sample(names, 5_000)
        begun = time.perf_counter()
        for name in chosen:
            files.remove([name])
            files.put([name], [3], [4], [0])
        figures.append((time.perf_counter() - begun) / len(chosen) / 2)
        yield Row(f"one change of a list of {length:,}", f"{figures[-1] * 1e6:.1f} us", "")
    growth = figures[-1] / figures[0]
    yield Row("growth from 10,000 to 1,000,000: log n would be 1.5", f"{growth:.1f}x", "< 3x",
              growth < 3)  # fmt: skip


# ---------------------------------------------------------------------- watchers


class Fast(Scout):
    """Ours, without settling."""

    name = "scout --settle 0"
    options = ("--settle", "0")


class OnWatchdog(Scout):
    """Ours, as a plain user has it."""

    name = "scout --monitor watchdog"
    options = ("--monitor", "watchdog")


WATCHERS: tuple[type[Watcher], ...] = (Scout, Fast, OnWatchdog, Inotifywait, Watchfiles, Lsyncd)


@contextmanager
def fresh(scratch: Path) -> Iterator[Path]:
    """A folder with folders."""
    folder = scratch / "events"
    shutil.rmtree(folder, ignore_errors=True)
    for number in range(FOLDERS):
        (folder / str(number)).mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def latency(watcher: Watcher) -> float:
    """Median seconds from a file's close until it is seen."""
    times = []
    for number in range(50):
        name = f"{number % FOLDERS}/late{number}"
        (watcher.folder / name).touch()
        made = time.perf_counter()
        until(lambda name=name: watcher.has(name), 30.0, 0.001)
        times.append(time.perf_counter() - made)
        time.sleep(0.02)
    return statistics.median(times)


def create(folder: Path, files: int, rate: int) -> float:
    """Create files in another process; returns the rate that it reached."""
    script = str(Path(__file__).with_name("creates.py"))
    command = [sys.executable, script, *map(str, (folder, FOLDERS, files, rate))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)


def recall(watcher: Watcher, rate: int) -> tuple[float, float]:
    """Files a second that were created, and the share of them that was seen."""
    reached = create(watcher.folder, CREATES, rate)
    last, since = watcher.seen(), time.monotonic()
    while last < CREATES and time.monotonic() - since < QUIET:
        time.sleep(0.1)
        now = watcher.seen()
        if now != last:
            last, since = now, time.monotonic()
    return reached, min(1.0, last / CREATES)


def compare(scratch: Path) -> Iterator[Row]:
    """A line a watcher: latency, then the share that is seen at each rate; ours have goals."""
    rates = " | ".join(f"seen at {rate:,}/s" for rate in RATES)
    print(f"| watcher | close to seen, median | {rates} |")
    print("|---|---|" + "---|" * len(RATES))
    rows = []
    for kind in WATCHERS:
        with fresh(scratch) as folder, kind(folder) as watcher:
            late = latency(watcher)
        cells, shares = [ms(late)], []
        for rate in RATES:
            with fresh(scratch) as folder, kind(folder) as watcher:
                reached, share = recall(watcher, rate)
                cells.append(f"{share:.1%} (of {reached:,.0f}/s)")
                shares.append(share)
        print(f"| {kind.name} | " + " | ".join(cells) + " |", flush=True)
        if issubclass(kind, Scout):
            rows.append(Row(f"{kind.name}: close to /files, median", ms(late), "< 100 ms",
                            late < 0.1))  # fmt: skip
            rows.append(Row(f"{kind.name}: least share seen", f"{min(shares):.1%}", ""))
    print()
    yield from rows


def losses(scratch: Path) -> Iterator[Row]:
    """A burst of which events are lost, or told by none: complete after one comparison."""
    for monitor in ("watchdog", "poll"):
        with fresh(scratch) as folder:
            bus = Bus()
            try:
                bus.scout(folder, "--monitor", monitor, "--poll", str(POLL))
                until(lambda bus=bus: bus.served() >= 0)
                create(folder, BURST, 10**9)
                done = time.monotonic()
                until(lambda bus=bus: bus.served() == BURST, 300.0, 0.05)
                after = time.monotonic() - done
                [claim] = bus.status()["agents"][0]["status"]["claims"]
            finally:
                bus.close()
        comparison = claim["poll_ms"] / 1000
        yield Row(
            f"{BURST:,} files in a burst, --monitor {monitor}, {claim['events_lost']} overflows:"
            " complete after its end",
            f"{after:.1f} s", f"< {POLL} s and one comparison ({comparison:.1f} s)",
            after < POLL + comparison,
        )  # fmt: skip


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scratch", type=Path)
    given = parser.parse_args()
    parts: tuple[Callable[[], Iterator[Row]], ...] = (
        lambda: lists(given.scratch), changes, lambda: losses(given.scratch),
    )  # fmt: skip
    print(HEAD)
    for part in parts:
        for row in part():
            print(row, flush=True)
    print()
    rows = list(compare(given.scratch))
    print(HEAD, *rows, sep="\n")


if __name__ == "__main__":
    main()
