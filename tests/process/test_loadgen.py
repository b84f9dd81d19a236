"""Load generators as processes: reports, kills, stops, a broker that dies.

The oracles are the file system (what is there, and how much), the process table, and the clock.
"""

import csv
import io
import os
import signal
import time
from html.parser import HTMLParser
from typing import Any

import psutil
import pytest

from tests.process.loading import MIB, Loading, on_disk
from tests.process.place import Site, wait_for

pytestmark = pytest.mark.slow


def test_bytes_of_the_report_are_those_on_the_disk(loading: Loading) -> None:
    loads = [{"keep": "all", "rate": 40 * n, "file-size": f"{n}M"} for n in (1, 2, 3)]
    ended = loading.run(*loads, duration=3)
    assert ended.code == 0, ended.err
    report = loading.report
    assert report["ok"]
    assert report["totals"]["written_bytes"] == on_disk(loading.target) > 3 * MIB
    for n, consumer in enumerate(report["consumers"], 1):
        own = [path.stat().st_size for path in loading.files(f"c{n}")]
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
    samples = report["monitor"]["samples"]
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


def test_a_report_comes_in_every_form(loading: Loading) -> None:
    folder = loading.place.folder
    for kind in ("csv", "html", "txt"):
        loading.options += ["--report", str(folder / f"r.{kind}")]
    ended = loading.run({}, {"work": "mixed", "rate": 200}, duration=2)
    assert ended.code == 0, ended.err
    assert (folder / "r.txt").read_text() == ended.out
    assert "p99.9" in ended.out
    rows = list(csv.DictReader(io.StringIO((folder / "r.csv").read_text())))
    written = {row["consumer"]: int(row["written_bytes"]) for row in rows}
    assert (
        written["c1"] + written["c2"] == written["all"] == loading.report["totals"]["written_bytes"]
    )
    assert {row["kind"] for row in rows if row["consumer"] == "c2"} >= {"read", "write", "response"}
    page = Page()
    page.feed((folder / "r.html").read_text())
    assert page.references == []
    assert "script" not in page.tags
    assert page.tags.count("svg") >= 4
    assert page.tags.count("polyline") >= 8


def test_nothing_stays_of_a_run_that_keeps_nothing(loading: Loading) -> None:
    loads: list[dict[str, Any]] = [
        {"verify": True}, {"work": "read", "verify": True}, {"order": "random", "verify": True},
        {"work": "metadata", "file-size": {"0": 1, "3000": 2}, "verify": True},
    ]  # fmt: skip
    ended = loading.run(*loads)
    assert ended.code == 0, ended.err
    assert list(loading.target.iterdir()) == []
    assert all(each["operations"] > 0 for each in loading.report["consumers"])


def test_a_killed_consumer_is_reported_and_the_others_go_on(loading: Loading) -> None:
    # 25 MiB a second each: after so many files there have been reports.
    process = loading.start(*[{"keep": "all", "rate": 100}] * 2, duration=4)
    loading.at_work("c1", files=10)
    loading.at_work("c2", files=10)
    victim = loading.pid(process, "c1")
    killed = time.time()
    os.kill(victim, signal.SIGKILL)
    ended = loading.place.end(process)
    assert ended.code == 1
    assert "c1 had errors, or ended early" in ended.err
    lost, other = loading.consumer("c1"), loading.consumer("c2")
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


def test_a_stopped_consumer_misses_heartbeats_and_its_stall_is_not_hidden(loading: Loading) -> None:
    process = loading.start({"rate": 200, "block": "4K", "keep": 1, "file-size": "256K"}, {},
                         duration=5, heartbeat=0.3)  # fmt: skip
    loading.at_work("c1", files=1)
    victim = psutil.Process(loading.pid(process, "c1"))
    victim.suspend()
    time.sleep(2)  # the stall that is to be seen
    victim.resume()
    ended = loading.place.end(process)
    assert ended.code == 0, ended.err
    stalled, other = loading.consumer("c1"), loading.consumer("c2")
    assert stalled["missed_heartbeats"] >= 3
    assert other["missed_heartbeats"] == 0
    # 200 a second for 5 s, of which 2 s were made up for.
    assert stalled["operations"] == pytest.approx(1000, rel=0.05)
    assert stalled["latency_ns"]["response"]["p99"] > 1e9
    assert stalled["latency_ns"]["write"]["p99"] < 1e8


def test_one_that_never_answers_the_stop_is_ended_and_reported(loading: Loading) -> None:
    process = loading.start(
        *[{"keep": "all", "rate": 100}] * 2, duration=3, grace=2, heartbeat=0.3
    )  # fmt: skip
    loading.at_work("c1", files=8)
    pid = loading.pid(process, "c1")
    os.kill(pid, signal.SIGSTOP)
    ended = loading.place.end(process)
    assert ended.code == 1
    assert "has not answered" in loading.consumer("c1")["lost"]
    assert loading.consumer("c1")["written_bytes"] > 0
    assert loading.consumer("c2")["ok"]
    assert not psutil.pid_exists(pid)


def test_no_process_outlives_a_killed_agent(loading: Loading) -> None:
    process = loading.start({"keep": 3}, {"keep": 3}, duration=60)
    loading.at_work("c1")
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) == 4  # zygote, monitor, two consumers
    process.kill()
    wait_for("they are gone", lambda: not any(each.is_running() for each in family), 10)


def test_sigterm_ends_a_run_early_and_it_is_reported(loading: Loading) -> None:
    process = loading.start({"keep": 3}, duration=60)
    loading.at_work("c1")
    process.terminate()
    ended = loading.place.end(process)
    assert ended.code == 0, ended.err
    assert loading.report["cut_short"] == "drained by SIGTERM"
    assert loading.report["totals"]["written_bytes"] > 0
    assert loading.consumer("c1")["ok"]


def test_a_killed_monitor_ends_nothing(loading: Loading) -> None:
    process = loading.start({"keep": 3}, duration=4, sample=0.2)
    loading.at_work("c1")
    others = {loading.pid(process, "c1"), process.pid}
    [zygote] = psutil.Process(process.pid).children()
    [monitor] = [each for each in zygote.children() if each.pid not in others]
    monitor.kill()
    ended = loading.place.end(process)
    assert ended.code == 0, ended.err
    assert "SIGKILL" in loading.report["monitor"]["lost"]
    assert loading.consumer("c1")["ok"]


# ------------------------------------------------------------------------- with a broker


def loadgen_status(site: Site) -> Any:
    for agent in site.ctl("status")["agents"]:
        if agent["role"] == "loadgen" and agent["state"] == "live":
            return agent["status"]
    return None


def test_a_broker_shows_the_run_and_its_death_changes_nothing(site: Site, loading: Loading) -> None:
    broker = site.start_broker("--heartbeat", "0.3")
    process = loading.start({"keep": 3}, {"keep": 3}, duration=8)

    def is_shown() -> bool:
        status = loadgen_status(site)
        return bool(status) and all(each["written"] > 0 for each in status["consumers"])

    wait_for("the broker shows it", is_shown)
    broker.kill()
    ended = loading.place.end(process)
    assert ended.code == 0, ended.err
    assert loading.report["ok"]
    assert all(each["seconds"] > 7 for each in loading.report["consumers"])
