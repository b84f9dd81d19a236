"""One random schedule: a world, its runs, its faults, its end."""

import random
import sys
import time
import traceback
from collections import Counter
from unittest.mock import patch

from tests.model.tree import Tree
from tests.model.world import World
from zfs_walk.agents.walker import cuts


def run_schedule(seed: int) -> World:
    """Play the schedule of a seed to its end; any violation raises."""
    rng = random.Random(seed * 7919)
    # Small trees fill a commit as large ones do, if a commit holds little.
    with patch.object(cuts, "MOST_ITEMS", rng.choice((6, 30, 65_536))):
        return _play(seed, rng)


def _play(seed: int, rng: random.Random) -> World:
    world = World(seed, validate=seed % 8 == 0, check_every=rng.choice((1, 5)))
    world.start_broker()
    hosts = rng.choice((1, 2, 3))
    for i in range(rng.randint(1, 4)):
        world.start_agent(f"h{i % hosts}", f"walker-{i}", rng.randint(1, 3))
    trouble = rng.choice((0.0, 0.0, 0.05, 0.15))
    for _ in range(rng.choice((1, 1, 2, 3))):
        local = rng.random() < 0.15
        trees = [
            Tree.grow(rng, root, rng.choice((1, 10, 60, 150)), trouble)
            for root in range(rng.choice((1, 1, 2)))
        ]
        world.submit(
            trees,
            rows=rng.random() < 0.6,
            min_agents=rng.choice((1, 1, 2)) if len(world.agents) > 1 and not local else 1,
            local_to="h0" if local else "",
        )
    appetite = rng.choice((0.0, 0.2, 1.0, 3.0))
    beat = rng.choice((0.03, 0.3))
    end = world.now + rng.choice((2.0, 6.0, 25.0))
    while world.now < end:
        world.run_for(rng.expovariate(1.0) * beat)
        if rng.random() < appetite / (1 + appetite):
            one_fault(world, rng)
    world.settle()
    return world


def one_fault(world: World, rng: random.Random) -> None:
    """Something goes wrong, or somebody wants something."""
    agent = rng.choice(world.agents) if world.agents else None
    run = rng.choice(world.runs)
    match rng.choices(
        ("worker", "agent", "broker", "blip", "sleep", "broker sleep", "drain", "pause", "continue",
         "abort", "backup", "restore", "blind", "full", "status", "retry", "resize"),
        (10, 4, 3, 4, 3, 1, 2, 2, 3, 0.2, 2, 1, 1, 1, 1, 2, 2),
    )[0]:  # fmt: skip
        case "worker" if agent and agent.workers:
            agent.kill(rng.choice(list(agent.workers)), pointed=False)
        case "agent" if agent:
            agent.crash()
        case "broker":
            world.bounce_broker()
        case "blip" if agent and agent.conn:
            world.blip(agent.conn)
        case "sleep" if agent:
            agent.sleep(rng.choice((0.5, 3.0, 10.0, 40.0)))
        case "broker sleep":
            world.sleep_broker(rng.choice((0.5, 3.0, 30.0)))
        case "drain" if agent:
            agent.drain()
        case "pause" | "continue" | "abort" | "status" | "retry" as kind:
            world.command(kind, run)
        case "resize" if agent:
            world.resize(agent, rng.randint(1, 4))
        case "backup":
            if all(run.number for run in world.runs):
                world.backup_journal()
                if rng.random() < 0.5:
                    world.after(rng.choice((0.05, 1.0)) * rng.random(), world.restore_journal)
        case "restore":
            world.restore_journal()
        case "blind" if agent:
            world.blind_until[agent.host, run.number] = world.now + rng.choice((0.1, 3.0, 20.0))
        case "full":
            world.full_until = world.now + rng.choice((0.1, 2.0))
        case _:
            pass


def main(first: int, last: int) -> int:
    """Play schedules, say which failed and how; 1 if any did."""
    kinds: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    began = time.perf_counter()
    for seed in range(first, last):
        try:
            totals.update(run_schedule(seed).counts)
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is a find
            frame = traceback.extract_tb(error.__traceback__)[-1]
            kind = f"{type(error).__name__} {frame.name}:{frame.lineno} {str(error)[:100]!r}"
            kinds[kind] += 1
            sys.stdout.write(f"seed {seed}: {kind}\n")
            sys.stdout.flush()
    seconds = time.perf_counter() - began
    failed = sum(kinds.values())
    sys.stdout.write(f"{last - first} schedules, {failed} failed, {seconds:.0f} s\n")
    for what, times in sorted(totals.items()):
        sys.stdout.write(f"{times:9,} {what}\n")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
