"""The verbs that steer runs and agents, each by its effect: on processes and on the ledger."""

import signal
from pathlib import Path

import pytest

from tests.process import oracle
from tests.process.place import Brake, Process, Site, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.big]


def in_the_middle(site: Site) -> None:
    wait_for("the walk is in its middle", lambda: site.ledger.commits >= 3 and site.ledger.left)


def test_a_drained_agent_hands_its_work_back_and_ends_well(
    quick_site: Site, tree: Path, brake: Brake
) -> None:
    first, second = quick_site.start_agents(2, env=brake.environment)
    process = quick_site.walk(tree)
    in_the_middle(quick_site)
    wait_for("both work", lambda: len(quick_site.ledger.entries()) == 2)
    [listed] = [a for a in quick_site.ctl("agent", "list")["agents"] if a["pid"] == first.pid]
    quick_site.ctl("agent", "drain", listed["name"], "--host", listed["host"])
    assert quick_site.place.end(first).code == 0
    assert len(quick_site.names()) == 1
    brake.release()
    ended = quick_site.place.end(process)
    oracle.same_totals(ended.json, oracle.totals(tree))
    assert second.poll() is None
    quick_site.verify()


@pytest.mark.parametrize("rows", [False, True], ids=["totals", "rows"])
def test_an_agent_is_resized_in_the_middle_of_a_walk_and_nothing_is_lost(
    quick_site: Site, tree: Path, brake: Brake, *, rows: bool
) -> None:
    [agent] = quick_site.start_agents(1, env=brake.environment)
    place = quick_site.place
    catalog = place.folder / "catalog"
    process = quick_site.walk(tree, *(("-o", catalog) if rows else ()))
    in_the_middle(quick_site)
    before = place.workers(agent)
    assert len(before) == 2
    quick_site.ctl("agent", "resize", "walker-1", 4)
    wait_for("two more come", lambda: len(place.workers(agent)) == 4)
    assert set(before) <= set(place.workers(agent))
    quick_site.ctl("agent", "resize", "walker-1", 1)
    wait_for("three go", lambda: len(place.workers(agent)) == 1)
    brake.release()
    ended = place.end(process)
    assert (ended.code, ended.err) == (0, "")
    oracle.same_totals(ended.json, oracle.totals(tree))
    if rows:
        assert oracle.catalog_paths(catalog) == oracle.paths(tree)
    # Whoever leaves in an orderly way takes nothing along: no unit was rolled back or granted anew.
    assert quick_site.ledger.regranted == 0
    quick_site.verify()
    agent.send_signal(signal.SIGTERM)
    told = place.end(agent)
    assert (told.code, told.err) == (0, "")


def test_an_agent_that_is_not_there_or_not_the_only_one_is_refused_with_those_that_are(
    quick_site: Site,
) -> None:
    quick_site.start_agents(1, "--host", "alpha", "--name", "w")
    quick_site.start_agents(1, "--host", "beta", "--name", "w", "--state", quick_site.place.state)
    for name, expected in (
        ("nobody", "there are: w on alpha, w on beta"),
        ("w", "w on alpha, w on beta have that name; say which with --host"),
    ):
        for verb in (("drain", name), ("resize", name, 3)):
            ended = quick_site.place.run("ctl", "agent", *verb, "--broker", quick_site.endpoint)
            assert (ended.code, ended.out) == (2, "")
            assert expected in ended.err
    assert len(quick_site.names()) == 2
    assert all(len(quick_site.place.workers(agent)) == 2 for agent in quick_site.agents)


def with_poison(site: Site, trap: Path, shim: Path) -> tuple[Process, int]:
    """An agent that lives with a folder that kills its workers, and the run that gave it up."""
    [agent] = site.start_agents(1, env={"LD_PRELOAD": str(shim), "SHIM_CRASH": "stuck"})
    catalog = site.place.folder / "catalog"
    ended = site.place.end(site.walk(trap, "-o", catalog))
    assert (ended.code, ended.json["state"]) == (1, "DONE_WITH_ERRORS")
    assert len(ended.json["quarantined"]) == 1
    return agent, ended.json["entries"]


