"""Workers that come and go by order; none takes work or rows along."""

from tests.model.invariants import check_agent
from tests.unit.agents.walker.making import (
    Agent,
    connected,
    directory,
    flushed,
    holding,
    hurries,
    sent,
    told,
    walked,
)
from zfs_walk.agents.events import Connected, Exit
from zfs_walk.agents.walker.crew import MOST_PROCESSES
from zfs_walk.agents.walker.events import HURRY_NOW, Dismiss, Instruction, Spawn
from zfs_walk.agents.walker.tasks import Flush, Ready, Walk
from zfs_walk.protocol.messages import (
    MOST_WORKERS,
    Ack,
    Command,
    CommandDone,
    Commit,
    Heartbeat,
    Hello,
    Rehello,
)


def resize(agent: Agent, workers: int, number: int = 1) -> list[Instruction]:
    return agent.hear(Command(number, "resize", workers=workers))


def dismissed(out: list[Instruction]) -> list[int]:
    return [i.worker for i in out if isinstance(i, Dismiss)]


def test_more_workers_are_started_under_new_numbers() -> None:
    agent = connected()
    out = resize(agent, 4)
    assert [i for i in out if isinstance(i, Spawn)] == [Spawn(3), Spawn(4)]
    assert sent(out, CommandDone) == [CommandDone(1, ok=True, detail="2 -> 4 workers")]


def test_a_repeated_order_changes_nothing_more() -> None:
    agent = connected()
    resize(agent, 4)
    assert not [i for i in resize(agent, 4) if isinstance(i, Spawn)]
    resize(agent, 1, 2)
    assert dismissed(resize(agent, 1, 2)) == []


def test_the_next_hello_says_the_new_number() -> None:
    agent = connected()
    resize(agent, 4)
    agent.hear(Rehello(6))
    (hello,) = sent(agent.take(Connected()), Hello)
    assert hello.capacity == 4


def test_idle_workers_are_dismissed_at_once_and_not_replaced() -> None:
    agent = connected()
    assert dismissed(resize(agent, 1)) == [2]
    assert not [i for i in agent.dies(2, pointed=False) if isinstance(i, Spawn)]
    assert list(agent.core.crew.workers) == [1]


def test_a_busy_worker_is_called_back_and_goes_when_it_is_there() -> None:
    agent, _ = holding(directory(1), directory(2))
    out = resize(agent, 1)
    assert (dismissed(out), hurries(out)) == ([], [(2, HURRY_NOW)])
    out = agent.worker_says(walked(2, 2))
    assert dismissed(out) == [2]
    assert not told(out, Walk)
    check_agent(agent.core)
    # Nothing is rolled back or walked again.
    agent.dies(2, pointed=False)
    (commit,) = sent(agent.worker_says(walked(1)), Commit)
    assert (sorted(commit.removed), commit.done) == ([1, 2], 2)


def test_a_worker_with_rows_goes_when_they_are_written() -> None:
    agent, _ = holding(directory(1), directory(2), directory(3), rows=True)
    agent.worker_says(walked(1, 1, rows=5))
    resize(agent, 1)
    out = agent.worker_says(walked(2, 2, rows=5))
    assert dismissed(out) == []
    assert [flush.upto for flush in told(out, Flush)] == [1, 2]
    agent.worker_says(flushed(1, 1, "one"))
    out = agent.worker_says(flushed(2, 1, "two"))
    assert dismissed(out) == [2]
    (commit,) = sent(out, Commit)
    assert {s.name for s in commit.segments} == {"one", "two"}
    agent.dies(2, pointed=False)
    assert (agent.unit.roll, agent.unit.seq) == (0, 1)


def test_idle_workers_go_before_busy_ones() -> None:
    agent, _ = holding(directory(1))
    assert agent.core.crew.workers[1].task
    assert dismissed(resize(agent, 1)) == [2]
    agent, _ = holding(directory(1), directory(2))
    agent.worker_says(walked(1))
    assert agent.core.crew.workers[2].task
    assert dismissed(resize(agent, 1)) == [1]


def test_a_worker_that_was_to_leave_stays_when_it_is_wanted_again() -> None:
    agent, _ = holding(directory(1), directory(2))
    resize(agent, 1)
    assert not [i for i in resize(agent, 2, 2) if isinstance(i, Spawn)]
    assert dismissed(agent.worker_says(walked(2, 2))) == []


def test_a_worker_that_has_not_begun_may_leave_and_is_no_early_death() -> None:
    agent = connected()
    for number in range(10):
        resize(agent, 3, number)
        resize(agent, 2, number)
        newest = max(agent.core.crew.workers)
        assert not [i for i in agent.dies(newest, pointed=False) if isinstance(i, Exit)]


def test_never_are_there_more_processes_than_the_black_box_has_slots_for() -> None:
    agent = connected()
    for number in range(3):
        resize(agent, MOST_WORKERS, number)
        resize(agent, 1, number)
    assert len(agent.core.crew.workers) <= MOST_PROCESSES
    resize(agent, MOST_WORKERS)
    gone = [w.number for w in agent.core.crew.workers.values() if w.dismissed]
    for worker in gone:
        agent.dies(worker, pointed=False)
    assert len(agent.core.crew.workers) == MOST_WORKERS


def test_a_number_that_is_not_possible_is_refused() -> None:
    agent = connected()
    for workers in (0, MOST_WORKERS + 1):
        assert resize(agent, workers) == resize(agent, workers)
        (done,) = sent(resize(agent, workers), CommandDone)
        assert done == CommandDone(1, ok=False, detail="1 to 1024 workers are possible")


def test_an_agent_that_leaves_is_not_resized() -> None:
    agent, _ = holding(directory(1))
    agent.drain()
    (done,) = sent(resize(agent, 4), CommandDone)
    assert done == CommandDone(1, ok=False, detail="it is leaving: terminated")


def test_a_drain_is_answered_before_the_agent_says_bye() -> None:
    agent = connected()
    out = sent(agent.hear(Command(5, "drain")))
    assert out[0] == CommandDone(5, ok=True, detail="it hands its work back and ends")
    assert [type(message).__name__ for message in out] == ["CommandDone", "Bye"]


def test_a_new_worker_takes_work_and_the_wish_for_it_is_told() -> None:
    agent, _ = holding(directory(1), directory(2), directory(3))
    resize(agent, 3)
    (walk,) = told(agent.worker_says(Ready(3, 3)), Walk)
    assert walk.batch == ((0, b"d1"),)
    agent.hear(Ack(7, 70, 1))
    assert sent(agent.after(2.0), Heartbeat)
