"""What a consumer tells of what it does, and how others are judged by it."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from zfs_walk.errors import WrongUseError
from zfs_walk.load.consumer import Consumer
from zfs_walk.load.judge import Judge
from zfs_walk.load.shape import Shape
from zfs_walk.load.spec import KEEP_ALL, LoadSpec, Order, Work
from zfs_walk.load.witness import Told, What, WitnessFile, told

KIB = 1 << 10
TREE = Shape(((0, 3), (13, 4), (5000, 2)), ((1, 2), (3, 7)), (1, 2, 4))


def run(target: Path, operations: int = 300, **given: Any) -> Path:
    """A consumer's run; returns its witness."""
    witness = target.with_name("witness")
    load = {"file_size": ((16 * KIB, 1),), "block": ((4 * KIB, 1),), **given}
    spec = LoadSpec(name="one", target=str(target), witness=str(witness), **load)
    consumer = Consumer(spec, "seed", f"{target}/run", 100.0)
    for _ in consumer.measure():
        pass
    assert consumer.measured.block
    for _ in consumer.lay_out():
        pass
    consumer.begin(time.perf_counter_ns())
    while consumer.figures.operations < operations and not consumer.over:
        consumer.run(0)
    for _ in consumer.finish():
        pass
    assert consumer.figures.errors == 0
    return witness


def on_disk(target: Path) -> dict[bytes, int]:
    return {os.fsencode(path): path.stat().st_size for path in target.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "load",
    [
        {"keep": KEEP_ALL},
        {"keep": 3, "shape": TREE},
        {"keep": 0},
        {"keep": 1, "work": Work.READ},
        {"keep": 1, "work": Work.MIXED},
        {"keep": 1, "order": Order.RANDOM},
        {"keep": 1, "work": Work.METADATA, "files": 40},
        {"keep": 1, "work": Work.METADATA, "files": 40, "shape": TREE},
    ],
    ids=str,
)
def test_what_it_tells_is_what_is_there(tmp_path: Path, load: dict[str, Any]) -> None:
    target = tmp_path / "a target"
    target.mkdir()
    began = time.time_ns()
    rows = WitnessFile(run(target, **load)).new()
    assert rows[0] == Told(What.BEGAN, rows[0].time_ns, "one", os.fsencode(target),
                           folder=b"run/one")  # fmt: skip
    assert rows[-1].what is What.ENDED
    times = [row.time_ns for row in rows]
    assert times == sorted(times)
    assert began < times[0]
    assert times[-1] < time.time_ns()
    there: dict[bytes, int] = {}
    for row in rows[1:-1]:
        path = os.fsencode(target) + b"/" + row.path
        match row.what:
            case What.CREATED:
                assert path not in there
                there[path] = -1
            case What.CLOSED:
                there[path] = row.size
            case What.RENAMED:
                there[os.fsencode(target) + b"/" + row.to] = there.pop(path)
            case What.DELETED:
                del there[path]
            case _:
                assert path in there
    assert there == on_disk(target)
    # Whoever reports just that is right.
    judge = Judge()
    for row in rows:
        judge.witnessed(row)
    for path, size in there.items():
        judge.reported(path, size, 0)
    assert judge.is_over
    assert judge.agrees
    assert judge.verdict().there == judge.verdict().seen == len(there)


def test_without_a_witness_nothing_is_written(tmp_path: Path) -> None:
    spec = LoadSpec(name="one", target=str(tmp_path), file_size=((KIB, 1),), count=3)
    consumer = Consumer(spec, "seed", f"{tmp_path}/run", 100.0)
    for _ in consumer.lay_out():
        pass
    consumer.begin(time.perf_counter_ns())
    while not consumer.over:
        consumer.run(0)
    for _ in consumer.finish():
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_witness_that_can_not_be_written_is_the_consumers_error(tmp_path: Path) -> None:
    spec = LoadSpec(name="one", target=str(tmp_path), witness="/dev/full")
    consumer = Consumer(spec, "seed", f"{tmp_path}/run", 100.0)
    for _ in consumer.lay_out():
        pass
    assert consumer.over
    assert consumer.figures.troubles[0].path == "/dev/full"
    assert "No space left" in consumer.figures.stopped


def test_a_line_that_is_not_whole_is_read_when_it_is(tmp_path: Path) -> None:
    path = tmp_path / "witness"
    file = WitnessFile(path)
    assert file.new() == []
    row = b'{"time_ns":7,"event":"closed","consumer":"one","file":1,"path":"a","size":3}\n'
    path.write_bytes(row[:30])
    assert file.new() == []
    path.write_bytes(row + row[:10])
    assert file.new() == [Told(What.CLOSED, 7, "one", b"a", 3)]
    assert file.new() == []


