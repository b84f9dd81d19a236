"""The broker's state machine: ``handle(event, now) -> [Instruction]``.

It imports no socket, file, process or clock. Replies leave only after the journal's transaction
(the shell sees to that), so that nobody is told what is not durable.
"""

from zfs_walk.broker.access import Access
from zfs_walk.broker.claims import ClaimDesk
from zfs_walk.broker.events import Event, Garbled, Instruction, Received, SendFailed, Tick
from zfs_walk.broker.files import Lists
from zfs_walk.broker.journal import Journal
from zfs_walk.broker.keys import Key, Keyring
from zfs_walk.broker.loads import LoadRuns
from zfs_walk.broker.logs import Logs
from zfs_walk.broker.orders import Orders
from zfs_walk.broker.overview import Overview, Published
from zfs_walk.broker.restore import restore
from zfs_walk.broker.retention import Retention
from zfs_walk.broker.runs import Runs
from zfs_walk.broker.sessions import Sessions
from zfs_walk.broker.settings import Settings
from zfs_walk.broker.state import Session, State
from zfs_walk.broker.work import Work
from zfs_walk.errors import InternalError
from zfs_walk.protocol.messages import (
    TABLE,
    Agents,
    Bye,
    Cannot,
    Claim,
    Claims,
    CommandDone,
    Commit,
    Drain,
    Error,
    Files,
    FilesQuery,
    Grant,
    Heartbeat,
    Hello,
    KeyAdd,
    KeyList,
    KeyRevoke,
    LoadReady,
    Loads,
    LoadShow,
    LoadStart,
    LoadStop,
    LogLevel,
    LogSince,
    Message,
    Prune,
    Queue,
    QueueRows,
    Rehello,
    Report,
    Resize,
    Snapshot,
    Steal,
    StealRefused,
    Steer,
    WorkRequest,
)
from zfs_walk.protocol.messages import (
    Runs as RunsRequest,
)
from zfs_walk.protocol.statistics import BrokerStatistics

AGENTS = {row.message for row in TABLE if row.sender == "agent"}
CLIENTS = {row.message for row in TABLE if row.sender == "client"}

CLIENT_SILENCE = 3_600.0
"""Seconds after which a client that says nothing is forgotten; it says HELLO again if it comes."""


