"""Places that kill workers or can't be read: again, alone, given up."""

from tests.model.invariants import check_agent
from tests.unit.agents.walker.making import (
    EPOCH,
    UID,
    Agent,
    connected,
    directory,
    flushed,
    holding,
    listed,
    part,
    sent,
    told,
    walked,
)
from zfs_walk.agents.events import Exit
from zfs_walk.agents.walker.events import Instruction, Spawn
from zfs_walk.agents.walker.tasks import ListParts, Ready, ScanPart, Walk
from zfs_walk.protocol.messages import Cannot, Command, Commit, Steal
from zfs_walk.protocol.records import Suspect


def new_worker(agent: Agent, number: int) -> list[Instruction]:
    return list(agent.worker_says(Ready(number, number)))


def test_a_dead_worker_is_replaced_under_a_new_number() -> None:
    agent = connected()
    assert Spawn(3) in agent.dies(1)
    assert Spawn(4) in agent.dies(3)


def test_what_a_dead_worker_had_in_hand_waits_again() -> None:
    agent, _ = holding(directory(1), directory(2))
    agent.dies(1)
    check_agent(agent.core)
    (walk,) = told(new_worker(agent, 3), Walk)
    assert walk.batch == ((0, b"d2"),)


def test_messages_of_a_dead_worker_count_nothing() -> None:
    agent, _ = holding(directory(1), directory(2))
    agent.dies(1)
    assert agent.worker_says(walked(1, 1, b"late")) == []
    check_agent(agent.core)


def test_after_the_first_death_a_place_is_tried_again_and_tasks_leave_it_alone() -> None:
    agent, _ = holding(directory(1), directory(2), directory(3))
    agent.dies(1, (0, b"d3/x", 0))
    (walk,) = told(new_worker(agent, 3), Walk)
    assert walk.avoid == ((0, b"d3/x"),)


def test_a_death_that_points_at_nothing_is_not_counted() -> None:
    agent, _ = holding(directory(1), directory(2))
    agent.dies(1, (0, b"d2", 0), pointed=False)
    assert not agent.unit.book.deaths


def twice_deadly() -> Agent:
    """Two workers died over d2; d1 is in worker 2's hands."""
    agent, _ = holding(directory(1), directory(2), rows=True)
    agent.dies(1, (0, b"d2", 0))
    new_worker(agent, 3)
    agent.dies(3, (0, b"d2", 0))
    return agent


def test_after_the_second_death_a_place_is_walked_alone_when_all_else_is_sealed() -> None:
    agent = twice_deadly()
    assert not told(new_worker(agent, 4), Walk)
    out = agent.worker_says(walked(2, 2, rows=1))
    assert not told(out, Walk)
    out += agent.after(0.01)
    out += agent.worker_says(flushed(2, 1, "s1"))
    (commit,) = sent(out, Commit)
    assert commit.attempts == (Suspect(2, 2),)
    (walk,) = told(out, Walk)
    assert (walk.batch, walk.avoid) == (((0, b"d2"),), ())
    check_agent(agent.core)


def test_after_the_third_death_a_place_is_given_up() -> None:
    agent = twice_deadly()
    new_worker(agent, 4)
    agent.worker_says(walked(2, 2, rows=1))
    agent.after(0.01)
    agent.worker_says(flushed(2, 1, "s1"))
    worker = next(w.number for w in agent.core.crew.workers.values() if w.task)
    (commit,) = sent(agent.dies(worker, (0, b"d2", 0)), Commit)
    assert [(q.item.path, q.reason) for q in commit.quarantined] == [
        (b"d2", "3 workers died over it")
    ]
    assert (commit.found, commit.done, commit.removed) == (0, 0, (2,))
    assert agent.unit.finished


def test_deaths_come_along_with_a_grant() -> None:
    agent, out = holding(directory(1, deaths=2), directory(2))
    assert [walk.batch for walk in told(out, Walk)] == [((0, b"d2"),)]
    out = agent.worker_says(walked(1, 1))
    assert [walk.batch for walk in told(out, Walk)] == [((0, b"d1"),)]
    (commit,) = sent(agent.dies(1, (0, b"d1", 0)), Commit)
    assert [q.item.path for q in commit.quarantined] == [b"d1"]


