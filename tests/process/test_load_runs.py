"""Load runs of many agents: barrier, reports, kills, refusals, stops.

The oracles are the file system (`find`), the process table, and signals that were really sent.
"""

import json
import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.process import mounts
from tests.process.oracle import find
from tests.process.place import Ended, Place, Process, Site, Word, wait_for

pytestmark = pytest.mark.long

MIB = 1 << 20
SIZES = ("1M", "2M", "3M")


@dataclass
class Field:
    """A bus with load generators that stand by, and a folder that they may load."""

    site: Site
    target: Path
    agents: list[Process] = field(default_factory=list)

    @property
    def place(self) -> Place:
        return self.site.place

    @property
    def report_file(self) -> Path:
        return self.place.folder / "report.json"

    @property
    def report(self) -> Any:
        return json.loads(self.report_file.read_text())

    def stand_by(self, number: int, *options: Word) -> "Field":
        """Start so many load generators; returns when the broker knows that they stand by."""
        for _ in range(number):
            process = self.place.start(
                "agent", "--role", "loadgen", "--broker", self.site.endpoint, "--allow",
                self.place.folder, "--name", f"lg{len(self.agents) + 1}", *options,
            )  # fmt: skip
            self.agents.append(process)
            self.site.agents.append(process)
        wait_for("they come", lambda: len(self.site.names()) >= len(self.agents))
        return self

    def config(self, *loads: dict[str, Any]) -> Path:
        """A load generator's file, with these loads."""
        given = [
            {"name": f"c{n}", "target": str(self.target), "block": "256K", "keep": "all",
             "rate": 40, **load}
            for n, load in enumerate(loads, 1)
        ]  # fmt: skip
        file = self.place.folder / "loads.yaml"
        file.write_text(json.dumps({"role": "loadgen", "loads": given, "log-size": 1}))
        return file

    def start(self, *options: Word, agents: int = 2, duration: float = 3.0) -> Process:
        """Begin a run of three consumers each, and wait for it in a process of its own."""
        file = self.config(*({"file-size": size} for size in SIZES))
        return self.start_with(file, "--sample", "0.1", *options, agents=agents, duration=duration)

    def start_with(
        self, file: Path, *options: Word, agents: int = 2, duration: float = 3.0
    ) -> Process:
        return self.place.start(
            "ctl", "load", "start", "--config", file, "--agents", agents,
            "--duration", str(duration), "--broker", self.site.endpoint, "--wait", "--report",
            self.report_file, *options,
        )  # fmt: skip

    def end(self, process: Process) -> Ended:
        return self.place.end(process)

    @property
    def loads(self) -> Any:
        return self.site.ctl("load", "list")["loads"]

    def is_running(self) -> bool:
        """The broker says so, and every consumer of both agents has come to its second file."""
        folders = list(self.target.glob("load-*/c*/"))
        files = [len(list(each.glob("**/0*"))) for each in folders]
        at_work = len(folders) == 2 * len(SIZES) and min(files) >= 2
        return at_work and self.loads[0]["state"] == "RUNNING"

    def written(self, below: Path) -> int:
        """Bytes of all files below a folder, as `find` has it."""
        return sum(map(int, find(below, "-type", "f", "-printf", "%s\n").split()))

    def check_bytes(self, report: Any) -> None:
        """What each consumer says that it has written is on the disk."""
        folders = {each["agent"]: each["folder"] for each in report["agents"]}
        for each in report["consumers"]:
            own = self.target / folders[each["agent"]] / each["name"]
            assert each["written_bytes"] == each["kept_bytes"] == self.written(own) > 0
        assert report["totals"]["written_bytes"] == self.written(self.target)


@pytest.fixture
def bus(site: Site) -> Field:
    target = site.place.folder / "target"
    target.mkdir()
    site.start_broker("--heartbeat", "0.3")
    return Field(site, target)


def check_whole(report: Any) -> None:
    """Two agents with three consumers each, and nothing wrong."""
    assert (report["ok"], report["state"], len(report["agents"])) == (True, "DONE", 2)
    assert [(each["agent"], each["name"]) for each in report["consumers"]] == [
        (agent, name) for agent in ("lg1", "lg2") for name in ("c1", "c2", "c3")
    ]
    for each in report["consumers"]:
        assert each["began"]
        assert each["ended"] > each["began"]
        assert each["rollovers"] == len(each["rollover_list"])
        assert each["latency_ns"]["write"]["count"] == each["operations"] > 0
    for agent in report["agents"]:
        samples = agent["monitor"]["samples"]
        assert samples
        for sample in samples:
            assert [process["name"] for process in sample["processes"]] == ["c1", "c2", "c3"]
    counts = [each["latency_ns"]["write"]["count"] for each in report["consumers"]]
    assert report["totals"]["latency_ns"]["write"]["count"] == sum(counts)


