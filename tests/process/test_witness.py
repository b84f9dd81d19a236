"""Scouts and uploaders, judged by what a load generator did; find is asked, too."""

import json
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.process.oracle import find
from tests.process.place import Ended, Place, Process, Site, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.big]


class Test:
    """A target, loads of it, and judges."""

    __test__ = False

    def __init__(self, place: Place) -> None:
        self.place = place
        self.target = place.folder / "target"
        self.target.mkdir()
        self.witness = place.folder / "witness.jsonl"

    def start(self, *loads: dict[str, Any], duration: float = 3.0) -> Process:
        given = [
            {"target": str(self.target), "name": f"c{n}", "block": "64K", **load}
            for n, load in enumerate(loads, 1)
        ]
        return self.place.start(
            "agent", "--role", "loadgen", "--loads", json.dumps(given), "--witness", self.witness,
            "--duration", str(duration),
        )  # fmt: skip

    def load(self, *loads: dict[str, Any], duration: float = 3.0) -> None:
        ended = self.place.end(self.start(*loads, duration=duration))
        assert ended.code == 0, ended.err

    def judge(self, *words: str | Path, wait: float = 20.0) -> Process:
        return self.place.start(
            "ctl", "load", "witness", self.witness, "--json", "--wait", str(wait), *words
        )

    def judged(self, *words: str | Path, wait: float = 20.0) -> Ended:
        return self.place.end(self.judge(*words, wait=wait))

    def files(self, folder: Path) -> dict[bytes, int]:
        """Names and sizes, as find says."""
        lines = find(".", "-type", "f", "-printf", "%P %s\n", cwd=folder).splitlines()
        return {name: int(size) for name, _, size in (line.rpartition(b" ") for line in lines)}

    @property
    def rows(self) -> list[Any]:
        return [json.loads(line) for line in self.witness.read_text().splitlines()]


@pytest.fixture
def test(place: Place) -> Test:
    return Test(place)


def served(site: Site) -> None:
    wait_for("the scout's list is served",
             lambda: any(each["serving"] for each in site.ctl("claims")["claims"]))  # fmt: skip


def follows(process: Process) -> None:
    """Wait until a judge follows the lists: it says so."""
    assert process.stderr is not None
    assert "following the lists" in process.stderr.readline()


LOADS: list[dict[str, Any]] = [
    {"file-size": {"0": 1, "13": 2, "100000": 3}, "work": "metadata", "files": 60, "keep": "all",
     "rate": 200},
    {"file-size": "200000", "rate": 100, "keep": "all"},
    {"file-size": "4K", "rate": 100, "keep": 5},
]  # fmt: skip


def test_a_scout_lists_what_the_witness_says(site: Site, test: Test) -> None:
    site.start_broker("--heartbeat", "0.3")
    site.start_scout(test.target)
    served(site)
    judge = test.judge("--files", "--broker", site.endpoint)
    follows(judge)
    test.load(*LOADS, duration=4)
    ended = test.place.end(judge)
    assert ended.code == 0, ended.err
    verdict = ended.json["files"]
    there = test.files(test.target)
    assert verdict["ok"]
    assert verdict["recall"] == 1.0
    assert verdict["there"] == verdict["seen"] == len(there) > 60
    assert verdict["deleted"] > 100  # of the metadata, and of the third load
    assert verdict["delay_ns"]["count"] >= len(there)
    assert 0 < verdict["delay_ns"]["p50"] <= verdict["delay_ns"]["p99"]
    # Afterwards nobody knows since when, but the rest is the same.
    again = test.judged("--files", "--broker", site.endpoint).json["files"]
    assert again["delay_ns"]["count"] == 0
    assert (again["recall"], again["there"]) == (1.0, len(there))


def test_a_scout_that_is_stopped_is_found_out_until_it_has_caught_up(
    site: Site, test: Test
) -> None:
    site.start_broker("--heartbeat", "0.3", "--lease-ttl", "30")
    scout = site.start_scout(test.target)
    served(site)
    scout.send_signal(signal.SIGSTOP)
    try:
        test.load({"file-size": "4K", "count": 200, "keep": "all"})
        blind = test.judged("--files", "--broker", site.endpoint, wait=1.0)
    finally:
        scout.send_signal(signal.SIGCONT)
    assert blind.code == 1
    verdict = blind.json["files"]
    assert verdict["recall"] < 1
    assert verdict["missing"] == 200 == len(test.files(test.target))
    assert verdict["examples"]["missing"][0]["path"].startswith(f"{test.target}/load-")
    seeing = test.judged("--files", "--broker", site.endpoint)
    assert seeing.code == 0, seeing.err
    assert seeing.json["files"]["recall"] == 1.0


def test_a_scout_that_comes_late_is_late(site: Site, test: Test) -> None:
    site.start_broker("--heartbeat", "0.3")
    test.load({"file-size": "4K", "count": 200, "keep": "all"})
    blind = test.judged("--files", "--broker", site.endpoint, wait=1.0)
    assert blind.code == 1
    assert blind.json["files"]["recall"] == 0.0
    judge = test.judge("--files", "--broker", site.endpoint)
    follows(judge)
    site.start_scout(test.target)
    ended = test.place.end(judge)
    assert ended.code == 0, ended.err
    verdict = ended.json["files"]
    assert verdict["recall"] == 1.0
    # It was there for none of them.
    assert verdict["delay_ns"]["count"] == 200
    assert verdict["delay_ns"]["min"] > 1e9