def test_a_deadly_place_that_is_found_again_is_given_up_at_once() -> None:
    agent, _ = holding(directory(1), directory(2))
    agent.unit.book.deaths[0, b"d2/x", 0] = 3
    agent.worker_says(walked(1, 1, b"d2/x", b"d2/y"))
    (commit,) = sent(agent.after(0.06), Commit)
    assert [q.item.path for q in commit.quarantined] == [b"d2/x"]
    check_agent(agent.core)


def test_a_deadly_part_is_given_up_and_its_siblings_are_not() -> None:
    agent, _ = holding(part(1, 0, deaths=2), part(2, 1))
    out = agent.worker_says(listed(1, 2))
    assert [scan.part for scan in told(out, ScanPart)] == [1]
    out = agent.worker_says(walked(2, 1))
    (scan,) = told(out, ScanPart)
    worker = next(w.number for w in agent.core.crew.workers.values() if w.task)
    (commit,) = sent(agent.dies(worker, (0, b"wide", 0)), Commit)
    assert scan.part == 0
    assert [(q.item.part, q.item.parts) for q in commit.quarantined] == [(0, 4)]
    assert not agent.unit.frontier.wide


def test_a_listing_that_kills_three_workers_gives_its_parts_up() -> None:
    agent, _ = holding(part(1, 0), part(2, 1))
    for worker in (1, 2):
        agent.dies(worker, (0, b"wide", 0))
    assert told(new_worker(agent, 3), ListParts)
    (commit,) = sent(agent.dies(3, (0, b"wide", 0)), Commit)
    assert [q.item.part for q in commit.quarantined] == [0, 1]
    assert {q.reason for q in commit.quarantined} == {"3 workers died over its listing"}


def test_a_place_that_workers_died_over_is_not_given_away() -> None:
    agent, _ = holding(*[directory(n) for n in range(1, 11)])
    agent.worker_says(walked(1, 1, listed=2))
    agent.unit.book.deaths[0, b"d1", 0] = 1
    (commit,) = sent(agent.hear(Steal(5, UID, EPOCH, (2,))), Commit)
    assert 1 not in commit.split[0]


# ------------------------------------------------------------------------- what can't be read


def failing(agent: Agent, task: int, worker: int = 1) -> list[Instruction]:
    return list(
        agent.worker_says(
            walked(task, worker, listed=0, counters={}, failed=(((0, b"d1"), 5),))
        )
    )  # fmt: skip


def test_a_directory_that_cannot_be_read_is_tried_three_times_and_last() -> None:
    agent, _ = holding(directory(1))
    failing(agent, 1)
    failing(agent, 2)
    (commit,) = sent(failing(agent, 3), Commit)
    assert [q.reason for q in commit.quarantined] == ["could not be read 3 times, errno 5"]
    assert (commit.found, commit.done, commit.removed) == (0, 0, (1,))


def test_a_root_that_is_not_the_recorded_one_counts_nothing_and_gives_the_run_back() -> None:
    agent, _ = holding(directory(1), directory(2))
    out = agent.worker_says(walked(1, 1, refused="not mounted", listed=0, counters={}))
    assert sent(out, Cannot) == [Cannot(1, "not mounted")]
    out = agent.worker_says(walked(2, 2, refused="not mounted", listed=0, counters={}))
    assert not sent(out, Cannot)
    (commit,) = sent(out, Commit)
    assert (commit.release, commit.removed, commit.counters) == (True, (), {})


# ------------------------------------------------------------------------- hopeless


def test_workers_that_cannot_start_end_the_agent() -> None:
    agent = connected()
    agent.dies(1)
    for worker in (3, 4, 5, 6):
        assert not [i for i in agent.dies(worker) if isinstance(i, Exit)]
    (failure,) = [i.failure for i in agent.dies(7) if isinstance(i, Exit)]
    assert failure == "5 workers in a row can't start: SIGSEGV"


def test_workers_of_an_agent_that_has_nothing_left_are_not_replaced_while_it_leaves() -> None:
    agent = connected()
    agent.drain()
    assert Spawn(3) not in agent.dies(1)
    assert agent.hear(Command(1, "drain", 0, 0))