@pytest.mark.parametrize(
    "line", [b"", b"7", b"{}", b"\xff", b'{"event":"eaten","time_ns":1,"consumer":"a"}']
)
def test_what_is_no_row_is_named_with_its_line(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "witness"
    path.write_bytes(b'{"time_ns":7,"event":"ended","consumer":"one"}\n' + line + b"\n")
    with pytest.raises(WrongUseError, match="line 2"):
        WitnessFile(path).new()


def test_rows_of_a_newer_release_are_refused() -> None:
    with pytest.raises(ValueError, match="newer"):
        told(json.dumps({"schema": 2, "event": "began"}).encode())


class Story:
    """A judge, and short words for what it hears."""

    def __init__(self) -> None:
        self.judge = Judge()
        self.judge.witnessed(Told(What.BEGAN, 1, "c", b"/t", folder=b"run/c"))

    def did(self, what: What, name: bytes, time_ns: int, size: int = -1, to: bytes = b"") -> None:
        below = b"run/c/"
        self.judge.witnessed(
            Told(what, time_ns, "c", below + name, size, below + to if to else b"")
        )

    def saw(self, name: bytes, size: int, time_ns: int) -> None:
        self.judge.reported(b"/t/run/c/" + name, size, time_ns)


def test_delays_count_from_the_close_until_the_file_is_reported_whole() -> None:
    story = Story()
    story.did(What.CREATED, b"a", 100)
    story.saw(b"a", -1, 110)  # being written
    story.saw(b"a", 5, 120)
    story.did(What.CLOSED, b"a", 150, 9)
    story.saw(b"a", 9, 170)
    story.saw(b"a", -1, 300)  # written over
    story.saw(b"a", 9, 400)
    story.did(What.CLOSED, b"b", 160, 9)
    story.saw(b"b", 9, 0)  # nobody knows since when
    story.did(What.CLOSED, b"c", 200, 1)
    story.saw(b"c", 1, 199)  # its size before its close
    verdict = story.judge.verdict()
    assert list(verdict.delays) == [0, 20]
    assert (verdict.recall, verdict.ok) == (1.0, True)
    assert [verdict.delay(percent) for percent in (50, 99, 100)] == [0, 20, 20]


def test_what_is_not_reported_as_it_is_is_counted_and_named() -> None:
    story = Story()
    for name in (b"seen", b"missing", b"short", b"writing", b"old", b"gone"):
        story.did(What.CLOSED, name, 10, 4)
    story.did(What.CREATED, b"open", 10)
    story.saw(b"seen", 4, 20)
    story.saw(b"short", 3, 20)
    story.saw(b"writing", -1, 20)
    story.did(What.RENAMED, b"old", 30, to=b"new")
    story.saw(b"old", 4, 20)
    story.did(What.DELETED, b"gone", 30)
    story.saw(b"unknown", 4, 20)
    verdict = story.judge.verdict()
    assert (verdict.closed, verdict.deleted, verdict.deleted_seen) == (7, 2, 1)
    assert (verdict.there, verdict.seen) == (5, 1)
    assert verdict.recall == 0.2
    folder = b"/t/run/c/"
    assert verdict.examples == {
        "missing": (folder + b"missing", folder + b"new"),
        "other_size": (folder + b"short", folder + b"writing"),
        "superfluous": (folder + b"old", folder + b"unknown"),
    }
    assert not verdict.ok
    assert not story.judge.agrees
    # And then all is well.
    for name in (b"missing", b"new", b"short", b"writing"):
        story.saw(name, 4, 50)
    for name in (b"old", b"unknown"):
        story.judge.withdrawn(folder + name)
    assert story.judge.agrees
    assert story.judge.verdict().recall == 1.0


def test_a_mirror_may_keep_what_was_deleted() -> None:
    judge = Judge(keeps=True)
    judge.witnessed(Told(What.BEGAN, 1, "c", b"/t", folder=b"run/c"))
    for name in (b"run/c/a", b"run/c/b"):
        judge.witnessed(Told(What.CLOSED, 5, "c", name, 3))
        judge.reported(b"/t/" + name, 3, 6)
    judge.witnessed(Told(What.DELETED, 7, "c", b"run/c/a"))
    verdict = judge.verdict()
    assert (verdict.superfluous, verdict.ok, judge.agrees) == (1, True, True)
    judge.withdrawn(b"/t/run/c/b")
    assert not judge.agrees
    assert not judge.verdict().ok


def test_what_is_elsewhere_does_not_matter() -> None:
    story = Story()
    for path in (b"/t/run/cc/a", b"/t/run/c", b"/t/other", b"/"):
        story.judge.reported(path, 1, 1)
    story.judge.withdrawn(b"/t/never")
    assert story.judge.verdict().ok
    assert story.judge.verdict().superfluous == 0


def test_a_list_that_goes_takes_its_files_with_it_and_brings_them_back() -> None:
    story = Story()
    story.did(What.CLOSED, b"a", 10, 4)
    story.saw(b"a", 4, 20)
    story.judge.withdrawn_below(b"/t")
    assert story.judge.verdict().missing == 1
    story.saw(b"a", 4, 5000)
    assert list(story.judge.verdict().delays) == [10]


def test_one_that_was_killed_is_never_over() -> None:
    judge = Judge()
    assert not judge.is_over
    for name in "ab":
        judge.witnessed(Told(What.BEGAN, 1, name, b"/t", folder=name.encode()))
    judge.witnessed(Told(What.ENDED, 2, "a"))
    assert not judge.is_over
    assert judge.targets == [b"/t"]
    judge.witnessed(Told(What.ENDED, 2, "b"))
    assert judge.is_over
