"""What an agent says of itself."""

from tests.unit.agents.walker.making import (
    RUN,
    Agent,
    connected,
    directory,
    grant,
    holding,
    walked,
    welcome,
)
from zfs_walk.agents.events import Connected, Note, Tick
from zfs_walk.agents.walker.statistics import CoreStatistics
from zfs_walk.protocol.messages import Ack, HeartbeatAck
from zfs_walk.protocol.records import RunNote


def health(agent: Agent) -> str:
    return agent.core.statistics().health


def test_an_agent_at_work_counts_what_it_has_done_and_has_to_do() -> None:
    agent, _ = holding(*(directory(n) for n in range(1, 7)))
    agent.worker_says(walked(1, 1, b"a", b"b", counters={"entries": 5, "errors": 1}))
    agent.after(0.1)
    assert agent.core.statistics() == CoreStatistics(
        health="ok", units=1, waiting=5, entries=5, errors=1, unacked=1, busy=frozenset({1, 2})
    )
    agent.hear(Ack(7, 70, 1))
    assert agent.core.statistics().unacked == 0


def test_an_idle_agent_is_well() -> None:
    assert connected().core.statistics() == CoreStatistics("ok", 0, 0, 0, 0, 0, frozenset())


def test_health_says_that_there_is_no_broker() -> None:
    agent = Agent()
    assert health(agent) == "no broker answers"
    agent.take(Connected())
    agent.hear(welcome())
    assert health(agent) == "ok"
    agent.after(4.0)
    assert health(agent) == "no broker answers"


def test_health_says_that_it_leaves() -> None:
    agent, _ = holding(directory(1))
    agent.drain()
    assert health(agent) == "it is leaving: terminated"


def test_health_says_that_workers_can_not_start() -> None:
    agent = Agent()
    agent.take(Connected())
    agent.hear(welcome())
    agent.dies(1)
    agent.dies(2)
    assert health(agent) == "2 workers in a row could not start"


def refusing() -> Agent:
    agent, _ = holding(directory(1))
    agent.worker_says(walked(1, 1, refused="not mounted"))
    return agent


def test_health_says_which_run_can_not_be_walked_until_it_is_over() -> None:
    agent = refusing()
    assert health(agent) == f"run {RUN}: not mounted"
    agent.hear(HeartbeatAck(5, 5, 1000, (RunNote(RUN, "RUNNING"),)))
    assert health(agent) == f"run {RUN}: not mounted"
    agent.hear(HeartbeatAck(6, 5, 1000, (RunNote(RUN, "DONE"),)))
    assert health(agent) == "ok"


def test_an_answer_to_an_earlier_heartbeat_does_not_know_of_the_refusal() -> None:
    agent = refusing()
    agent.hear(HeartbeatAck(agent.core.held.beat, 5, 1000, ()))
    assert health(agent) == f"run {RUN}: not mounted"


def test_a_run_that_is_tried_again_or_forgotten_is_refused_no_more() -> None:
    agent = refusing()
    agent.hear(HeartbeatAck(agent.core.held.beat + 1, 5, 1000, ()))
    assert health(agent) == "ok"
    agent = refusing()
    agent.hear(grant(directory(2), uid=8, epoch=80))
    assert health(agent) == "ok"


def test_the_interval_is_the_one_that_was_told_last() -> None:
    agent = connected()
    agent.hear(HeartbeatAck(1, 5, 4000, ()))
    assert agent.core.link.heartbeat == 4.0
    # Three of them are waited for before the broker counts as silent.
    agent.after(11.0)
    assert agent.core.link.live
    agent.after(2.0)
    assert not agent.core.link.live


def test_a_silent_broker_is_noted() -> None:
    agent = connected()
    notes: list[str] = []
    for _ in range(5):
        agent.now += 1.0
        notes += [i.text for i in agent.core.handle(Tick(), agent.now) if isinstance(i, Note)]
    assert notes == ["the broker is silent: trying again, and walking on meanwhile"]
