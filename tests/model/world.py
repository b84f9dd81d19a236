"""A broker, its journal, agents, links and clients in simulated time, and all that can go wrong.

The cores and the journal are the real ones; sockets, processes and clocks are not. Every choice
comes from one seeded random generator, so a seed is a schedule.
"""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.model.agents import SimAgent
from tests.model.invariants import check_agent, check_broker, check_matched
from tests.model.tree import PART_LIMIT, Tree, worth
from tests.unit.broker.making import journal_in_memory
from zfs_walk.broker.core import BrokerCore
from zfs_walk.broker.events import Received, Send, SendFailed, Tick
from zfs_walk.broker.settings import Settings
from zfs_walk.broker.sqlite import COUNTER_STARTS, SqliteJournal
from zfs_walk.protocol.codec import BUS
from zfs_walk.protocol.messages import (
    CLIENT,
    Abort,
    Cannot,
    Commit,
    Continue,
    Hello,
    Message,
    Pause,
    Rehello,
    Resize,
    Retry,
    Status,
    StealRefused,
    Submit,
    Submitted,
    Verify,
)
from zfs_walk.protocol.messages import Done as DoneMessage
from zfs_walk.protocol.messages import Error as ErrorMessage
from zfs_walk.protocol.records import PART, RootRecord, WalkOptions

if TYPE_CHECKING:
    from tests.model.workers import Row

CLIENT_ROUTE = b"client"
SETTLE = 300.0
"""Seconds of simulated time in which everything must be over once nothing goes wrong any more, if
the workers are not slow."""

SPINS = 1_000
"""Events at one moment after which a loop is busy without an end."""

PATIENCE = 10.0
"""Seconds for which an agent without work may be unknown to be so, when nothing goes wrong."""


@dataclass(slots=True)
class SimRun:
    """What a client wants walked."""

    request: str
    trees: list[Tree]
    rows: bool
    min_agents: int
    local_to: str = ""
    number: int = 0


@dataclass(slots=True)
class Conn:
    """One socket of an agent; a route of the broker while it is attached."""

    agent: SimAgent
    route: bytes
    open: bool = True
    attached: bool = False
    unnoticed: bool = False
    life: int = 0
    up_at: float = 0.0
    down_at: float = 0.0
    outbox: list[Message] = field(default_factory=list)


@dataclass(slots=True)
class Backup:
    """An older copy of the journal."""

    journal: SqliteJournal


