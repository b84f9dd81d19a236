"""What a consumer does to a folder, and what it says that it did; faults have their places."""

import errno
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zfs_walk.load.consumer import Consumer
from zfs_walk.load.figures import Figures, packed, unpacked
from zfs_walk.load.shape import Shape
from zfs_walk.load.spec import KEEP_ALL, LoadSpec, Order, Sync, Work

KIB = 1 << 10
SMALL: dict[str, Any] = {"file_size": ((256 * KIB, 1),), "block": ((16 * KIB, 1),)}


class Run:
    """One consumer in a folder of its own."""

    def __init__(self, target: Path, **given: Any) -> None:
        spec = LoadSpec(name="one", target=str(target), **{**SMALL, **given})
        assert not spec.wrong()
        self.folder = target / "run" / "one"
        self.consumer = Consumer(spec, "seed", f"{target}/run", 100.0)
        for _ in self.consumer.lay_out():
            pass
        assert not self.consumer.over
        self.consumer.begin(time.perf_counter_ns())

    def until(self, enough: Callable[[Figures], bool]) -> Figures:
        """Go on until so much is done."""
        deadline = time.monotonic() + 30
        while not enough(self.consumer.figures) and not self.consumer.over:
            assert time.monotonic() < deadline
            self.consumer.run(0)  # one operation
        return self.consumer.snapshot()

    def finish(self) -> Figures:
        for _ in self.consumer.finish():
            pass
        return self.consumer.snapshot()

    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())


def on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def rolled(times: int) -> Callable[[Figures], bool]:
    return lambda figures: figures.rollovers >= times


SHAPE = Shape(
    ((0, 3), (13, 4), (700, 2), (4097, 2), (100_000, 1)), ((1, 2), (2, 3), (4, 7)), (1, 2, 4, 8)
)
EMPTY = Shape(((0, 1),), ((1, 1),), (1,))

WORKS: list[dict[str, Any]] = [
    {},
    {"sync": Sync.BLOCK},
    {"sync": Sync.FILE, "zeros": 50, "duplicates": 25},
    {"file_size": ((100_000, 1), (3, 1), (512, 1)), "block": ((512, 3), (65536, 1))},
    {"work": Work.READ},
    {"work": Work.READ, "order": Order.RANDOM},
    {"order": Order.RANDOM},
    {"order": Order.RANDOM, "block": ((4096, 2), (32768, 1)), "files": 1},
    {"work": Work.MIXED},
    {"work": Work.MIXED, "order": Order.RANDOM, "block": ((512, 3), (8192, 1)), "duplicates": 40},
    {"work": Work.METADATA, "file_size": ((0, 1), (700, 1)), "files": 30},
    {"shape": SHAPE},
    {"shape": SHAPE, "keep": 5, "sync": Sync.FILE},
    {"shape": SHAPE, "block": ((512, 1), (1024, 1)), "duplicates": 25},
    {"shape": SHAPE, "work": Work.READ, "files": 24},
    {"shape": SHAPE, "work": Work.READ, "order": Order.RANDOM, "files": 24},
    {"shape": SHAPE, "order": Order.RANDOM, "files": 24},
    {"shape": SHAPE, "work": Work.MIXED, "files": 24},
    {"shape": SHAPE, "work": Work.METADATA, "files": 30},
]


@pytest.mark.parametrize("work", WORKS, ids=str)
def test_what_nobody_has_harmed_is_right_and_leaves_nothing_behind(
    tmp_path: Path, work: dict[str, Any]
) -> None:
    run = Run(tmp_path, verify=True, **work)
    # Not only whole files: what was half done is verified, too.
    figures = run.until(lambda known: known.operations >= 501)
    assert (figures.faults, figures.errors) == (0, 0)
    assert figures.read + figures.verified > 0
    assert figures.kept == on_disk(tmp_path) or work.get("work") in {None, Work.WRITE}
    done = run.finish()
    assert (done.faults, done.stopped) == (0, "")
    if not work.get("keep"):
        assert done.kept == 0
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("work", [Work.WRITE, Work.READ, Work.MIXED])
def test_empty_files_do_not_keep_a_consumer_from_answering(tmp_path: Path, work: Work) -> None:
    run = Run(tmp_path, shape=EMPTY, work=work)
    run.consumer.run(time.perf_counter_ns() + 10**7)  # comes back
    assert run.consumer.figures.rollovers > 0
    run.finish()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("work", [{}, {"work": Work.READ}, {"work": Work.MIXED}], ids=str)
