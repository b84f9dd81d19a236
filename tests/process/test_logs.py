"""The log stream from workers to a tail, with the log files as oracle."""

import contextlib
import json
import os
import signal
from collections import defaultdict
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.process import mounts, oracle
from tests.process.place import Brake, Process, Site, wait_for
from tests.process.stream import (
    Tail,
    by_publisher,
    hear,
    log_lines,
    logs_of,
    start_burst,
    tell,
)

pytestmark = [pytest.mark.slow, pytest.mark.big, pytest.mark.alone]

BURST = 100_000


def level(site: Site, *words: str) -> str:
    """Set a level; what is answered."""
    return str(site.ctl("log", "level", *words)["detail"])


def test_every_record_of_every_process_arrives_once_and_in_order(
    quick_site: Site, tree: Path
) -> None:
    site = quick_site
    agents = site.start_agents(2)
    told = level(site, "debug")
    assert told == "7 processes told: 2 agents with 4 workers, the broker"
    tail = Tail(site, "--since", "1h")
    ended = site.place.end(site.walk(tree, "--min-agents", "2"))
    expected = oracle.totals(tree)
    oracle.same_totals(ended.json, expected)
    for agent in agents:
        agent.terminate()
        site.place.end(agent)
    folders = logs_of(site.place), site.state / "log"
    wait_for("the tail has them", lambda: tail.count() >= len(log_lines(*folders)))
    written, shown = by_publisher(log_lines(*folders)), by_publisher(tail.lines())
    assert shown == written
    assert len(shown) == 3
    said = tail.said()
    assert {record["name"] for record in said} == {"walker-1", "walker-2", "broker"}
    workers = {(r["name"], r["process"]) for r in said if r["process"]}
    assert len(workers) == 4
    # What workers say that they did is what there was.
    tasks = [r["message"].split() for r in said if r["message"].startswith("task ")]
    assert sum(int(words[2]) for words in tasks) == expected["directories"]
    assert {r["run"] for r in said if r["message"].startswith("task ")} == {1}


def test_the_level_of_workers_changes_at_once_and_back(
    quick_site: Site, tree: Path, brake: Brake
) -> None:
    site = quick_site
    [agent] = site.start_agents(1, env=brake.environment)
    tail = Tail(site, "--since", "1h", "--role", "walker")
    process = site.walk(tree)
    wait_for("the walk is on", lambda: site.ledger.commits >= 2)
    level(site, "debug", "--role", "walker")

    def debugged(worker: str, run: int) -> bool:
        return any(
            (r["level"], r["process"], r["run"]) == ("debug", worker, run) for r in tail.said()
        )

    wait_for("workers debug", lambda: debugged("worker 1", 1) and debugged("worker 2", 1))
    # One that comes later debugs as well.
    os.kill(site.place.workers(agent)[0], signal.SIGKILL)
    wait_for("the replacement debugs", lambda: debugged("worker 3", 1))
    brake.release()
    site.place.end(process)
    level(site, "info", "--role", "walker")
    again = site.place.end(site.walk(tree / "d0"))
    oracle.same_totals(again.json, oracle.totals(tree / "d0"))
    agent.terminate()
    site.place.end(agent)
    last = log_lines(logs_of(site.place))[-1]
    wait_for("the tail is at the end", lambda: last in tail.lines())
    assert not any(r["run"] == 2 for r in tail.said() if r["level"] == "debug")


def test_levels_are_set_where_they_are_meant(quick_site: Site) -> None:
    quick_site.start_agents(1)
    assert level(quick_site, "debug", "--role", "broker").startswith("1 processes told: 0 agents")
    assert level(quick_site, "info", "--role", "walker").startswith("3 processes told: 1 agents")
    words = ("log", "level", "info", "--host", "elsewhere", "--broker", quick_site.endpoint)
    refused = quick_site.place.run("ctl", *words)
    assert (refused.code, refused.out) == (2, "")
    assert "no process of this role and host is there; roles: broker, walker" in refused.err


