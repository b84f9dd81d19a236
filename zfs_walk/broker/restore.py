"""Makes the core's state of what the journal has, at the beginning of a term."""

from zfs_walk.broker.claims import ClaimDesk
from zfs_walk.broker.journal import Stored
from zfs_walk.broker.state import OVER, Run, Session, SessionState, State, Unit
from zfs_walk.broker.work import Work


def restore(state: State, stored: Stored, work: Work, desk: ClaimDesk, now: float) -> None:
    """Go on where the journal stands: leases and sessions get one ``lease_ttl`` of grace."""
    ttl = state.settings.lease_ttl
    for row in stored.sessions:
        state.sessions[row.session] = Session(
            row.session, row.role, row.host, row.name, row.boot,
            SessionState.SUSPECT, now, row.key, lost_at=now + ttl,
        )  # fmt: skip
    desk.load(stored.claims, now)
    for run in stored.runs:
        state.runs[run.run] = Run(
            run.run, run.state, run.reason, run.roots, run.options, run.min_agents, run.items,
            run.counters, run.elapsed_ms,
            since=now if run.state in {"RUNNING", "DRAINING"} else None,
            over_since=now - run.ended_s if run.state in OVER else None,
            started=run.started,
            dropping=run.state == "ABORTED",
        )  # fmt: skip
    state.forgotten.extend(stored.forgotten)
    for kept in stored.units:
        run_of = state.runs[kept.run]
        if run_of.over:
            continue
        unit = Unit(
            kept.uid, kept.run, kept.epoch, kept.seq, kept.items, kept.session, kept.attempt,
            deadline=now + ttl, granted=kept.epoch,
        )  # fmt: skip
        state.units[unit.uid] = run_of.units[unit.uid] = unit
        holder = state.sessions.get(unit.session)
        if holder is not None:
            holder.units.add(unit.uid)
        elif unit.session:
            work.take_back(unit)
