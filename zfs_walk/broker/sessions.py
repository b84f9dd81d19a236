"""Who is there: HELLO, heartbeats, probes, and what becomes of those who are not."""

import logging

from zfs_walk.broker.claims import ClaimDesk
from zfs_walk.broker.journal import Journal, StoredSession
from zfs_walk.broker.loads import LoadRuns
from zfs_walk.broker.logs import Logs
from zfs_walk.broker.orders import Orders
from zfs_walk.broker.runs import Runs
from zfs_walk.broker.state import Attached, Challenge, Session, SessionState, State
from zfs_walk.broker.work import Work
from zfs_walk.protocol.messages import (
    CLIENT,
    PROTO_MAX,
    PROTO_MIN,
    WALKER,
    Bye,
    ByeAck,
    Error,
    Heartbeat,
    HeartbeatAck,
    Hello,
    Rehello,
    Welcome,
)
from zfs_walk.protocol.records import Lease, RunNote, Standing

MISSED = 2.5
"""Heartbeat intervals of silence after which a session gets no new grants and its lists are in no
answer: it was probed twice by then, and ticks included all are told within three."""

TEN_YEARS = 10 * 366 * 86_400
"""Seconds; a higher term than ours by more than this is no term."""

FORGET_LOST = 86_400.0
"""Seconds after which a LOST session without units is forgotten."""

REMEMBER_ENDED = 1_000
"""Ended boots that are remembered, to refuse them if they come back."""


