"""Load runs: many load generators begin at once, and each one's last word is kept.

What they are to do, and what they report, the broker hands on and does not understand. The number
of the run is the name of its orders: each is repeated with every heartbeat of an agent until it has
answered, and obeying twice is the same as once.
"""

import logging
from typing import Final

from zfs_walk.broker.journal import Journal, Stored, StoredMember
from zfs_walk.broker.state import LOADS_OVER, LoadRun, Member, Session, SessionState, State
from zfs_walk.protocol.loads import LoadLine, LoadMember, LoadSnapshot
from zfs_walk.protocol.messages import (
    LOADGEN,
    Done,
    LoadBegin,
    LoadEnd,
    LoadList,
    LoadPage,
    LoadPrepare,
    LoadReady,
    Loads,
    LoadShow,
    LoadStart,
    LoadStarted,
    LoadStop,
    Report,
    ReportAck,
)

Request = LoadStart | LoadStop | Loads | LoadShow

HEAD_START: Final = 0.2
"""Seconds from the word to begin to the begin: each agent, and each of its consumers, has heard it
by then."""

MOST_LOADS: Final = 1_000
"""Lines of one reply, by its schema."""

PAGE_BYTES: Final = 4 << 20
"""Of reports in one reply, unless a single one is larger."""

SHOWN: Final = 20
"""Agents that a reason lists."""

STOPPED: Final = "stopped by request"


