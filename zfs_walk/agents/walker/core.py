"""The walker agent's state machine: ``handle(event, now) -> [Instruction]``.

Holds the units that are leased to this session, deals their items to the workers, and keeps the
broker informed. It imports no socket, file, process or clock.
"""

import logging
from dataclasses import dataclass

from zfs_walk.agents.events import (
    Connected,
    Drain,
    Exit,
    FromBroker,
    Note,
    Reconnect,
    Tick,
    Welcomed,
)
from zfs_walk.agents.link import Identity, Link, on_error
from zfs_walk.agents.walker.commands import Commands
from zfs_walk.agents.walker.commits import Commits
from zfs_walk.agents.walker.crew import Crew, WorkerState
from zfs_walk.agents.walker.draining import Draining
from zfs_walk.agents.walker.events import Event, FromPool, Instruction, WorkerDied
from zfs_walk.agents.walker.holdings import Holdings
from zfs_walk.agents.walker.statistics import CoreStatistics
from zfs_walk.agents.walker.tasks import Flushed, Listed, Ready, Walked
from zfs_walk.agents.walker.unit import Unit
from zfs_walk.agents.walker.want import Want
from zfs_walk.protocol.messages import (
    Ack,
    ByeAck,
    Command,
    Error,
    Grant,
    Heartbeat,
    HeartbeatAck,
    Message,
    Nack,
    Rehello,
    Steal,
    Welcome,
)


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """How the agent behaves.

    Attributes:
        identity: who it is.
        patience: seconds to wait for a first broker.
        lost_patience: seconds to wait for one that went away.
    """

    identity: Identity
    patience: float = 10.0
    lost_patience: float = 600.0