def test_two_agents_begin_together_and_their_report_is_what_is_on_the_disk(bus: Field) -> None:
    bus.stand_by(2)
    ended = bus.end(bus.start(duration=1.0))
    assert ended.code == 0, ended.err
    check_whole(bus.report)
    bus.check_bytes(bus.report)
    assert "Load run 1 of 2 agents" in ended.out
    assert "running, " in ended.err
    # They stand by again, for the next one.
    again = bus.end(bus.start(duration=1.0))
    assert again.code == 0, again.err
    assert [each["state"] for each in bus.loads] == ["DONE", "DONE"]
    assert bus.report["run"] == 2


def test_all_agents_take_what_is_set_and_the_shape_of_a_catalog_that_only_its_owner_has(
    bus: Field,
) -> None:
    tree = bus.place.folder / "tree"
    for number in range(40):
        path = tree / f"d{number % 4}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(7 if number % 4 else 5000))
    catalog = bus.place.folder / "catalog"
    walked = bus.place.run("walk", tree, "-o", catalog)
    assert walked.code == 0, walked.err
    bus.stand_by(2)
    ended = bus.place.run(
        "ctl", "load", "start", "--target", bus.target, "--like", "catalog", "--set", "keep=all",
        "--set", "count=100", "--rate", "1000", "--agents", 2, "--duration", 30, "--wait",
        "--broker", bus.site.endpoint, "--report", bus.report_file,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    sizes = find(bus.target, "-type", "f", "-printf", "%s\n").split()
    assert set(sizes) == {b"7", b"5000"}
    # A quarter of each consumer's hundred, to within one file.
    assert len(sizes) == 200
    assert 48 <= sizes.count(b"5000") <= 52
    for each in bus.report["consumers"]:
        assert (each["load"]["rate"], each["rollovers"]) == (1000, 100)
        assert each["load"]["like"] == str(catalog)


@pytest.mark.slow
@pytest.mark.big
def test_the_scenario_of_the_exercise(bus: Field) -> None:
    bus.stand_by(2)
    ended = bus.end(bus.start(duration=30.0))
    assert ended.code == 0, ended.err
    report = bus.report
    check_whole(report)
    bus.check_bytes(report)
    for each in report["consumers"]:
        assert each["rollovers"] >= 2
        assert each["seconds"] >= 29
        assert len(each["series"]) >= 40
        assert each["missed_heartbeats"] == 0
    assert all(len(agent["monitor"]["samples"]) >= 25 for agent in report["agents"])


# ------------------------------------------------------------------------- kills


@pytest.mark.slow
def test_a_killed_agent_is_lost_with_its_last_figures_and_the_other_ends_properly(
    bus: Field,
) -> None:
    bus.stand_by(2)
    process = bus.start(duration=20.0)
    wait_for("the run goes on", bus.is_running)

    def has_reported() -> bool:
        so_far = bus.place.run("ctl", "load", "report", 1, "--json", "--broker", bus.site.endpoint)
        found = json.loads(so_far.out)["consumers"]
        return len(found) == 6 and all(each["written_bytes"] for each in found)

    wait_for("both have reported", has_reported)
    family = psutil.Process(bus.agents[0].pid).children(recursive=True)
    assert len(family) == 5  # zygote, monitor, three consumers
    assert bus.is_running()
    bus.agents[0].kill()
    ended = bus.end(process)
    assert ended.code == 1
    assert "lg1 on" in ended.err
    assert "was lost" in ended.err
    wait_for("nothing of it is left", lambda: not any(each.is_running() for each in family), 10)
    report = bus.report
    lost, other = report["agents"]
    assert "nothing was heard of it" in lost["lost"]
    assert (lost["ok"], other["ok"], other["lost"]) == (False, True, "")
    for each in report["consumers"]:
        own = bus.target / (lost if each["agent"] == "lg1" else other)["folder"] / each["name"]
        if each["agent"] == "lg1":
            # Its last word is a second old at most.
            assert 0 < each["written_bytes"] <= bus.written(own)
        else:
            assert each["ok"]
            assert each["written_bytes"] == bus.written(own)
            assert each["seconds"] > 19
    assert "LOST: nothing was heard of it" in ended.out
    assert bus.loads[0]["state"] == "DONE"
    assert bus.loads[0]["lost"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("back", ["while they run", "when they are done"])
def test_a_killed_broker_is_told_when_it_is_back(bus: Field, back: str) -> None:
    bus.stand_by(2)
    started = bus.place.run(
        "ctl", "load", "start", "--config", bus.config(*({"file-size": size} for size in SIZES)),
        "--agents", 2, "--duration", 15, "--broker", bus.site.endpoint,
    )  # fmt: skip
    assert started.out == "1\n"
    wait_for("the run goes on", bus.is_running)
    assert bus.site.broker is not None
    before = bus.written(bus.target)
    bus.site.broker.kill()
    bus.place.end(bus.site.broker)
    if back == "when they are done":

        def is_still() -> bool:
            newest = max(path.stat().st_mtime for path in bus.target.rglob("*"))
            return time.time() - newest > 1.5  # longer than any two writes are apart

        wait_for("they have ended by themselves", is_still)
    assert bus.written(bus.target) >= before > 0
    bus.site.start_broker("--heartbeat", "0.3")
    if back == "while they run":
        assert bus.loads[0]["state"] == "RUNNING"
    wait_for("it is done", lambda: bus.loads[0]["state"] == "DONE")
    assert bus.loads[0]["lost"] == 0
    ended = bus.place.run(
        "ctl", "load", "report", 1, "--report", bus.report_file, "--broker", bus.site.endpoint
    )
    assert ended.code == 0, ended.err
    check_whole(bus.report)
    bus.check_bytes(bus.report)
    assert all(each["seconds"] >= 14.5 for each in bus.report["consumers"])
    rows = bus.site.ledger.rows("SELECT count(*), min(last) FROM report")
    assert [tuple(row) for row in rows] == [(2, 1)]


@pytest.mark.slow
def test_an_agent_that_is_told_to_leave_reports_first(bus: Field) -> None:
    bus.stand_by(2)
    process = bus.start(duration=15.0)
    wait_for("the run goes on", bus.is_running)
    bus.agents[0].send_signal(signal.SIGTERM)
    left = bus.end(bus.agents[0])
    assert left.code == 0, left.err
    ended = bus.end(process)
    assert ended.code == 0, ended.err
    first, second = bus.report["agents"]
    assert (first["cut_short"], second["cut_short"]) == ("drained by SIGTERM", "")
    bus.check_bytes(bus.report)


# ------------------------------------------------------------------------- refusals


@pytest.fixture
def small_disk(place: Place) -> Iterator[Path]:
    with mounts.tmpfs(place.folder / "disk", "size=8m") as folder:
        yield folder


@pytest.mark.root
def test_a_disk_that_would_be_filled_refuses_the_run_on_all(bus: Field, small_disk: Path) -> None:
    bus.stand_by(2)
    file = bus.config({"target": str(small_disk), "file-size": "4M"})
    ended = bus.end(bus.start_with(file))
    assert ended.code == 2
    assert "lg1 on" in ended.err or "lg2 on" in ended.err
    assert "--max-fill allows 90 %" in ended.err
    wait_for("what was prepared is undone", lambda: list(small_disk.iterdir()) == [])
    assert bus.loads[0]["state"] == "REFUSED"


def test_what_one_agent_can_not_do_refuses_the_run_with_host_and_reason(bus: Field) -> None:
    bus.stand_by(1)
    bus.stand_by(1, "--allow", "/usr", "--host", "elsewhere")
    outside = bus.place.home
    link = bus.target / "link"
    link.symlink_to("/var")
    for target, reason in (
        (bus.target / "nowhere", "there is no such folder"),
        (link, "may be loaded (--allow)"),
    ):
        file = bus.config({"target": str(target), "file-size": "1M"})
        ended = bus.end(bus.start_with(file, "--gather", 20))
        assert ended.code == 2
        assert reason in ended.err
        assert " on " in ended.err
    assert outside.is_dir()
    # Nobody has begun, and both stand by for what they may do.
    assert [path.name for path in bus.target.iterdir()] == ["link"]
    ended = bus.end(bus.start("--gather", 20, duration=1.0))
    assert ended.code == 0, ended.err


def test_too_few_agents_are_a_clear_error(bus: Field) -> None:
    bus.stand_by(1)
    ended = bus.end(bus.start("--gather", "0.5", agents=3))
    assert ended.code == 2
    assert "1 of 3 load generators stand by (lg1 on " in ended.err
    assert list(bus.target.iterdir()) == []


@pytest.mark.parametrize(
    ("load", "options", "words"),
    [
        ({"target": "relative"}, (), "a path that begins with / is wanted"),
        ({"wrok": "read"}, (), "the nearest is work"),
        ({"block": 1000}, (), "multiples of 512"),
        ({}, ("--report", "x.pdf"), "must end with one of"),
        ({}, ("--duration", "0"), "0.0<x"),
    ],
)
def test_what_can_not_be_is_refused_before_anybody_is_asked(
    bus: Field, load: dict[str, Any], options: tuple[str, ...], words: str
) -> None:
    ended = bus.end(bus.start_with(bus.config(load), *options))
    assert ended.code == 2
    assert words in ended.err
    assert bus.loads == []


def test_who_stands_by_must_say_where_it_may_load(bus: Field) -> None:
    ended = bus.place.run("agent", "--role", "loadgen", "--broker", bus.site.endpoint)
    assert ended.code == 2
    assert "--allow DIR" in ended.err
    words = ("--allow", "/tmp", "--duration", 3)
    ended = bus.place.run("agent", "--role", "loadgen", "--broker", bus.site.endpoint, *words)
    assert ended.code == 2
    assert "is told by `zfs-ctl load start`" in ended.err


# ------------------------------------------------------------------------- the end, by hand


@pytest.mark.slow
@pytest.mark.parametrize("how", ["load stop", "Ctrl-C"])
def test_a_run_that_is_ended_early_is_reported(bus: Field, how: str) -> None:
    bus.stand_by(2)
    process = bus.start(duration=60.0)
    wait_for("the run goes on", bus.is_running)
    if how == "Ctrl-C":
        process.send_signal(signal.SIGINT)
    else:
        assert bus.site.ctl("load", "stop", 1)["detail"] == "ENDING"
    ended = bus.end(process)
    assert ended.code == 0, ended.err
    report = bus.report
    assert report["cut_short"] == "stopped by request"
    check_whole(report)
    bus.check_bytes(report)
    # The same again, also from a broker that was started anew.
    assert bus.site.broker is not None
    bus.site.broker.kill()
    bus.place.end(bus.site.broker)
    bus.site.start_broker()
    assert bus.site.ctl("load", "report", 1) == report


@pytest.mark.slow
def test_a_second_ctrl_c_leaves_and_the_run_ends_by_itself(bus: Field) -> None:
    bus.stand_by(2)
    process = bus.start(duration=3.0)
    wait_for("the run goes on", bus.is_running)
    for agent in bus.agents:
        agent.send_signal(signal.SIGSTOP)  # else they would be done before the second one
    process.send_signal(signal.SIGINT)
    wait_for("it ends", lambda: bus.loads[0]["state"] == "ENDING")
    process.send_signal(signal.SIGINT)
    ended = bus.end(process)
    assert ended.code == 130
    for agent in bus.agents:
        agent.send_signal(signal.SIGCONT)
    wait_for("it is done", lambda: bus.loads[0]["state"] == "DONE")
    check_whole(bus.site.ctl("load", "report", 1))


@pytest.mark.slow
def test_a_terminal_shows_the_run_live_and_then_its_report(bus: Field) -> None:
    bus.stand_by(2)
    file = bus.config({"file-size": "1M"}, {"file-size": "2M"})
    mine, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (50, 160))
    words = ("--agents", 2, "--duration", 60, "--wait", "--broker", bus.site.endpoint)
    process = subprocess.Popen(
        bus.place.command("ctl", "load", "start", "--config", file, *words),
        stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE, text=True,
        cwd=bus.place.folder, env={**bus.place.env, "TERM": "xterm"}, start_new_session=True,
    )  # fmt: skip
    bus.place.started.append(process)
    os.close(theirs)
    seen = ""

    def shows(*texts: str) -> bool:
        nonlocal seen
        while select.select([mine], [], [], 0)[0]:
            try:
                seen += os.read(mine, 65_536).decode()
            except OSError:  # nobody has the other end any more
                break
        return all(text in seen for text in texts)

    try:
        wait_for("it is shown live", lambda: shows("running, ", "lg2", "c2", "in all", "MiB/s"))
        process.send_signal(signal.SIGINT)
        wait_for(
            "the report", lambda: shows("cut short: stopped by request", "in all: 4 consumers")
        )
    finally:
        os.close(mine)
    assert process.wait(20) == 0


@pytest.mark.slow
def test_the_overview_shows_load_generators_and_their_run(bus: Field) -> None:
    bus.stand_by(2)

    def stages() -> list[str]:
        agents = bus.site.ctl("status")["agents"]
        return [each["status"]["stage"] for each in agents if each["status"]]

    wait_for("they stand by", lambda: stages() == ["standing by"] * 2)
    process = bus.start(duration=10.0)
    wait_for("they run", lambda: stages() == ["running"] * 2)
    shown = bus.place.run("ctl", "status", "--broker", bus.site.endpoint)
    assert "running" in shown.out
    assert "c3" in shown.out
    [load] = bus.site.ctl("status")["loads"]
    assert (load["run"], load["state"], load["agents"]) == (1, "RUNNING", 2)
    assert bus.end(process).code == 0
