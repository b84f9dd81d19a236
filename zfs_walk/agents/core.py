"""The walker agent's state machine: ``handle(event, now) -> [Instruction]``.

Holds the units that are leased to this session, deals their items to the workers, and keeps the
broker informed. It imports no socket, file, process or clock.
"""

import logging
from dataclasses import dataclass

from zfs_walk.agents.crew import Crew, WorkerState
from zfs_walk.agents.cuts import StealOrder
from zfs_walk.agents.events import (
    Connected,
    Drain,
    Event,
    Exit,
    FromBroker,
    FromPool,
    Instruction,
    Note,
    Reconnect,
    SetLogLevel,
    Tick,
    Welcomed,
    WorkerDied,
)
from zfs_walk.agents.holdings import Holdings
from zfs_walk.agents.link import Identity, Link
from zfs_walk.agents.statistics import CoreStatistics
from zfs_walk.agents.tasks import Flushed, Listed, Ready, Walked
from zfs_walk.agents.unit import Unit
from zfs_walk.protocol.messages import (
    LEVELS,
    MOST_WORKERS,
    Ack,
    Bye,
    ByeAck,
    Command,
    CommandDone,
    Error,
    Grant,
    Heartbeat,
    HeartbeatAck,
    Message,
    Nack,
    Rehello,
    Steal,
    StealRefused,
    Welcome,
    WorkRequest,
)

STEAL_STANDS = 0.25
"""Seconds that a STEAL may stand before it is refused (docs/protocol.md rule 5)."""

IDLE_BEFORE_ASKING = 0.005
"""Seconds that workers are idle before the broker is asked: they may get something from here."""

MOST_UNITS = 4
"""Units that an agent holds at most (docs/protocol.md section 3)."""

