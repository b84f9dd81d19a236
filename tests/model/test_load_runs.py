"""Load runs over the real cores of a broker and of load generators, driven by hypothesis.

Messages are lost, and come twice or late; routes break, agents and brokers die and come back.
Whatever happens: every run ends, nobody begins or plans one twice, every agent that lives stands by
again, and what the journal has of each agent is the last that it has said.
"""

import os
import random
from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.unit.broker.making import TERM, hello, journal_in_memory
from zfs_walk.agents.events import Connected, Exit, FromBroker, Reconnect, Send, Tick
from zfs_walk.agents.link import Identity
from zfs_walk.agents.loadgen.core import LoadCore
from zfs_walk.agents.loadgen.events import (
    Event,
    Instruction,
    Plan,
    Planned,
    Said,
    Snap,
    Snapped,
    Spawn,
    Tell,
)
from zfs_walk.agents.loadgen.run import RunSettings
from zfs_walk.agents.loadgen.tasks import (
    Ask,
    Beat,
    Check,
    Checked,
    Done,
    Finish,
    FromProcess,
    Go,
    LaidOut,
    LayOut,
    Ready,
)
from zfs_walk.broker import events as broker_events
from zfs_walk.broker.core import BrokerCore
from zfs_walk.broker.settings import Settings
from zfs_walk.load.spec import LoadSpec
from zfs_walk.protocol.messages import (
    CLIENT,
    ByeAck,
    Error,
    LoadPage,
    LoadShow,
    LoadStart,
    LoadStop,
    Message,
    Rehello,
    Welcome,
)

EXAMPLES = int(os.environ.get("ZFS_WALK_MODEL_EXAMPLES", "40"))
SCHEDULES = int(os.environ.get("ZFS_WALK_MODEL_SCHEDULES", "20"))
AGENTS = 3
STEP = 0.25
SPEC = LoadSpec(name="a", target="/data")
CLI = b"client"
OVER = {"DONE", "REFUSED", "ABORTED"}


class SimAgent:
    """A load generator's core, with processes that do at once what they are told."""

    def __init__(self, world: "World", name: str, number: int) -> None:
        self.world = world
        self.name = name
        identity = Identity("loadgen", "h", name, f"boot {number}", number, "0", 1)
        self.core = LoadCore(identity, world.now, patience=1e9)
        self.route = b""
        self.cut = False
        self.connect_at = world.now
        self.asleep_until = 0.0
        self.refuses = False
        self.gone = self.at_work = False
        self.events: list[Event] = []
        self.planned: Counter[int] = Counter()
        self.begun: Counter[int] = Counter()
        self.said: dict[int, list[bytes]] = {}

    def step(self) -> None:
        if self.gone or self.world.now < self.asleep_until:
            return
        if not self.route and self.world.now >= self.connect_at:
            self.world.routes += 1
            self.route = b"%d" % self.world.routes
            self.take(Connected())
        self.take(Tick())

    def take(self, event: Event) -> None:
        self.events.append(event)
        while self.events and not self.at_work:
            self.at_work = True
            if not self.gone:
                self.carry_out(self.core.handle(self.events.pop(0), self.world.now))
            else:
                self.events.clear()
            self.at_work = False

    def carry_out(self, instructions: Iterable[Instruction]) -> None:
        for each in instructions:
            match each:
                case Send(message):
                    if self.route and not self.cut:
                        self.world.post(self.route, message)
                case Reconnect(delay, _):
                    self.route, self.cut = b"", False
                    self.connect_at = self.world.now + delay
                case Plan(run, duration, _):
                    self.planned[run] += 1
                    self.plan(run, duration)
                case Spawn(worker):
                    self.say(Ready(worker, 1000 + worker))
                case Tell(worker, message):
                    self.told(worker, message)
                case Snap(run, last):
                    body = b"%s %d" % (self.name.encode(), len(self.said.setdefault(run, [])))
                    self.said[run].append(body)
                    self.take(Snapped(run, last, body))
                case Exit():
                    self.gone = True
                case _:
                    pass

    def plan(self, run: int, duration: float) -> None:
        if self.refuses:
            self.take(Planned(run, None, "no"))
        else:
            self.take(Planned(run, RunSettings((SPEC,), duration)))

    def told(self, worker: int, message: object) -> None:
        match message:
            case Ask(n):
                self.say(Beat(worker, n))
            case Check():
                self.say(Checked(worker, 1 << 20, 1000, 1, 10**12, 10**12, ""))
            case LayOut():
                self.say(LaidOut(worker))
            case Go():
                self.begun[self.core.number] += 1
            case Finish():
                self.say(Done(worker))

    def say(self, message: FromProcess) -> None:
        self.take(Said(message))


