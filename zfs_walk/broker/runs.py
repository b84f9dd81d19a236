"""Runs: their states, and what clients ask about them."""

import logging

from zfs_walk.broker.journal import Journal
from zfs_walk.broker.state import Run, SessionState, State, Unit, Waiter
from zfs_walk.errors import InternalError
from zfs_walk.protocol.messages import (
    WALKER,
    Abort,
    Command,
    Continue,
    Done,
    Message,
    Pause,
    Retry,
    RunStatus,
    SegmentList,
    Segments,
    Status,
    Submit,
    Submitted,
    Verify,
)
from zfs_walk.protocol.records import LiveCount

DROP_SLICE = 2_000
"""Items of an aborted run that one tick deletes: about 10 ms, so that nobody waits for it."""

STALLED = "no agent can go on"
"""How the reason of a pause begins that nobody asked for."""


class Runs:
    """The life of runs, and the clients' requests."""

    def __init__(self, state: State, journal: Journal) -> None:
        self._state = state
        self._journal = journal

    def on_request(self, route: bytes, message: Message, now: float) -> None:
        """Answer a client's request."""
        match message:
            case Submit():
                self._submit(route, message, now)
            case Status():
                self._status(route, message, now)
            case Pause():
                self._pause(route, message, now)
            case Continue():
                self._continue(route, message, now)
            case Abort():
                self._abort(route, message, now)
            case Retry():
                self._retry(route, message, now)
            case Verify():
                self._verify(route, message)
            case Segments():
                self._segments(route, message)
            case _:
                raise InternalError(reason=f"no handler for {type(message).__name__}")

    def _run_of(self, route: bytes, message: Message) -> Run | None:
        number = getattr(message, "run", 0)
        run = self._state.runs.get(number)
        if run is None:
            known = ", ".join(str(n) for n in sorted(self._state.runs)[-5:]) or "none"
            self._state.refuse(
                route, message, "no-such-run", f"no run {number}; the latest: {known}"
            )
        return run

    # ------------------------------------------------------------------ states

    def may_start(self, run: Run) -> bool:
        """RUNNING, and as many walkers came as its submitter asked for."""
        if run.state != "RUNNING":
            return False
        if not run.started:
            run.started = self._walkers(run) >= run.min_agents
        return run.started

    def _walkers(self, run: Run, *, suspects: bool = False) -> int:
        """How many sessions are LIVE (or SUSPECT) and may walk a run."""
        states = {SessionState.LIVE, SessionState.SUSPECT} if suspects else {SessionState.LIVE}
        return sum(
            session.role == WALKER
            and session.state in states
            and run.number not in session.cannot
            and run.reachable_from(session.host)
            for session in self._state.sessions.values()
        )

    def change(self, run: Run, state: str, reason: str, now: float) -> None:
        """Set a run's state, durably, and tell those who wait for it."""
        run.elapsed_ms = run.elapsed(now)
        run.since = now if state in {"RUNNING", "DRAINING"} else None
        run.state, run.reason = state, reason
        run.over_since = now if run.over else None
        self._journal.set_run(run.number, state, reason, run.elapsed_ms)
        troubled = state in {"ABORTED", "DONE_WITH_ERRORS"} or reason.startswith(STALLED)
        self._state.note(
            logging.WARNING if troubled else logging.INFO,
            f"run {run.number} is {state}{f': {reason}' if reason else ''}",
            run.number,
        )
        if state != "RUNNING":
            self._answer_waiters(run, now)

    def finished(self, run: Run, now: float) -> None:
        """The last item is gone."""
        bad = bool(self._journal.quarantined(run.number))
        self.change(run, "DONE_WITH_ERRORS" if bad else "DONE", "", now)

    def abort(self, run: Run, reason: str, now: float) -> None:
        """End a run; the journal's items go in slices."""
        self.change(run, "ABORTED", reason, now)
        run.dropping = True

    def drop_slice(self, run: Run) -> None:
        """Delete some items of an aborted run."""
        run.dropping = self._journal.drop_items(run.number, DROP_SLICE) >= DROP_SLICE

    def settle(self, run: Run, now: float) -> None:
        """A draining run is paused when nothing is leased; waiters get what is due."""
        if run.state == "DRAINING" and not any(
            unit.session and not unit.open for unit in run.units.values()
        ):
            self.change(run, "PAUSED", run.reason, now)
        self._answer_waiters(run, now, only_due=True)

    def pause_if_stalled(self, run: Run, now: float) -> None:
        """Pause a run that no agent can go on with, because each said why it can't."""
        if run.state != "RUNNING" or not run.started:
            return
        reasons = [
            f"{session.name} on {session.host}: {session.cannot[run.number]}"
            for session in self._state.sessions.values()
            if run.number in session.cannot and session.state is not SessionState.LOST
        ]
        if reasons and not self._walkers(run, suspects=True):
            self._drain(run, f"{STALLED}: " + "; ".join(reasons)[:2000], now)

    def _drain(self, run: Run, reason: str, now: float) -> None:
        self.change(run, "DRAINING", reason, now)
        for unit in run.units.values():
            self._tell_holder(unit, "pause")
        self.settle(run, now)

    def _tell_holder(self, unit: Unit, command: str) -> None:
        holder = self._state.sessions.get(unit.session)
        if holder is not None and not unit.open:
            self._state.send(holder.route, Command(0, command, unit.run, unit.uid))

    def remind(self) -> None:
        """Ask the holders of draining runs again, once a heartbeat."""
        for run in self._state.runs.values():
            if run.state == "DRAINING":
                for unit in run.units.values():
                    self._tell_holder(unit, "pause")

    # ------------------------------------------------------------------ requests

    def _submit(self, route: bytes, message: Submit, now: float) -> None:
        number = self._journal.answer(message.request)
        if not number:
            if not message.roots:
                self._state.refuse(route, message, "no-roots", "a run needs at least one root")
                return
            stored, unit = self._journal.add_run(
                message.request, message.roots, message.options, message.min_agents
            )
            number = stored.run
            run = Run(
                number, stored.state, "", stored.roots, stored.options, stored.min_agents,
                stored.items, {}, 0, since=now,
            )  # fmt: skip
            run.units[unit.uid] = Unit(unit.uid, number, 0, 0, unit.items)
            self._state.runs[number] = run
            self._state.units.update(run.units)
            roots = " ".join(root.path.decode(errors="backslashreplace") for root in run.roots[:8])
            self._state.note(logging.INFO, f"run {number} begins: {roots}", number)
        self._state.send(route, Submitted(message.request, number))

    def _status(self, route: bytes, message: Status, now: float) -> None:
        run = self._run_of(route, message)
        if run is None:
            return
        # One at a time: a client that asks again does not wait for its earlier answer.
        run.waiters = [waiter for waiter in run.waiters if waiter.route != route]
        run.waiters.append(Waiter(route, message.request, now + message.wait_ms / 1000))
        self._answer_waiters(run, now, only_due=not run.over and run.state != "PAUSED")

    def _answer_waiters(self, run: Run, now: float, *, only_due: bool = False) -> None:
        if run.state == "DRAINING":
            only_due = True
        for waiter in list(run.waiters):
            if not only_due or now >= waiter.deadline:
                run.waiters.remove(waiter)
                self._state.send(waiter.route, self._snapshot(run, waiter.request, now))

    def _snapshot(self, run: Run, request: str, now: float) -> RunStatus:
        lives = [s.live[run.number] for s in self._state.sessions.values() if run.number in s.live]
        holders = {unit.session for unit in run.units.values() if unit.session}
        live = LiveCount(
            run.number,
            sum(live.entries for live in lives),
            sum(live.errors for live in lives),
            sum(live.waiting for live in lives),
        )
        if run.over:
            live = LiveCount(run.number, 0, 0, 0)
        return RunStatus(
            request, run.number, run.state, run.reason, self._waiting_for(run), run.roots,
            run.options, dict(run.counters), live, self._journal.problems(run.number),
            self._journal.quarantined(run.number), run.items, len(holders),
            self._walkers(run), run.elapsed(now),
        )  # fmt: skip

    def _waiting_for(self, run: Run) -> str:
        """Why nobody works on a run that could be worked on."""
        if run.state != "RUNNING" or any(unit.session for unit in run.units.values()):
            return ""
        walkers = self._walkers(run)
        if not walkers:
            hosts = sorted({root.host for root in run.roots if not root.network})
            where = f" on {hosts[0]} (its roots are local there)" if hosts else ""
            return f"no walker agent{where} is there"
        if not run.started:
            return f"{walkers} of {run.min_agents} agents are there"
        return ""

    def _pause(self, route: bytes, message: Pause, now: float) -> None:
        run = self._run_of(route, message)
        if run is None:
            return
        if run.over:
            self._state.refuse(route, message, "run-over", f"run {run.number} is {run.state}")
            return
        if run.state == "RUNNING":
            self._drain(run, "paused by request", now)
        self._state.send(route, Done(message.request, run.state))

    def _continue(self, route: bytes, message: Continue, now: float) -> None:
        run = self._run_of(route, message)
        if run is None:
            return
        if run.over:
            self._state.refuse(route, message, "run-over", f"run {run.number} is {run.state}")
            return
        for session in self._state.sessions.values():
            session.cannot.pop(run.number, None)
        if run.state != "RUNNING":
            self.change(run, "RUNNING", "", now)
        self._state.send(route, Done(message.request, run.state))

    def _abort(self, route: bytes, message: Abort, now: float) -> None:
        run = self._run_of(route, message)
        if run is None:
            return
        if run.state in {"DONE", "DONE_WITH_ERRORS"}:
            self._state.refuse(route, message, "run-over", f"run {run.number} is {run.state}")
            return
        if run.state != "ABORTED":
            self.abort(run, "aborted by request", now)
        self._state.send(route, Done(message.request, run.state))

    def _retry(self, route: bytes, message: Retry, now: float) -> None:
        run = self._run_of(route, message)
        if run is None:
            return
        # A repeated request whose first answer got lost.
        if not self._journal.answer(message.request):
            unit = None
            if run.state == "DONE_WITH_ERRORS":
                unit = self._journal.retry(message.request, run.number)
            if unit is None:
                detail = f"run {run.number} is {run.state} and has no quarantined items to retry"
                self._state.refuse(route, message, "nothing-to-retry", detail)
                return
            run.items = unit.items
            run.units[unit.uid] = Unit(unit.uid, run.number, 0, 0, unit.items)
            self._state.units.update(run.units)
            self.change(run, "RUNNING", "", now)
        self._state.send(route, Done(message.request, run.state))

    def _verify(self, route: bytes, message: Verify) -> None:
        run = self._run_of(route, message)
        if run is None:
            return
        books = self._journal.books(run.number)
        expected = books.roots + books.found - books.done - books.quarantined
        if run.state != "ABORTED" and expected != books.left:
            detail = f"{expected} items should be left, {books.left} are"
            self._state.refuse(route, message, "books", detail)
        elif books.counters != books.ledger_counters:
            self._state.refuse(route, message, "books", "the totals are not the sum of the ledger")
        else:
            detail = (
                f"{books.roots} roots + {books.found} found - {books.done} done -"
                f" {books.quarantined} quarantined = {books.left} left; totals agree"
            )
            self._state.send(route, Done(message.request, detail))

    def _segments(self, route: bytes, message: Segments) -> None:
        run = self._run_of(route, message)
        if run is None:
            return
        limit = min(max(message.limit, 1), 10_000)
        rows = self._journal.segments(run.number, message.after, limit + 1)
        self._state.send(route, SegmentList(message.request, rows[:limit], len(rows) > limit))
