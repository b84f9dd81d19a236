"""A unit of a run that sends: what is found is sent before more is found, and is given away."""

from typing import Any

from tests.unit.agents.walker.making import (
    Agent,
    connected,
    directory,
    grant,
    listed,
    options,
    part,
    sent,
    told,
    walked,
)
from zfs_walk.agents.walker.tasks import ListParts, ScanPart, Walk
from zfs_walk.protocol.messages import Commit, Grant, Steal


def of_a_run(*, to: str) -> tuple[Agent, list[Any]]:
    """Two workers, a directory to be walked, and three parts of another one whose names are there.

    Returns:
        The agent, and what the worker that has listed the parts is told then.
    """
    agent = connected()
    items = (directory(1, b"d1"), directory(2, b"d2"), *(part(10 + n, n, 3) for n in range(3)))
    message: Grant = grant(*items, options=options(to=to))
    first, *_ = [task for task in told(agent.hear(message)) if isinstance(task, Walk | ListParts)]
    if isinstance(first, ListParts):
        return agent, told(agent.worker_says(listed(first.task, 3)))
    return agent, told(agent.worker_says(walked(first.task)))


def test_parts_come_before_directories() -> None:
    agent, tasks = of_a_run(to="file:///copy")
    assert [type(task) for task in tasks] == [ScanPart]
    assert tasks[0].place == (0, b"wide")
    assert agent.unit.frontier.waiting


def test_in_other_runs_directories_come_before_parts() -> None:
    _, tasks = of_a_run(to="")
    assert not any(isinstance(task, ScanPart) for task in tasks)


def test_any_part_is_worth_giving_in_a_run_that_sends() -> None:
    given = {}
    for to in ("", "file:///copy"):
        agent = connected()
        parts = [part(10 + n, n, 40) for n in range(6)]
        out = agent.hear(grant(*parts, options=options(to=to)))
        [listing] = told(out, ListParts)
        assert listing.files_apart == bool(to)
        # To list them took as long as to look at them.
        agent.worker_says(listed(listing.task, 6, names=1, micros=1_000_000))
        out = agent.hear(Steal(5, 7, 70, (2,)))
        given[to] = sum(len(group) for commit in sent(out, Commit) for group in commit.split)
    assert given[""] == 0
    assert given["file:///copy"] == 2


def test_a_task_that_was_broken_off_waits_anew_and_counts_nothing() -> None:
    agent, tasks = of_a_run(to="file:///copy")
    [task] = tasks
    before = len(agent.unit.frontier.items)
    out = agent.worker_says(
        walked(task.task, listed=0, untouched=1, counters={}, levels=(), micros=0)
    )
    assert len(agent.unit.frontier.items) == before
    assert not sent(out, Commit)
    [again] = told(out, ScanPart)
    assert (again.place, again.part) == (task.place, task.part)