def test_nobody_waits_long_to_hear_of_a_rollover(tmp_path: Path, work: dict[str, Any]) -> None:
    run = Run(tmp_path, **work)
    until = time.perf_counter_ns() + 10**11
    run.consumer.run(until)
    assert run.consumer.figures.rollovers > 0
    assert time.perf_counter_ns() < until
    run.finish()


def test_of_empty_files_no_block_can_be_read(tmp_path: Path) -> None:
    run = Run(tmp_path, shape=EMPTY, work=Work.READ, order=Order.RANDOM)
    assert "nothing to read" in run.until(lambda _: False).stopped


def test_files_lie_where_and_are_as_large_as_those_of_the_shape(tmp_path: Path) -> None:
    run = Run(tmp_path, shape=SHAPE, keep=KEEP_ALL, count=1200, verify=True)
    figures = run.until(lambda _: False)
    assert (figures.stopped, figures.rollovers, figures.faults) == ("", 1200, 0)
    run.finish()
    found = run.files()
    sizes = Counter(path.stat().st_size for path in found)
    depths = Counter(len(path.relative_to(run.folder).parts) for path in found)
    assert sizes == {size: 100 * number for size, number in SHAPE.sizes}
    assert depths == {depth: 100 * number for depth, number in SHAPE.depths}
    # 7/8 of a file in each of the deepest folders; none has less than one.
    assert len({path.parent for path in found}) == 1 + 200 // 1 + 700
    assert run.consumer.figures.kept == on_disk(tmp_path)


def test_folders_are_not_more_than_the_files_that_are_there_need(tmp_path: Path) -> None:
    run = Run(tmp_path, shape=SHAPE, keep=11)
    run.until(rolled(1000))
    folders = [path for path in run.folder.rglob("*") if path.is_dir()]
    assert len([path for path in folders if len(path.relative_to(run.folder).parts) == 3]) == 7
    run.finish()
    assert len(run.files()) == 11


@pytest.mark.parametrize(
    "work", [{}, {"work": Work.READ}, {"work": Work.MIXED, "verify": True}, {"order": Order.RANDOM}]
)
def test_one_that_has_rolled_over_often_enough_ends(tmp_path: Path, work: dict[str, Any]) -> None:
    run = Run(tmp_path, count=6, **work)
    figures = run.until(lambda _: False)
    assert (figures.rollovers, figures.stopped, figures.errors) == (6, "", 0)
    run.finish()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    run = Run(tmp_path, shape=SHAPE)
    (run.folder / "d0").touch()
    figures = run.until(lambda _: False)
    assert figures.troubles[0].what == "mkdir"
    assert figures.troubles[0].path == str(run.folder / "d0")
    run.finish()


def test_a_flipped_bit_in_the_last_byte_of_an_odd_file_is_found(tmp_path: Path) -> None:
    run = Run(tmp_path, shape=SHAPE, work=Work.READ, files=24, verify=True)
    for size in (13, 700, 4097, 100_000):
        path = next(each for each in run.files() if each.stat().st_size == size)
        data = path.read_bytes()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        before = run.consumer.figures.rollovers
        figures = run.until(rolled(before + 48))
        found = {(each.path, each.offset, each.length) for each in figures.found}
        assert (str(path), size - 1, 1) in found
        assert {each.kind for each in figures.found} == {"flipped"}


def test_bytes_in_the_figures_are_those_on_the_disk(tmp_path: Path) -> None:
    run = Run(tmp_path, keep=KEEP_ALL)
    run.until(lambda known: known.operations >= 100)
    figures = run.finish()
    assert figures.written == figures.kept == on_disk(tmp_path) == 100 * 16 * KIB
    assert figures.rollovers == 6  # 256 KiB each; the seventh is not whole
    assert [each.number for each in figures.recent] == list(range(1, 7))


def test_the_newest_files_stay(tmp_path: Path) -> None:
    run = Run(tmp_path, keep=2)
    run.until(rolled(5))
    run.finish()
    assert [path.name for path in run.files()] == ["00000005", "00000006"]


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[70_000] ^= 4
    path.write_bytes(data)


def _truncate(path: Path) -> None:
    os.truncate(path, 100_000)


