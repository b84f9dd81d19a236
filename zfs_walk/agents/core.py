"""The walker agent's state machine: ``handle(event, now) -> [Instruction]``.

Holds the units that are leased to this session, deals their items to the workers, and keeps the
broker informed. It imports no socket, file, process or clock.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from zfs_walk.agents.events import (
    HURRY_NOT,
    HURRY_NOW,
    HURRY_TO_SHARE,
    Connected,
    Delete,
    Drain,
    Event,
    Exit,
    FreeSpool,
    FromBroker,
    FromPool,
    Hurry,
    Instruction,
    Note,
    Send,
    Spawn,
    Tell,
    Tick,
    WorkerDied,
)
from zfs_walk.agents.link import Identity, Link
from zfs_walk.agents.tasks import (
    CloseRun,
    Flush,
    Flushed,
    Forget,
    Listed,
    ListParts,
    OpenRun,
    Ready,
    ToWorker,
    Walked,
)
from zfs_walk.agents.unit import StealOrder, Unit
from zfs_walk.protocol.messages import (
    Ack,
    Bye,
    ByeAck,
    Cannot,
    Command,
    CommandDone,
    Commit,
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
from zfs_walk.protocol.records import Holding, Lease, LiveCount, RootRecord, WalkOptions

BUDGET_MS = 100
"""How long a task may take; a worker that is needed earlier is hurried."""

STEAL_STANDS = 0.25
"""Seconds that a STEAL may stand before it is refused (docs/protocol.md rule 5)."""

IDLE_BEFORE_ASKING = 0.005
"""Seconds that workers are idle before the broker is asked: they may get something from here."""

MOST_UNITS = 4
WINDOW_OF_SPOOL = 2**36
"""Bytes of the (sparse) spool that one listing may fill."""

LAST_ROLL = 2**62
DRAIN_PATIENCE = 30.0
"""Seconds until a drain that the broker does not acknowledge is given up: the leases run out."""

EARLY_DEATHS = 5
"""Workers in a row that die before they say Ready, after which there is no point in more."""

UNEXPLAINED_DEATHS = 20
"""Crashes in a row without a place in the black box and without a result in between."""


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


@dataclass(slots=True)
class WorkerState:
    """What the agent knows of a worker; ``task`` 0: idle."""

    number: int
    ready: bool = False
    task: int = 0
    unit: Unit | None = None
    hurry: int = HURRY_NOT
    runs: set[int] = field(default_factory=set)


@dataclass(slots=True)
class RunInfo:
    """What workers must know of a run before its first task."""

    roots: tuple[RootRecord, ...]
    options: WalkOptions
    refused: bool = False


class AgentCore:
    """One agent process."""

    def __init__(self, settings: AgentSettings, now: float) -> None:
        """Nothing is started yet; `start` says what to do first."""
        self.settings = settings
        self.link = Link(settings.identity, settings.patience, settings.lost_patience)
        self.units: dict[tuple[int, int], Unit] = {}
        self.workers: dict[int, WorkerState] = {}
        self._runs: dict[int, RunInfo] = {}
        self._out: list[Instruction] = []
        self._next_worker = self._next_task = 1
        self._spool_next = 0
        self._commit_interval = 5.0
        self._window = 4
        self._beats = 0
        self._next_beat = now
        self._told_want = 0
        self._idle_since: float | None = None
        self._draining = ""
        self._drained_since: float | None = None
        self._bye_sent = False
        self._early_deaths = self._unexplained = 0
        self._sent: dict[tuple[int, int], float] = {}
        self._last = now

    def start(self) -> list[Instruction]:
        """Start the workers; the shell opens the first socket by itself."""
        for _ in range(self.settings.identity.capacity):
            self._spawn()
        return self._take()

    def _take(self) -> list[Instruction]:
        out, self._out = self._out, []
        return out

    def _spawn(self) -> None:
        worker = self._next_worker
        self._next_worker += 1
        self.workers[worker] = WorkerState(worker)
        self._out.append(Spawn(worker))

    # ------------------------------------------------------------------ events

    def handle(self, event: Event, now: float) -> list[Instruction]:
        """Take an event, return what is to be done."""
        self._mind_the_gap(now)
        match event:
            case Connected():
                self._out.append(self.link.connected(self._held(), now))
            case FromBroker(message):
                self.link.heard(message, now)
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
        if gap > self.link.heartbeat:
            self.link.shift(gap)

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
            self._out.append(instruction)
        if now < self._next_beat or not self.link.live:
            return
        self._next_beat = now + self.link.heartbeat
        self._beats += 1
        self._send(
            Heartbeat(
                self._beats,
                tuple(
                    Holding(unit.uid, unit.epoch, unit.stealable)
                    for unit in self.units.values()
                    if not unit.finished
                ),
                self._told_want, True, "", self._live(), tick.rss, tick.cpu_ms, tick.loop_lag_ms,
            )
        )  # fmt: skip
        for key, unit in self.units.items():
            if unit.unacked and now - self._sent.get(key, now) > 2 * self.link.heartbeat:
                self._resend(unit, now)

    def _live(self) -> tuple[LiveCount, ...]:
        counts: dict[int, list[int]] = {}
        for unit in self.units.values():
            count = counts.setdefault(unit.run, [0, 0, 0])
            count[0] += unit.live_entries
            count[2] += len(unit.items)
        return tuple(LiveCount(run, *count) for run, count in counts.items())

    def _held(self) -> list[Lease]:
        return [Lease(unit.uid, unit.epoch, unit.acked) for unit in self.units.values()]

    def _send(self, message: Message) -> None:
        """To the broker, if it is there: what matters is repeated after the next WELCOME."""
        if self.link.live:
            self._out.append(Send(message))

    def _tell_all(self, message: ToWorker) -> None:
        self._out.extend(Tell(worker, message) for worker in self.workers)

    # ------------------------------------------------------------------ the broker

    def _from_broker(self, message: Message, now: float) -> None:
        match message:
            case Welcome():
                self._welcome(message, now)
            case Rehello():
                self._told_want = 0
                self.link.term = max(self.link.term, message.term)
                self._out.append(self.link.reconnect(now))
            case Grant():
                self._granted(message, now)
            case Ack(uid, epoch, seq):
                unit = self.units.get((uid, epoch))
                if unit is not None:
                    unit.acknowledge(seq)
                    self._sent[uid, epoch] = now
            case Nack():
                self._nacked(message, now)
            case Steal(steal_id, uid, epoch, thieves):
                unit = self.units.get((uid, epoch))
                if unit is None or unit.finished:
                    self._send(StealRefused(steal_id, uid, epoch, "not held"))
                else:
                    unit.steal = StealOrder(steal_id, thieves, now)
            case Command():
                self._command(message, now)
            case HeartbeatAck():
                for note in message.runs:
                    self._run_is(note.run, note.state)
            case Error(code, detail):
                self._refused(code, detail)
            case ByeAck():
                self._out.append(Exit(""))
            case _:
                pass  # PARKED is only a sign of life

    def _welcome(self, message: Welcome, now: float) -> None:
        self.link.welcome(message, now)
        self._commit_interval = message.commit_interval_ms / 1000
        self._window = message.window
        self._told_want = 0
        self._next_beat = now
        for standing in message.drop:
            self._drop(standing.uid, standing.epoch, standing.applied)
        for standing in message.keep:
            unit = self.units.get((standing.uid, standing.epoch))
            if unit is not None:
                unit.acknowledge(standing.applied)
                unit.steal = None
                self._resend(unit, now)
        if self._draining:
            self._bye_sent = False

    def _resend(self, unit: Unit, now: float) -> None:
        for seq in sorted(unit.unacked):
            self._send_commit(unit, unit.unacked[seq], now)

    def _send_commit(self, unit: Unit, commit: Commit, now: float) -> None:
        self._sent[unit.uid, unit.epoch] = now
        self._send(commit)

    def _granted(self, grant: Grant, now: float) -> None:
        key = (grant.uid, grant.epoch)
        if key in self.units:
            return
        self._told_want = 0
        self._idle_since = None
        info = self._runs.get(grant.run)
        if info is None:
            info = self._runs[grant.run] = RunInfo(grant.roots, grant.options)
        self.units[key] = unit = Unit(grant, now, self._commit_interval, self._window)
        info.refused = False
        if self._draining:
            unit.releasing = self._draining

    def _nacked(self, nack: Nack, now: float) -> None:
        unit = self.units.get((nack.uid, nack.epoch))
        if unit is None:
            return
        if nack.code == "GAP" and nack.applied <= unit.acked:
            return
        if nack.code == "GAP" and nack.applied + 1 in unit.unacked:
            unit.acknowledge(nack.applied)
            self._resend(unit, now)
            return
        level = logging.INFO if nack.code in {"FENCED", "RUN_OVER"} else logging.ERROR
        self._out.append(Note(level, f"unit {nack.uid:x} dropped: {nack.code}: {nack.detail}"))
        self._drop(nack.uid, nack.epoch, nack.applied)

    def _command(self, command: Command, now: float) -> None:
        match command.name:
            case "pause":
                self._release(command.run, "paused")
            case "release":
                for unit in self.units.values():
                    if unit.uid == command.uid:
                        unit.releasing = "released by request"
            case "abort":
                self._run_is(command.run, "ABORTED")
            case "drain":
                self._drain("drained by request", now)
        self._send(CommandDone(command.id, ok=True, detail=""))

    def _run_is(self, run: int, state: str) -> None:
        if state in {"DRAINING", "PAUSED"}:
            self._release(run, "paused")
        elif state in {"ABORTED", "DONE", "DONE_WITH_ERRORS"}:
            for unit in [unit for unit in self.units.values() if unit.run == run]:
                self._drop(unit.uid, unit.epoch, unit.seq if state != "ABORTED" else unit.acked)

    def _release(self, run: int, reason: str) -> None:
        for unit in self.units.values():
            if unit.run == run and not unit.releasing:
                unit.releasing = reason

    def _refused(self, code: str, detail: str) -> None:
        if code in {"version", "name-in-use", "superseded"}:
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
        worker = self.workers.get(message.worker)
        if worker is None:
            return
        match message:
            case Ready():
                worker.ready = True
                self._early_deaths = 0
            case Walked() | Listed():
                self._result(worker, message)
            case Flushed():
                self._flushed(message)

    def _result(self, worker: WorkerState, message: Walked | Listed) -> None:
        unit = worker.unit
        if worker.task == message.task:
            worker.task, worker.unit = 0, None
        if unit is None or self.units.get((unit.uid, unit.epoch)) is not unit:
            return
        if message.refused:
            unit.put_back(message.task)
            self._cannot(unit.run, message.refused)
        elif isinstance(message, Walked):
            self._unexplained = 0
            unit.on_walked(message)
        else:
            unit.on_listed(message)

    def _cannot(self, run: int, reason: str) -> None:
        info = self._runs[run]
        if not info.refused:
            info.refused = True
            self._out.append(Note(logging.WARNING, f"run {run} can't be walked here: {reason}"))
            self._send(Cannot(run, reason))
        self._release(run, f"unreachable: {reason}")

    def _flushed(self, message: Flushed) -> None:
        unit = self.units.get((message.uid, message.epoch))
        if unit is None or not unit.on_flushed(message.worker, message.cut, message.segments):
            if unit is None or unit.cut is None or unit.cut.number != message.cut:
                self._delete_segments(unit, message)
            return
        if message.failed:
            self._roll_back(unit)
            self._cannot(unit.run, message.failed)

    def _delete_segments(self, unit: Unit | None, message: Flushed) -> None:
        """Rows of a cut that was rolled back meanwhile: nobody will list them."""
        names = tuple(segment.name for segment in message.segments)
        if unit is not None and names:
            self._out.append(Delete(unit.options.catalog, names))

    def _died(self, event: WorkerDied) -> None:
        worker = self.workers.pop(event.worker, None)
        if worker is None:
            return
        self._out.append(Note(logging.WARNING, f"worker {event.worker} ended: {event.cause}"))
        self._count_death(worker, event)
        for unit in self.units.values():
            if unit.stores_rows and unit.lost_rows(event.worker):
                self._roll_back(unit)
        if worker.unit is not None:
            worker.unit.put_back(worker.task)
            if event.pointed and event.place is not None:
                worker.unit.blame(*event.place)
        if not self._draining or self.units:
            self._spawn()

    def _count_death(self, worker: WorkerState, event: WorkerDied) -> None:
        if not worker.ready:
            self._early_deaths += 1
        if event.pointed and event.place is None:
            self._unexplained += 1
        if self._early_deaths >= EARLY_DEATHS:
            self._out.append(Exit(f"{EARLY_DEATHS} workers in a row can't start: {event.cause}"))
        elif self._unexplained >= UNEXPLAINED_DEATHS:
            self._out.append(Exit(f"workers crash again and again: {event.cause}"))

    def _roll_back(self, unit: Unit) -> None:
        roll = unit.roll
        garbage = unit.roll_back()
        for worker in self.workers.values():
            if worker.unit is unit:
                self._hurry(worker, HURRY_NOW)
        self._tell_all(Forget(unit.uid, unit.epoch, roll))
        if garbage:
            self._out.append(Delete(unit.options.catalog, tuple(s.name for s in garbage)))
        self._out.append(Note(logging.INFO, f"unit {unit.uid:x} rolled back to seq {unit.seq}"))

    def _drop(self, uid: int, epoch: int, applied: int) -> None:
        """The unit is not ours any more; segments that no applied commit lists are deleted."""
        unit = self.units.pop((uid, epoch), None)
        if unit is None:
            return
        self._sent.pop((uid, epoch), None)
        for worker in self.workers.values():
            if worker.unit is unit:
                self._hurry(worker, HURRY_NOW)
        if unit.stores_rows:
            self._tell_all(Forget(uid, epoch, LAST_ROLL))
            garbage = tuple(segment.name for segment in unit.sealed_after(applied))
            if garbage:
                self._out.append(Delete(unit.options.catalog, garbage))
        self._close_run(unit.run)

    def _close_run(self, run: int) -> None:
        if any(unit.run == run for unit in self.units.values()):
            return
        self._runs.pop(run, None)
        for worker in self.workers.values():
            if run in worker.runs:
                worker.runs.discard(run)
                self._out.append(Tell(worker.number, CloseRun(run)))

    # ------------------------------------------------------------------ work

    def _work(self, now: float) -> None:
        for unit in list(self.units.values()):
            self._advance(unit, now)
            if unit.over:
                self._drop(unit.uid, unit.epoch, unit.seq)
        self._dispatch()
        self._hurry_the_busy()
        self._ask(now)
        self._leave(now)

    def _advance(self, unit: Unit, now: float) -> None:
        """Cut what is due, seal what is written, answer a standing STEAL."""
        if unit.cut_due(now):
            unit.begin_cut(now)
            self._flush(unit)
        if unit.steal is not None:
            fresh = unit.cut is None
            commit = unit.split(now, self.settings.identity.capacity)
            if commit is not None:
                self._send_commit(unit, commit, now)
            elif fresh and unit.cut is not None:
                self._flush(unit)
            elif now >= unit.steal.since + STEAL_STANDS or unit.releasing or unit.finished:
                self._send(StealRefused(unit.steal.id, unit.uid, unit.epoch, "nothing to give"))
                unit.steal = None
        if unit.cut is not None and not unit.cut.waiting:
            self._send_commit(unit, unit.seal(), now)

    def _flush(self, unit: Unit) -> None:
        cut = unit.cut
        if cut is None:
            return
        for worker, upto in cut.waiting.items():
            name = f"{unit.run}-{unit.uid:x}-{unit.epoch:x}-{unit.roll}-{cut.number}-{worker}"
            flush = Flush(cut.number, unit.run, unit.uid, unit.epoch, unit.roll, upto, name)
            self._out.append(Tell(worker, flush))

    def _idle(self) -> list[WorkerState]:
        return [worker for worker in self.workers.values() if worker.ready and not worker.task]

    def _dispatch(self) -> None:
        for worker in self._idle():
            for unit in self.units.values():
                task = unit.next_task(
                    self._next_task, worker.number, len(self.workers), BUDGET_MS
                )
                if task is None:
                    continue
                if isinstance(task, ListParts):
                    task = replace(task, base=self._spool_next)
                    self._spool_next += WINDOW_OF_SPOOL
                self._next_task += 1
                self._open_run(worker, unit)
                self._hurry(worker, HURRY_NOT)
                worker.task, worker.unit = task.task, unit
                self._out.append(Tell(worker.number, task))
                break
        if self._spool_next and not any(unit.wide for unit in self.units.values()):
            self._spool_next = 0
            self._out.append(FreeSpool())

    def _open_run(self, worker: WorkerState, unit: Unit) -> None:
        if unit.run not in worker.runs:
            worker.runs.add(unit.run)
            info = self._runs[unit.run]
            self._out.append(Tell(worker.number, OpenRun(unit.run, info.roots, info.options)))

    def _hurry(self, worker: WorkerState, level: int) -> None:
        if worker.hurry != level:
            worker.hurry = level
            self._out.append(Hurry(worker.number, level))

    def _hurry_the_busy(self) -> None:
        idle = bool(self._idle())
        for worker in self.workers.values():
            unit = worker.unit
            if unit is None:
                continue
            if unit.releasing:
                self._hurry(worker, HURRY_NOW)
            elif (idle or unit.steal is not None) and worker.hurry == HURRY_NOT:
                self._hurry(worker, HURRY_TO_SHARE)

    def _ask(self, now: float) -> None:
        """Tell the broker how many workers have nothing to do, if that stays so for a moment."""
        idle = len(self._idle())
        held = sum(not unit.finished for unit in self.units.values())
        if not idle or self._draining or held >= MOST_UNITS:
            self._idle_since = None
            if self._told_want and now >= self._next_beat - 0.01:
                self._told_want = 0
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

    def statistics(self) -> Iterable[tuple[str, int]]:
        """Names and numbers for the status."""
        return (
            ("units", len(self.units)),
            ("workers", sum(worker.ready for worker in self.workers.values())),
            ("waiting", sum(len(unit.waiting) for unit in self.units.values())),
        )
