"""How long runs are kept: pruned by request, or by themselves after a time."""

from zfs_walk.broker.journal import Journal
from zfs_walk.broker.loads import LoadRuns
from zfs_walk.broker.state import LoadRun, Run, State
from zfs_walk.protocol.messages import Done, Prune

SLICE = 2_000
"""Rows of a forgotten run that one tick deletes: about 10 ms, so that nobody waits for it."""

PAGES = 250
"""Free pages of the journal (1 MB) that one tick gives back to the file system, likewise."""


class Retention:
    """Forgets runs that are over."""

    def __init__(self, state: State, journal: Journal, loads: LoadRuns) -> None:
        self._state = state
        self._loads = loads
        self._journal = journal
        self._shrinking = True

    def on_prune(self, route: bytes, message: Prune, now: float) -> None:
        """Forget the run that is named, or all that ended so long ago."""
        runs: list[Run | LoadRun]
        if not message.run:
            runs = self._ended_before(now - message.older_ms / 1000)
        else:
            run = self._state.runs.get(message.run) or self._state.loads.get(message.run)
            if run is None:
                self._state.refuse(route, message, "no-such-run", f"no run {message.run}")
                return
            if not run.over:
                end = "abort" if isinstance(run, Run) else "stop"
                detail = f"run {run.number} is {run.state}; {end} it first"
                self._state.refuse(route, message, "run-not-over", detail)
                return
            runs = [run]
        for run in runs:
            self._forget(run)
        which = ", ".join(str(run.number) for run in runs)
        detail = f"forgotten: {which}" if runs else "no run ended so long ago"
        self._state.send(route, Done(message.request, detail[:4096]))

    def _ended_before(self, moment: float) -> list[Run | LoadRun]:
        runs: list[Run | LoadRun] = [*self._state.runs.values(), *self._state.loads.values()]
        return [run for run in runs if run.over_since is not None and run.over_since <= moment]

    def _forget(self, run: Run | LoadRun) -> None:
        self._journal.forget(run.number)
        self._state.forgotten.append(run.number)
        if isinstance(run, LoadRun):
            self._loads.forget(run.number)
            return
        del self._state.runs[run.number]
        for session in self._state.sessions.values():
            session.cannot.pop(run.number, None)
            session.live.pop(run.number, None)

    def beat(self, now: float) -> None:
        """Forget what is older than runs are kept; once a heartbeat."""
        keep = self._state.settings.keep_runs
        if keep:
            for run in self._ended_before(now - keep):
                self._forget(run)

    def tick(self) -> None:
        """Delete a slice of what is forgotten, then give the space back."""
        if self._state.forgotten:
            self._shrinking = True
            if self._journal.prune(self._state.forgotten[0], SLICE) < SLICE:
                self._state.forgotten.pop(0)
        elif self._shrinking:
            self._shrinking = self._journal.shrink(PAGES) == PAGES
