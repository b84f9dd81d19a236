"""The same world, driven by hypothesis: a schedule that fails shrinks to its shortest form."""

import os
import random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.model.agents import SimAgent
from tests.model.tree import Tree
from tests.model.world import World

EXAMPLES = int(os.environ.get("ZFS_WALK_MODEL_EXAMPLES", "40"))
AGENTS = 3


class Faults(RuleBasedStateMachine):
    """Three agents walk two runs, and everything that can go wrong is a rule."""

    world: World

    @initialize(seed=st.integers(0, 2**16), size=st.sampled_from((3, 30, 90)))
    def begin(self, seed: int, size: int) -> None:
        rng = random.Random(seed)
        self.world = World(seed, validate=True)
        self.world.start_broker()
        for i in range(AGENTS):
            self.world.start_agent(f"h{i}", "walker-0", 1 + i)
        for rows in (True, False):
            tree = Tree.grow(rng, 0, size, 0.05)
            self.world.submit([tree], rows=rows, min_agents=1)
        self.world.run_for(0.3)

    def agent(self, i: int) -> SimAgent | None:
        agents = self.world.agents
        return agents[i % len(agents)] if agents else None

    @rule(seconds=st.sampled_from((0.001, 0.01, 0.05, 0.3, 2.0, 20.0)))
    def wait(self, seconds: float) -> None:
        self.world.run_for(seconds)

    @rule(i=st.integers(0, AGENTS - 1), w=st.integers(0, 2))
    def kill_a_worker(self, i: int, w: int) -> None:
        agent = self.agent(i)
        if agent is not None and agent.workers:
            agent.kill(sorted(agent.workers)[w % len(agent.workers)], pointed=False)

    @rule(i=st.integers(0, AGENTS - 1))
    def kill_an_agent(self, i: int) -> None:
        agent = self.agent(i)
        if agent is not None:
            agent.crash()

    @rule(i=st.integers(0, AGENTS - 1))
    def drain_an_agent(self, i: int) -> None:
        agent = self.agent(i)
        if agent is not None:
            agent.drain()

    @rule(i=st.integers(0, AGENTS - 1), seconds=st.sampled_from((0.5, 4.0, 40.0)))
    def stop_an_agent(self, i: int, seconds: float) -> None:
        agent = self.agent(i)
        if agent is not None:
            agent.sleep(seconds)

    @rule(i=st.integers(0, AGENTS - 1))
    def break_a_connection(self, i: int) -> None:
        agent = self.agent(i)
        if agent is not None and agent.conn is not None:
            self.world.blip(agent.conn)

    @precondition(lambda self: self.world.broker is not None)
    @rule()
    def kill_the_broker(self) -> None:
        self.world.crash_broker()

    @rule()
    def start_the_broker(self) -> None:
        self.world.start_broker()

    @rule(seconds=st.sampled_from((0.5, 4.0, 40.0)))
    def stop_the_broker(self, seconds: float) -> None:
        self.world.sleep_broker(seconds)

    @precondition(lambda self: all(run.number for run in self.world.runs))
    @rule()
    def copy_the_journal(self) -> None:
        self.world.backup_journal()

    @rule()
    def restore_the_journal(self) -> None:
        self.world.restore_journal()

    @rule(run=st.integers(0, 1), kind=st.sampled_from(("pause", "continue", "status")))
    def command(self, run: int, kind: str) -> None:
        self.world.command(kind, self.world.runs[run])

    @rule(run=st.integers(0, 1))
    def abort(self, run: int) -> None:
        self.world.command("abort", self.world.runs[run])

    @rule(i=st.integers(0, AGENTS - 1), run=st.integers(0, 1))
    def unmount(self, i: int, run: int) -> None:
        self.world.blind_until[f"h{i}", self.world.runs[run].number] = self.world.now + 5.0

    @rule()
    def fill_the_disk(self) -> None:
        self.world.full_until = self.world.now + 1.0

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.settle()


TestFaults = Faults.TestCase
TestFaults.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
