"""What must hold of a core after every event."""

from zfs_walk.agents.walker.core import AgentCore
from zfs_walk.agents.walker.unit import Unit
from zfs_walk.broker.core import BrokerCore
from zfs_walk.broker.sqlite import SqliteJournal


def check_broker(core: BrokerCore, journal: SqliteJournal) -> None:
    """Memory and journal agree, the indexes agree, and the books of every run balance."""
    _check_units(core, journal)
    _check_sessions(core)
    _check_runs(core, journal)


def _check_units(core: BrokerCore, journal: SqliteJournal) -> None:
    state = core.state
    stored = {unit.uid: unit for unit in journal.load().units}
    for uid, unit in state.units.items():
        kept = stored[uid]
        assert state.runs[unit.run].units.get(uid) is unit
        assert (unit.run, unit.items) == (kept.run, kept.items)
        assert (unit.epoch, unit.session) == (kept.epoch, kept.session), (unit, kept)
        assert unit.items > 0
        if unit.session:
            assert unit.seq == kept.seq
            assert uid in state.sessions[unit.session].units
        assert unit.session or not unit.open
        assert unit.steal is None or (unit.session and not unit.open)
    for uid, kept in stored.items():
        assert uid in state.units or state.runs[kept.run].state == "ABORTED"


def _check_sessions(core: BrokerCore) -> None:
    state = core.state
    for session in state.sessions.values():
        assert all(state.units[uid].session == session.id for uid in session.units)
        assert session.unconfirmed.keys() <= session.units
        assert (session.id in state.wanting) == (session.want > 0)
        if session.route:
            assert state.routes[session.route] == session.id
        if session.stealing:
            note = state.units[session.stealing].steal
            assert note is not None
            assert session.id in note.thieves
    assert state.wanting.keys() <= state.sessions.keys()
    assert all(state.sessions[n].route == route for route, n in state.routes.items())


def _check_runs(core: BrokerCore, journal: SqliteJournal) -> None:
    state = core.state
    for number, run in state.runs.items():
        assert run.units.keys() <= state.units.keys()
        if run.state in {"DONE", "DONE_WITH_ERRORS"}:
            assert not run.units
            assert run.items == 0
        elif run.state != "ABORTED":
            assert run.items == sum(unit.items for unit in run.units.values()) > 0
            books = journal.books(number)
            assert books.roots + books.found - books.done - books.quarantined == books.left
            assert books.left == run.items
            assert books.counters == books.ledger_counters == run.counters


def check_matched(core: BrokerCore) -> None:
    """After a tick nobody asks in vain for a unit that nobody holds."""
    hungry = core.state.hungry()
    for run in core.state.runs.values():
        if core._runs.may_start(run) and any(unit.grantable for unit in run.units.values()):
            assert not [s.id for s in hungry if core._work.may_walk(s, run)]


def check_agent(core: AgentCore) -> None:
    """Every unit's items are somewhere exactly once, every task of it in a worker's hands."""
    for key, unit in core.units.items():
        assert key == (unit.uid, unit.epoch)
        check_unit(unit)
    for worker in core.crew.workers.values():
        assert bool(worker.task) == (worker.unit is not None)


def check_unit(unit: Unit) -> None:
    """Its items wait, are parts that wait, or are in hand: each in one place."""
    frontier = unit.frontier
    waiting = [*frontier.waiting, *frontier.risky]
    parts = [item.n for wide in frontier.wide.values() for item in wide.waiting.values()]
    held = [n for numbers in frontier.tasks.values() for n in numbers]
    together = waiting + parts + held
    assert len(set(together)) == len(together)
    assert set(together) == set(frontier.items)
    assert frontier.fresh.keys() <= frontier.items.keys()
    assert frontier.fresh_bytes == sum(len(item.path) + 32 for item in frontier.fresh.values())
    for key, wide in frontier.wide.items():
        assert key == (wide.root, wide.path, wide.parts)
        assert all(part == item.part for part, item in wide.waiting.items())
    there = set(frontier.known)
    given: set[int] = set()
    if unit.cut is not None:
        given = unit.cut.given
        assert there >= set(unit.cut.removed)
        there = (there - set(unit.cut.removed) | {item.n for item in unit.cut.added}) - given
    assert there - set(frontier.gone) | frontier.fresh.keys() == frontier.items.keys()
    assert not given & set(frontier.items)
    assert unit.acked <= unit.seq
    assert sorted(unit.unacked) == list(range(unit.seq - len(unit.unacked) + 1, unit.seq + 1))
