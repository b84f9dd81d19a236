"""A simulated agent process: the real core, and workers, socket and clock that are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model.invariants import check_agent
from tests.model.workers import SimWorker
from zfs_walk.agents.events import Connected, Drain, Exit, FromBroker, Note, Reconnect, Send, Tick
from zfs_walk.agents.link import Identity
from zfs_walk.agents.walker.core import AgentCore, AgentSettings
from zfs_walk.agents.walker.events import (
    Delete,
    Dismiss,
    Event,
    FreeSpool,
    FromPool,
    Hurry,
    Instruction,
    Spawn,
    Tell,
    WorkerDied,
)
from zfs_walk.agents.walker.tasks import LINK, FromWorker, Ready

if TYPE_CHECKING:
    from tests.model.world import Conn, World
    from zfs_walk.protocol.messages import Message


class SimAgent:
    """One process incarnation."""

    def __init__(self, world: World, host: str, name: str, boot: str, capacity: int) -> None:
        self.host, self.name, self.capacity = host, name, capacity
        self.alive = True
        self.conn: Conn | None = None
        self.workers: dict[int, SimWorker] = {}
        self.asleep_until = 0.0
        self.draining = False
        self.unheard_since = world.now
        self._world = world
        self._spool: dict[int, tuple[bytes, ...]] = {}
        self._inbox: list[Event] = []
        self._wake = 0
        self._turn_at: float | None = None
        self._last: dict[tuple[int, str], float] = {}
        identity = Identity("walker", host, name, boot, 1, "0", capacity)
        self.core = AgentCore(AgentSettings(identity, 900.0, 900.0), world.now)

    def start(self) -> None:
        self._carry_out(self.core.start())
        self._connect()

    # ------------------------------------------------------------------ the loop

    def _take(self, event: Event) -> None:
        if self.alive:
            self._inbox.append(event)
            self._schedule(self._world.rng.choice((0.0, 0.0, 0.001)))

    def _schedule(self, delay: float) -> None:
        now = self._world.now
        at = max(now + delay, self.asleep_until)
        if self._turn_at is not None and now <= self._turn_at <= at:
            return
        self._turn_at = at
        self._wake += 1
        mine = self._wake

        def turn() -> None:
            if mine == self._wake and self.alive:
                self._turn_at = None
                self._turn()

        self._world.after(at - now, turn)

    def _turn(self) -> None:
        world = self._world
        if world.now < self.asleep_until:
            self._schedule(0.0)
            return
        events, self._inbox = self._inbox, []
        # Results before deaths, and a tick at the end: as the shell does.
        events.sort(key=lambda event: isinstance(event, WorkerDied))
        for event in (*events, Tick()):
            self._carry_out(self.core.handle(event, world.now))
            if not self.alive:
                return
        if world.check_agents:
            check_agent(self.core)
        self._schedule(max(0.0, self.core.next_deadline(world.now) - world.now))

    def _carry_out(self, instructions: list[Instruction]) -> None:
        world = self._world
        for instruction in instructions:
            match instruction:
                case Send(message):
                    if self.conn is not None:
                        world.send_up(self.conn, message)
                case Tell(worker, task):
                    if world._validate:
                        assert LINK.decode(LINK.encode(task)) == task
                    self._tell(worker, task)
                case Hurry(worker, level):
                    if worker in self.workers:
                        self.workers[worker].hurry = level
                case Spawn(worker):
                    self._spawn(worker)
                case Dismiss(worker):
                    world.count("dismissals")
                    self.kill(worker, pointed=False)
                case Delete(_, names):
                    for name in names:
                        world.store.pop(name, None)
                        world.deleted.add(name)
                case FreeSpool():
                    self._spool.clear()
                case Reconnect(delay):
                    self._disconnect()
                    world.after(delay, self._connect)
                case Exit(failure):
                    self.end(failure)
                    return
                case Note(level, text):
                    if level >= 40:
                        world.failures.append(text)

    # ------------------------------------------------------------------ the broker

    def _connect(self) -> None:
        if not self.alive or self.conn is not None:
            return
        if self._world.now < self.asleep_until:
            self._world.after(self.asleep_until - self._world.now, self._connect)
            return
        self.conn = self._world.connect(self)
        self._carry_out(self.core.handle(Connected(), self._world.now))
        self._schedule(0.0)

    def _disconnect(self) -> None:
        if self.conn is not None:
            self._world.close(self.conn)
            self.conn = None

    def from_broker(self, conn: Conn, message: Message) -> None:
        if conn is self.conn:
            self._take(FromBroker(message))

    # ------------------------------------------------------------------ workers

    def _spawn(self, number: int) -> None:
        world = self._world

        def say(message: FromWorker, channel: str) -> None:
            if world._validate:
                assert LINK.decode(LINK.encode(message)) == message
            self._arrive(number, channel, message)

        worker = SimWorker(
            world, number, self.host, spool=self._spool, say=say,
            crash=lambda place: self.kill(number, pointed=True, place=place),
        )  # fmt: skip
        self.workers[number] = worker
        world.after(world.rng.choice((0.005, 0.2)), lambda: say(Ready(number, number), "results"))

    def _arrive(self, number: int, channel: str, message: FromWorker) -> None:
        """Along one of a worker's two sockets, each in order; what is on its way may outlive it."""
        key = (number, channel)
        world = self._world
        at = max(self._last.get(key, 0.0), world.now + 0.001 * world.rng.random())
        self._last[key] = at
        worker = self.workers.get(number)

        def arrive() -> None:
            if worker is not None and (worker.alive or world.rng.random() < 0.5):
                self._take(FromPool(message))

        world.after(at - world.now, arrive)

    def _tell(self, number: int, task: object) -> None:
        worker = self.workers.get(number)
        if worker is None:
            return
        key = (number, "tasks")
        world = self._world
        at = max(self._last.get(key, 0.0), world.now + 0.0005 * world.rng.random())
        self._last[key] = at
        world.after(at - world.now, lambda: worker.take(task))  # type: ignore[arg-type]

    def kill(
        self, number: int, *, pointed: bool, place: tuple[int, bytes, int] | None = None
    ) -> None:
        """A worker ends; the agent hears of it a moment later."""
        worker = self.workers.pop(number, None)
        if worker is None or not worker.alive:
            return
        worker.alive = False
        self._world.count("worker deaths")
        event = WorkerDied(number, "killed", pointed, place)
        self._world.after(0.003 * self._world.rng.random(), lambda: self._take(event))

    # ------------------------------------------------------------------ its end

    def drain(self) -> None:
        """SIGTERM."""
        if not self.draining:
            self._world.count("drains")
            self.draining = True
            self._take(Drain("terminated"))

    def end(self, failure: str, *, unnoticed: bool = False) -> None:
        """The process ends, and its workers with it."""
        if not self.alive:
            return
        self.alive = False
        for worker in self.workers.values():
            worker.alive = False
        if self.conn is not None:
            self._world.close(self.conn, unnoticed=unnoticed)
        self._world.agent_ended(self, failure)

    def crash(self) -> None:
        """SIGKILL, or a power cut that nobody notices at once."""
        self._world.count("agent crashes")
        self.end("", unnoticed=self._world.rng.random() < 0.5)

    def sleep(self, seconds: float) -> None:
        """SIGSTOP and, later, SIGCONT."""
        self._world.count("sleeps")
        self.asleep_until = max(self.asleep_until, self._world.now + seconds)
        self._schedule(0.0)

    def story(self) -> str:
        core = self.core
        lines = [
            (
                f"agent {self.host}/{self.name} live {core.link.live} idle {len(core.crew.idle())}"
                f" told {core.want.told} drain {core.draining.reason}"
            )
        ]
        lines += [
            f"  unit {u.uid:x} {u.epoch:x} run {u.run} items {len(u.frontier.items)} waiting"
            f" {len(u.frontier.waiting)} risky {len(u.frontier.risky)} wide {u.frontier.wide} tasks"
            f" {u.frontier.tasks} unacked {list(u.unacked)} cut {u.cut} steal {u.steal} releasing"
            f" {u.releasing!r} finished {u.finished}"
            for u in core.units.values()
        ]
        return "\n".join(lines)
