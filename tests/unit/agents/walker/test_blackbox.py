"""Where a worker is can be read after its death, by another process."""

import os
import re
import signal
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from zfs_walk.agents.vitals import Vitals
from zfs_walk.agents.walker.blackbox import LONGEST, BlackBox
from zfs_walk.agents.walker.pool import SLOTS
from zfs_walk.scan.interface import Directory


def test_a_dead_childs_place_is_read() -> None:
    box = BlackBox(3)
    pid = os.fork()
    if not pid:
        slot = box.slot(1)
        slot.part = 7
        slot.note(Directory(2, b"a/b\xff"))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert [box.place(slot) for slot in range(3)] == [None, (2, b"a/b\xff", 7), None]
    assert [box.begun(slot) for slot in range(3)] == [0, 1, 0]


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5))
def test_the_last_place_is_the_one_that_counts(paths: list[bytes]) -> None:
    box = BlackBox(1)
    slot = box.slot(0)
    for path in paths:
        slot.note(Directory(0, path))
    assert box.place(0) == (0, paths[-1], 0)
    assert box.begun(0) == len(paths)
    slot.done()
    assert (box.place(0), box.begun(0)) == (None, len(paths))


def test_slots_that_nobody_used_are_empty_and_cost_no_memory() -> None:
    def shared() -> int:
        status = Path("/proc/self/status").read_text()
        return int(re.findall(r"RssShmem:\s+(\d+) kB", status)[0])

    before = shared()
    box = BlackBox(SLOTS)
    assert shared() - before < 64
    assert (box.place(SLOTS - 1), box.begun(SLOTS - 1)) == (None, 0)


def test_a_path_that_is_too_long_is_progress_without_a_place() -> None:
    box = BlackBox(2)
    box.slot(0).note(Directory(0, b"x" * LONGEST))
    assert box.place(0) == (0, b"x" * LONGEST, 0)
    box.slot(0).note(Directory(0, b"x" * (LONGEST + 1)))
    assert (box.place(0), box.place(1)) == (None, None)
    assert box.begun(0) == 1


def test_haste_is_seen_by_the_worker_and_ends_with_it() -> None:
    box = BlackBox(2)
    slot = box.slot(1)
    box.hurry(1, 2)
    assert slot.hurry[0] == 2
    box.clear(1)
    assert slot.hurry[0] == 0


def test_the_cpu_time_of_dead_workers_is_kept() -> None:
    vitals = Vitals()
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        while os.times().user < 0.2:
            pass
        os.write(writing, b"x")
        signal.pause()
    os.read(reading, 1)
    rss, busy = vitals.look([pid])
    alone, _ = Vitals().look([])
    assert rss > alone
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    _, after = vitals.look([])
    assert after >= busy >= 200
    os.close(reading)
    os.close(writing)