class BrokerCore:
    """One term of a broker."""

    def __init__(  # noqa: PLR0913 -- what a broker is made of
        self,
        journal: Journal,
        settings: Settings,
        unix_time: int,
        now: float,
        *,
        keys: Keyring | None = None,
        history: Published | None = None,
    ) -> None:
        """Go on where the journal stands, in a new term.

        Every lease gets one ``lease_ttl`` of grace, every session as long to say HELLO.

        Args:
            journal: what is durable.
            settings: time limits.
            unix_time: seconds since the epoch, the least that the new term may be.
            now: the monotonic clock, in seconds.
            keys: who may do what; None: whoever can connect may do everything.
            history: what was published lately; None where nothing is.
        """
        self.state = State(settings, term=journal.take_term(unix_time))
        self._journal = journal
        self._runs = Runs(self.state, journal)
        self._work = Work(self.state, journal, self._runs)
        self._orders = Orders(self.state, journal)
        self._desk = ClaimDesk(self.state, journal)
        self._lists = Lists(self.state, self._desk)
        self._logs = Logs(self.state, history)
        self._loads = LoadRuns(self.state, journal)
        self._sessions = Sessions(
            self.state, journal, self._work, self._runs, self._orders, self._desk, self._logs,
            self._loads,
        )  # fmt: skip
        self._retention = Retention(self.state, journal, self._loads)
        self._access = Access(self.state, keys or Keyring(), self._sessions)
        self._overview = Overview(self.state, history, self._desk.registry, self._loads, now)
        self._last = now
        self._beat = now
        stored = journal.load()
        restore(self.state, stored, self._work, self._desk, now)
        self._loads.load(stored, now)

    # ------------------------------------------------------------------ events

    def handle(self, event: Event, now: float) -> list[Instruction]:
        """Take an event, change the state and the journal, return what is to be sent."""
        self._mind_the_gap(now)
        match event:
            case Received(route, message, user):
                key = self._access.holder(user)
                if key is not None:  # else it was revoked: nothing of it is heard any more
                    self._received(route, message, key, now)
            case Garbled(route, code, detail):
                self.state.send(route, Error(code, detail))
            case SendFailed(route, message, gone):
                self._failed(route, message, now, gone=gone)
            case Tick(vitals):
                self.state.vitals = vitals or self.state.vitals
                self._tick(now)
        out, self.state.out = self.state.out, []
        return out

    def end_all_sessions(self, now: float) -> list[Instruction]:
        """Whoever started this broker knows that every agent of its last term is dead."""
        for session in list(self.state.sessions.values()):
            self._sessions.end(session, now)
        return self.handle(Tick(), now)

    def statistics(self, now: float) -> BrokerStatistics:
        """What the broker knows about itself."""
        return self._overview.statistics(now)

    def next_deadline(self, now: float) -> float:
        """When the next `Tick` is due at the latest."""
        due = now + self.state.settings.heartbeat / 4
        for run in self.state.runs.values():
            for waiter in run.waiters:
                due = min(due, waiter.deadline)
        for load in self.state.loads.values():
            if load.state == "WAITING":
                due = min(due, load.deadline)
        for session in self.state.sessions.values():
            if session.challenge is not None:
                due = min(due, session.challenge.deadline)
        return due

    def _mind_the_gap(self, now: float) -> None:
        """A process that was stopped or frozen judges nobody by the time that it slept."""
        gap = now - self._last
        self._last = now
        if gap <= self.state.settings.heartbeat:
            return
        for session in self.state.sessions.values():
            session.heard += gap
            session.probed += gap
            session.lost_at += gap
            if session.challenge is not None:
                session.challenge.deadline += gap
        self._loads.slept(gap)
        for unit in self.state.units.values():
            unit.deadline += gap
            if unit.steal is not None:
                unit.steal.deadline += gap

    def _received(self, route: bytes, message: Message, key: Key, now: float) -> None:
        if isinstance(message, Hello):
            refusal = self._access.refusal_of_hello(key, message)
            if refusal is not None:
                self.state.send(route, refusal)
                return
            self._sessions.on_hello(route, message, key.name, now)
        elif type(message) in CLIENTS:
            self._from_client(route, message, key, now)
        elif type(message) in AGENTS:
            session = self.state.sessions.get(self.state.routes.get(route, 0))
            # A route is a name that its peer has chosen: only the key says who it is.
            if session is None or session.key != key.name:
                self.state.send(route, Rehello(self.state.term))
                return
            self._sessions.heard(session, now)
            self._from_agent(session, message, now)
        else:
            self.state.send(route, Error("not-yours", "only a broker sends this message"))

    def _from_agent(  # noqa: C901, PLR0912 -- a case for each kind of message
        self, session: Session, message: Message, now: float
    ) -> None:
        match message:
            case Heartbeat():
                self._sessions.on_heartbeat(session, message, now)
            case Commit():
                self._work.on_commit(session, message, now)
            case WorkRequest():
                self._work.on_request(session, message, now)
            case StealRefused():
                self._work.on_refused(session, message, now)
            case Cannot():
                self._work.on_cannot(session, message, now)
            case Bye():
                self._sessions.on_bye(session, message, now)
            case CommandDone():
                self._orders.on_done(session, message)
            case QueueRows():
                self._orders.on_rows(session, message)
            case Claim():
                self._desk.on_claim(session, message, now)
            case Files():
                self._lists.on_files(session, message, now)
            case LoadReady():
                self._loads.on_ready(session, message, now)
            case Report():
                self._loads.on_report(session, message, now)
            case _:
                raise InternalError(reason=f"no handler for {type(message).__name__}")

    def _from_client(  # noqa: C901, PLR0912 -- a case for each kind of request
        self, route: bytes, message: Message, key: Key, now: float
    ) -> None:
        client = self.state.clients.get(route)
        if client is None or client.key != key.name:
            self.state.send(route, Rehello(self.state.term))
            return
        client.heard = now
        deadline = getattr(message, "deadline_ms", 0)
        if deadline and now * 1000 > deadline:
            detail = "the request's deadline was over; not executed"
            self.state.refuse(route, message, "too-late", detail)
            return
        refusal = self._access.refusal_of_request(key, message)
        if refusal is not None:
            self.state.send(route, refusal)
            return
        match message:
            case KeyAdd() | KeyList() | KeyRevoke():
                self._access.on_request(route, message, now)
            case LogLevel() | LogSince():
                self._logs.on_request(route, message)
            case Drain() | Resize() | Steer() | Queue():
                self._orders.on_request(route, message, now)
            case LoadStart() | LoadStop() | Loads() | LoadShow():
                self._loads.on_request(route, message, now)
            case Prune():
                self._retention.on_prune(route, message, now)
            case RunsRequest() | Agents() | Snapshot():
                self._overview.on_request(route, message, now)
            case Claims():
                self._desk.on_request(route, message, now)
            case FilesQuery():
                self._lists.on_request(route, message)
            case _:
                self._runs.on_request(route, message, now)
        for run in self.state.runs.values():
            if run.state == "ABORTED" and run.units:
                self._work.drop_run(run)
        self._work.match(now)

    def _failed(self, route: bytes, message: Message, now: float, *, gone: bool) -> None:
        if isinstance(message, Grant):
            unit = self.state.units.get(message.uid)
            if unit is not None and unit.epoch == message.epoch:
                self._work.take_back(unit)
        if isinstance(message, Steal):
            self._work.steal_not_sent(message)
        if gone:
            self._sessions.gone(route, now)

    def _tick(self, now: float) -> None:
        self._sessions.tick(now)
        self._work.tick(now)
        self._orders.tick(now)
        self._loads.tick(now)
        self._retention.tick()
        if now - self._beat >= self.state.settings.heartbeat:
            self._beat = now
            self._runs.remind()
            self._work.share(now)
            self._retention.beat(now)
            for route, client in list(self.state.clients.items()):
                if now - client.heard > CLIENT_SILENCE:
                    del self.state.clients[route]
