"""A mirror's journal with 1,000,000 queued actions: python bench/journal.py SCRATCH [--actions N].

Puts are made as the watch makes them, in batches; every batch is durable before the next. Then the
same actions are taken and acknowledged, which fills the index. Memory is the process's own, read
from /proc while it grows. SCRATCH is on a real disk, as syncing is a part of it.
"""

import argparse
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from measure import HEAD, Row

from zfs_walk.mirror.journal import Journal
from zfs_walk.mirror.records import (
    Action,
    Change,
    Done,
    Entry,
    Identity,
    Kind,
    Known,
    Order,
    State,
)

BATCH = 500
"""Changes in one transaction: what a busy watch has at once."""
STEP = 7919
"""A prime: its multiples come by every number, and none near the one before."""
TAKEN = 100
"""Actions in one transaction: what a handler takes and acknowledges at once."""


def name(number: int) -> bytes:
    """A path of about 60 bytes; numbers that follow each other are in one folder."""
    return b"project-%02d/sample-%05d/results/frame-%09d.dat" % (
        number // 50_000, number // 100, number,
    )  # fmt: skip


def resident() -> float:
    """MiB of this process."""
    found = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def batches(total: int) -> Iterator[range]:
    """The numbers of all actions."""
    return (range(i, min(total, i + BATCH)) for i in range(0, total, BATCH))


def each(what: str, times: int, call: Callable[[], object]) -> Row:
    """How long a call takes."""
    begun = time.perf_counter()
    for _ in range(times):
        call()
    return Row(what, f"{(time.perf_counter() - begun) / times * 1e6:,.0f} us", "")


def put(journal: Journal, total: int) -> Iterator[Row]:
    """Queue everything, folder by folder; then everything once more, from all over the tree."""
    for what, step in (("enqueues, new names", 1), ("enqueues, names that are queued", STEP)):
        memory: list[float] = []
        begun, worked = time.perf_counter(), time.process_time()
        for numbers in batches(total):
            chosen = [number * step % total for number in numbers]
            journal.put(Change(name(i), Kind.SEND, i * STEP % 99_999, 0.0) for i in chosen)
            memory.append(resident())
        rate = total / (time.perf_counter() - begun)
        cost = (time.process_time() - worked) / total * 1e6
        figure = f"{rate:,.0f}/s, {cost:.0f} us of CPU each"
        yield Row(what, figure, ">= 5,000/s", rate >= 5000)
        early, late = memory[len(memory) // 10], max(memory)
        figure = f"{early:.0f} -> {late:.0f} MiB"
        yield Row("memory meanwhile, a tenth -> most", figure, "< 1.1 times", late < 1.1 * early)


def work(journal: Journal, total: int) -> Iterator[Row]:
    """Take everything and acknowledge it."""

    def done(action: Action) -> Done:
        number = int(action.path[-13:-4])
        return Done(action, Entry(action.path, action.size, number, 2049, number, 0o644, ""))

    early = resident()
    late, begun = 0.0, time.perf_counter()
    while taken := journal.take(TAKEN, time.time(), Order.OLDEST):
        journal.done([done(action) for action in taken])
        late = max(late, resident())
    rate = total / (time.perf_counter() - begun)
    yield Row("taken and acknowledged", f"{rate:,.0f}/s", "")
    figure = f"{early:.0f} -> {late:.0f} MiB"
    yield Row("memory meanwhile, before -> most", figure, "< 1.1 times", late < 1.1 * early)


def look(journal: Journal, total: int) -> Iterator[Row]:
    """Ask the full index."""
    numbers = random.Random(0)

    def known() -> Known:
        number = numbers.randrange(total)
        identity = Identity(2049, number, number * STEP % 99_999, number)
        return journal.known([(name(number), identity)])[0]

    def some_name() -> bytes:
        return name(numbers.randrange(total))

    yield each("entry, all in the index", 10_000, lambda: journal.entry(some_name()))
    yield each("what is known of a file, all in the index", 10_000, known)
    yield each("a page of 1,000 entries", 100, lambda: journal.entries(some_name(), 1000))
    yield each("entries counted", 100, journal.entry_count)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--actions", type=int, default=1_000_000)
    options = parser.parse_args()
    total = options.actions
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        file = Path(folder) / "journal.db"
        journal = Journal(file, "here -> there")
        print(HEAD)
        for row in put(journal, total):
            print(row, flush=True)
        print(each("counts, all queued", 100, journal.counts))
        print(each("next due, all queued", 100, lambda: journal.next_due(time.time())))
        aside = partial(journal.actions, State.ASIDE, b"", 100)
        print(each("a page of what is aside, all queued", 100, aside))
        size = sum(part.stat().st_size for part in Path(folder).iterdir())
        print(Row("its files, all queued", f"{size / total:,.0f} bytes an action", ""))
        journal.close()
        begun = time.perf_counter()
        journal = Journal(file, "here -> there")
        print(Row("opened and checked, all queued", f"{time.perf_counter() - begun:.1f} s", ""))
        for row in work(journal, total):
            print(row, flush=True)
        for row in look(journal, total):
            print(row, flush=True)
        journal.close()


if __name__ == "__main__":
    main()