class AgentCore:
    """One agent process."""

    def __init__(self, settings: AgentSettings, now: float) -> None:
        """Nothing is started yet; `start` says what to do first."""
        self.settings = settings
        self.link = Link(settings.identity, settings.patience, settings.lost_patience, now)
        self._out: list[Instruction] = []
        self.crew = Crew(settings.identity.capacity, self._out)
        self.held = Holdings(self.crew, self.link, self._out)
        self.draining = Draining(self.held, self.link, self._out)
        self.want = Want(self.crew, self.held, self.link, self.draining)
        self._commits = Commits(self.crew, self.held)
        self._commands = Commands(self.crew, self.held, self.link, self.draining, self._out)
        self._entries = self._errors = 0

    @property
    def units(self) -> dict[tuple[int, int], Unit]:
        """The units that are held, by (uid, epoch)."""
        return self.held.units

    def statistics(self) -> CoreStatistics:
        """What the agent is about."""
        units = self.units.values()
        return CoreStatistics(
            self._health(),
            len(units),
            sum(unit.frontier.stealable + len(unit.frontier.risky) for unit in units),
            self._entries,
            self._errors,
            sum(len(unit.unacked) for unit in units),
            frozenset(w.number for w in self.crew.workers.values() if w.task),
        )

    def _health(self) -> str:
        """What keeps it from its work, the gravest first."""
        if not self.link.live:
            return "no broker answers"
        if self.draining.reason:
            return f"it is leaving: {self.draining.reason}"
        if self.crew.early_deaths:
            return f"{self.crew.early_deaths} workers in a row could not start"
        refusals = [f"run {run}: {reason}" for run, reason in self.held.refusals()]
        return "; ".join(refusals)[:4096] or "ok"

    def start(self) -> list[Instruction]:
        """Start the workers; the shell opens the first socket by itself."""
        self.crew.fill()
        return self._take()

    def _take(self) -> list[Instruction]:
        out = list(self._out)
        self._out.clear()
        return out

    # ------------------------------------------------------------------ events

    def handle(self, event: Event, now: float) -> list[Instruction]:
        """Take an event, return what is to be done."""
        self._mind_the_gap(now)
        match event:
            case Connected():
                self._out.append(self.link.connected(self.held.leases(), now))
            case FromBroker(message):
                # What was read from a socket before it was given up is too late.
                if self.link.heard(now):
                    self._from_broker(message, now)
            case FromPool(message):
                self._from_pool(message)
            case WorkerDied():
                self._died(event)
            case Drain(reason):
                self.draining.begin(reason, now)
            case Tick():
                self._tick(event, now)
        self._work(now)
        return self._take()

    def _mind_the_gap(self, now: float) -> None:
        gap = self.link.asleep(now)
        if gap:
            self.draining.shift(gap)
            self._commits.shift(gap)

    def next_deadline(self, now: float) -> float:
        """When the next `Tick` is due at the latest."""
        due = min(self._commits.next_deadline(), self.want.next_deadline())
        return min(due, self.link.next_deadline(now))

    def _tick(self, tick: Tick, now: float) -> None:
        instruction = self.link.tick(now)
        if instruction is not None:
            self.want.forget()
            if self.link.welcomed and isinstance(instruction, Reconnect):
                text = "the broker is silent: trying again, and walking on meanwhile"
                self._out.append(Note(logging.INFO, text))
            self._out.append(instruction)
        beat = self.link.beat(now)
        if beat:
            self._beat(beat, tick)
            self.held.resend_overdue(2 * self.link.heartbeat, now)

    def _beat(self, n: int, tick: Tick) -> None:
        self.held.beat = n
        self.held.send(
            Heartbeat(
                n, self.held.holdings(), self.want.renew(), serving=True, why="",
                live=self.held.live(), rss=tick.rss, cpu_ms=tick.cpu_ms,
                loop_lag_ms=tick.loop_lag_ms,
            )
        )  # fmt: skip

    # ------------------------------------------------------------------ the broker

    def _from_broker(self, message: Message, now: float) -> None:  # noqa: C901 -- a case a message
        match message:
            case Welcome():
                self._welcome(message, now)
            case Rehello():
                self.want.forget()
                self._out.append(self.link.rehello(message, now))
            case Grant():
                self._granted(message, now)
            case Ack():
                self.held.acked(message, now)
            case Nack():
                self.held.nacked(message, now)
            case Steal():
                self._commits.on_steal(message, now)
            case Command():
                self._commands.obey(message, now)
            case HeartbeatAck():
                self.link.acknowledged(message, now)
                for note in message.runs:
                    self.held.run_is(note.run, note.state)
                self.held.still_refused({note.run for note in message.runs}, message.n)
            case Error():
                self._out.append(on_error(message, leaving=bool(self.draining.reason)))
            case ByeAck():
                self._out.append(Exit(""))
            case _:
                pass  # PARKED is only a sign of life

    def _welcome(self, message: Welcome, now: float) -> None:
        self.link.welcome(message, now)
        self._out.append(Welcomed(message.session, message.endpoints))
        self.want.forget()
        self.draining.welcomed()
        self.held.welcomed(message, now)

    def _granted(self, grant: Grant, now: float) -> None:
        unit = self.held.granted(grant, now)
        if unit is not None:
            self.want.granted()
            unit.releasing = self.draining.reason

    # ------------------------------------------------------------------ the pool

    def _from_pool(self, message: Ready | Walked | Listed | Flushed) -> None:
        worker = self.crew.workers.get(message.worker)
        if worker is None:
            return
        match message:
            case Ready():
                self.crew.ready(worker)
            case Walked() | Listed():
                self._result(worker, message)
            case Flushed():
                self.held.flushed(message)

    def _result(self, worker: WorkerState, message: Walked | Listed) -> None:
        unit = self.crew.took(worker, message.task)
        if unit is None or self.units.get((unit.uid, unit.epoch)) is not unit:
            return
        if message.refused:
            unit.frontier.put_back(message.task)
            self.held.cannot(unit.run, message.refused)
            return
        self.crew.worked()
        if isinstance(message, Walked):
            self._entries += message.counters.get("entries", 0)
            self._errors += message.counters.get("errors", 0)
            unit.progress.on_walked(message)
        else:
            unit.progress.on_listed(message)

    def _died(self, event: WorkerDied) -> None:
        worker = self.crew.died(event)
        if worker is None:
            return
        level = logging.INFO if worker.dismissed else logging.WARNING
        self._out.append(Note(level, f"worker {event.worker} ended: {event.cause}"))
        hopeless = self.crew.hopeless()
        if hopeless:
            self._out.append(Exit(f"{hopeless}: {event.cause}"))
        if worker.unit is not None:
            worker.unit.progress.worker_died(worker.task, event.place if event.pointed else None)
        self.held.worker_died(event.worker)
        if not self.draining.reason or self.units:
            self.crew.fill()

    # ------------------------------------------------------------------ work

    def _work(self, now: float) -> None:
        self._commits.advance(now)
        self.crew.dispatch(self.units.values(), self.held.runs)
        self.crew.hurry_the_busy()
        self.crew.dismiss_the_free(self.units.values())
        self.want.ask(now)
        self.draining.leave(now)
