"""Whatever is killed in a private walk, the result is exact."""

import os
import signal
from pathlib import Path

import pytest

from tests.process import oracle
from tests.process.conftest import PrivateLedger
from tests.process.place import KILLED, Ended, Place, Process, wait_for

PAUSED = 11


def started(place: Place, tree: Path, slow: dict[str, str], *, rows: bool) -> Process:
    """A walk that takes seconds."""
    output: list[str | Path] = ["-o", place.folder / "catalog"] if rows else []
    return place.start("walk", "--json", "-v", "--workers", 2, tree, *output, env=slow)


def is_exact(place: Place, tree: Path, ended: Ended, *, rows: bool) -> None:
    """The walk has ended well, and nothing is missing or there twice."""
    assert ended.code == 0, ended.err
    oracle.same_totals(ended.json, oracle.totals(tree))
    if rows:
        assert oracle.catalog_paths(place.folder / "catalog") == oracle.paths(tree)
    place.nothing_left()
    place.no_private_state()


@pytest.mark.slow
@pytest.mark.parametrize("rows", [False, True])
def test_a_killed_worker_costs_nothing(
    place: Place, tree: Path, slow: dict[str, str], private_ledger: PrivateLedger, *, rows: bool
) -> None:
    process = started(place, tree, slow, rows=rows)
    private_ledger.in_the_middle()
    victim = place.workers(process)[0]
    os.kill(victim, signal.SIGKILL)
    ended = place.end(process)
    assert KILLED.search(ended.err)
    # With rows it does, unless the victim's were just written: the test below kills until it does.
    assert rows or "rolled back to seq" not in ended.err
    is_exact(place, tree, ended, rows=rows)


@pytest.mark.slow
def test_workers_killed_again_and_again_cost_nothing(
    place: Place, tree: Path, slow: dict[str, str], private_ledger: PrivateLedger
) -> None:
    process = started(place, tree, slow, rows=True)
    ledger = private_ledger.in_the_middle()
    killed: set[int] = set()
    while len(killed) < 6:
        assert ledger.left > 0
        for pid in place.workers(process)[:1]:
            if pid not in killed:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
    ended = place.end(process)
    assert len(KILLED.findall(ended.err)) == len(killed)
    assert "rolled back to seq" in ended.err
    is_exact(place, tree, ended, rows=True)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [False, True])
def test_a_killed_walk_is_resumed(
    place: Place, tree: Path, slow: dict[str, str], private_ledger: PrivateLedger, *, rows: bool
) -> None:
    process = started(place, tree, slow, rows=rows)
    ledger = private_ledger.in_the_middle()
    process.kill()
    place.end(process)
    place.nothing_left()
    run, commits = private_ledger.run, ledger.commits
    assert (ledger.state, ledger.left > 0) == ("RUNNING", True)
    ended = place.run("walk", "--json", "-q", "--resume", run)
    assert ended.json["run"] == run
    assert commits > 0
    is_exact(place, tree, ended, rows=rows)


@pytest.mark.slow
def test_a_walk_that_is_killed_three_times_is_resumed_exactly(
    place: Place, tree: Path, slow: dict[str, str], private_ledger: PrivateLedger
) -> None:
    process = started(place, tree, slow, rows=True)
    for _ in range(3):
        ledger = private_ledger.in_the_middle()
        grants = ledger.leases
        process.kill()
        place.end(process)
        place.nothing_left()
        process = place.start("walk", "--json", "--resume", private_ledger.run, env=slow)
        wait_for("the rest is granted again", lambda: ledger.leases > grants)  # noqa: B023
    is_exact(place, tree, place.end(process), rows=True)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_pauses_and_the_walk_can_be_resumed(
    place: Place, tree: Path, slow: dict[str, str], private_ledger: PrivateLedger,
    number: signal.Signals,
) -> None:  # fmt: skip
    process = started(place, tree, slow, rows=True)
    ledger = private_ledger.in_the_middle()
    # As a terminal does it: to the whole group, zygote and workers too.
    os.killpg(process.pid, number)
    ended = place.end(process)
    run = private_ledger.run
    assert ended.code == PAUSED
    assert f"Run {run} is paused. Go on with: zfs-walk --resume {run}" in ended.err
    assert ended.out == ""
    assert (ledger.state, ledger.left > 0) == ("PAUSED", True)
    place.nothing_left()
    is_exact(place, tree, place.run("walk", "--json", "--resume", run), rows=True)


@pytest.mark.slow
def test_a_second_interrupt_ends_at_once(
    place: Place, trap: Path, shim: Path, private_ledger: PrivateLedger
) -> None:
    # A worker that hangs in a directory would let the pause wait.
    hang = {"LD_PRELOAD": str(shim), "SHIM_HANG": "stuck", "SHIM_SLOW": "5000"}
    process = started(place, trap, hang, rows=False)
    private_ledger.in_the_middle()
    process.send_signal(signal.SIGINT)
    wait_for("the pause is asked for", lambda: private_ledger.in_the_middle().state == "DRAINING")
    process.send_signal(signal.SIGINT)
    ended = place.end(process, 5.0)
    assert ended.code == 128 + signal.SIGINT
    place.nothing_left()
    is_exact(place, trap, place.run("walk", "--json", "--resume", private_ledger.run), rows=False)


@pytest.mark.slow
def test_a_killed_zygote_ends_the_walk_with_its_name(
    place: Place, tree: Path, slow: dict[str, str], private_ledger: PrivateLedger
) -> None:
    process = started(place, tree, slow, rows=False)
    private_ledger.in_the_middle()
    os.kill(place.descendants(process.pid)[0], signal.SIGKILL)
    ended = place.end(process, 10.0)
    assert ended.code == 13
    assert "the zygote of the workers ended unexpectedly" in ended.err
    assert f"--resume {private_ledger.run}" in ended.err
    is_exact(place, tree, place.run("walk", "--json", "--resume", private_ledger.run), rows=False)