class World:
    """Everything."""

    def __init__(self, seed: int, *, validate: bool = False, check_every: int = 1) -> None:
        self.rng = random.Random(seed)
        self.now = self.rng.uniform(1e3, 1e5)
        self.journal = self._new_journal()
        self.broker: BrokerCore | None = None
        self.store: dict[str, list[Row]] = {}
        self.deleted: set[str] = set()
        self.agents: list[SimAgent] = []
        self.runs: list[SimRun] = []
        self.faults = True
        self.full_until = 0.0
        self.blind_until: dict[tuple[str, int], float] = {}
        self.counts: dict[str, int] = {}
        self.failures: list[str] = []
        self.verified: dict[int, str] = {}
        self.settings = Settings(grant_items=self.rng.choice((3, 20, 10_000)))
        self.slow = self.rng.choice((0.001, 0.02, 0.3))
        self.pace = self.rng.choice((0.3, 2.0, 10.0))
        self.micros = self.rng.choice((10, 20_000, 1_000_000))
        self._validate = validate
        self.check_agents = validate
        self._check_every = check_every
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._tie = itertools.count()
        self._inbox: list[Received | SendFailed] = []
        self._turn_at: float | None = None
        self._wake = 0
        self._broker_life = 0
        self._unix = 1_700_000_000
        self._conns: dict[bytes, Conn] = {}
        self._boots = itertools.count(1)
        self._batches = 0
        self._backup: Backup | None = None
        self._requests = itertools.count(1)
        self._asleep_until = 0.0

    def _new_journal(self) -> SqliteJournal:
        return journal_in_memory(first_id=lambda: self.rng.randrange(COUNTER_STARTS))

    # ------------------------------------------------------------------ time

    def after(self, delay: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + delay, next(self._tie), do))

    def run_for(self, seconds: float) -> None:
        """Let simulated time pass."""
        until = self.now + seconds
        spins = 0
        while self._events and self._events[0][0] <= until:
            before = self.now
            self.now, _, do = heapq.heappop(self._events)
            spins = spins + 1 if self.now == before else 0
            assert spins < SPINS, f"something spins: {self.story()}"
            do()
        self.now = until

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    # ------------------------------------------------------------------ what workers see

    def trees(self, run: int) -> list[Tree]:
        # Its client may not have heard of it yet.
        return next(r.trees for r in self.runs if self.journal.answer(r.request) == run)

    def blind(self, host: str, run: int) -> str:
        return "not mounted" if self.now < self.blind_until.get((host, run), 0.0) else ""

    def catalog_trouble(self) -> str:
        return "disk full" if self.now < self.full_until else ""

    # ------------------------------------------------------------------ the broker

    def start_broker(self) -> None:
        if self.broker is not None:
            return
        self._broker_life += 1
        self._unix += self.rng.choice((0, 1, 30))
        self._inbox.clear()
        self._turn_at = None
        self.broker = BrokerCore(self.journal, self.settings, self._unix, self.now)
        self.journal.commit()
        self.count("broker starts")
        for conn in self._conns.values():
            if conn.open:
                self._reattach(conn)
        self._inbox.append(Received(CLIENT_ROUTE, _client_hello(next(self._boots))))
        self._schedule_turn(0.0)

    def crash_broker(self) -> None:
        if self.broker is None:
            return
        self.count("broker crashes")
        self.broker = None
        self._broker_life += 1
        self._inbox.clear()
        # What a crash leaves of a journal: nothing of the open transaction.
        self.journal._database.undo()
        for conn in self._conns.values():
            conn.attached = False
            conn.life += 1

    def bounce_broker(self) -> None:
        """Crash, and start again soon."""
        self.crash_broker()
        self.after(self.rng.choice((0.0, 0.5, 3.0, 20.0)) * self.rng.random(), self.start_broker)

    def backup_journal(self) -> None:
        if self.journal._database.in_transaction:
            return
        copy = self._new_journal()
        self.journal._db.backup(copy._db)
        self._backup = Backup(copy)

    def restore_journal(self) -> None:
        """The broker dies, and an older copy of its journal takes over."""
        if self._backup is None:
            return
        self.count("restored journals")
        self.crash_broker()
        self.journal = self._backup.journal
        self._backup = None
        self.after(self.rng.random(), self.start_broker)

    def sleep_broker(self, seconds: float) -> None:
        """SIGSTOP and, later, SIGCONT."""
        self._asleep_until = max(self._asleep_until, self.now + seconds)

    def _to_broker(self, event: Received | SendFailed) -> None:
        if self.broker is not None:
            self._inbox.append(event)
            self._schedule_turn(self.rng.choice((0.0, 0.0, 0.0002, 0.01)))

    def _schedule_turn(self, delay: float) -> None:
        at = max(self.now + delay, self._asleep_until)
        if self._turn_at is not None and self._turn_at <= at and self._turn_at >= self.now:
            return
        self._turn_at = at
        self._wake += 1
        mine, life = self._wake, self._broker_life

        def turn() -> None:
            if mine == self._wake and life == self._broker_life:
                self._turn_at = None
                self._turn()

        self.after(at - self.now, turn)

    def _turn(self) -> None:
        """One transaction of the broker's loop."""
        broker = self.broker
        if broker is None:
            return
        if self.now < self._asleep_until:
            self._schedule_turn(0.0)
            return
        events: list[Any] = [*self._inbox[:256], Tick()]
        del self._inbox[:256]
        out: list[Send] = []
        for event in events:
            out.extend(order for order in broker.handle(event, self.now) if isinstance(order, Send))
        if self.faults and self.rng.random() < 0.002:
            self.bounce_broker()
            return
        self.journal.commit()
        self._batches += 1
        if self._batches % self._check_every == 0:
            check_broker(broker, self.journal)
            check_matched(broker)
        if self.faults and self.rng.random() < 0.002:
            self.bounce_broker()
            return
        for send in out:
            self._deliver(send)
        self._schedule_turn(max(0.0, broker.next_deadline(self.now) - self.now))
        if self._inbox:
            self._schedule_turn(0.0)

    def _deliver(self, send: Send) -> None:
        if self._validate:
            assert BUS.decode(BUS.encode(send.message)) == send.message
        if send.route == CLIENT_ROUTE:
            self._answered(send.message)
            return
        conn = self._conns.get(send.route)
        if conn is not None and conn.unnoticed:
            return
        if conn is None or not conn.open or not conn.attached:
            self._to_broker(SendFailed(send.route, send.message, gone=True))
            return
        if self.faults and self.rng.random() < 0.01:
            self.count("full queues")
            self._to_broker(SendFailed(send.route, send.message, gone=False))
            return
        conn.down_at = max(conn.down_at, self.now + self._delay())
        life = conn.life

        def arrive() -> None:
            if conn.open and conn.life == life:
                conn.agent.from_broker(conn, send.message)

        self.after(conn.down_at - self.now, arrive)

    # ------------------------------------------------------------------ links

    def _delay(self) -> float:
        return self.rng.choice((0.0002, 0.0002, self.slow)) * self.rng.random()

    def connect(self, agent: SimAgent) -> Conn:
        conn = Conn(agent, b"r%d" % next(self._boots))
        self._conns[conn.route] = conn
        self._reattach(conn)
        return conn

    def close(self, conn: Conn, *, unnoticed: bool = False) -> None:
        conn.open = False
        conn.attached = False
        conn.life += 1
        if unnoticed:
            conn.unnoticed = True

            def notice() -> None:
                conn.unnoticed = False
                self._conns.pop(conn.route, None)

            self.after(self.rng.choice((0.5, 5.0, 20.0)), notice)
        else:
            self._conns.pop(conn.route, None)

    def blip(self, conn: Conn) -> None:
        """The TCP connection breaks; ZeroMQ makes a new one under the same route."""
        if conn.attached:
            self.count("blips")
            conn.attached = False
            conn.life += 1
            self._reattach(conn)

    def _reattach(self, conn: Conn) -> None:
        life = self._broker_life

        def attach() -> None:
            if conn.open and self.broker is not None and life == self._broker_life:
                conn.attached = True
                outbox, conn.outbox = conn.outbox, []
                for message in outbox:
                    self.send_up(conn, message)

        if self.broker is not None:
            self.after(self.rng.choice((0.001, 0.2, 1.0)) * self.rng.random(), attach)

    def send_up(self, conn: Conn, message: Message) -> None:
        if self._validate:
            assert BUS.decode(BUS.encode(message)) == message
        self._note(message)
        if not conn.attached:
            conn.outbox.append(message)
            return
        conn.up_at = max(conn.up_at, self.now + self._delay())
        life, broker = conn.life, self._broker_life

        def arrive() -> None:
            if conn.life == life and broker == self._broker_life:
                self._to_broker(Received(conn.route, message))

        self.after(conn.up_at - self.now, arrive)

    def _note(self, message: Message) -> None:
        """Count what the schedules reach."""
        match message:
            case Commit():
                self.count("commits")
                if message.split:
                    self.count("splits with a cut" if message.found or message.done else "splits")
                if any(item.kind == PART for item in message.added):
                    self.count("wide directories")
                if message.release:
                    self.count("releases")
                if message.quarantined:
                    self.count("quarantines")
            case StealRefused() | Cannot():
                self.count(type(message).__name__)
            case _:
                pass

    # ------------------------------------------------------------------ agents

    def start_agent(self, host: str, name: str, capacity: int) -> SimAgent:
        agent = SimAgent(self, host, name, f"b{next(self._boots)}", capacity)
        self.agents.append(agent)
        agent.start()
        return agent

    def agent_ended(self, agent: SimAgent, failure: str) -> None:
        """Someone starts another one in its place."""
        self.agents.remove(agent)
        if failure:
            self.failures.append(failure)
        delay = self.rng.choice((0.1, 2.0, 30.0)) * self.rng.random()
        self.after(
            delay,
            lambda: (
                None
                if any((a.host, a.name) == (agent.host, agent.name) for a in self.agents)
                else void(self.start_agent(agent.host, agent.name, agent.capacity))
            ),
        )

    # ------------------------------------------------------------------ the client

    def submit(self, trees: list[Tree], *, rows: bool, min_agents: int, local_to: str = "") -> None:
        self.runs.append(SimRun(f"q{len(self.runs)}", trees, rows, min_agents, local_to))
        self._ask_submit(self.runs[-1])

    def _ask_submit(self, run: SimRun) -> None:
        if run.number:
            return
        catalog = b"/catalog" if run.rows else b""
        options = WalkOptions(
            names_only=False, one_file_system=True, max_depth=-1, part_limit=PART_LIMIT,
            excludes=(), includes=(), default_excludes=False, catalog=catalog, token="",
            # Every other run sends: its parts come before its directories, and any is given.
            to="sink:" if self.runs.index(run) % 2 else "",
        )  # fmt: skip
        roots = tuple(
            RootRecord(b"/r%d" % tree.root, run.local_to or "h0", "ext4", 2, not run.local_to)
            for tree in run.trees
        )
        self.ask(Submit(run.request, 0, roots, options, run.min_agents))
        self.after(1.0, lambda: self._ask_submit(run))

    def ask(self, message: Message) -> None:
        self._to_broker(Received(CLIENT_ROUTE, message))

    def _answered(self, message: Message) -> None:
        match message:
            case Submitted(request, number):
                for run in self.runs:
                    if run.request == request:
                        run.number = number
            case Rehello():
                self.ask(_client_hello(next(self._boots)))
            case DoneMessage(request, detail) if request.startswith("verify"):
                self.verified[int(request[6:])] = detail
            case DoneMessage(request):
                for kind in ("retry", "resize"):
                    if request.startswith(kind):
                        self.count(f"{kind} done")
            case ErrorMessage(code, detail, request) if request.startswith("verify"):
                self._fail(f"verify: {code}: {detail}")
            case ErrorMessage(code) if code in {"malformed", "unsupported"}:
                self._fail(f"the client got {message}")
            case _:
                pass

    def _fail(self, text: str) -> None:
        raise AssertionError(text)

    def command(self, kind: str, run: SimRun) -> None:
        request = f"c{next(self._requests)}"
        if kind == "pause":
            self.ask(Pause(request, 0, run.number))
        elif kind == "continue":
            self.ask(Continue(request, 0, run.number))
        elif kind == "abort":
            self.ask(Abort(request, 0, run.number))
        elif kind == "retry":
            self.ask(Retry(f"retry{request}", 0, run.number))
        elif kind == "status":
            self.ask(Status(request, 0, run.number, 500))

    def resize(self, agent: SimAgent, workers: int) -> None:
        request = f"resize{next(self._requests)}"
        self.ask(Resize(request, 0, agent.host, agent.name, workers))

    # ------------------------------------------------------------------ the end

    def state_of(self, run: SimRun) -> str:
        if self.broker is None or run.number not in self.broker.state.runs:
            return ""
        return self.broker.state.runs[run.number].state

    def settle(self) -> None:
        """No more faults: everything must end within the time allowed."""
        self.faults = False
        self.full_until = 0.0
        self.blind_until.clear()
        for agent in self.agents:
            agent.unheard_since = self.now
        until = self.now + SETTLE * max(1.0, self.pace)
        while self.now < until:
            self.start_broker()
            for run in self.runs:
                if self.state_of(run) == "PAUSED":
                    self.command("continue", run)
            self.run_for(0.5)
            for agent in self.agents:
                check_agent(agent.core)
                self._check_asks(agent)
            states = [self.state_of(run) for run in self.runs]
            if all(s in {"DONE", "DONE_WITH_ERRORS", "ABORTED"} for s in states):
                break
        else:
            raise AssertionError(self.story())
        self.run_for(20.0)
        for run in self.runs:
            for _ in range(60):
                if run.number not in self.verified:
                    self.ask(Verify(f"verify{run.number}", 0, run.number))
                    self.run_for(1.0)
            assert run.number in self.verified
            self._judge(run)

    def _check_asks(self, agent: SimAgent) -> None:
        """An agent that has nothing, and a broker that does not know it: not for long."""
        core = agent.core
        asks = self.broker is not None and any(
            session.boot == core.settings.identity.boot and session.hungry
            for session in self.broker.state.sessions.values()
        )
        has_nothing = core.crew.idle() and not core.units and not agent.draining
        asleep = self.now < max(self._asleep_until, agent.asleep_until)
        if asks or not has_nothing or not core.link.live or asleep:
            agent.unheard_since = self.now
        assert self.now - agent.unheard_since < PATIENCE, f"never asks: {self.story()}"

    def story(self) -> str:
        """What everybody thinks, when it does not end."""
        lines = ["it does not end:"]
        if self.broker is not None:
            state = self.broker.state
            lines += [str(s) for s in state.sessions.values()]
            lines += [str(u) for u in state.units.values()]
            lines += [
                f"run {r.number} {r.state} {r.reason} items {r.items} started {r.started}"
                for r in state.runs.values()
            ]
        for agent in self.agents:
            lines.append(agent.story())
        return "\n".join(lines)

    # ------------------------------------------------------------------ the oracle

    def _judge(self, run: SimRun) -> None:
        number = run.number
        state = self.state_of(run)
        listed = self.journal.segments(number, "", 10**6)
        rows: list[Row] = []
        for segment in listed:
            assert segment.name in self.store, f"{segment.name} was deleted"
            assert len(self.store[segment.name]) == segment.rows
            rows.extend(self.store[segment.name])
        counters = self.journal.counters(number)
        given_up: dict[int, set[tuple[bytes, int, int]]] = {}
        quarantined = self.journal.quarantined(number)
        for q in quarantined:
            places = given_up.setdefault(q.item.root, set())
            key = (q.item.path, q.item.part, q.item.parts)
            assert key not in places, f"{key} was given up twice"
            places.add(key)
        assert len(set(rows)) == len(rows), f"{len(rows) - len(set(rows))} rows twice"
        if run.rows:
            assert counters.get("entries", 0) == len(rows)
        if state == "ABORTED":
            return
        assert (state == "DONE_WITH_ERRORS") == bool(quarantined), (state, quarantined)
        wanted = [
            (tree.root, path)
            for tree in run.trees
            for path in tree.expected(given_up.get(tree.root, set()))
        ]
        for tree in run.trees:
            for path, part, parts in given_up.get(tree.root, set()):
                folder = tree.folders[path]
                assert folder.deadly > 100 or folder.io > 100, f"{path!r} {part}/{parts}: {folder}"
        assert counters.get("entries", 0) == len(wanted), (counters, len(wanted), state)
        assert counters.get("worth", 0) == sum(worth(root, path) for root, path in wanted)
        if run.rows:
            assert sorted(rows) == sorted(wanted)
        self.count("runs judged")


def void(_: object) -> None:
    """For a callback that returns nothing."""


def _client_hello(number: int) -> Hello:
    return Hello(1, 1, CLIENT, "h0", f"cli{number}", f"c{number}", 1, 1, "0", 0, (), 0)