DRAIN_PATIENCE = 30.0
"""Seconds until a drain that the broker does not acknowledge is given up: the leases run out."""


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
        self.link = Link(settings.identity, settings.patience, settings.lost_patience)
        self._out: list[Instruction] = []
        self.crew = Crew(settings.identity.capacity, self._out)
        self.held = Holdings(self.crew, self.link, self._out)
        self._beats = 0
        self._entries = self._errors = 0
        self._next_beat = now
        self._told_want = 0
        self._idle_since: float | None = None
        self._draining = ""
        self._drained_since: float | None = None
        self._bye_sent = False
        self._last = now

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
        if self._draining:
            return f"it is leaving: {self._draining}"
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
                self._drain(reason, now)
            case Tick():
                self._tick(event, now)
        self._work(now)
        return self._take()

    def _mind_the_gap(self, now: float) -> None:
        gap, self._last = now - self._last, now
        if gap <= self.link.heartbeat:
            return
        self.link.shift(gap)
        if self._drained_since is not None:
            self._drained_since += gap
        for unit in self.units.values():
            if unit.steal is not None:
                unit.steal.since += gap

    def next_deadline(self, now: float) -> float:
        """When the next `Tick` is due at the latest."""
        due = now + 0.5
        if self.link.live:
            due = min(due, self._next_beat)
        for unit in self.units.values():
            due = min(due, unit.next_cut())
            if unit.steal is not None:
                due = min(due, unit.steal.since + STEAL_STANDS)
        if self._idle_since is not None and not self._told_want and self.link.live:
            due = min(due, self._idle_since + IDLE_BEFORE_ASKING)
        return due

    def _tick(self, tick: Tick, now: float) -> None:
        instruction = self.link.tick(now)
        if instruction is not None:
            self._told_want = 0
            if self.link.welcomed and isinstance(instruction, Reconnect):
                text = "the broker is silent: trying again, and walking on meanwhile"
                self._out.append(Note(logging.INFO, text))
            self._out.append(instruction)
        if now >= self._next_beat and self.link.live:
            self._next_beat = now + self.link.heartbeat
            self._beat(tick)
            self.held.resend_overdue(2 * self.link.heartbeat, now)

    def _beat(self, tick: Tick) -> None:
        self._beats += 1
        self.held.beat = self._beats
        if not self.crew.idle():
            self._told_want = 0
        self._send(
            Heartbeat(
                self._beats, self.held.holdings(), self._told_want, serving=True, why="",
                live=self.held.live(), rss=tick.rss, cpu_ms=tick.cpu_ms,
                loop_lag_ms=tick.loop_lag_ms,
            )
        )  # fmt: skip

    def _send(self, message: Message) -> None:
        self.held.send(message)

    # ------------------------------------------------------------------ the broker

    def _from_broker(self, message: Message, now: float) -> None:  # noqa: C901 -- a case a message
        match message:
            case Welcome():
                self._welcome(message, now)
            case Rehello(term):
                self._told_want = 0
                self.link.term = max(self.link.term, term)
                self._out.append(self.link.reconnect(now))
            case Grant():
                self._granted(message, now)
            case Ack():
                self.held.acked(message, now)
            case Nack():
                self.held.nacked(message, now)
            case Steal():
                self._steal(message, now)
            case Command():
                self._command(message, now)
            case HeartbeatAck():
                self.link.heartbeat = max(0.001, message.heartbeat_ms / 1000)
                self._next_beat = min(self._next_beat, now + self.link.heartbeat)
                for note in message.runs:
                    self.held.run_is(note.run, note.state)
                self.held.still_refused({note.run for note in message.runs}, message.n)
            case Error(code, detail):
                self._refused(code, detail)
            case ByeAck():
                self._out.append(Exit(""))
            case _:
                pass  # PARKED is only a sign of life

    def _welcome(self, message: Welcome, now: float) -> None:
        self.link.welcome(message, now)
        self._out.append(Welcomed(message.session, message.endpoints))
        self._told_want = 0
        self._next_beat = now
        self._bye_sent = False
        self.held.welcomed(message, now)

    def _steal(self, steal: Steal, now: float) -> None:
        unit = self.units.get((steal.uid, steal.epoch))
        if unit is None or unit.finished:
            self._send(StealRefused(steal.steal_id, steal.uid, steal.epoch, "not held"))
        else:
            unit.steal = StealOrder(steal.steal_id, steal.thieves, now)

    def _granted(self, grant: Grant, now: float) -> None:
        unit = self.held.granted(grant, now)
        if unit is not None:
            self._told_want = 0
            self._idle_since = None
            unit.releasing = self._draining

    def _command(self, command: Command, now: float) -> None:
        match command.name:
            case "pause":
                self.held.release(command.run, "paused")
            case "release":
                for unit in self.units.values():
                    if unit.uid == command.uid:
                        unit.releasing = unit.releasing or "released by request"
            case "abort":
                self.held.run_is(command.run, "ABORTED")
            case "drain":
                self._drain("drained by request", now)
                self._done(command, "it hands its work back and ends")
                return
            case "resize":
                self._resize(command)
                return
            case "set-log-level" if command.level in LEVELS:
                self.crew.set_level(command.level, command.logger)
                self._out.append(SetLogLevel(command.level, command.logger))
            case "set-log-level":
                detail = f"{command.level!r} is no level; there are {', '.join(LEVELS)}"
                self._done(command, detail, ok=False)
                return
        self._done(command, "")

    def _done(self, command: Command, detail: str, *, ok: bool = True) -> None:
        self._send(CommandDone(command.id, ok=ok, detail=detail))

    def _resize(self, command: Command) -> None:
        if self._draining:
            self._done(command, f"it is leaving: {self._draining}", ok=False)
        elif not 1 <= command.workers <= MOST_WORKERS:
            self._done(command, f"1 to {MOST_WORKERS} workers are possible", ok=False)
        else:
            before, self.link.capacity = self.crew.capacity, command.workers
            self.crew.resize(command.workers)
            self._done(command, f"{before} -> {command.workers} workers")

    def _refused(self, code: str, detail: str) -> None:
        if code == "superseded" and self._draining:
            self._out.append(Exit(""))  # only the answer to our BYE was lost
        elif code in {"version", "name-in-use", "superseded", "not-allowed"}:
            self._out.append(Exit(f"{code}: {detail}"))
        else:
            self._out.append(Note(logging.ERROR, f"the broker says {code}: {detail}"))

    def _drain(self, reason: str, now: float) -> None:
        if not self._draining:
            self._draining = reason
            self._drained_since = now
        for unit in self.units.values():
            unit.releasing = unit.releasing or reason

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
        if not self._draining or self.units:
            self.crew.fill()

    # ------------------------------------------------------------------ work

    def _work(self, now: float) -> None:
        for unit in list(self.units.values()):
            self._advance(unit, now)
            if unit.over:
                self.held.drop(unit.uid, unit.epoch, unit.seq)
        self.crew.dispatch(self.units.values(), self.held.runs)
        self.crew.hurry_the_busy()
        self.crew.dismiss_the_free(self.units.values())
        self._ask(now)
        self._leave(now)

    def _advance(self, unit: Unit, now: float) -> None:
        """Cut what is due, seal what is written, answer a standing STEAL."""
        if unit.cut_due(now) or unit.may_flush(self.crew.leavers()):
            unit.begin_cut(now)
            self.crew.flush(unit)
        self._seal(unit, now)
        if unit.steal is not None:
            # After the seal: what the broker knows by now can be given without another cut.
            self._answer_steal(unit, now)
            self._seal(unit, now)

    def _seal(self, unit: Unit, now: float) -> None:
        if unit.cut is not None and not unit.cut.waiting:
            self.held.commit(unit, unit.seal(), now)

    def _answer_steal(self, unit: Unit, now: float) -> None:
        cut_before = unit.cut
        commit = unit.split(now, self.crew.capacity)
        if commit is not None:
            self.held.commit(unit, commit, now)
        elif cut_before is None and unit.cut is not None:
            self.crew.flush(unit)
        elif unit.steal is not None and (
            now >= unit.steal.since + STEAL_STANDS or unit.releasing or unit.finished
        ):
            self._send(StealRefused(unit.steal.id, unit.uid, unit.epoch, "nothing to give"))
            unit.steal = None

    def _ask(self, now: float) -> None:
        """Tell the broker how many workers have nothing to do, if that stays so for a moment."""
        idle = len(self.crew.idle())
        held = sum(not unit.finished for unit in self.units.values())
        if not idle or self._draining or held >= MOST_UNITS:
            self._idle_since = None
            return
        if self._idle_since is None:
            self._idle_since = now
        settled = not held or now >= self._idle_since + IDLE_BEFORE_ASKING
        if settled and self._told_want == 0 and self.link.live:
            self._told_want = idle
            self._send(WorkRequest(idle))

    def _leave(self, now: float) -> None:
        if not self._draining or self._drained_since is None:
            return
        if not self.units and self.link.live and not self._bye_sent:
            self._bye_sent = True
            self._send(Bye(self._draining))
        elif not self.units and not self.link.live:
            # Nothing is held, so there is nothing that a broker would have to be told.
            self._out.append(Exit(""))
        elif now - self._drained_since > DRAIN_PATIENCE:
            self._out.append(Exit("the broker did not acknowledge the work that was given back"))
