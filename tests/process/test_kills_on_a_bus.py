"""Whatever is killed on a bus, the result is exact."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.process import oracle
from tests.process.place import KILLED, Place, Site, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.big]


class Walk:
    """A walk on a site, in its middle."""

    def __init__(self, site: Site, tree: Path, *, rows: bool = False) -> None:
        self.site, self.tree = site, tree
        self.catalog = site.place.folder / "catalog" if rows else None
        output: list[str | Path] = ["-o", self.catalog] if self.catalog else []
        self.process = site.walk(tree, *output)
        ledger = site.ledger
        wait_for("the walk is in its middle", lambda: ledger.commits >= 3 and ledger.left)

    def is_exact(self) -> None:
        """It ends well, and nothing is missing or there twice."""
        ended = self.site.place.end(self.process)
        assert ended.code == 0, ended.err
        oracle.same_totals(ended.json, oracle.totals(self.tree))
        if self.catalog:
            assert oracle.catalog_paths(self.catalog) == oracle.paths(self.tree)
        self.site.verify()


def is_open(site: Site) -> bool:
    """Work is left in a run that goes on."""
    return site.ledger.state == "RUNNING" and site.ledger.left > 0


@pytest.mark.parametrize("rows", [False, True])
def test_a_killed_worker_costs_nothing(
    quick_site: Site, tree: Path, slow: dict[str, str], *, rows: bool
) -> None:
    first, _ = quick_site.start_agents(2, "-v", env=slow)
    walk = Walk(quick_site, tree, rows=rows)
    victim = quick_site.place.workers(first)[0]
    os.kill(victim, signal.SIGKILL)
    assert is_open(quick_site)
    walk.is_exact()
    first.terminate()
    assert KILLED.search(quick_site.place.end(first).err)


@pytest.mark.parametrize("rows", [False, True])
def test_a_killed_agents_work_is_taken_up_by_another(
    quick_site: Site, tree: Path, slow: dict[str, str], *, rows: bool
) -> None:
    first, _ = quick_site.start_agents(2, env=slow)
    walk = Walk(quick_site, tree, rows=rows)
    wait_for("both work", lambda: len(quick_site.ledger.entries()) == 2)
    orphans = quick_site.place.descendants(first.pid)
    first.kill()
    assert is_open(quick_site)
    wait_for("its workers end with it", lambda: not set(orphans) & set(quick_site.place.alive()))
    walk.is_exact()
    assert quick_site.ledger.regranted > 0


def test_all_agents_may_die_and_others_go_on(
    quick_site: Site, tree: Path, slow: dict[str, str]
) -> None:
    agents = quick_site.start_agents(2, env=slow)
    walk = Walk(quick_site, tree, rows=True)
    for agent in agents:
        agent.kill()
    assert is_open(quick_site)
    quick_site.start_agent()
    walk.is_exact()
    assert quick_site.ledger.regranted > 0


@pytest.mark.parametrize("rows", [False, True])
def test_a_killed_broker_goes_on_where_its_journal_stands(
    site: Site, tree: Path, slow: dict[str, str], *, rows: bool
) -> None:
    quick = ("--heartbeat", "0.3", "--lease-ttl", "2", "--commit-interval", "1")
    broker = site.start_broker(*quick)
    agents = site.start_agents(2, env=slow)
    walk = Walk(site, tree, rows=rows)
    for _ in range(2):
        broker.kill()
        site.place.end(broker)
        assert is_open(site)
        commits = site.ledger.commits
        broker = site.start_broker(*quick)
        wait_for("commits are applied again", lambda: site.ledger.commits > commits)  # noqa: B023
    walk.is_exact()
    assert all(agent.poll() is None for agent in agents)


def test_a_killed_broker_goes_on_at_the_next_one_of_its_endpoints(
    site: Site, tree: Path, slow: dict[str, str]
) -> None:
    quick = ("--heartbeat", "0.3", "--lease-ttl", "2", "--commit-interval", "1")
    site.start_broker(*quick)
    first, second = site.endpoint, site.another_endpoint()
    both = ("--broker", f"{first},{second}")
    agents = [
        site.place.start("agent", "--role", "walker", "--workers", 2, *both, env=slow)
        for _ in range(2)
    ]
    site.agents += agents
    walk = site.place.start("walk", *both, "--json", "-q", tree)
    for endpoint in (second, first):
        wait_for("it is walked", lambda: site.ledger.commits > 0)
        assert is_open(site)
        commits = site.ledger.commits
        site.move_broker(endpoint, *quick)
        wait_for("commits are applied again", lambda: site.ledger.commits > commits)  # noqa: B023
    ended = site.place.end(walk)
    assert (ended.code, ended.err) == (0, "")
    oracle.same_totals(ended.json, oracle.totals(tree))
    assert all(agent.poll() is None for agent in agents)
    shown = site.place.run("ctl", "run", "verify", 1, "--json", "--broker", f"{second},{first}")
    assert "totals agree" in shown.json["detail"]


def test_an_agent_that_was_stopped_for_longer_than_its_lease_changes_nothing(
    quick_site: Site, tree: Path, slow: dict[str, str]
) -> None:
    first, _ = quick_site.start_agents(2, env=slow)
    walk = Walk(quick_site, tree, rows=True)
    wait_for("both work", lambda: len(quick_site.ledger.entries()) == 2)
    group = [first.pid, *quick_site.place.descendants(first.pid)]
    for pid in group:
        os.kill(pid, signal.SIGSTOP)
    assert is_open(quick_site)
    wait_for("its work is granted anew", lambda: quick_site.ledger.regranted > 0)
    for pid in reversed(group):
        os.kill(pid, signal.SIGCONT)
    walk.is_exact()
    assert first.poll() is None


def test_a_drained_agent_hands_its_work_back(
    quick_site: Site, tree: Path, slow: dict[str, str]
) -> None:
    first, _ = quick_site.start_agents(2, env=slow)
    walk = Walk(quick_site, tree, rows=True)
    wait_for("both work", lambda: len(quick_site.ledger.entries()) == 2)
    first.send_signal(signal.SIGTERM)
    ended = quick_site.place.end(first, 10.0)
    assert (ended.code, ended.err) == (0, "")
    assert is_open(quick_site)
    assert len(quick_site.names()) == 1
    walk.is_exact()
    assert quick_site.ledger.regranted > 0


def test_the_second_sigterm_of_an_agent_ends_it_at_once(
    quick_site: Site, trap: Path, shim: Path
) -> None:
    # A worker that hangs in a directory would let the drain wait.
    hang = {"LD_PRELOAD": str(shim), "SHIM_HANG": "stuck", "SHIM_SLOW": "5000"}
    [stuck] = quick_site.start_agents(1, "-v", env=hang)
    walk = Walk(quick_site, trap)
    stuck.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        stuck.wait(1.0)
    stuck.send_signal(signal.SIGTERM)
    assert quick_site.place.end(stuck, 5.0).code == 128 + signal.SIGTERM
    assert is_open(quick_site)
    quick_site.start_agent()
    walk.is_exact()


def test_ctrl_c_of_a_walk_on_a_bus_pauses_it(
    quick_site: Site, tree: Path, slow: dict[str, str]
) -> None:
    place: Place = quick_site.place
    quick_site.start_agents(2, env=slow)
    walk = Walk(quick_site, tree, rows=True)
    walk.process.send_signal(signal.SIGINT)
    ended = place.end(walk.process)
    command = f"zfs-walk --broker {quick_site.endpoint} --resume 1"
    assert (ended.code, ended.out) == (11, "")
    assert f"Run 1 is paused. Go on with: {command}" in ended.err
    assert (quick_site.ledger.state, quick_site.ledger.left > 0) == ("PAUSED", True)
    walk.process = place.start(*command.replace("zfs-walk", "walk").split(), "--json", "-q")
    walk.is_exact()
