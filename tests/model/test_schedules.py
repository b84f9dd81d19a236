"""Whatever is killed, stopped, lost or restored: every entry is counted once, and it ends.

A seed is a schedule. To play one again: ``python -m tests.model.schedule SEED SEED+1``.
"""

import os

import pytest

from tests.model.schedule import run_schedule

QUICK = 60
MANY = int(os.environ.get("ZFS_WALK_MODEL_SCHEDULES", "400"))
"""Schedules of the slow test; each takes about 50 ms."""

BLOCKS = 10


def play(seed: int) -> None:
    try:
        run_schedule(seed)
    except Exception as error:
        error.add_note(f"seed {seed}: python -m tests.model.schedule {seed} {seed + 1}")
        raise


@pytest.mark.parametrize("block", range(4))
def test_totals_are_exact_and_every_run_ends(block: int) -> None:
    for seed in range(block * QUICK // 4, (block + 1) * QUICK // 4):
        play(seed)


@pytest.mark.slow
@pytest.mark.big
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("block", range(BLOCKS))
def test_totals_are_exact_and_every_run_ends_in_many_schedules(block: int) -> None:
    for seed in range(QUICK + block * MANY // BLOCKS, QUICK + (block + 1) * MANY // BLOCKS):
        play(seed)


def test_the_schedules_reach_what_they_are_for() -> None:
    """A model that never gets to a split or a rollback would prove nothing about them."""
    counts: dict[str, int] = {}
    for seed in range(QUICK, QUICK + 40):
        for what, times in run_schedule(seed).counts.items():
            counts[what] = counts.get(what, 0) + times
    wanted = {
        "agent crashes", "blips", "broker crashes", "commits", "drains", "full queues",
        "quarantines", "releases", "restored journals", "runs judged", "sleeps", "splits",
        "splits with a cut", "wide directories", "worker deaths", "StealRefused",
    }  # fmt: skip
    assert not {what for what in wanted if counts.get(what, 0) < 5}
