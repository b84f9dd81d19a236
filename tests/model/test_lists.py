"""Whatever is lost, repeated, stopped or restarted: when it is quiet, every list is its folder's.

The oracle is the simulated folder itself.
"""

from collections import Counter

import pytest

from tests.model.scouts import World

SCHEDULES = 120
STEPS = 400


@pytest.fixture(autouse=True)
def _short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists of some dozen files take many pieces."""
    monkeypatch.setattr("zfs_walk.agents.scout.sender.MOST_ROWS", 3)
    monkeypatch.setattr("zfs_walk.agents.scout.sender.ROW_BYTES", 5)


def play(seed: int) -> World:
    world = World(seed)
    try:
        for _ in range(STEPS):
            world.step()
        world.come_to_rest()
        check(world)
    except Exception as error:
        error.add_note(f"seed {seed}")
        raise
    return world


def check(world: World) -> None:
    """Every claim serves, with exactly what is in its folder."""
    folders = [folder for scout in world.scouts for folder in scout.folders]
    lines = {line.path: line for line in world.claims()}
    assert sorted(lines) == sorted(folder.path for folder in folders)
    assert {line.why for line in lines.values()} == {""}
    for folder in folders:
        there = [folder.source.rows[name] for name in sorted(folder.source.rows)]
        assert world.rows(folder.path) == there
        assert lines[folder.path].files == len(there)


@pytest.mark.parametrize("block", range(4))
def test_when_it_is_quiet_every_list_is_its_folders(block: int) -> None:
    for seed in range(block * SCHEDULES // 4, (block + 1) * SCHEDULES // 4):
        play(seed)


def test_the_schedules_reach_what_they_are_for() -> None:
    counts: Counter[str] = Counter()
    for seed in range(SCHEDULES, SCHEDULES + 30):
        counts += play(seed).counts
    wanted = {
        "breaks", "broker restarts", "changes", "generations", "lost answers", "lost messages",
        "pieces", "repeats", "scout restarts", "sleeps",
    }  # fmt: skip
    assert not {what for what in wanted if counts[what] < 5}, counts