class LoadRuns:
    """The life of load runs, and the clients' requests."""

    def __init__(self, state: State, journal: Journal) -> None:
        self._state = state
        self._journal = journal
        self._of_session: dict[int, int] = {}

    def load(self, stored: Stored, now: float) -> None:
        """Go on where the journal stands."""
        for row in stored.loads:
            self._state.loads[row.run] = LoadRun(
                row.run, row.state, row.reason, row.agents, row.duration_ms / 1000,
                now + row.deadline_s, None if row.began_s is None else now - row.began_s,
                now - row.ended_s if row.state in LOADS_OVER else None, row.stopped,
            )  # fmt: skip
        for each in stored.members:
            run = self._state.loads.get(each.run)
            if run is not None:
                run.members[each.session] = Member(
                    each.session, each.host, each.name, each.state, each.detail, each.seq
                )
                self._of_session[each.session] = each.run

    # ------------------------------------------------------------------ requests

    def on_request(self, route: bytes, message: Request, now: float) -> None:
        """Answer a client's request."""
        match message:
            case LoadStart():
                self._start(route, message, now)
            case LoadStop():
                self._stop(route, message, now)
            case Loads(request):
                self._state.send(route, LoadList(request, self.lines(now)))
            case LoadShow():
                self._show(route, message, now)

    def _start(self, route: bytes, message: LoadStart, now: float) -> None:
        number = self._journal.answer(message.request)
        if not number:
            number = self._journal.add_load(
                message.request, message.agents, message.duration_ms, message.wait_ms,
                message.config,
            )  # fmt: skip
            self._state.loads[number] = LoadRun(
                number, "WAITING", "", message.agents, message.duration_ms / 1000,
                now + message.wait_ms / 1000,
            )  # fmt: skip
            text = f"load run {number} waits for {message.agents} load generators"
            self._state.note(logging.INFO, text, number)
        self._state.send(route, LoadStarted(message.request, number))
        self.gather(now)

    def _stop(self, route: bytes, message: LoadStop, now: float) -> None:
        run = self._run_of(route, message)
        if run is None:
            return
        if run.state in {"WAITING", "PREPARING"}:
            self._change(run, "ABORTED", f"{STOPPED} before it began", now)
            self._tell_all(run, now)
        elif not run.over and not run.stopped:
            run.stopped = True
            self._change(run, "ENDING", STOPPED, now)
            self._tell_all(run, now)
        self._state.send(route, Done(message.request, run.state))

    def _show(self, route: bytes, message: LoadShow, now: float) -> None:
        run = self._run_of(route, message)
        if run is None:
            return
        reports: tuple[LoadSnapshot, ...] = ()
        more = False
        if message.reports:
            reports, more = self._journal.reports(run.number, message.after, PAGE_BYTES)
        members = tuple(
            LoadMember(each.session, each.host, each.name, each.state, each.detail, each.seq)
            for each in run.members.values()
        )
        self._state.send(
            route,
            LoadPage(
                message.request, run.number, run.state, run.reason, run.agents, len(self._idle()),
                round(run.duration * 1000), run.elapsed_ms(now), members, more, reports,
            ),
        )  # fmt: skip

    def _run_of(self, route: bytes, message: LoadStop | LoadShow) -> LoadRun | None:
        run = self._state.loads.get(message.run)
        if run is None:
            known = ", ".join(str(n) for n in sorted(self._state.loads)[-5:]) or "none"
            detail = f"no load run {message.run}; the latest: {known}"
            self._state.refuse(route, message, "no-such-run", detail)
        return run

    def lines(self, now: float) -> tuple[LoadLine, ...]:
        """The load runs, the newest first."""
        newest = sorted(self._state.loads.values(), key=lambda run: -run.number)[:MOST_LOADS]
        return tuple(
            LoadLine(
                run.number, run.state, run.reason, run.agents,
                sum(each.state == "LOST" for each in run.members.values()),
                round(run.duration * 1000), run.elapsed_ms(now),
            )
            for run in newest
        )  # fmt: skip

    # ------------------------------------------------------------------ before the begin

    def gather(self, now: float) -> None:
        """Give load generators that stand by to the runs that wait, the oldest first."""
        for run in sorted(self._state.loads.values(), key=lambda run: run.number):
            if run.state != "WAITING":
                continue
            idle = self._idle()
            if len(idle) < run.agents:
                # A smaller one that came later must not starve it.
                return
            for session in idle[: run.agents]:
                self._state.set_want(session, 0)
                member = Member(session.id, session.host, session.name)
                run.members[session.id] = member
                self._of_session[session.id] = run.number
                self._keep(run, member)
            self._change(run, "PREPARING", "", now)
            config = self._journal.load_config(run.number)
            order = LoadPrepare(run.number, round(run.duration * 1000), config)
            for member in run.members.values():
                self._state.send(self._state.sessions[member.session].route, order)

    def _idle(self) -> list[Session]:
        """Load generators that stand by: one of each host first, then the second ones."""
        there = [
            session
            for session in self._state.sessions.values()
            if session.role == LOADGEN
            and session.state is SessionState.LIVE
            and session.want
            and not self._has_a_run(session)
        ]
        turns: dict[str, int] = {}
        ordered: list[tuple[int, str, str, Session]] = []
        for session in sorted(there, key=lambda each: (each.host, each.name)):
            turn = turns[session.host] = turns.get(session.host, 0) + 1
            ordered.append((turn, session.host, session.name, session))
        return [session for *_, session in sorted(ordered, key=lambda each: each[:3])]

    def _has_a_run(self, session: Session) -> bool:
        """Whether it was given a run: it may not know yet, and say that it stands by."""
        run = self._state.loads.get(self._of_session.get(session.id, 0))
        return run is not None and run.members[session.id].state != "DONE"

    def on_ready(self, session: Session, message: LoadReady, now: float) -> None:
        """An agent is ready, or says why it is not."""
        run = self._state.loads.get(message.run)
        member = run.members.get(session.id) if run is not None else None
        if run is None or member is None:
            self._state.send(session.route, LoadEnd(message.run, "the broker knows no such run"))
        elif not message.ok and not member.over and not run.over:
            self._refused(run, member, message.detail, now)
        elif member.state == "DONE":
            self._state.send(session.route, LoadEnd(run.number, run.reason or "it is over"))
        elif member.state != "PREPARING":
            self._tell(run, member, session.route, now)
        else:
            member.state = "READY"
            self._keep(run, member)
            if run.state == "PREPARING" and all(
                each.state == "READY" for each in run.members.values()
            ):
                self._begin(run, now)

    def _refused(self, run: LoadRun, member: Member, detail: str, now: float) -> None:
        """One agent can't: that refuses the run for all; after the begin it is lost."""
        if run.state == "PREPARING":
            member.state, member.detail = "REFUSED", detail
            self._keep(run, member)
            self._refuse(run, f"{member.name} on {member.host}: {detail}", now)
        elif run.state in {"RUNNING", "ENDING"}:
            self._lost(run, member, detail, now)

    def _refuse(self, run: LoadRun, reason: str, now: float) -> None:
        self._change(run, "REFUSED", reason, now)
        self._tell_all(run, now)

    def _begin(self, run: LoadRun, now: float) -> None:
        run.began = now + HEAD_START
        for member in run.members.values():
            member.state = "RUNNING"
            self._keep(run, member)
        self._journal.begin_load(run.number, HEAD_START)
        self._change(run, "RUNNING", "", now)
        self._tell_all(run, now)

    # ------------------------------------------------------------------ reports

    def on_report(self, session: Session, message: Report, now: float) -> None:
        """Keep what is newer than what is there; it is acknowledged once that is durable."""
        self._state.send(session.route, ReportAck(message.run, message.kind, message.seq))
        run = self._state.loads.get(message.run)
        member = run.members.get(session.id) if run is not None else None
        if run is None or member is None or message.seq <= member.seq:
            return
        member.seq = message.seq
        self._journal.set_report(session.id, message)
        back = member.state == "LOST"
        if message.last:
            # Whoever has refused, or was told to undo what it had prepared, has done so.
            member.state = "DONE"
        elif back:
            member.state = "RUNNING"
        else:
            return
        member.detail = "" if back else member.detail
        self._keep(run, member)
        if back:
            text = f"{member.name} on {member.host} was not lost: it has reported"
            self._state.note(logging.INFO, f"load run {run.number}: {text}", run.number)
        self._settle(run, now)

    def _settle(self, run: LoadRun, now: float) -> None:
        """A run is done when each of its agents has said its last word, or is lost."""
        if run.state in {"RUNNING", "ENDING"} and all(each.over for each in run.members.values()):
            self._change(run, "DONE", run.reason, now)

    # ------------------------------------------------------------------ agents that go, and come

    def ended(self, session: Session, why: str, now: float) -> None:
        """An agent is gone, or nothing is heard of it."""
        run = self._state.loads.get(self._of_session.get(session.id, 0))
        member = run.members.get(session.id) if run is not None else None
        if run is None or member is None or member.over:
            return
        if run.state == "PREPARING":
            self._lost(run, member, why, now)
            self._refuse(run, f"{member.name} on {member.host}: {why}", now)
        else:
            self._lost(run, member, why, now)

    def _lost(self, run: LoadRun, member: Member, why: str, now: float) -> None:
        member.state, member.detail = "LOST", why[:4096]
        self._keep(run, member)
        text = f"load run {run.number}: {member.name} on {member.host} is lost: {why}"
        self._state.note(logging.WARNING, text, run.number)
        self._settle(run, now)

    def repeat(self, session: Session, now: float) -> None:
        """An agent that is there hears again what it has not answered."""
        run = self._state.loads.get(self._of_session.get(session.id, 0))
        if run is not None:
            self._tell(run, run.members[session.id], session.route, now)

    def _tell_all(self, run: LoadRun, now: float) -> None:
        for member in run.members.values():
            session = self._state.sessions.get(member.session)
            if session is not None:
                self._tell(run, member, session.route, now)

    def _tell(self, run: LoadRun, member: Member, route: bytes, now: float) -> None:
        """Say what an agent is to do now, if it has not answered that."""
        if member.state == "DONE":
            return
        if run.stopped or run.state in {"REFUSED", "ABORTED"} or (run.over and not member.seq):
            self._state.send(route, LoadEnd(run.number, run.reason[:4096]))
        elif run.state == "PREPARING" and member.state == "PREPARING":
            config = self._journal.load_config(run.number)
            self._state.send(route, LoadPrepare(run.number, round(run.duration * 1000), config))
        elif run.state in {"RUNNING", "ENDING"} and not member.seq and run.began is not None:
            wait = round((run.began - now) * 1000)
            self._state.send(route, LoadBegin(run.number, max(0, wait), max(0, -wait)))

    # ------------------------------------------------------------------ time

    def tick(self, now: float) -> None:
        """Refuse what has waited long enough; notice the end of a run's time."""
        self.gather(now)
        for run in self._state.loads.values():
            if run.state == "WAITING" and now >= run.deadline:
                self._refuse(run, self._too_few(run), now)
            elif run.state == "RUNNING" and run.elapsed_ms(now) >= run.duration * 1000:
                self._change(run, "ENDING", "", now)

    def _too_few(self, run: LoadRun) -> str:
        idle = [f"{each.name} on {each.host}" for each in self._idle()]
        names = f" ({', '.join(idle[:SHOWN])}{' ...' * (len(idle) > SHOWN)})" if idle else ""
        busy = sum(
            each.role == LOADGEN
            and each.state is SessionState.LIVE
            and (not each.want or self._has_a_run(each))
            for each in self._state.sessions.values()
        )
        others = f"; {busy} others are at work" if busy else ""
        return f"{len(idle)} of {run.agents} load generators stand by{names}{others}"

    def slept(self, gap: float) -> None:
        """A broker that was stopped judges nobody by the time that it slept."""
        for run in self._state.loads.values():
            run.deadline += gap

    def forget(self, number: int) -> None:
        """Nobody is to hear of it any more."""
        run = self._state.loads.pop(number)
        for session in run.members:
            if self._of_session.get(session) == number:
                del self._of_session[session]

    def _change(self, run: LoadRun, state: str, reason: str, now: float) -> None:
        """Set a run's state, durably."""
        run.state, run.reason = state, reason[:4096]
        run.over_since = now if run.over else None
        self._journal.set_load(run.number, state, run.reason, stopped=run.stopped)
        level = logging.WARNING if state in {"REFUSED", "ABORTED"} else logging.INFO
        text = f"load run {run.number} is {state}{f': {reason}' if reason else ''}"
        self._state.note(level, text, run.number)

    def _keep(self, run: LoadRun, member: Member) -> None:
        self._journal.set_member(
            StoredMember(
                run.number, member.session, member.host, member.name, member.state, member.detail,
                member.seq,
            )
        )  # fmt: skip