def burst(site: Site, total: int) -> list[Process]:
    """Four programs that are ready to log together."""
    return [start_burst(site, f"burst-{number}", total // 4) for number in range(4)]


def finish(site: Site, processes: list[Process]) -> list[str]:
    """Let programs end; what they wrote to their files."""
    for process in processes:
        tell(process)
        assert hear(process, "lost").split() == ["lost", "0"]
        site.place.end(process)
    return log_lines(site.place.folder / "log")


def test_100_000_records_in_a_burst_all_arrive(site: Site) -> None:
    site.start_broker()
    programs = burst(site, BURST)
    tail = Tail(site, "--since", "1h", "--role", "loadgen")
    for program in programs:
        tell(program)
    for program in programs:
        hear(program, "said")
    written = finish(site, programs)
    assert len(written) == BURST
    wait_for("the tail has them", lambda: tail.count() >= BURST, 90.0)
    assert by_publisher(tail.lines()) == by_publisher(written)


def test_a_stopped_tail_holds_nobody_up_and_shows_what_it_missed(site: Site, tree: Path) -> None:
    broker = site.start_broker()
    site.start_agents(1)
    programs = burst(site, BURST)
    tail = Tail(site, "--since", "1h", "--role", "loadgen")
    first = start_burst(site, "first", 1)
    tell(first)
    hear(first, "said")
    wait_for("the tail follows", lambda: tail.count() == 1)
    before = psutil.Process(broker.pid).memory_info().rss
    os.kill(tail.process.pid, signal.SIGSTOP)
    for program in programs:
        tell(program)
    ended = site.place.end(site.walk(tree))
    oracle.same_totals(ended.json, oracle.totals(tree))
    for program in programs:
        hear(program, "said")
    written = finish(site, [*programs, first])
    assert psutil.Process(broker.pid).memory_info().rss < before + 120 * 2**20
    os.kill(tail.process.pid, signal.SIGCONT)
    last = {json.loads(lines[-1])["publisher"]: len(lines) for lines in
            by_publisher(written).values()}  # fmt: skip
    wait_for("the tail knows of all", lambda: known(tail) == last)
    gaps = [said for said in tail.said() if said["kind"] == "gap"]
    assert gaps
    assert all(gap["name"].startswith("burst-") and gap["host"] == "h1" for gap in gaps)
    exactly_once(tail.said(), last)


def known(tail: Tail) -> dict[str, int]:
    """The highest number of each publisher, arrived or lost."""
    highest: dict[str, int] = defaultdict(int)
    for said in tail.said():
        upto = said["seq"] + (said["lost"] - 1 if said["kind"] == "gap" else 0)
        highest[said["publisher"]] = max(highest[said["publisher"]], upto)
    return dict(highest)


def exactly_once(said: list[Any], last: dict[str, int]) -> None:
    """Each number of each publisher arrived or is in a gap, in order."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for each in said:
        lost = each["lost"] if each["kind"] == "gap" else 1
        numbers[each["publisher"]] += range(each["seq"], each["seq"] + lost)
    assert numbers == {publisher: list(range(1, n + 1)) for publisher, n in last.items()}


def test_a_tail_goes_on_with_the_next_broker(site: Site) -> None:
    broker = site.start_broker()
    [agent] = site.start_agents(1)
    tail = Tail(site, "--since", "1h")
    wait_for("the tail has something", lambda: tail.count() >= 2)
    broker.kill()
    site.place.end(broker)
    site.start_broker()

    def greeted() -> int:
        return sum(said["message"].startswith("session ") for said in tail.said())

    wait_for("the agent's new session is heard of", lambda: greeted() == 2)
    agent.terminate()
    site.place.end(agent)
    written = by_publisher(log_lines(logs_of(site.place), site.state / "log"))
    assert len(written) == 3
    wait_for("the rest comes", lambda: by_publisher(tail.lines()) == written)
    tail.process.send_signal(signal.SIGINT)
    ended = site.place.end(tail.process)
    assert ended.code == 130
    assert f"lost the broker at {site.endpoint}" in ended.err
    assert "the broker is there again (term " in ended.err


def test_a_tail_shows_what_it_is_asked_for(quick_site: Site, tree: Path) -> None:
    site = quick_site
    site.start_agents(1)
    level(site, "debug")
    site.place.end(site.walk(tree / "d0"))
    site.place.end(site.walk(tree / "d1"))
    everything = [json.loads(line) for line in log_lines(logs_of(site.place))]

    def shows(*arguments: str) -> list[Any]:
        tail = Tail(site, "--since", "1h", *arguments)
        wait_for("it shows something", tail.count)
        shown: list[Any] = []

        def settled() -> bool:
            before, shown[:] = list(shown), tail.said()
            return bool(shown) and before == shown

        wait_for("it shows no more", settled)
        return shown

    by_run = shows("--run", "2", "--role", "walker")
    assert by_run == [record for record in everything if record["run"] == 2]
    by_text = shows("--grep", "task 1:", "--level", "debug")
    assert by_text == [record for record in everything if "task 1:" in record["message"]]
    assert {record["role"] for record in shows("--role", "broker")} == {"broker"}


def test_tail_shows_lines_for_people(quick_site: Site) -> None:
    quick_site.start_agents(1)
    out = quick_site.place.folder / "text"
    tail = quick_site.place.start(
        "ctl", "log", "tail", "--since", "1h", "--role", "walker", "--broker",
        quick_site.endpoint, prefix=("sh", "-c", f'exec "$@" >{out}', "sh"),
    )  # fmt: skip
    wait_for("it shows something", lambda: out.exists() and "\n" in out.read_text())
    [record] = [json.loads(line) for line in log_lines(logs_of(quick_site.place))][:1]
    assert out.read_text().splitlines()[0] == (
        f"{record['time']} INFO     {record['host']} walker-1 zfs_walk.walker: {record['message']}"
    )
    assert tail.poll() is None


def test_log_path_names_the_files(quick_site: Site) -> None:
    quick_site.start_agents(1)
    place = quick_site.place
    ended = place.run("ctl", "log", "path")
    assert (ended.code, ended.out) == (0, f"{logs_of(place)}/walker-1.jsonl\n")
    [path] = place.run("ctl", "log", "path", "--json", "--state", quick_site.state).json["paths"]
    assert Path(path) == quick_site.state / "log" / "broker.jsonl"
    assert Path(path).stat().st_mode & 0o777 == 0o600


@pytest.mark.root
def test_a_full_disk_below_the_log_stops_no_walk_and_is_said_once(
    quick_site: Site, tree: Path
) -> None:
    site = quick_site
    with mounts.tmpfs(site.place.folder / "disk", "size=64k") as disk:
        agent = site.start_agent("--state", disk)
        wait_for("the agent comes", lambda: len(site.names()) == 1)
        tail = Tail(site, "--since", "1h", "--role", "walker")
        level(site, "debug")
        ended = site.place.end(site.walk(tree))
        oracle.same_totals(ended.json, oracle.totals(tree))
        log = disk / "log" / "walker-1.jsonl"
        (disk / "rest").write_bytes(b"")
        with contextlib.suppress(OSError), (disk / "rest").open("ab", buffering=0) as rest:
            while True:
                rest.write(b"x" * 4096)
        before = len(log.read_text().splitlines())
        for number in range(3):
            again = site.place.end(site.walk(tree / f"d{number}"))
            oracle.same_totals(again.json, oracle.totals(tree / f"d{number}"))
        agent.terminate()
        said = site.place.end(agent)
        assert said.code == 0
        complaint = f"the log {log} can't be written: No space left on device"
        assert said.err.count(complaint) == 1
        lines = log.read_text()
        assert lines.endswith("\n")
        written = [json.loads(line) for line in lines.splitlines()]
        assert len(written) >= before
    # The bus had what the file had no room for.
    wait_for(
        "the tail has it all",
        lambda: any(each["message"].startswith("leaving: ") for each in tail.said()),
    )
    assert tail.count() > len(written)


def test_a_tail_that_nobody_reads_any_more_ends(site: Site) -> None:
    site.start_broker()
    into = ("sh", "-c", '"$@" | head -n 1', "sh")
    words = ("ctl", "tail", "--since", "1h", "--broker", site.endpoint)
    ended = site.place.end(site.place.start(*words, prefix=into))
    assert (len(ended.out.splitlines()), ended.err) == (1, "")


def test_a_text_that_the_output_has_no_letters_for_is_escaped(site: Site) -> None:
    site.start_broker()
    site.start_agents(1, "--name", "w1", "--host", "caf\N{LATIN SMALL LETTER E WITH ACUTE}")
    into = ("sh", "-c", '"$@" | head -n 3', "sh")
    words = ("ctl", "tail", "--since", "1h", "--broker", site.endpoint)
    ended = site.place.end(site.place.start(*words, prefix=into, env={"PYTHONIOENCODING": "ascii"}))
    assert "caf\\xe9" in ended.out
    assert "Traceback" not in ended.err
