"""How long runs are kept, and what is forgotten when."""

from typing import Any

from tests.unit.broker.making import TERM, Broker, commit, heartbeat, hello, only
from zfs_walk.broker.core import BrokerCore
from zfs_walk.broker.settings import Settings
from zfs_walk.protocol.messages import (
    CLIENT,
    Abort,
    Done,
    Error,
    HeartbeatAck,
    Message,
    Prune,
    RunList,
    Runs,
    Status,
)

A, CLI = b"walker-0", b"client"
DAY = 86_400


def ask(broker: Broker, message: Message) -> Any:
    (answer,) = [m for to, m in broker.take(CLI, message) if to == CLI]
    return answer


def finished(broker: Broker, request: str) -> int:
    """A run that an agent has walked to its end."""
    number = broker.submit(request=request)
    grant = broker.granted(A)
    broker.take(A, commit(grant.uid, grant.epoch, 1, removed=(1,), done=1))
    return number


def numbers(broker: Broker) -> list[int]:
    listed: RunList = ask(broker, Runs("list", 0))
    return [line.run for line in listed.runs]


def with_two_runs() -> Broker:
    broker = Broker()
    broker.join("walker-0")
    assert [finished(broker, "r1"), finished(broker, "r2")] == [1, 2]
    return broker


def test_a_run_that_is_named_is_forgotten_and_the_others_stay() -> None:
    broker = with_two_runs()
    assert ask(broker, Prune("q", 0, 1, 0)) == Done("q", "forgotten: 1")
    assert numbers(broker) == [2]
    assert ask(broker, Status("q", 0, 1, 0)).code == "no-such-run"
    broker.after(0.5)
    assert broker.journal.load().forgotten == ()


def test_a_run_that_is_not_over_is_not_forgotten() -> None:
    broker = Broker()
    broker.submit()
    answer = ask(broker, Prune("q", 0, 1, 0))
    assert answer == Error("run-not-over", "run 1 is RUNNING; abort it first", "q")
    assert numbers(broker) == [1]


def test_a_run_that_is_not_there_can_not_be_forgotten() -> None:
    assert ask(with_two_runs(), Prune("q", 0, 9, 0)) == Error("no-such-run", "no run 9", "q")


def test_what_ended_so_long_ago_is_forgotten() -> None:
    broker = Broker()
    broker.join("walker-0")
    finished(broker, "r1")
    broker.after(10.0)
    broker.join("walker-0", conn=2)
    finished(broker, "r2")
    broker.submit(request="r3")
    assert ask(broker, Prune("q", 0, 0, 5_000)) == Done("q", "forgotten: 1")
    assert numbers(broker) == [3, 2]
    assert ask(broker, Prune("q", 0, 0, 5_000)) == Done("q", "no run ended so long ago")


def test_an_aborted_run_goes_with_its_items() -> None:
    broker = Broker()
    broker.submit()
    ask(broker, Abort("q", 0, 1))
    assert ask(broker, Prune("q", 0, 1, 0)) == Done("q", "forgotten: 1")
    broker.after(0.5)
    assert broker.journal._db.execute("SELECT count(*) FROM item").fetchone() == (0,)


def test_runs_are_forgotten_by_themselves_when_they_are_old_enough() -> None:
    broker = Broker(keep_runs=100.0)
    broker.join("walker-0")
    finished(broker, "r1")
    broker.submit(request="r2")
    broker.after(90.0)
    assert numbers(broker) == [2, 1]
    broker.after(15.0)
    assert numbers(broker) == [2]


def test_runs_are_kept_for_ever_if_so_told() -> None:
    broker = Broker(keep_runs=0.0)
    broker.join("walker-0")
    finished(broker, "r1")
    broker.asleep(1000.0 * DAY)
    broker.after(2.0)
    broker.take(CLI, hello("cli", role=CLIENT))
    assert numbers(broker) == [1]


def test_the_time_that_a_broker_was_away_counts() -> None:
    broker = with_two_runs()
    broker.journal._clock = lambda: 4e9
    later = Broker(broker.journal, keep_runs=30.0 * DAY)
    later.after(2.0)
    later.take(CLI, hello("cli", role=CLIENT))
    assert numbers(later) == []


def test_a_restarted_broker_goes_on_forgetting() -> None:
    broker = with_two_runs()
    broker.take(CLI, Prune("q", 0, 1, 0))
    assert broker.journal.load().forgotten == (1,)
    later = broker.restart()
    assert list(later.core.state.runs) == [2]
    later.after(0.5)
    assert broker.journal.load().forgotten == ()


def test_an_agent_with_a_word_about_a_forgotten_run_is_told_nothing_of_it() -> None:
    broker = with_two_runs()
    broker.take(CLI, Prune("q", 0, 0, 0))
    (ack,) = only(broker.take(A, heartbeat()), HeartbeatAck, A)
    assert ack.runs == ()


def test_a_core_over_a_journal_with_forgotten_runs_starts() -> None:
    broker = with_two_runs()
    broker.take(CLI, Prune("q", 0, 0, 0))
    core = BrokerCore(broker.journal, Settings(), TERM, 5.0)
    assert core.state.forgotten == [1, 2]
