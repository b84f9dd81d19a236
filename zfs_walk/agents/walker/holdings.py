"""The units that an agent holds: granted, committed, rolled back, given back, dropped."""

import logging
from collections.abc import Iterator

from zfs_walk.agents.events import Note, Send
from zfs_walk.agents.link import Link
from zfs_walk.agents.walker.crew import Crew, RunInfo
from zfs_walk.agents.walker.events import Delete, Instruction
from zfs_walk.agents.walker.tasks import Flushed
from zfs_walk.agents.walker.unit import Unit
from zfs_walk.protocol.messages import Ack, Cannot, Commit, Grant, Message, Nack, Welcome
from zfs_walk.protocol.records import Holding, Lease, LiveCount

LAST_ROLL = 2**62
"""Every roll of a unit is an earlier one."""


class Holdings:
    """Units by (uid, epoch), the oldest first, and what must be known of their runs."""

    def __init__(self, crew: Crew, link: Link, out: list[Instruction]) -> None:
        """Hold nothing.

        Args:
            crew: the workers.
            link: the session; what is said without one is repeated after the next WELCOME.
            out: where instructions go.
        """
        self.units: dict[tuple[int, int], Unit] = {}
        self.runs: dict[int, RunInfo] = {}
        self.commit_interval = 5.0
        self.window = 4
        self.beat = 0
        self._refused: dict[int, tuple[str, int]] = {}
        self._crew = crew
        self._link = link
        self._out = out
        self._orphans: dict[tuple[int, int, int], bytes] = {}
        self._sent: dict[tuple[int, int], float] = {}

    def __iter__(self) -> Iterator[Unit]:
        """All units; dropping some meanwhile is fine."""
        return iter(list(self.units.values()))

    def send(self, message: Message) -> None:
        """To the broker, if it is there: what matters is repeated after the next WELCOME."""
        if self._link.live:
            self._out.append(Send(message))

    # ------------------------------------------------------------------ for HELLO and HEARTBEAT

    def leases(self) -> list[Lease]:
        """Every unit whose last commit is not acknowledged."""
        return [Lease(unit.uid, unit.epoch, unit.acked) for unit in self]

    def holdings(self) -> tuple[Holding, ...]:
        """The leases to renew, with what could be stolen from each."""
        return tuple(
            Holding(unit.uid, unit.epoch, unit.frontier.stealable)
            for unit in self
            if not unit.finished
        )

    def live(self) -> tuple[LiveCount, ...]:
        """What was counted and not yet committed, by run."""
        counts: dict[int, list[int]] = {}
        for unit in self:
            count = counts.setdefault(unit.run, [0, 0, 0])
            count[0] += unit.live_entries
            count[2] += len(unit.frontier.items)
        return tuple(LiveCount(run, *count) for run, count in counts.items())

    # ------------------------------------------------------------------ from GRANT to the last ACK

    def granted(self, grant: Grant, now: float) -> Unit | None:
        """A new unit; None if the grant is a repeated one."""
        key = (grant.uid, grant.epoch)
        if key in self.units:
            return None
        info = self.runs.setdefault(grant.run, RunInfo(grant.roots, grant.options))
        info.refused = False
        self._refused.pop(grant.run, None)
        self.units[key] = unit = Unit(grant, now, self.commit_interval, self.window)
        return unit

    def commit(self, unit: Unit, commit: Commit, now: float) -> None:
        """Send a sealed commit."""
        self._sent[unit.uid, unit.epoch] = now
        self.send(commit)

    def resend(self, unit: Unit, now: float) -> None:
        """Send every commit again that is not acknowledged."""
        for seq in sorted(unit.unacked):
            self.commit(unit, unit.unacked[seq], now)

    def resend_overdue(self, patience: float, now: float) -> None:
        """Likewise, of units that have had no answer for so long."""
        for unit in self:
            if unit.unacked and now - self._sent.get((unit.uid, unit.epoch), now) > patience:
                self.resend(unit, now)

    def welcomed(self, message: Welcome, now: float) -> None:
        """What the broker lets us keep, and what not."""
        self.commit_interval = message.commit_interval_ms / 1000
        self.window = message.window
        for standing in message.drop:
            self.drop(standing.uid, standing.epoch, standing.applied)
        for standing in message.keep:
            unit = self.units.get((standing.uid, standing.epoch))
            if unit is not None:
                unit.acknowledge(standing.applied)
                # The broker has forgotten its STEALs if it is a new one; it asks again.
                unit.steal = None
                self.resend(unit, now)

    def acked(self, ack: Ack, now: float) -> None:
        """Commits were applied."""
        unit = self.units.get((ack.uid, ack.epoch))
        if unit is not None:
            unit.acknowledge(ack.seq)
            self._sent[ack.uid, ack.epoch] = now

    def nacked(self, nack: Nack, now: float) -> None:
        """A commit was not applied."""
        unit = self.units.get((nack.uid, nack.epoch))
        if unit is None:
            return
        if nack.code == "GAP":
            if nack.applied < unit.acked or nack.applied == unit.resent:
                return  # it is too late, or has been answered
            if nack.applied + 1 in unit.unacked:
                unit.acknowledge(nack.applied)
                unit.resent = nack.applied
                self.resend(unit, now)
                return
        level = logging.INFO if nack.code in {"FENCED", "RUN_OVER"} else logging.ERROR
        self._out.append(Note(level, f"unit {nack.uid:x} dropped: {nack.code}: {nack.detail}"))
        self.drop(nack.uid, nack.epoch, nack.applied)

    def drop(self, uid: int, epoch: int, applied: int) -> None:
        """The unit is not ours any more; segments that no applied commit lists are deleted."""
        unit = self.units.pop((uid, epoch), None)
        if unit is None:
            return
        self._sent.pop((uid, epoch), None)
        self._crew.call_back(unit)
        if unit.stores_rows:
            self._crew.forget(unit, LAST_ROLL)
            garbage = tuple(segment.name for segment in unit.sealed_after(applied))
            if garbage:
                self._out.append(Delete(unit.options.catalog, garbage))
            if unit.cut is not None:
                for worker in unit.cut.waiting:
                    self._orphans[uid, epoch, worker] = unit.options.catalog
        if not any(other.run == unit.run for other in self):
            del self.runs[unit.run]
            self._crew.close_run(unit.run)

    # ------------------------------------------------------------------ giving back

    def release(self, run: int, reason: str) -> None:
        """Give back every unit of a run, as soon as its workers are back."""
        for unit in self:
            if unit.run == run and not unit.releasing:
                unit.releasing = reason

    def run_is(self, run: int, state: str) -> None:
        """A run's state, as the broker tells it."""
        if state in {"DRAINING", "PAUSED"}:
            self.release(run, "paused")
        elif state in {"ABORTED", "DONE", "DONE_WITH_ERRORS"}:
            self._refused.pop(run, None)
            for unit in self:
                if unit.run == run:
                    # Any sealed commit may have been applied, and its ACK be lost.
                    self.drop(unit.uid, unit.epoch, unit.seq)

    def cannot(self, run: int, reason: str) -> None:
        """This host can't go on with a run."""
        info = self.runs[run]
        if not info.refused:
            info.refused = True
            self._refused[run] = reason, self.beat
            self._out.append(Note(logging.WARNING, f"run {run} can't be walked here: {reason}"))
            self.send(Cannot(run, reason))
        self.release(run, f"unreachable: {reason}")

    def refusals(self) -> list[tuple[int, str]]:
        """Runs that this host can't go on with, and why."""
        return [(run, reason) for run, (reason, _) in self._refused.items()]

    def still_refused(self, runs: set[int], beat: int) -> None:
        """The runs that the broker knows to be refused, or held, as it answers a heartbeat.

        What it does not name is over and forgotten, or may be tried again.
        """
        for run, (_, refused_at) in list(self._refused.items()):
            if run not in runs and beat > refused_at:
                del self._refused[run]

    # ------------------------------------------------------------------ rows

    def flushed(self, message: Flushed) -> None:
        """A worker has written the rows of a cut, or could not."""
        unit = self.units.get((message.uid, message.epoch))
        names = tuple(segment.name for segment in message.segments)
        if unit is None:
            catalog = self._orphans.pop((message.uid, message.epoch, message.worker), b"")
            if catalog and names:
                self._out.append(Delete(catalog, names))
        elif unit.on_flushed(message.worker, message.cut, message.segments):
            if message.failed:
                self._roll_back(unit)
                self.cannot(unit.run, message.failed)
        elif names and (unit.cut is None or unit.cut.number != message.cut):
            # The cut was rolled back meanwhile: nobody will list them.
            self._out.append(Delete(unit.options.catalog, names))

    def worker_died(self, worker: int) -> None:
        """Rows that only this worker had are lost."""
        self._orphans = {key: c for key, c in self._orphans.items() if key[2] != worker}
        for unit in self:
            if unit.lost_rows(worker):
                self._roll_back(unit)

    def _roll_back(self, unit: Unit) -> None:
        roll = unit.roll
        garbage = unit.roll_back()
        self._crew.call_back(unit)
        self._crew.forget(unit, roll)
        if garbage:
            self._out.append(Delete(unit.options.catalog, tuple(s.name for s in garbage)))
        self._out.append(Note(logging.INFO, f"unit {unit.uid:x} rolled back to seq {unit.seq}"))