class Sessions:
    """Opens, watches and ends sessions."""

    def __init__(  # noqa: PLR0913, PLR0917 -- whom a session's end concerns
        self,
        state: State,
        journal: Journal,
        work: Work,
        runs: Runs,
        orders: Orders,
        desk: ClaimDesk,
        logs: Logs,
        loads: LoadRuns,
    ) -> None:
        self._state = state
        self._journal = journal
        self._work = work
        self._runs = runs
        self._orders = orders
        self._desk = desk
        self._logs = logs
        self._loads = loads

    # ------------------------------------------------------------------ HELLO

    def on_hello(self, route: bytes, hello: Hello, key: str, now: float) -> None:
        """A fresh socket says who it is; ``key`` is the name of the key that it has."""
        if hello.proto_min > PROTO_MAX or hello.proto_max < PROTO_MIN:
            detail = (
                f"you speak {hello.proto_min} to {hello.proto_max},"
                f" this broker {PROTO_MIN} to {PROTO_MAX}"
            )
            self._state.send(route, Error("version", detail))
            return
        if hello.highest_term > self._state.term + TEN_YEARS:
            self._state.send(route, Error("malformed", "HELLO.highest_term: no such term"))
            return
        # A client holds nothing of an earlier term, and a reader's key changes nothing.
        if hello.role != CLIENT and hello.highest_term > self._state.term:
            self._overtake(hello.highest_term)
        attached = self._state.sessions.get(self._state.routes.get(route, 0))
        if attached is not None and (
            (attached.host, attached.role, attached.name, attached.boot)
            != (hello.host, hello.role, hello.name, hello.boot)
        ):
            self._state.send(route, Error("malformed", "HELLO: this socket has said another one"))
            return
        if hello.role == CLIENT:
            self._state.clients[route] = Attached(now, key)
            self._welcome(route, 0, hello, (), (), now)
            return
        if (hello.host, hello.role, hello.name, hello.boot) in self._state.ended:
            detail = "this process's session has ended; another took its place"
            self._state.send(route, Error("superseded", detail))
            return
        holder = self._holder_of(hello)
        if holder is not None and holder.key not in {"", key}:
            self._of_another_key(holder, route, hello, key, now)
            return
        if holder is not None and holder.boot != hello.boot:
            self._challenge(holder, route, hello, key, now)
        elif holder is None or hello.conn > holder.conn or not holder.route:
            self._open(route, hello, key, holder, now)

    def _overtake(self, heard: int) -> None:
        """Someone knows a later term: our journal is an older copy; go past it and start over."""
        self._state.term = self._journal.take_term(heard + 1)
        for session in self._state.sessions.values():
            self._state.send(session.route, Rehello(self._state.term))

    def _holder_of(self, hello: Hello) -> Session | None:
        for session in self._state.sessions.values():
            if (session.host, session.role, session.name) == (hello.host, hello.role, hello.name):
                return session
        return None

    def _of_another_key(
        self, holder: Session, route: bytes, hello: Hello, key: str, now: float
    ) -> None:
        """A name belongs to a key as long as its session is not LOST."""
        if holder.state is SessionState.LOST:
            self.end(holder, now)
            self._open(route, hello, key, None, now)
            return
        detail = (
            f"the name {holder.name} on {holder.host} belongs to the key {holder.key};"
            " give this agent another --name"
        )
        self._state.send(route, Error("not-allowed", detail))

    def _challenge(self, holder: Session, route: bytes, hello: Hello, key: str, now: float) -> None:
        """Another process has the name: probe it; silence ends it, an answer refuses this one."""
        if holder.state is SessionState.LOST or not holder.route:
            self.end(holder, now)
            self._open(route, hello, key, None, now)
            return
        holder.challenge = Challenge(route, hello, key, now + self._state.heartbeat)
        self._probe(holder, now)

    def _open(
        self, route: bytes, hello: Hello, key: str, session: Session | None, now: float
    ) -> None:
        if session is None:
            session = Session(
                self._journal.next_id(), hello.role, hello.host, hello.name, hello.boot,
                SessionState.LIVE, now, key,
            )  # fmt: skip
            self._journal.add_session(
                StoredSession(session.id, hello.role, hello.host, hello.name, hello.boot, key)
            )
            self._state.sessions[session.id] = session
            self._note(logging.INFO, session, _joined(hello))
        self._state.routes.pop(session.route, None)
        self._state.routes[route] = session.id
        self._defend(session)
        session.route, session.conn, session.key = route, hello.conn, key
        session.pid, session.version = hello.pid, hello.version
        session.capacity = max(1, hello.capacity)
        session.heartbeat = self._state.heartbeat
        session.heard = now
        self._become(session, SessionState.LIVE, now)
        self._state.set_want(session, 0)
        session.live.clear()
        keep, drop = self._reconcile(session, hello.held, now)
        self._welcome(route, session.id, hello, keep, drop, now)
        self._logs.joined(session)
        self._work.match(now)

    def _reconcile(
        self, session: Session, held: tuple[Lease, ...], now: float
    ) -> tuple[tuple[Standing, ...], tuple[Standing, ...]]:
        """Compare the leases that the agent names with ours (docs/protocol.md rule 11)."""
        named = {(lease.uid, lease.epoch): lease for lease in held}
        keep: dict[tuple[int, int], Standing] = {}
        for uid in list(session.units):
            unit = self._state.units[uid]
            lease = named.get((uid, unit.epoch))
            if lease is not None and lease.acked_seq <= unit.seq:
                self._work.renew(session, unit, now)
                keep[uid, unit.epoch] = Standing(uid, unit.epoch, unit.seq)
            else:
                self._work.take_back(unit)
        drop = tuple(
            Standing(uid, epoch, self._journal.applied(session.id, uid, epoch))
            for uid, epoch in named
            if (uid, epoch) not in keep
        )
        return tuple(keep.values()), drop

    def _welcome(  # noqa: PLR0913, PLR0917 -- what WELCOME says
        self,
        route: bytes,
        session: int,
        hello: Hello,
        keep: tuple[Standing, ...],
        drop: tuple[Standing, ...],
        now: float,
    ) -> None:
        settings = self._state.settings
        self._state.send(
            route,
            Welcome(
                session, self._state.term, min(PROTO_MAX, hello.proto_max), round(now * 1000),
                round(self._state.heartbeat * 1000), round(self._state.lease_ttl * 1000),
                round(settings.commit_interval * 1000), settings.window, settings.endpoints,
                keep, drop,
            ),
        )  # fmt: skip

    # ------------------------------------------------------------------ life

    def heard(self, session: Session, now: float) -> None:
        """Any message of an agent is a sign of life."""
        session.heard = now
        self._become(session, SessionState.LIVE, now)
        self._defend(session)

    def _become(self, session: Session, state: SessionState, now: float) -> None:
        if session.state is not state:
            session.state = state
            self._desk.changed(session, now)

    def _defend(self, session: Session) -> None:
        """The holder of a name is alive: whoever else wants the name is refused."""
        if session.challenge is not None:
            detail = (
                f"the name {session.name} on {session.host} is in use by pid {session.pid};"
                " give this agent another --name"
            )
            self._state.send(session.challenge.route, Error("name-in-use", detail))
            session.challenge = None

    def on_heartbeat(self, session: Session, beat: Heartbeat, now: float) -> None:
        """Renew exactly the leases that are named."""
        session.rss = beat.rss
        session.live = {live.run: live for live in beat.live}
        for holding in beat.held:
            unit = self._state.units.get(holding.uid)
            if unit and unit.session == session.id and unit.epoch == holding.epoch:
                self._work.renew(session, unit, now)
                unit.stealable = holding.stealable
        self._work.want(session, beat.want, now)
        self._orders.repeat(session)
        self._loads.repeat(session, now)
        numbers = (
            {self._state.units[uid].run for uid in session.units}
            | session.live.keys()
            | session.cannot.keys()
        )
        notes = tuple(
            RunNote(number, self._state.runs[number].state)
            for number in numbers
            if number in self._state.runs
        )
        self._state.send(session.route, self._ack(session, beat.n, notes[:64]))
        self._work.match(now)
        self._loads.gather(now)

    def _ack(self, session: Session, n: int, notes: tuple[RunNote, ...]) -> HeartbeatAck:
        interval = self._state.heartbeat
        # A probe may not arrive; whoever has just been heard is there.
        if n:
            session.heartbeat = interval
        return HeartbeatAck(n, self._state.term, round(interval * 1000), notes)

    def on_bye(self, session: Session, bye: Bye, now: float) -> None:
        """A session ends itself: its leases are free at once."""
        self._note(logging.INFO, session, f"says goodbye: {bye.reason}")
        self._state.send(session.route, ByeAck())
        self.end(session, now)
        self._work.match(now)

    def end(self, session: Session, now: float) -> None:
        """The process is gone for good."""
        for uid in list(session.units):
            unit = self._state.units[uid]
            self._work.take_back(unit)
            self._runs.settle(self._state.runs[unit.run], now)
        self._state.routes.pop(session.route, None)
        self._state.set_want(session, 0)
        self._orders.ended(session)
        self._loads.ended(session, "it has ended", now)
        self._desk.ended(session, now)
        del self._state.sessions[session.id]
        self._note(logging.INFO, session, "has left")
        self._journal.end_session(session.id)
        self._state.ended[session.host, session.role, session.name, session.boot] = None
        while len(self._state.ended) > REMEMBER_ENDED:
            self._state.ended.pop(next(iter(self._state.ended)))

    def _note(self, level: int, session: Session, what: str) -> None:
        name = f"{session.name} on {session.host} (session {session.id:x})"
        self._state.note(level, f"{name} {what}")

    def gone(self, route: bytes, now: float) -> None:
        """A message could not be sent because nobody is there."""
        self._state.clients.pop(route, None)
        session = self._state.sessions.get(self._state.routes.get(route, 0))
        if session is None:
            return
        self._state.routes.pop(route, None)
        session.route = b""
        if session.state is not SessionState.LOST:
            self._suspect(session, now, now + self._state.settings.grace)
        if session.challenge is not None:
            self._give_way(session, now)

    def _suspect(self, session: Session, now: float, until: float) -> None:
        self._become(session, SessionState.SUSPECT, now)
        session.lost_at = until
        self._state.set_want(session, 0)

    def _give_way(self, session: Session, now: float) -> None:
        challenge = session.challenge
        self.end(session, now)
        if challenge is not None:
            self._open(challenge.route, challenge.hello, challenge.key, None, now)

    def _probe(self, session: Session, now: float) -> None:
        session.probed = now
        self._state.send(session.route, self._ack(session, 0, ()))

    def tick(self, now: float) -> None:
        """Probe the silent, suspect those who stay silent, give up after the grace."""
        self._state.pace()
        for session in list(self._state.sessions.values()):
            silent = now - session.heard
            # The interval that it was told: it may not know yet that a shorter one will do.
            heartbeat = max(session.heartbeat, self._state.heartbeat)
            if session.challenge is not None and now >= session.challenge.deadline:
                self._give_way(session, now)
            elif session.state is SessionState.LOST:
                if silent > FORGET_LOST and not session.units:
                    self.end(session, now)
            elif session.state is SessionState.SUSPECT:
                if now >= session.lost_at:
                    self._lose(session, now)
            elif silent > MISSED * heartbeat:
                self._suspect(session, now, session.heard + self._state.lease_ttl)
            if session.route and silent > heartbeat and now - session.probed > heartbeat:
                self._probe(session, now)

    def _lose(self, session: Session, now: float) -> None:
        self._become(session, SessionState.LOST, now)
        why = f"nothing was heard of it for {now - session.heard:.0f} s"
        self._loads.ended(session, why, now)
        silent = f"is lost: {why}"
        work = f"; units of work that go to others: {len(session.units)}" if session.units else ""
        self._note(logging.WARNING, session, f"{silent}{work}")
        session.live.clear()
        for uid in session.units:
            self._work.open_lease(self._state.units[uid])


def _joined(hello: Hello) -> str:
    workers = f" with {hello.capacity} workers" if hello.role == WALKER else ""
    return f"has joined as a {hello.role}{workers}"