def test_what_a_list_has_too_much_is_found(site: Site, test: Test) -> None:
    site.start_broker("--heartbeat", "0.3")
    site.start_scout(test.target)
    served(site)
    test.load({"file-size": "4K", "count": 20, "keep": "all"})
    [folder] = test.target.glob("load-*/c1")
    (folder / "somebody").write_bytes(b"else's")
    (folder / "00000003").write_bytes(b"short")
    (folder / "00000004").unlink()

    def listed() -> str:
        return test.place.run("ctl", "files", "--broker", site.endpoint).out

    wait_for("the list is the folder's",
             lambda: "somebody" in listed() and len(listed().splitlines()) == 20)  # fmt: skip
    ended = test.judged("--files", "--broker", site.endpoint, wait=2.0)
    assert ended.code == 1
    examples = ended.json["files"]["examples"]
    assert [Path(each["path"]).name for each in examples["missing"]] == ["00000004"]
    assert [Path(each["path"]).name for each in examples["other_size"]] == ["00000003"]
    assert [Path(each["path"]).name for each in examples["superfluous"]] == ["somebody"]


class Uploader:
    """An uploader of a target into a folder, which tells a database."""

    def __init__(self, test: Test) -> None:
        self.place = test.place
        self.there = test.place.folder / "there"
        self.there.mkdir()
        state = test.place.folder / "uploader"
        self.file = test.place.folder / "uploader.yaml"
        self.file.write_text(json.dumps({
            "role": "uploader", "state": str(state), "notify": "file",
            "mappings": [{"name": "m", "local": str(test.target), "to": f"file://{self.there}"}],
        }))  # fmt: skip
        self.database = state / "notifications.db"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.database}"

    def start(self) -> Process:
        return self.place.start("agent", "--config", self.file)

    def once(self) -> None:
        ended = self.place.run("agent", "--config", self.file, "--once")
        assert ended.code == 0, ended.err


def test_an_uploader_has_sent_what_the_witness_says(test: Test) -> None:
    uploader = Uploader(test)
    process = uploader.start()
    wait_for("the database is there", uploader.database.exists)
    loads = [{"file-size": {"13": 1, "5000": 1}, "work": "metadata", "files": 50, "keep": "all",
              "rate": 50, "metadata": {"create": 2, "stat": 1}},
             {"file-size": "300000", "rate": 50, "keep": "all"}]  # fmt: skip
    load = test.start(*loads, duration=4)
    wait_for("there are rows", lambda: test.witness.exists() and len(test.rows) > 10)
    judge = test.judge("--uploads", uploader.url)
    ended = test.place.end(load)
    assert ended.code == 0, ended.err
    ended = test.place.end(judge)
    assert ended.code == 0, ended.err
    verdict = ended.json["uploads"]
    there = test.files(test.target)
    assert test.files(uploader.there) == there
    assert verdict["ok"]
    assert verdict["recall"] == 1.0
    # Each one's time is known: the database has it, however late it is asked.
    assert verdict["there"] == verdict["seen"] == verdict["delay_ns"]["count"] == len(there) > 50
    assert verdict["delay_ns"]["min"] > 0
    process.terminate()
    assert test.place.end(process).code == 0


def test_an_uploader_that_is_away_is_found_out(test: Test) -> None:
    uploader = Uploader(test)
    uploader.once()
    test.load({"file-size": "4K", "count": 100, "keep": "all"})
    away = test.judged("--uploads", uploader.url, wait=1.0)
    assert away.code == 1
    assert (away.json["uploads"]["recall"], away.json["uploads"]["missing"]) == (0.0, 100)
    uploader.once()
    there = test.judged("--uploads", uploader.url)
    assert there.code == 0, there.err
    assert there.json["uploads"]["recall"] == 1.0
    # What the database has lost is missed.
    with closing(sqlite3.connect(uploader.database)) as database, database:
        database.execute("DELETE FROM zfs_walk_action WHERE path LIKE '%00000007'")
        database.execute("DELETE FROM zfs_walk_action WHERE path_text LIKE '%00000007'")
    less = test.judged("--uploads", uploader.url, wait=1.0)
    assert less.json["uploads"]["missing"] == 1


def test_a_consumer_that_is_killed_has_told_all_that_it_did(test: Test) -> None:
    load = {"file-size": "8K", "block": "4K", "keep": "all", "rate": 2000}
    process = test.start(load, load, duration=60)
    wait_for("they are at work", lambda: len(test.files(test.target)) > 1000)
    [zygote] = psutil.Process(process.pid).children()
    victims = [
        child for child in zygote.children()
        if any(each.path == str(test.witness) for each in child.open_files())
    ]  # fmt: skip
    assert len(victims) == 2
    for victim in victims:
        victim.send_signal(signal.SIGKILL)
    ended = test.place.end(process)
    assert ended.code == 1
    closed = {
        os.fsencode(row["path"]): row["size"] for row in test.rows if row["event"] == "closed"
    }
    there = test.files(test.target)
    # A system call lies between a close and its row, so one file of each may not be told.
    assert len(there.keys() - closed.keys()) <= 2
    assert closed.items() <= there.items()
    assert [row for row in test.rows if row["event"] == "ended"] == []


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "--files or --uploads URL"),
        (("--uploads", "mysql://host/name"), "no uploader writes to mysql"),
        (("--uploads", "sqlite:////nowhere/at/all.db"), "no uploader's actions can be read"),
    ],
)
def test_what_can_not_be_judged_is_said(test: Test, words: tuple[str, ...], text: str) -> None:
    ended = test.judged(*words, wait=0.5)
    assert ended.code == 2
    assert text in ended.err


def test_a_witness_that_is_there_is_not_written_over(test: Test) -> None:
    test.witness.write_text("mine\n")
    ended = test.place.end(test.start({}))
    assert ended.code == 2
    assert "it is there already" in ended.err
    assert test.witness.read_text() == "mine\n"
