"""What a broker tells of itself, its agents and its runs; and how often agents are to beat."""

from typing import Any

from tests.unit.broker.making import TERM, Broker, heartbeat, hello, journal_in_memory, only
from zfs_walk.broker.core import BrokerCore
from zfs_walk.broker.events import Received, Tick, Vitals
from zfs_walk.broker.history import STATUS_BYTES, History
from zfs_walk.broker.settings import Settings
from zfs_walk.protocol.messages import (
    CLIENT,
    Error,
    HeartbeatAck,
    Message,
    Snapshot,
    SnapshotReply,
    WalkerStatus,
    Welcome,
)
from zfs_walk.protocol.statistics import BrokerStatistics, Origin, WalkerStatistics

CLI = b"client"
VITALS = Vitals(
    pid=77, version="9.9", wall_ns=5_000_000_000, messages=10, transactions=4, journal_bytes=4096,
    rss=2**20, cpu_ms=50, loop_lag_ms=3,
)  # fmt: skip
FIGURES = WalkerStatistics("ok", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ())


def ask(broker: Broker) -> Any:
    broker.take(CLI, hello("cli", role=CLIENT))
    (answer,) = [m for to, m in broker.take(CLI, Snapshot("q", 0)) if to == CLI]
    return answer


def test_a_snapshot_has_the_broker_its_agents_and_its_runs() -> None:
    broker = Broker(host="b0")
    broker.join("walker-0")
    broker.submit()
    broker._handle(Tick(VITALS))
    broker.after(2.0)
    broker.take(b"walker-0", heartbeat())
    reply: SnapshotReply = ask(broker)
    assert reply.broker == BrokerStatistics(
        host="b0", pid=77, version="9.9", term=TERM, uptime_ms=2_000, secure=True, live=1,
        suspect=0, lost=0, clients=1, running=1, messages=10, refused=0, transactions=4,
        journal_bytes=4096, rss=2**20, cpu_ms=50, loop_lag_ms=3, records=0, ring_records=0,
        ring_bytes=0, claims=0, files=0,
    )  # fmt: skip
    assert reply.time_ns == 1_007_000_000_000
    assert [(a.name, a.state) for a in reply.agents] == [("walker-0", "live")]
    assert [(run.run, run.state) for run in reply.runs] == [(1, "RUNNING")]
    assert reply.walkers == ()


def test_agents_that_are_silent_are_counted_as_what_they_are() -> None:
    broker = Broker()
    broker.join("walker-0")
    broker.after(4.0)
    broker.join("walker-1")
    figures = ask(broker).broker
    assert (figures.live, figures.suspect, figures.lost) == (1, 1, 0)
    broker.after(60.0)
    figures = ask(broker).broker
    assert (figures.live, figures.suspect, figures.lost) == (0, 0, 2)


def test_what_is_refused_is_counted() -> None:
    broker = Broker()
    broker.garbled(b"x", "malformed", "HELLO.name: missing")
    assert only(broker.take(b"y", HeartbeatAck(1, 1, 1000, ())), Error)
    assert ask(broker).broker.refused == 2


def test_a_snapshot_has_the_last_status_of_those_that_spoke_lately() -> None:
    history = History()
    journal = journal_in_memory()
    core = BrokerCore(journal, Settings(), TERM, 1000.0, history=history)
    wall = 1_700_000_000 * 10**9
    core.handle(Tick(Vitals(wall_ns=wall)), 1000.0)
    origin = Origin("p1", "walker", "h0", "walker-0", 7, 3, "0")
    lately = WalkerStatus(origin, 8, 1, FIGURES)
    history.add_status(lately, 100, wall + 990 * 10**9)
    long_ago = Origin("p2", "walker", "h0", "walker-1", 8, 4, "0")
    history.add_status(WalkerStatus(long_ago, 8, 2**62, FIGURES), 100, wall + 10**9)
    core.handle(Received(CLI, hello("cli", role=CLIENT)), 1000.0)
    sent: list[Any] = core.handle(Received(CLI, Snapshot("q", 0)), 1000.0)
    journal.commit()
    reply: Message = sent[-1].message
    assert isinstance(reply, SnapshotReply)
    assert reply.walkers == (lately,)


def test_statuses_under_ever_new_names_are_bounded_and_the_latest_are_kept() -> None:
    history = History()
    each = STATUS_BYTES // 4
    for number in range(9):
        origin = Origin(f"p{number}", "walker", "h0", "walker-0", 7, 3, "0")
        history.add_status(WalkerStatus(origin, 1, 2**62, FIGURES), each, number)
        history.add_status(WalkerStatus(origin, 2, 2**62, FIGURES), each, number)
    kept = [(status.origin.publisher, status.seq) for status in history.statuses(9)]
    assert kept == [("p5", 2), ("p6", 2), ("p7", 2), ("p8", 2)]


# ------------------------------------------------------------------------- heartbeats


def with_agents(number: int) -> Broker:
    broker = Broker()
    for i in range(number):
        broker.join(f"walker-{i}")
    broker.after(0.25)
    return broker


def interval(broker: Broker) -> int:
    (ack,) = only(broker.take(b"walker-0", heartbeat()), HeartbeatAck, b"walker-0")
    return int(ack.heartbeat_ms)


def test_few_agents_beat_as_often_as_the_settings_say() -> None:
    assert interval(with_agents(200)) == 1000


def test_with_many_agents_each_beats_less_often_and_leases_last_longer() -> None:
    broker = with_agents(400)
    assert interval(broker) == 2000
    assert broker.core.state.lease_ttl == 20.0
    (welcome,) = only(broker.take(b"new", hello("walker-new")), Welcome)
    assert (welcome.heartbeat_ms, welcome.lease_ttl_ms) == (2000, 20_000)


def test_an_agent_is_judged_by_the_interval_that_it_was_told() -> None:
    broker = with_agents(400)
    assert interval(broker) == 2000
    first = next(iter(broker.core.state.sessions.values()))
    # All others leave: the next interval will be shorter, and the first does not know yet.
    for session in list(broker.core.state.sessions.values())[1:]:
        broker.core._sessions.end(session, broker.now)
    broker.after(5.0)
    assert broker.core.state.heartbeat == 1.0
    assert first.state.value == "live"
    assert interval(broker) == 1000
    broker.after(3.5)
    assert first.state.value == "suspect"


def test_the_status_of_an_agent_whose_clock_is_wrong_is_kept_as_long_as_any() -> None:
    history = History()
    for offset in (-3_600 * 10**9, 3_600 * 10**9):
        origin = Origin(f"{offset}", "walker", "host", "walker-1", 7, 1, "1.0")
        history.add_status(WalkerStatus(origin, 1, 10**15 + offset, FIGURES), 100, 10**15)
    assert len(history.statuses(10**15 + 10**9)) == 2
    assert history.statuses(10**15 + 61 * 10**9) == ()