class World:
    """A broker that may be there, agents, a client, and what is on its way."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now = 1_000.0
        self.loss = 0.0
        self.routes = 0
        self.numbers = 0
        self.posted: list[tuple[bytes, Message]] = []
        self.late: list[tuple[float, broker_events.Event | broker_events.Send]] = []
        self.journal = journal_in_memory(clock=lambda: self.now)
        self.broker: BrokerCore | None = None
        self.agents = [self.agent(f"lg{n}") for n in range(AGENTS)]
        self.every: list[SimAgent] = list(self.agents)
        self.pages: list[LoadPage] = []
        self.requests: list[str] = []
        self.start_broker()

    def agent(self, name: str) -> SimAgent:
        self.numbers += 1
        return SimAgent(self, name, self.numbers)

    def kill(self, i: int) -> None:
        """An agent dies, and another one of its name comes."""
        self.agents[i] = self.agent(self.agents[i].name)
        self.every.append(self.agents[i])

    def start_broker(self) -> None:
        if self.broker is None:
            self.broker = BrokerCore(self.journal, Settings(), TERM, self.now)
            self.journal.commit()

    def post(self, route: bytes, message: Message) -> None:
        self.posted += [(route, message)] * self.times()
        self.repeat_later(broker_events.Received(route, message))

    def repeat_later(self, what: broker_events.Event | broker_events.Send) -> None:
        """Let a message come once more, after others that were sent later."""
        if self.rng.random() < self.loss / 2:
            self.late.append((self.now + self.rng.choice((0.5, 2.0, 6.0)), what))

    def deliver_late(self) -> None:
        due = [what for at, what in self.late if at <= self.now]
        self.late = [(at, what) for at, what in self.late if at > self.now]
        for what in due:
            if isinstance(what, broker_events.Send):
                for agent in self.agents:
                    if agent.route == what.route and not agent.cut:
                        agent.take(FromBroker(what.message))
            else:
                self.feed(what)

    def times(self) -> int:
        """How often a message arrives."""
        if self.rng.random() < self.loss:
            return self.rng.choice((0, 0, 2))
        return 1

    def ask(self, message: Message) -> None:
        if self.broker is not None:
            for each in (hello("cli", role=CLIENT), message):
                self.feed(broker_events.Received(CLI, each))

    def feed(self, event: broker_events.Event) -> None:
        if self.broker is None:
            return
        out = self.broker.handle(event, self.now)
        self.journal.commit()
        for each in out:
            if isinstance(each, broker_events.Send):
                self.deliver(each.route, each.message)

    def deliver(self, route: bytes, message: Message) -> None:
        if route == CLI:
            if isinstance(message, LoadPage):
                self.pages.append(message)
            return
        found = [
            each for each in self.agents if each.route == route and not (each.gone or each.cut)
        ]
        if not found:
            self.feed(broker_events.SendFailed(route, message, gone=True))
            return
        [agent] = found
        if self.now < agent.asleep_until:
            return
        if not isinstance(message, Rehello | Welcome | ByeAck | Error):
            self.repeat_later(broker_events.Send(route, message))
        for _ in range(self.times()):
            if agent.route == route:
                agent.take(FromBroker(message))

    def run_for(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now += STEP
            for agent in self.agents:
                agent.step()
            while self.posted:
                route, message = self.posted.pop(0)
                self.feed(broker_events.Received(route, message))
            self.deliver_late()
            self.feed(broker_events.Tick())

    def page(self, run: int) -> LoadPage:
        self.ask(LoadShow("p", 0, run, True, 0))
        return self.pages[-1]

    def settle(self) -> None:
        """Nothing goes wrong any more: check what must be true then."""
        self.loss = 0.0
        self.start_broker()
        for agent in self.agents:
            agent.asleep_until = 0.0
        self.run_for(400.0)
        assert self.broker is not None
        for run in sorted(self.broker.state.loads):
            self.check(self.page(run))
        for agent in self.agents:
            assert agent.core.assignment is not None
            assert agent.gone or agent.core.assignment.held is None
        for agent in self.every:
            assert set(agent.planned.values()) | set(agent.begun.values()) <= {1}

    def check(self, page: LoadPage) -> None:
        assert page.state in OVER
        kept = {each.session: each for each in page.reports}
        by_name: dict[str, list[SimAgent]] = {}
        for agent in self.every:
            by_name.setdefault(agent.name, []).append(agent)
        for member in page.members:
            report = kept.get(member.session)
            said = [agent.said.get(page.run, []) for agent in by_name[member.name]]
            mine = next((each for each in said if each), [])
            if member.state == "DONE":
                assert report is not None
                assert report.last
                assert report.snapshot == (mine[-1] if mine else b"")
            elif report is not None and report.snapshot:
                assert member.state in {"LOST", "REFUSED"}
                assert report.snapshot in mine
        if page.state == "DONE":
            assert {member.state for member in page.members} <= {"DONE", "LOST"}


@pytest.mark.parametrize("seed", range(SCHEDULES))
def test_whatever_happens_every_run_ends_with_what_its_agents_said_last(seed: int) -> None:
    rng = random.Random(seed)
    world = World(seed)
    world.loss = rng.choice((0.1, 0.3, 0.5))
    for step in range(80):
        world.run_for(rng.choice((0.25, 0.5, 1.0, 3.0)))
        agent = rng.randrange(AGENTS)
        match rng.choice(("start",) * 6 + ("stop", "kill", "sleep", "cut", "broker", "refuse")):
            case "start":
                seconds = rng.choice((1, 3, 8))
                size = rng.randint(1, AGENTS)
                world.ask(LoadStart(f"r{step}", 0, size, seconds * 1000, 20_000, b"{}"))
            case "stop" if world.broker is not None:
                if world.broker.state.loads:
                    world.ask(LoadStop("s", 0, rng.choice(sorted(world.broker.state.loads))))
            case "kill" if rng.random() < 0.5:
                world.kill(agent)
            case "sleep":
                world.agents[agent].asleep_until = world.now + rng.choice((0.5, 5.0, 25.0))
            case "cut":
                world.agents[agent].cut = True
            case "broker":
                world.broker = None
                world.run_for(rng.choice((0.25, 2.0, 20.0)))
                world.start_broker()
            case "refuse":
                world.agents[agent].refuses = not world.agents[agent].refuses
    world.settle()
    assert {page.state for page in world.pages} >= {"DONE"}


class LoadFaults(RuleBasedStateMachine):
    """Runs are started and stopped, and everything that can go wrong is a rule."""

    world: World

    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed: int) -> None:
        self.world = World(seed)
        self.world.run_for(2.0)

    @rule(seconds=st.sampled_from((0.25, 1.0, 4.0, 20.0)))
    def wait(self, seconds: float) -> None:
        self.world.run_for(seconds)

    @rule(agents=st.integers(1, AGENTS), seconds=st.sampled_from((1, 5, 30)), new=st.booleans())
    def start(self, agents: int, seconds: int, new: bool) -> None:  # noqa: FBT001
        world = self.world
        if new or not world.requests:
            world.requests.append(f"r{len(world.requests)}")
        world.ask(LoadStart(world.requests[-1], 0, agents, seconds * 1000, 10_000, b"{}"))

    @rule(run=st.integers(1, 3))
    def stop(self, run: int) -> None:
        self.world.ask(LoadStop("s", 0, run))

    @rule(i=st.integers(0, AGENTS - 1))
    def kill_an_agent(self, i: int) -> None:
        self.world.kill(i)

    @rule(i=st.integers(0, AGENTS - 1), refuses=st.booleans())
    def make_an_agent_refuse(self, i: int, refuses: bool) -> None:  # noqa: FBT001
        self.world.agents[i].refuses = refuses

    @rule(i=st.integers(0, AGENTS - 1), seconds=st.sampled_from((0.5, 5.0, 30.0)))
    def stop_an_agent(self, i: int, seconds: float) -> None:
        self.world.agents[i].asleep_until = self.world.now + seconds

    @rule(i=st.integers(0, AGENTS - 1))
    def break_a_connection(self, i: int) -> None:
        self.world.agents[i].cut = True

    @rule()
    def kill_the_broker(self) -> None:
        self.world.broker = None

    @rule()
    def start_the_broker(self) -> None:
        self.world.start_broker()

    @rule(loss=st.sampled_from((0.0, 0.2, 0.6)))
    def lose_and_repeat_messages(self, loss: float) -> None:
        self.world.loss = loss

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.settle()


TestLoadFaults = LoadFaults.TestCase
TestLoadFaults.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
