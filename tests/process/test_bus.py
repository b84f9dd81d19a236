"""Agents that share a walk, and the commands that operate a bus, each by its effect."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.process import mounts, oracle, trees
from tests.process.place import Brake, Place, Site, wait_for

pytestmark = pytest.mark.slow


def test_three_agents_share_a_walk(quick_site: Site, tree: Path, slow: dict[str, str]) -> None:
    quick_site.start_agents(3, env=slow)
    catalog = quick_site.place.folder / "catalog"
    ended = quick_site.place.end(quick_site.walk(tree, "-o", catalog))
    assert (ended.code, ended.err) == (0, "")
    oracle.same_totals(ended.json, oracle.totals(tree))
    assert oracle.catalog_paths(catalog) == oracle.paths(tree)
    shares = quick_site.ledger.entries()
    assert len(shares) == 3
    assert sum(shares.values()) == ended.json["entries"]
    quick_site.verify()


def test_a_walk_waits_for_as_many_agents_as_it_wants(quick_site: Site, tree: Path) -> None:
    quick_site.start_agents(1)
    process = quick_site.walk(tree, "--min-agents", 2)
    wait_for("it is submitted", lambda: quick_site.ledger.state == "RUNNING")
    shown = quick_site.ctl("run", "show", 1)
    assert (shown["entries"], quick_site.ledger.leases) == (0, 0)
    quick_site.start_agents(1)
    ended = quick_site.place.end(process)
    oracle.same_totals(ended.json, oracle.totals(tree))


def test_a_walk_that_nobody_takes_gives_up_and_is_kept(quick_site: Site, tree: Path) -> None:
    process = quick_site.walk(tree, "--timeout", "0.5")
    ended = quick_site.place.end(process)
    assert ended.code == 8
    assert "no walker agent" in ended.err
    assert f"zfs-walk --broker {quick_site.endpoint} --resume 1" in ended.err
    assert quick_site.ledger.state == "PAUSED"
    quick_site.start_agents(1)
    resumed = quick_site.place.end(
        quick_site.place.start(
            "walk", "--broker", quick_site.endpoint, "--resume", 1, "--json", "-q"
        )
    )
    oracle.same_totals(resumed.json, oracle.totals(tree))


def test_a_walk_is_detached_from_and_attached_to(
    quick_site: Site, tree: Path, slow: dict[str, str]
) -> None:
    quick_site.start_agents(1, env=slow)
    place = quick_site.place
    catalog = place.folder / "catalog"
    detached = place.run("walk", "--broker", quick_site.endpoint, "--detach", tree, "-o", catalog)
    assert (detached.code, detached.out, detached.err) == (0, "1\n", "")
    assert quick_site.ledger.state == "RUNNING"
    attached = place.run("walk", "--broker", quick_site.endpoint, "--attach", 1, "--json", "-q")
    oracle.same_totals(attached.json, oracle.totals(tree))
    assert oracle.catalog_paths(catalog) == oracle.paths(tree)


def test_an_agent_that_joins_in_the_middle_gets_work(
    quick_site: Site, tree: Path, slow: dict[str, str]
) -> None:
    quick_site.start_agents(1, env=slow)
    process = quick_site.walk(tree)
    ledger = quick_site.ledger
    wait_for("the walk is in its middle", lambda: ledger.commits >= 3 and ledger.left)
    quick_site.start_agents(1, env=slow)
    wait_for("the second works", lambda: len(ledger.entries()) == 2)
    ended = quick_site.place.end(process)
    oracle.same_totals(ended.json, oracle.totals(tree))


def test_runs_are_paused_continued_and_verified(quick_site: Site, tree: Path, brake: Brake) -> None:
    quick_site.start_agents(2, env=brake.environment)
    process = quick_site.walk(tree)
    ledger = quick_site.ledger
    wait_for("the walk is in its middle", lambda: ledger.commits >= 3 and ledger.left)
    quick_site.ctl("run", "pause", 1)
    paused = quick_site.place.end(process)
    assert (paused.code, ledger.state) == (11, "PAUSED")
    [line] = quick_site.ctl("run", "list")["runs"]
    shown = quick_site.ctl("run", "show", 1)
    counted = sum(ledger.entries().values())
    assert (line["run"], line["state"], line["entries"]) == (1, "PAUSED", counted)
    assert (line["items_left"], line["roots"]) == (ledger.left, [str(tree)])
    assert (shown["state"], shown["entries"]) == ("PAUSED", counted)
    quick_site.verify()
    brake.release()
    assert "RUNNING" in quick_site.ctl("run", "continue", 1)["detail"]
    wait_for("the run is over", lambda: ledger.state == "DONE")
    oracle.same_totals(quick_site.ctl("run", "show", 1), oracle.totals(tree))
    quick_site.verify()


def test_an_aborted_run_is_over(quick_site: Site, tree: Path, brake: Brake) -> None:
    [agent] = quick_site.start_agents(1, env=brake.environment)
    process = quick_site.walk(tree)
    ledger = quick_site.ledger
    wait_for("the walk is in its middle", lambda: ledger.commits >= 3 and ledger.left)
    quick_site.ctl("run", "abort", 1)
    ended = quick_site.place.end(process)
    assert (ended.code, ended.out) == (12, "")
    assert "Run 1 was aborted" in ended.err
    assert ledger.state == "ABORTED"
    wait_for("its items go", lambda: ledger.left == 0)
    again = quick_site.place.run("ctl", "run", "continue", 1, "--broker", quick_site.endpoint)
    assert again.code == 2
    assert "run-over" in again.err
    # The agent is free for the next one.
    other = quick_site.place.end(quick_site.walk(tree / "d0"))
    oracle.same_totals(other.json, oracle.totals(tree / "d0"))
    assert agent.poll() is None


def test_agents_are_listed_as_they_are(quick_site: Site) -> None:
    first, second = quick_site.start_agents(2)
    wait_for("both are ready", lambda: all(quick_site.place.workers(a) for a in (first, second)))
    listed = quick_site.ctl("agent", "list")["agents"]
    assert {agent["pid"] for agent in listed} == {first.pid, second.pid}
    assert {agent["name"] for agent in listed} == {"walker-1", "walker-2"}
    assert {(agent["state"], agent["workers"]) for agent in listed} == {("live", 2)}
    os.kill(first.pid, signal.SIGTERM)
    quick_site.place.end(first)
    [left] = quick_site.ctl("agent", "list")["agents"]
    assert left["pid"] == second.pid


def test_the_memory_of_an_agent_and_its_workers_is_what_the_system_says(
    quick_site: Site,
) -> None:
    [agent] = quick_site.start_agents(1)
    pages = os.sysconf("SC_PAGE_SIZE")

    def told() -> float:
        pids = [agent.pid, *quick_site.place.workers(agent)]
        rss = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * pages for pid in pids)
        [listed] = quick_site.ctl("agent", "list")["agents"]
        return float(listed["rss"]) / rss

    wait_for("the figures agree", lambda: 0.8 < told() < 1.2)


@pytest.mark.root
def test_an_agent_without_the_mount_says_so_and_nothing_is_lost(
    quick_site: Site, slow: dict[str, str]
) -> None:
    place = quick_site.place
    mount = place.folder / "mnt"
    mount.mkdir()
    mounts.mount(mount)
    root = trees.bushy(mount / "tree", width=5, depth=3, files=4)
    without = ["unshare", "-m", "sh", "-c", f'umount {mount} && exec "$@"', "sh"]
    blind = quick_site.start_agent("-v", prefix=without)
    wait_for("the blind one comes", lambda: len(quick_site.names()) == 1)
    quick_site.start_agents(1, env=slow)
    process = quick_site.walk(root)
    ended = place.end(process)
    assert ended.code == 0, ended.err
    oracle.same_totals(ended.json, oracle.totals(root))
    blind.terminate()
    told = place.end(blind)
    assert "can't be walked here" in told.err
    assert str(root) in told.err


@pytest.mark.root
def test_a_mount_that_goes_away_in_the_middle_changes_no_total(
    quick_site: Site, slow: dict[str, str]
) -> None:
    place = quick_site.place
    mount = place.folder / "mnt"
    mount.mkdir()
    mounts.mount(mount)
    root = trees.bushy(mount / "tree", width=5, depth=4, files=4)
    expected = oracle.totals(root)
    quick_site.start_agents(2, env=slow)
    process = quick_site.walk(root)
    ledger = quick_site.ledger
    wait_for("the walk is in its middle", lambda: ledger.commits >= 3 and ledger.left)
    mounts.unmount(mount)
    ended = place.end(process)
    # It was open at both agents, or at one: never does a total come out of what is not there.
    assert ended.code in {0, 8}, ended.err
    if ended.code:
        assert (ledger.state, ledger.left > 0) == ("PAUSED", True)
    else:
        oracle.same_totals(ended.json, expected)


@pytest.mark.root
def test_a_mount_that_goes_away_pauses_the_run_and_loses_nothing(
    quick_site: Site, brake: Brake
) -> None:
    place = quick_site.place
    mount, kept = place.folder / "mnt", place.folder / "kept"
    mount.mkdir()
    kept.mkdir()
    mounts.mount(kept)
    trees.bushy(kept / "tree", width=5, depth=4, files=4)
    mounts.bind(kept, mount)
    root = mount / "tree"
    expected = oracle.totals(root)
    quick_site.start_agents(2, env=brake.environment)
    catalog = place.folder / "catalog"
    process = quick_site.walk(root, "-o", catalog)
    ledger = quick_site.ledger
    wait_for("the walk is in its middle", lambda: ledger.commits >= 3 and ledger.left)
    mounts.unmount(mount)
    # Who has it open still sees it, so they are asked to let it go and to take it up again.
    quick_site.ctl("run", "pause", 1)
    paused = place.end(process)
    assert paused.code == 11, paused.err
    brake.release()
    ended = place.run("walk", "--broker", quick_site.endpoint, "--resume", 1, "--json", "-q")
    assert ended.code == 8, ended.err
    assert "no agent can go on" in ended.err
    assert (ledger.state, ledger.left > 0) == ("PAUSED", True)
    mounts.bind(kept, mount)
    resumed = place.run("walk", "--broker", quick_site.endpoint, "--resume", 1, "--json", "-q")
    oracle.same_totals(resumed.json, expected)
    assert oracle.catalog_paths(catalog) == oracle.paths(root)


@pytest.mark.big
def test_a_directory_with_1_000_000_names_is_shared(site: Site, million: Path) -> None:
    site.start_broker()
    site.start_agents(2)
    ended = site.place.end(site.walk(million))
    oracle.same_totals(ended.json, oracle.totals(million))
    shares = site.ledger.entries().values()
    assert len(shares) == 2
    assert min(shares) >= 0.15 * sum(shares)


@pytest.mark.big
def test_a_tree_below_a_long_chain_is_shared(site: Site) -> None:
    above = site.place.folder / "deep"
    root = above
    above.mkdir()
    for number in range(50):
        above /= f"c{number}"
        above.mkdir()
    trees.bushy(above / "tree", width=7, depth=5, files=5)
    site.start_broker()
    site.start_agents(3)
    ended = site.place.end(site.walk(root))
    oracle.same_totals(ended.json, oracle.totals(root))
    assert len(site.ledger.entries()) == 3


def test_a_broker_that_starts_late_is_waited_for(site: Site, tree: Path) -> None:
    site.start_broker().kill()
    agent = site.start_agent("--wait")
    process = site.walk(tree)
    wait_for("the agent is up", lambda: site.place.workers(agent))
    site.start_broker()
    ended = site.place.end(process)
    oracle.same_totals(ended.json, oracle.totals(tree))


def test_json_of_detach_names_the_run(quick_site: Site, tree: Path) -> None:
    ended = quick_site.place.end(quick_site.walk(tree, "--detach"))
    assert json.loads(ended.out) == {"schema": 1, "run": 1}


def test_an_agent_whose_broker_went_away_can_still_be_drained(site: Site, place: Place) -> None:
    broker = site.start_broker()
    [agent] = site.start_agents(1)
    broker.kill()
    site.place.end(broker)
    agent.terminate()
    ended = place.end(agent, 15.0)
    assert ended.code in {0, 13}


@pytest.mark.big
def test_memory_does_not_grow_with_the_number_of_files(
    place: Place, million: Path, tree: Path
) -> None:
    def most(root: Path) -> int:
        process = place.start("walk", "-q", "--json", root)
        highest = 0
        while process.poll() is None:
            highest = max([highest, *map(resident, [process.pid, *place.alive()])])
        assert place.end(process).json["entries"] == len(oracle.paths(root))
        return highest

    small, large = most(tree), most(million)
    assert large < small + 24 * 2**20  # blocks of names on their way between two workers


def resident(pid: int) -> int:
    """Bytes of a process in memory; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
