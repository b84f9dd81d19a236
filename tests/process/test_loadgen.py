"""Load generators as processes: reports, kills, stops, full disks, targets that go away.

The oracles are the file system (what is there, and how much), the process table, and the clock.
"""

import csv
import io
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.process import mounts
from tests.process.place import Ended, Place, Process, Site, wait_for

pytestmark = pytest.mark.slow

MIB = 1 << 20
SMALL = {"file-size": "4M", "block": "256K"}


@dataclass
class Test:
    """A load generator in a place of its own."""

    __test__ = False
    place: Place
    target: Path
    options: list[str] = field(default_factory=list)

    @property
    def report_file(self) -> Path:
        return self.place.folder / "report.json"

    def start(self, *loads: dict[str, Any], duration: float = 3.0, **options: object) -> Process:
        """Begin a run of these loads."""
        given = [{"target": str(self.target), "name": f"c{n}", **SMALL, **load}
                 for n, load in enumerate(loads, 1)]  # fmt: skip
        words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        return self.place.start(
            "agent", "--role", "loadgen", "--loads", json.dumps(given), "--duration", str(duration),
            "--report", self.report_file, "--seed", "test", *words, *self.options,
        )  # fmt: skip

    def run(self, *loads: dict[str, Any], duration: float = 2.0, **options: object) -> Ended:
        return self.place.end(self.start(*loads, duration=duration, **options))

    @property
    def report(self) -> Any:
        return json.loads(self.report_file.read_text())

    def consumer(self, name: str) -> Any:
        return next(each for each in self.report["consumers"] if each["name"] == name)

    def files(self, name: str) -> list[Path]:
        return sorted(self.target.glob(f"load-*/{name}/**/0*"))

    def at_work(self, name: str, files: int = 2) -> None:
        """Wait until a consumer that keeps its files has some."""
        wait_for(f"{name} is at work", lambda: len(self.files(name)) >= files)

    def pid(self, process: Process, name: str) -> int:
        """The process that writes below a consumer's folder, by the process table."""
        folder = str(self.files(name)[0].parent)
        for child in psutil.Process(process.pid).children(recursive=True):
            if any(each.path.startswith(folder) for each in child.open_files()):
                return child.pid
        message = f"nobody has a file of {name} open"
        raise AssertionError(message)


@pytest.fixture
def test(place: Place) -> Test:
    target = place.folder / "target"
    target.mkdir()
    return Test(place, target)


def on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_bytes_of_the_report_are_those_on_the_disk(test: Test) -> None:
    loads = [{"keep": "all", "rate": 40 * n, "file-size": f"{n}M"} for n in (1, 2, 3)]
    ended = test.run(*loads, duration=3)
    assert ended.code == 0, ended.err
    report = test.report
    assert report["ok"]
    assert report["totals"]["written_bytes"] == on_disk(test.target) > 3 * MIB
    for n, consumer in enumerate(report["consumers"], 1):
        own = [path.stat().st_size for path in test.files(f"c{n}")]
        assert consumer["written_bytes"] == consumer["kept_bytes"] == sum(own)
        assert consumer["rollovers"] == own.count(n * MIB) == len(consumer["rollover_list"]) >= 2
        assert consumer["began"]
        assert consumer["ended"] > consumer["began"]
        assert consumer["latency_ns"]["write"]["count"] == consumer["operations"]
        assert consumer["heartbeats"] >= 2
        assert consumer["missed_heartbeats"] == 0
        points = [point["written"] for point in consumer["series"]]
        assert points == sorted(points)
        assert len(points) >= 4
    samples = report["agents"][0]["monitor"]["samples"]
    assert len(samples) >= 2
    for sample in samples:
        assert [each["name"] for each in sample["processes"]] == ["c1", "c2", "c3"]
        assert all(each["rss"] > MIB for each in sample["processes"])