def test_what_was_given_up_is_retried_and_is_no_error_any_more(
    quick_site: Site, trap: Path, shim: Path
) -> None:
    agent, entries = with_poison(quick_site, trap, shim)
    agent.terminate()
    quick_site.place.end(agent)
    quick_site.start_agents(1)
    assert entries < oracle.totals(trap)["entries"]
    quick_site.ctl("run", "retry", 1)
    wait_for("the run is over again", lambda: quick_site.ledger.state == "DONE")
    given_up = quick_site.ledger.rows("SELECT quarantined FROM ledger WHERE quarantined != 0")
    assert sorted(given_up) == [(-1,), (1,)]
    assert quick_site.ledger.rows("SELECT * FROM quarantine") == []
    attached = quick_site.place.run(
        "walk", "--broker", quick_site.endpoint, "--attach", 1, "--json", "-q"
    )
    assert (attached.code, attached.json["state"]) == (0, "DONE")
    assert (attached.json["errors"], attached.json["quarantined"]) == (0, [])
    oracle.same_totals(attached.json, oracle.totals(trap))
    assert oracle.catalog_paths(quick_site.place.folder / "catalog") == oracle.paths(trap)
    quick_site.verify()


def test_what_kills_again_is_given_up_again(quick_site: Site, trap: Path, shim: Path) -> None:
    _, entries = with_poison(quick_site, trap, shim)
    leases = quick_site.ledger.leases
    quick_site.ctl("run", "retry", 1)
    wait_for("it is granted again", lambda: quick_site.ledger.leases > leases)
    wait_for("the run is over again", lambda: quick_site.ledger.state == "DONE_WITH_ERRORS")
    shown = quick_site.ctl("run", "show", 1)
    assert (shown["entries"], len(shown["quarantined"])) == (entries, 1)
    quick_site.verify()


def test_a_run_without_anything_given_up_is_not_retried(quick_site: Site, tree: Path) -> None:
    quick_site.start_agents(1)
    assert quick_site.place.end(quick_site.walk(tree / "d0")).code == 0
    ended = quick_site.place.run("ctl", "run", "retry", 1, "--broker", quick_site.endpoint)
    assert ended.code == 2
    assert "run 1 is DONE and has no quarantined items" in ended.err
    assert quick_site.ledger.state == "DONE"


def runs_in(site: Site) -> list[int]:
    return [row[0] for row in site.ledger.rows("SELECT run FROM run ORDER BY run")]


def test_pruned_runs_are_gone_from_the_journal_and_their_catalogs_stay(
    quick_site: Site, tree: Path
) -> None:
    quick_site.start_agents(1)
    catalog = quick_site.place.folder / "catalog"
    for arguments in (("-o", catalog), (), ()):
        assert quick_site.place.end(quick_site.walk(tree / "d0", *arguments)).code == 0
    quick_site.ctl("run", "prune", 1)
    wait_for("run 1 goes", lambda: runs_in(quick_site) == [2, 3])
    assert quick_site.ledger.rows("SELECT DISTINCT run FROM ledger ORDER BY run") == [(2,), (3,)]
    assert quick_site.ledger.rows("SELECT * FROM segment") == []
    assert oracle.catalog_paths(catalog) == oracle.paths(tree / "d0")
    quick_site.ctl("run", "prune", "--older-than", "1h")
    assert runs_in(quick_site) == [2, 3]
    quick_site.ctl("run", "prune", "--older-than", "0s")
    wait_for("all go", lambda: runs_in(quick_site) == [])
    assert quick_site.ctl("run", "list")["runs"] == []


def test_a_run_that_is_on_is_not_pruned(quick_site: Site, tree: Path, brake: Brake) -> None:
    quick_site.start_agents(1, env=brake.environment)
    process = quick_site.walk(tree)
    in_the_middle(quick_site)
    quick_site.ctl("run", "prune", "--older-than", "0s")
    ended = quick_site.place.run("ctl", "run", "prune", 1, "--broker", quick_site.endpoint)
    assert ended.code == 2
    assert "run 1 is RUNNING; abort it first" in ended.err
    brake.release()
    oracle.same_totals(quick_site.place.end(process).json, oracle.totals(tree))


def test_a_broker_forgets_old_runs_by_itself_and_its_journal_gets_small_again(
    site: Site, tree: Path
) -> None:
    broker = site.start_broker("--keep-runs", "0")
    site.start_agents(1)
    leaves = sorted(tree.glob("d*/d*/d*/d*"))
    for _ in range(2):
        assert site.place.end(site.walk(*leaves)).code == 0
    broker.terminate()
    site.place.end(broker)
    full = site.ledger.path.stat().st_size
    assert runs_in(site) == [1, 2]
    broker = site.start_broker("--keep-runs", "0.00001")
    wait_for("they go", lambda: runs_in(site) == [])
    wait_for("no page is free", lambda: site.ledger.rows("PRAGMA freelist_count") == [(0,)])
    broker.terminate()
    site.place.end(broker)
    assert site.ledger.path.stat().st_size < full / 2