def _write_a_block_twice(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[65536 : 65536 + 16384] = data[32768 : 32768 + 16384]
    path.write_bytes(data)


def _swap(path: Path) -> None:
    other = path.with_name("00000001")
    one, two = path.read_bytes(), other.read_bytes()
    path.write_bytes(two)
    other.write_bytes(one)


def _lose(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[16384:20480] = bytes(4096)
    path.write_bytes(data)


def _grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


@pytest.mark.parametrize(
    ("harm", "kind", "offset"),
    [
        (_flip, "flipped", 70_000),
        (_truncate, "truncated", 100_000),
        (_write_a_block_twice, "misplaced", 65_536),
        (_swap, "swapped", 0),
        (_lose, "zeros", 16_384),
    ],
)
@pytest.mark.parametrize("work", [Work.READ, Work.MIXED])
def test_harm_to_a_file_is_found_with_its_place(
    tmp_path: Path, work: Work, harm: Callable[[Path], None], kind: str, offset: int
) -> None:
    run = Run(tmp_path, work=work, verify=True, read_percent=100)
    harm(run.folder / "00000002")
    figures = run.until(lambda known: known.rollovers >= 4)
    first = next(each for each in figures.found if each.path.endswith("00000002"))
    assert first.kind == kind
    assert offset <= first.offset < offset + 32  # where the first byte differs
    assert figures.faults >= 1


@pytest.mark.parametrize(("harm", "kind"), [(_grow, "grown"), (os.remove, "missing")])
def test_a_file_that_has_another_end_or_none_is_found(
    tmp_path: Path, harm: Callable[[Path], None], kind: str
) -> None:
    run = Run(tmp_path, work=Work.MIXED, verify=True, files=1)
    run.until(lambda known: known.operations == 3)
    harm(run.folder / "00000000")
    assert run.finish().found[0].kind == kind


def test_a_write_that_was_lost_shows_the_pass_before(tmp_path: Path) -> None:
    run = Run(tmp_path, order=Order.RANDOM, files=1, verify=True, keep=1)
    path = run.folder / "00000000"
    before = path.read_bytes()
    run.until(lambda known: known.operations == 10)  # of 16 blocks
    now = bytearray(path.read_bytes())
    written = next(
        at for at in range(0, len(now), 16384) if now[at : at + 512] != before[at : at + 512]
    )
    now[written + 512 : written + 1024] = before[written + 512 : written + 1024]
    path.write_bytes(now)
    figures = run.finish()
    assert [each.kind for each in figures.found] == ["stale"]
    assert written + 512 <= figures.found[0].offset < written + 1024
    assert "pass 0 wrote; this is pass 1" in figures.found[0].detail


def test_a_folder_that_is_gone_ends_the_consumer_and_says_why(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.until(rolled(1))
    for path in run.files():
        path.unlink()
    run.folder.rmdir()
    figures = run.until(lambda _: False)
    assert figures.errors == 1
    assert "No such file" in figures.stopped
    assert figures.troubles[0].fatal
    run.finish()


def test_a_disk_that_is_too_full_ends_the_consumer(tmp_path: Path) -> None:
    spec = LoadSpec(name="one", target=str(tmp_path), **SMALL)
    consumer = Consumer(spec, "seed", f"{tmp_path}/run", 0.0)
    for _ in consumer.measure():
        pass
    assert consumer.measured.block
    consumer.begin(time.perf_counter_ns())
    consumer.run(time.perf_counter_ns() + 10**10)
    assert consumer.over
    assert "--max-fill 0" in consumer.figures.stopped


def test_a_rate_holds_and_a_late_start_counts(tmp_path: Path) -> None:
    run = Run(tmp_path, rate=1000.0)
    run.until(lambda known: known.operations >= 100)
    time.sleep(0.3)  # the process was stopped
    figures = run.until(lambda known: known.operations >= 450)
    assert figures.latencies["write"].count == figures.latencies["response"].count
    # What waited for the stall tells of it; the operations themselves do not.
    assert figures.latencies["response"].quantiles().most > 250e6
    assert figures.seconds >= 0.449


@pytest.mark.parametrize("verify", [False, True])
def test_the_time_that_rates_are_over_ends_with_the_last_operation(
    tmp_path: Path, *, verify: bool
) -> None:
    begun = time.perf_counter()
    run = Run(tmp_path, work=Work.MIXED, files=3, verify=verify)
    run.until(rolled(1))
    operations, last = -1, 0.0
    for _ in run.consumer.finish():
        if run.consumer.figures.operations > operations:
            operations, last = run.consumer.figures.operations, time.perf_counter()
        else:
            time.sleep(0.05)  # files are removed, slowly
    assert 0 < run.consumer.snapshot().seconds <= last - begun
    assert not run.files()


def test_files_that_are_there_before_are_the_same_whatever_the_block(tmp_path: Path) -> None:
    found = []
    for block in (4 * KIB, 16 * KIB, 2048 * KIB):
        folder = tmp_path / str(block)
        given = {"block": ((block, 1),), "file_size": ((2560 * KIB, 1),)}
        run = Run(folder, work=Work.READ, order=Order.RANDOM, files=2, verify=True, **given)
        found.append([path.read_bytes() for path in run.files()])
        assert not run.until(lambda known: known.operations >= 50).faults
        run.finish()
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("blocks", [((4 * KIB, 1),), ((4 * KIB, 3), (16 * KIB, 1))])
def test_each_file_and_each_block_of_it_is_read_as_often_as_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocks: tuple[tuple[int, int], ...]
) -> None:
    sizes = ((64 * KIB, 1), (192 * KIB, 1))
    run = Run(tmp_path, work=Work.READ, order=Order.RANDOM, files=6, block=blocks, file_size=sizes)
    reads: list[tuple[int, int, int]] = []
    preadv = os.preadv

    def watched(descriptor: int, views: list[memoryview], offset: int) -> int:
        reads.append((descriptor, offset, len(views[0])))
        return preadv(descriptor, views, offset)

    monkeypatch.setattr(os, "preadv", watched)
    while len(reads) < 30_000:
        run.consumer.run(time.perf_counter_ns() + 1_000_000)
    files = Counter(descriptor for descriptor, _, _ in reads)
    lengths = Counter(length for _, _, length in reads)
    parts = Counter(offset // (16 * KIB) for _, offset, _ in reads if offset < 64 * KIB)
    weights = sum(weight for _, weight in blocks)
    assert len(files) == 6
    assert all(abs(count * 6 / len(reads) - 1) < 0.1 for count in files.values())
    assert all(abs(count * 4 / parts.total() - 1) < 0.1 for count in parts.values())
    for size, weight in blocks:
        assert abs(lengths[size] / len(reads) * weights / weight - 1) < 0.1
    run.finish()


def test_what_was_read_before_an_error_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path, work=Work.READ, files=2)
    preadv, calls = os.preadv, iter(range(1000))

    def failing(descriptor: int, views: list[memoryview], offset: int) -> int:
        if next(calls) == 5:
            raise OSError(errno.EIO, "Input/output error")
        return preadv(descriptor, views, offset)

    monkeypatch.setattr(os, "preadv", failing)
    figures = run.until(lambda known: known.errors > 0)
    assert (figures.operations, figures.read) == (5, 5 * 16 * KIB)
    assert figures.latencies["read"].count == 5
    [trouble] = figures.troubles
    assert (trouble.what, trouble.path) == ("read", str(run.folder / "00000000"))
    assert run.until(rolled(3)).errors == 1  # it goes on with the next file
    run.finish()


def test_blocks_that_come_in_parts_are_read_to_their_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path, work=Work.READ, files=1)
    preadv = os.preadv

    def stingy(descriptor: int, views: list[memoryview], offset: int) -> int:
        return preadv(descriptor, [views[0][: 5 * KIB]], offset)

    monkeypatch.setattr(os, "preadv", stingy)
    figures = run.until(rolled(2))
    assert figures.read == 2 * 256 * KIB
    assert figures.operations == figures.latencies["read"].count == 2 * 16
    run.finish()


def test_figures_travel(tmp_path: Path) -> None:
    run = Run(tmp_path, work=Work.MIXED, verify=True)
    _flip(run.folder / "00000000")
    figures = run.until(lambda known: known.faults > 0)
    again = unpacked(packed(figures))
    assert packed(again) == packed(figures)
    assert again.found == figures.found
    for text in (b"", b"[]", b"{}", b"\xff"):
        with pytest.raises(ValueError, match=r"no figures|codec|Expecting"):
            unpacked(text)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"block": ((1000, 1),)}, "multiples of 512"),
        ({"block": ((512, 1),), "direct": True}, "multiples of 4096"),
        ({"file_size": ((5000, 1),), "direct": True}, "file-size 5000"),
        ({"direct": True, "work": Work.METADATA}, "small files"),
        ({"ramp": 1.0}, "no rate"),
        ({"file_size": ((0, 1),)}, "files of 0 bytes"),
        ({"like_max": 1}, "no catalog"),
        ({"count": 1, "work": Work.METADATA}, "end of a file"),
        ({"count": 1, "work": Work.READ, "order": Order.RANDOM}, "end of a file"),
    ],
)
def test_a_load_that_makes_no_sense_says_so(given: dict[str, Any], words: str) -> None:
    assert words in LoadSpec(name="a", target="/", **given).wrong()