class Page(HTMLParser):
    """Collects what a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attributes if name in {"src", "href"}]


def test_a_report_comes_in_every_form(test: Test) -> None:
    folder = test.place.folder
    for kind in ("csv", "html", "txt"):
        test.options += ["--report", str(folder / f"r.{kind}")]
    ended = test.run({}, {"work": "mixed", "rate": 200}, duration=2)
    assert ended.code == 0, ended.err
    assert (folder / "r.txt").read_text() == ended.out
    assert "p99.9" in ended.out
    rows = list(csv.DictReader(io.StringIO((folder / "r.csv").read_text())))
    written = {row["consumer"]: int(row["written_bytes"]) for row in rows}
    assert written["c1"] + written["c2"] == written["all"] == test.report["totals"]["written_bytes"]
    assert {row["kind"] for row in rows if row["consumer"] == "c2"} >= {"read", "write", "response"}
    page = Page()
    page.feed((folder / "r.html").read_text())
    assert page.references == []
    assert "script" not in page.tags
    assert page.tags.count("svg") >= 4
    assert page.tags.count("polyline") >= 8


def test_nothing_stays_of_a_run_that_keeps_nothing(test: Test) -> None:
    loads: list[dict[str, Any]] = [
        {"verify": True}, {"work": "read", "verify": True}, {"order": "random", "verify": True},
        {"work": "metadata", "file-size": {"0": 1, "3000": 2}, "verify": True},
    ]  # fmt: skip
    ended = test.run(*loads)
    assert ended.code == 0, ended.err
    assert list(test.target.iterdir()) == []
    assert all(each["operations"] > 0 for each in test.report["consumers"])


def test_a_killed_consumer_is_reported_and_the_others_go_on(test: Test) -> None:
    # 25 MiB a second each: after so many files there have been reports.
    process = test.start(*[{"keep": "all", "rate": 100}] * 2, duration=4)
    test.at_work("c1", files=10)
    test.at_work("c2", files=10)
    victim = test.pid(process, "c1")
    killed = time.time()
    os.kill(victim, signal.SIGKILL)
    ended = test.place.end(process)
    assert ended.code == 1
    assert "c1 had errors, or ended early" in ended.err
    lost, other = test.consumer("c1"), test.consumer("c2")
    assert "SIGKILL" in lost["lost"]
    assert lost["pid"] == victim
    assert lost["written_bytes"] > 0
    assert abs(psutil_time(lost["ended"]) - killed) < 2
    assert other["ok"]
    assert other["seconds"] > lost["seconds"]
    assert "LOST" in ended.out


def psutil_time(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def test_a_stopped_consumer_misses_heartbeats_and_its_stall_is_not_hidden(test: Test) -> None:
    process = test.start({"rate": 200, "block": "4K", "keep": 1, "file-size": "256K"}, {},
                         duration=5, heartbeat=0.3)  # fmt: skip
    test.at_work("c1", files=1)
    victim = psutil.Process(test.pid(process, "c1"))
    victim.suspend()
    time.sleep(2)  # the stall that is to be seen
    victim.resume()
    ended = test.place.end(process)
    assert ended.code == 0, ended.err
    stalled, other = test.consumer("c1"), test.consumer("c2")
    assert stalled["missed_heartbeats"] >= 3
    assert other["missed_heartbeats"] == 0
    # 200 a second for 5 s, of which 2 s were made up for.
    assert stalled["operations"] == pytest.approx(1000, rel=0.05)
    assert stalled["latency_ns"]["response"]["p99"] > 1e9
    assert stalled["latency_ns"]["write"]["p99"] < 1e8


def test_one_that_never_answers_the_stop_is_ended_and_reported(test: Test) -> None:
    process = test.start(
        *[{"keep": "all", "rate": 100}] * 2, duration=3, grace=2, heartbeat=0.3
    )  # fmt: skip
    test.at_work("c1", files=8)
    pid = test.pid(process, "c1")
    os.kill(pid, signal.SIGSTOP)
    ended = test.place.end(process)
    assert ended.code == 1
    assert "has not answered" in test.consumer("c1")["lost"]
    assert test.consumer("c1")["written_bytes"] > 0
    assert test.consumer("c2")["ok"]
    assert not psutil.pid_exists(pid)


def test_no_process_outlives_a_killed_agent(test: Test) -> None:
    process = test.start({"keep": 3}, {"keep": 3}, duration=60)
    test.at_work("c1")
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) == 4  # zygote, monitor, two consumers
    process.kill()
    wait_for("they are gone", lambda: not any(each.is_running() for each in family), 10)


def test_sigterm_ends_a_run_early_and_it_is_reported(test: Test) -> None:
    process = test.start({"keep": 3}, duration=60)
    test.at_work("c1")
    process.terminate()
    ended = test.place.end(process)
    assert ended.code == 0, ended.err
    assert test.report["cut_short"] == "drained by SIGTERM"
    assert test.report["totals"]["written_bytes"] > 0
    assert test.consumer("c1")["ok"]


def test_a_killed_monitor_ends_nothing(test: Test) -> None:
    process = test.start({"keep": 3}, duration=4, sample=0.2)
    test.at_work("c1")
    others = {test.pid(process, "c1"), process.pid}
    [zygote] = psutil.Process(process.pid).children()
    [monitor] = [each for each in zygote.children() if each.pid not in others]
    monitor.kill()
    ended = test.place.end(process)
    assert ended.code == 0, ended.err
    assert "SIGKILL" in test.report["agents"][0]["monitor"]["lost"]
    assert test.consumer("c1")["ok"]


# ------------------------------------------------------------------------- trouble


@pytest.fixture
def small_disk(place: Place) -> Iterator[Path]:
    with mounts.tmpfs(place.folder / "disk", "size=48m") as folder:
        yield folder


@pytest.mark.root
def test_a_full_disk_is_the_consumers_error(test: Test, small_disk: Path) -> None:
    # It is judged by what is free before the run, and somebody else takes that meanwhile.
    process = test.start({"target": str(small_disk), "keep": 4, "rate": 40, "block": "256K"}, {},
                         duration=8, max_fill=100)  # fmt: skip
    wait_for("it is at work", lambda: list(small_disk.glob("load-*/c1/0*")))
    with (small_disk / "other").open("wb") as file:
        space = os.statvfs(small_disk)
        file.write(bytes(space.f_bavail * space.f_frsize - 6 * MIB))
    ended = test.place.end(process)
    assert ended.code == 1
    full = test.consumer("c1")
    assert "No space left" in full["stopped"]
    assert full["trouble"][0]["what"] == "write"
    assert full["kept_bytes"] == on_disk(small_disk) - (small_disk / "other").stat().st_size
    assert test.consumer("c2")["ok"]


@pytest.mark.root
def test_a_target_that_becomes_read_only_is_the_consumers_error(
    test: Test, small_disk: Path
) -> None:
    process = test.start({"target": str(small_disk), "rate": 40}, {}, duration=6)
    wait_for("it is at work", lambda: list(small_disk.glob("load-*/c1/0*")))
    # An open file would forbid it: it is mounted over, so that the next one is refused.
    mounts.mount(small_disk, "size=1m,ro")
    try:
        ended = test.place.end(process)
    finally:
        mounts.unmount(small_disk)
    assert ended.code == 1
    assert "No such file" in test.consumer("c1")["stopped"]
    assert test.consumer("c2")["ok"]


@pytest.mark.root
def test_a_read_only_target_is_refused_before_the_run(test: Test, small_disk: Path) -> None:
    mounts.mount(small_disk, "remount,ro")
    ended = test.run({"target": str(small_disk)})
    assert ended.code == 2
    assert "Read-only file system" in ended.err


def test_a_target_that_is_removed_is_the_consumers_error(test: Test) -> None:
    other = test.place.folder / "other"
    other.mkdir()
    process = test.start({"keep": 2}, {"target": str(other)}, duration=5)
    test.at_work("c1")
    test.target.rename(test.place.folder / "renamed")
    ended = test.place.end(process)
    assert ended.code == 1
    assert "No such file" in test.consumer("c1")["stopped"]
    assert test.consumer("c2")["ok"]


def test_a_flipped_bit_is_found_in_the_run(test: Test) -> None:
    process = test.start({"work": "read", "verify": True, "files": 3, "rate": 200}, duration=3)
    wait_for("the files are there", lambda: len(test.files("c1")) == 3)
    path = test.files("c1")[1]
    wait_for("it is whole", lambda: path.stat().st_size == 4 * MIB)
    with path.open("r+b") as file:
        file.seek(1_234_567)
        byte = file.read(1)[0]
        file.seek(1_234_567)
        file.write(bytes([byte ^ 1]))
    ended = test.place.end(process)
    assert ended.code == 16
    fault = test.consumer("c1")["fault_list"][0]
    assert (fault["path"], fault["offset"], fault["kind"]) == (str(path), 1_234_567, "flipped")
    assert f"{path} offset 1234567" in ended.out


@pytest.mark.parametrize(
    ("load", "options", "words"),
    [
        ({"file-size": "100G"}, {}, "no consumer would come to a second file twice"),
        ({"work": "read", "files": 9_000_000}, {}, "--max-fill allows 90 %"),
        ({"block": 1000}, {}, "multiples of 512"),
        ({"target": "/nowhere/at/all"}, {}, "there is no such folder"),
        ({"wrok": "read"}, {}, "the nearest is work"),
        ({"work": "erase"}, {}, "write or read or mixed or metadata"),
        ({}, {"report": "/nowhere/r.json"}, "there is no folder"),
        ({}, {"report": "r.pdf"}, "must end with one of"),
        ({}, {"allow": "/usr"}, "may be loaded"),
    ],
)
def test_what_can_not_be_is_refused_with_its_reason(
    test: Test, load: dict[str, Any], options: dict[str, Any], words: str
) -> None:
    ended = test.place.end(test.start(load, **options))
    assert ended.code == 2
    assert words in ended.err
    assert list(test.target.iterdir()) == []


# ------------------------------------------------------------------------- with a broker


def loadgen_status(site: Site) -> Any:
    for agent in site.ctl("status")["agents"]:
        if agent["role"] == "loadgen" and agent["state"] == "live":
            return agent["status"]
    return None


def test_a_broker_shows_the_run_and_its_death_changes_nothing(site: Site, test: Test) -> None:
    broker = site.start_broker("--heartbeat", "0.3")
    process = test.start({"keep": 3}, {"keep": 3}, duration=8)

    def is_shown() -> bool:
        status = loadgen_status(site)
        return bool(status) and all(each["written"] > 0 for each in status["consumers"])

    wait_for("the broker shows it", is_shown)
    broker.kill()
    ended = test.place.end(process)
    assert ended.code == 0, ended.err
    assert test.report["ok"]
    assert all(each["seconds"] > 7 for each in test.report["consumers"])
