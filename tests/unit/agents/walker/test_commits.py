"""How a unit becomes commits: cut, written, sealed, sent; rolled back; given away."""

import itertools

import pytest

from tests.model.invariants import check_agent
from tests.unit.agents.walker.making import (
    EPOCH,
    UID,
    Agent,
    directory,
    flushed,
    holding,
    hurries,
    listed,
    part,
    segment,
    sent,
    told,
    walked,
)
from zfs_walk.agents.events import Send
from zfs_walk.agents.walker import cuts
from zfs_walk.agents.walker.cuts import MOST_COUNT, MOST_ITEMS
from zfs_walk.agents.walker.events import Delete, FreeSpool, Hurry, Instruction, Tell
from zfs_walk.agents.walker.tasks import Flush, Forget, ListParts, ScanPart, Walk
from zfs_walk.protocol.messages import (
    Ack,
    Cannot,
    Command,
    Commit,
    HeartbeatAck,
    Nack,
    Steal,
    StealRefused,
)
from zfs_walk.protocol.records import RunNote


def rows_of(*tasks: tuple[int, int]) -> tuple[Agent, list[Instruction]]:
    """A run with rows; (task, worker) have come back with one row each, and a cut was begun."""
    agent, _ = holding(directory(1), directory(2), directory(3), rows=True)
    for task, worker in tasks:
        agent.worker_says(walked(task, worker, rows=1))
    return agent, list(agent.after(0.06))


# ------------------------------------------------------------------------- cut, seal, send


def test_what_is_born_and_consumed_between_two_commits_stays_here() -> None:
    agent, _ = holding(directory(1), directory(2), directory(3))
    agent.worker_says(walked(1, 1, b"a", b"b"))
    agent.worker_says(walked(3, 1))
    (commit,) = sent(agent.after(0.06), Commit)
    assert commit.removed == (3,)
    assert [item.path for item in commit.added] == [b"a"]
    assert (commit.found, commit.done) == (2, 2)


def test_the_commit_interval_doubles() -> None:
    agent, _ = holding(directory(1), directory(2), directory(3))
    agent.worker_says(walked(1, 1, b"a", b"b", b"c", b"d"))
    times: list[float] = []
    task = 3
    for _ in range(40):
        out = agent.after(0.01)
        out += agent.worker_says(walked(task, 1, b"x%d" % task))
        task += 1
        for commit in sent(out, Commit):
            times.append(agent.now)
            out = agent.hear(Ack(UID, EPOCH, commit.seq))
    gaps = [round(b - a, 2) for a, b in itertools.pairwise(times)]
    assert gaps[0] < gaps[1]
    assert 0.08 <= gaps[0] <= 0.13
    assert 0.18 <= gaps[1] <= 0.23


def test_a_unit_with_nothing_left_is_committed_at_once() -> None:
    agent, _ = holding(directory(1))
    (commit,) = sent(agent.worker_says(walked(1)), Commit)
    assert (commit.removed, commit.found, commit.done, commit.release) == ((1,), 0, 1, False)
    assert agent.unit.finished
    agent.hear(Ack(UID, EPOCH, 1))
    assert not agent.core.units


def test_a_commit_waits_until_every_worker_has_written_its_rows() -> None:
    agent, out = rows_of((1, 1), (2, 2))
    flushes = told(out, Flush)
    name = f"1-{UID:x}-{EPOCH:x}-0-1"
    assert [(f.cut, f.upto, f.name) for f in flushes] == [(1, 1, f"{name}-1"), (1, 2, f"{name}-2")]
    assert not sent(agent.worker_says(flushed(1, 1, "s1")), Commit)
    (commit,) = sent(agent.worker_says(flushed(2, 1, "s2")), Commit)
    assert commit.segments == (segment("s1"), segment("s2"))
    assert commit.done == 2


def test_workers_go_on_while_rows_are_written() -> None:
    agent, _ = rows_of((1, 1))
    agent.worker_says(walked(3, 1, rows=1))
    (commit,) = sent(agent.worker_says(flushed(1, 1, "s1")), Commit)
    assert (commit.done, commit.removed) == (1, (3,))


def test_one_cut_is_open_at_a_time() -> None:
    agent, _ = rows_of((1, 1))
    agent.worker_says(walked(2, 2, rows=1))
    assert not told(agent.after(1.0), Flush)
    out = agent.worker_says(flushed(1, 1, "s1"))
    assert [flush.cut for flush in told(out + agent.after(0.01), Flush)] == [2]


def test_rows_past_the_bound_are_cut_at_once() -> None:
    agent, _ = holding(directory(1), directory(2), directory(3), rows=True)
    assert told(agent.worker_says(walked(1, 1, rows=300_000)), Flush)


def test_with_a_full_window_nothing_is_begun_nor_cut() -> None:
    agent, _ = holding(directory(1), directory(2), directory(3))
    agent.worker_says(walked(1, 1, *[b"%d" % i for i in range(100)]))
    task = 3
    while len(agent.unit.unacked) < 4:
        agent.after(1.0)
        agent.hear(HeartbeatAck(1, 5, 1000, ()))
        agent.worker_says(walked(task, 1, listed=len(agent.unit.frontier.tasks[task]), result=task))
        task += 1
    assert not told(agent.after(0.5), Walk)
    out = agent.hear(Ack(UID, EPOCH, 4))
    assert told(out, Walk)


# ------------------------------------------------------------------------- what fits in a commit


def test_a_unit_with_half_a_commit_of_new_items_is_cut_at_once_and_rests_until_then() -> None:
    agent, _ = holding(directory(1), directory(2), directory(3), rows=True)
    agent.worker_says(walked(1, 1, rows=1))
    agent.after(0.06)  # a cut is open, so that there can't be another one
    names = [b"%d" % i for i in range(MOST_ITEMS // 2)]
    out = agent.worker_says(walked(3, 1, *names, rows=1))
    assert not told(out, Walk)
    out = agent.worker_says(flushed(1, 1, "s1"))
    assert told(out + agent.after(0.01), Flush)


def test_a_result_that_would_not_fit_waits_for_the_next_cut() -> None:
    agent, _ = holding(directory(1), directory(2), directory(3))
    many = [b"%d" % i for i in range(40_000)]
    agent.unit._interval = 1e9
    agent.worker_says(walked(1, 1, *many[:30_000]))
    out = agent.worker_says(walked(2, 2, *many))
    commits = sent(out, Commit)
    assert [len(commit.added) for commit in commits] == [30_000]
    assert len(agent.unit.frontier.fresh) == 40_000
    check_agent(agent.core)


def test_results_that_wait_with_rows_are_lost_with_their_worker() -> None:
    agent, _ = rows_of((1, 1))
    many = [b"%d" % i for i in range(40_000)]
    agent.worker_says(walked(2, 2, *many, rows=1))
    task = next(iter(agent.unit.frontier.tasks))
    agent.worker_says(walked(task, 1, *many, rows=1))
    assert agent.unit.progress.late
    agent.dies(1)
    assert agent.unit.roll == 1
    assert not agent.unit.progress.late
    check_agent(agent.core)


def test_counters_stop_at_their_end() -> None:
    agent, _ = holding(directory(1), directory(2))
    agent.worker_says(walked(1, 1, counters={"size": MOST_COUNT}))
    (commit,) = sent(agent.worker_says(walked(2, 2, counters={"size": MOST_COUNT})), Commit)
    assert commit.counters["size"] == MOST_COUNT


# ------------------------------------------------------------------------- rollback


def test_a_dead_workers_rows_roll_the_unit_back_to_its_last_seal() -> None:
    agent, _ = rows_of((1, 1))
    agent.worker_says(flushed(1, 1, "s1"))
    agent.worker_says(walked(2, 2, b"new", rows=1))
    out = agent.dies(2)
    assert agent.unit.roll == 1
    assert {item.path for item in agent.unit.frontier.items.values()} == {b"d1", b"d2"}
    assert told(out, Forget) == [Forget(UID, EPOCH, 0)]
    check_agent(agent.core)


def test_a_rollback_deletes_what_was_written_for_the_open_cut() -> None:
    agent, _ = rows_of((1, 1), (2, 2))
    agent.worker_says(flushed(1, 1, "s1"))
    assert Delete(b"/catalog", ("s1",)) in agent.dies(2)


def test_what_is_written_for_a_cut_that_was_rolled_back_is_deleted_when_it_comes() -> None:
    agent, _ = rows_of((1, 1), (2, 2))
    agent.dies(2)
    assert agent.worker_says(flushed(1, 1, "s1")) == [Delete(b"/catalog", ("s1",))]


def test_results_of_an_older_roll_count_nothing() -> None:
    agent, _ = rows_of((1, 1))
    agent.dies(1)
    before = dict(agent.unit.frontier.items)
    agent.worker_says(walked(2, 2, b"late", rows=1))
    assert agent.unit.frontier.items == before


def test_numbers_are_not_used_again_after_a_rollback() -> None:
    agent, _ = rows_of((1, 1))
    agent.worker_says(flushed(1, 1, "s1"))
    agent.worker_says(walked(2, 2, b"a", rows=1))
    seen = max(agent.unit.frontier.items)
    agent.dies(2)
    agent.unit.frontier.new(0, 0, b"next")
    assert max(agent.unit.frontier.items) > seen


def test_a_worker_that_staged_nothing_costs_only_what_it_had_in_hand() -> None:
    agent, _ = rows_of((1, 1))
    agent.dies(2)
    assert agent.unit.roll == 0
    check_agent(agent.core)


def test_a_run_without_rows_is_never_rolled_back() -> None:
    agent, _ = holding(directory(1), directory(2), directory(3))
    agent.worker_says(walked(1, 1, b"a"))
    agent.dies(1)
    assert agent.unit.roll == 0
    assert b"a" in {item.path for item in agent.unit.frontier.items.values()}


def test_a_steal_whose_cut_is_rolled_back_still_stands() -> None:
    agent, _ = holding(directory(1), directory(2), directory(3), rows=True)
    agent.worker_says(walked(1, 1, *[b"%d" % i for i in range(50)], rows=1))
    agent.unit.frontier.waiting.rotate(-1)  # what the broker does not know is the oldest
    agent.hear(Steal(99, UID, EPOCH, (2,)))
    assert agent.unit.cut is not None
    (commit,) = sent(agent.dies(1), Commit)
    assert (commit.steal_id, commit.split, commit.added) == (99, ((1, 2),), ())


def test_a_catalog_that_cannot_be_written_gives_the_run_back() -> None:
    agent, _ = rows_of((1, 1))
    out = agent.worker_says(flushed(1, 1, failed="disk full"))
    assert sent(out, Cannot) == [Cannot(1, "disk full")]
    assert agent.unit.releasing == "unreachable: disk full"
    assert agent.unit.roll == 1


# ------------------------------------------------------------------------- dropping


def sealed_with_rows() -> Agent:
    """Two sealed commits with a segment each."""
    agent, _ = rows_of((1, 1))
    agent.worker_says(flushed(1, 1, "s1"))
    agent.worker_says(walked(2, 2, b"a", b"b", rows=1))
    agent.after(0.2)
    agent.worker_says(flushed(2, 2, "s2"))
    assert sorted(agent.unit.unacked) == [1, 2]
    return agent


def test_a_fenced_unit_deletes_only_segments_that_were_not_applied() -> None:
    agent = sealed_with_rows()
    out = agent.hear(Nack(UID, EPOCH, 1, "FENCED", ""))
    assert Delete(b"/catalog", ("s2",)) in out
    assert not agent.core.units


def test_an_aborted_run_keeps_every_segment_that_may_have_been_applied() -> None:
    agent = sealed_with_rows()
    out = agent.hear(HeartbeatAck(1, 5, 1000, (RunNote(1, "ABORTED"),)))
    assert not [i for i in out if isinstance(i, Delete)]
    assert not agent.core.units


def test_rows_that_a_dropped_unit_still_gets_written_are_deleted() -> None:
    agent, _ = rows_of((1, 1))
    agent.hear(Nack(UID, EPOCH, 0, "FENCED", ""))
    assert agent.worker_says(flushed(1, 1, "s1"))[0] == Delete(b"/catalog", ("s1",))


def test_workers_of_a_dropped_unit_are_called_back() -> None:
    agent, _ = holding(directory(1), directory(2))
    assert hurries(agent.hear(Nack(UID, EPOCH, 0, "FENCED", ""))) == [(1, 2), (2, 2)]


# ------------------------------------------------------------------------- steals


def test_known_items_are_given_in_a_commit_with_nothing_but_the_split() -> None:
    agent, _ = holding(*[directory(n) for n in range(1, 11)], rows=True)
    agent.worker_says(walked(1, 1, result=1, listed=2, rows=1))
    out = agent.hear(Steal(5, UID, EPOCH, (2,)))
    (commit,) = sent(out, Commit)
    assert (commit.steal_id, commit.removed, commit.added, commit.found, commit.done) == (
        5, (), (), 0, 0,
    )  # fmt: skip
    assert commit.split == ((1, 2),)
    assert not told(out, Flush)


def test_items_that_the_broker_does_not_know_are_given_with_a_cut() -> None:
    agent, _ = holding(directory(1))
    agent.worker_says(walked(1, 1, *[b"%d" % i for i in range(40)]))
    assert agent.unit.seq == 0
    (commit,) = sent(agent.hear(Steal(5, UID, EPOCH, (2,))), Commit)
    assert commit.removed == (1,)
    assert len(commit.added) == 40
    assert commit.split
    assert set(commit.split[0]) < {item.n for item in commit.added}


def test_thieves_get_the_oldest_in_proportion_to_their_workers() -> None:
    agent, _ = holding(*[directory(n) for n in range(1, 101)])
    agent.worker_says(walked(1, 1, listed=25))
    waiting = list(agent.unit.frontier.waiting)
    (commit,) = sent(agent.hear(Steal(5, UID, EPOCH, (1, 3))), Commit)
    one, three = commit.split
    assert sorted(one + three) == sorted(waiting[: len(one + three)])
    assert len(one + three) == round(len(waiting) * 4 / 6)
    assert abs(3 * len(one) - len(three)) <= 3


def test_the_last_item_is_not_given_away_when_nobody_works() -> None:
    agent, _ = holding(directory(1), directory(2), directory(3))
    agent.hear(Command(1, "pause", 9, 0))
    out = agent.hear(Steal(5, UID, EPOCH, (1,)))
    assert not [c for c in sent(out, Commit) if c.split and len(c.split[0]) == 3]


def test_a_steal_stands_until_there_is_something_to_give() -> None:
    agent, _ = holding(directory(1))
    assert not sent(agent.hear(Steal(5, UID, EPOCH, (2,))))
    agent.now += 0.1
    out = agent.worker_says(walked(1, 1, *[b"%d" % i for i in range(10)]))
    assert [(commit.steal_id, bool(commit.split)) for commit in sent(out, Commit)] == [
        (0, False),
        (5, True),
    ]


def test_a_steal_is_refused_after_a_quarter_of_a_second() -> None:
    agent, _ = holding(directory(1))
    agent.hear(Steal(5, UID, EPOCH, (2,)))
    assert not sent(agent.after(0.24), StealRefused)
    assert sent(agent.after(0.02)) == [StealRefused(5, UID, EPOCH, "nothing to give")]


def test_work_under_20_ms_is_not_given() -> None:
    agent, _ = holding(directory(1), directory(2), directory(3))
    agent.worker_says(walked(1, 1, *[b"%d" % i for i in range(6)], micros=10))
    agent.hear(Steal(5, UID, EPOCH, (2,)))
    assert sent(agent.after(0.3), StealRefused)


def test_a_steal_of_a_unit_that_is_not_held_is_refused_at_once() -> None:
    agent, _ = holding(directory(1))
    assert agent.hear(Steal(5, UID, EPOCH - 1, (2,))) == [
        Send(StealRefused(5, UID, EPOCH - 1, "not held"))
    ]


def test_a_steal_of_a_unit_that_is_given_back_is_refused_at_once() -> None:
    agent, _ = holding(directory(1), directory(2), directory(3))
    agent.hear(Command(1, "pause", 1, 0))
    assert sent(agent.hear(Steal(5, UID, EPOCH, (2,))), StealRefused)


def test_busy_workers_are_hurried_to_share_while_one_is_idle_or_a_steal_stands() -> None:
    agent, _ = holding(directory(1), directory(2))
    assert Hurry(1, 1) not in agent.after(0.01)
    assert set(hurries(agent.hear(Steal(5, UID, EPOCH, (2,))))) == {(1, 1), (2, 1)}


# ------------------------------------------------------------------------- wide directories


def wide(parts: int = 4, *, rows: bool = False) -> tuple[Agent, list[Instruction]]:
    """Worker 1 found the root to be wide; worker 2 is idle."""
    agent, _ = holding(rows=rows)
    result = walked(1, 1, listed=0, wide=(0, b""), wide_parts=parts, counters={})
    return agent, list(agent.worker_says(result))


def test_a_wide_directory_becomes_parts_at_once_and_its_finder_lists_it() -> None:
    agent, out = wide()
    (task,) = told(out, ListParts)
    assert [i.worker for i in out if isinstance(i, Tell)] == [1]
    assert (task.parts, task.wanted) == (4, (0, 1, 2, 3))
    (commit,) = sent(agent.after(0.06), Commit)
    assert (commit.removed, commit.found, commit.done) == ((1,), 4, 1)
    assert [(item.part, item.parts) for item in commit.added] == [(i, 4) for i in range(4)]


def test_parts_are_scanned_with_the_names_that_were_dealt_to_them() -> None:
    agent, _ = wide()
    scans = told(agent.worker_says(listed(2, 4)), ScanPart)
    assert [(scan.part, scan.own, scan.extents) for scan in scans] == [
        (0, True, ((0, 9),)),
        (1, False, ((100, 9),)),
    ]


def test_a_thief_lists_only_the_parts_that_it_was_given() -> None:
    agent, out = holding(part(5, 1), part(6, 3))
    (task,) = told(out, ListParts)
    assert task.wanted == (1, 3)
    scans = told(agent.worker_says(listed(1, 2)), ScanPart)
    assert [(scan.part, scan.extents) for scan in scans] == [(1, ((0, 9),)), (3, ((100, 9),))]


def test_parts_are_given_when_no_directory_is_left() -> None:
    agent, _ = wide(parts=16)
    agent.worker_says(listed(2, 16))
    (commit,) = sent(agent.hear(Steal(5, UID, EPOCH, (2,))), Commit)
    given = {item.part for item in commit.added if item.n in commit.split[0]}
    assert given == {2, 3, 4, 5, 6, 7, 8}


def test_parts_are_not_given_if_listing_again_costs_more() -> None:
    agent, _ = wide(parts=8)
    agent.worker_says(listed(2, 8, micros=10**9))
    agent.worker_says(walked(3, 1, micros=10))
    agent.hear(Steal(5, UID, EPOCH, (2,)))
    assert sent(agent.after(0.3), StealRefused)


def test_the_spool_begins_anew_when_nobody_is_at_it() -> None:
    agent, _ = wide(parts=2)
    agent.worker_says(listed(2, 2))
    assert FreeSpool() not in agent.worker_says(walked(3, 1))
    assert FreeSpool() in agent.worker_says(walked(4, 2))


def test_the_spool_does_not_begin_anew_under_a_listing_that_was_rolled_back() -> None:
    agent, _ = holding(directory(1), directory(2), rows=True)
    agent.worker_says(walked(1, 1, listed=0, wide=(0, b"d2"), wide_parts=4, rows=0))
    agent.worker_says(walked(2, 2, rows=1))
    out = agent.dies(2)
    assert agent.unit.roll == 1
    assert FreeSpool() not in out
    assert FreeSpool() in agent.worker_says(listed(3, 4))


def test_a_wide_directory_that_is_gone_is_done_and_part_0_says_so() -> None:
    agent, _ = wide(parts=3)
    out = agent.worker_says(listed(2, 0, errno=2, kind="io", gone=True))
    (commit,) = sent(out, Commit)
    assert commit.counters == {"vanished": 1}
    assert (commit.found, commit.done) == (3, 4)
    assert agent.unit.finished


def test_a_listing_that_fails_is_tried_three_times_then_its_parts_are_given_up() -> None:
    agent, _ = wide(parts=3)
    task = 2
    for _ in range(2):
        agent.worker_says(listed(task, 0, errno=5, kind="io"))
        task += 1
    (commit,) = sent(agent.worker_says(listed(task, 0, errno=5, kind="io")), Commit)
    assert [q.item.part for q in commit.quarantined] == [0, 1, 2]
    assert {q.reason for q in commit.quarantined} == {"could not be listed 3 times, errno 5"}


def test_a_unit_full_of_items_that_could_not_be_read_is_cut_and_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cuts, "MOST_ITEMS", 4)
    agent, out = holding(directory(1), directory(2))
    first, second = told(out, Walk)
    for walk in (first, second):
        failed = tuple((place, 5) for place in walk.batch)
        out = agent.worker_says(
            walked(walk.task, walk.task, listed=0, counters={}, levels=(), failed=failed)
        )
    (commit,) = sent(out, Commit)
    assert (sorted(commit.removed), [item.n for item in commit.added]) == ([1, 2], [3, 4])
    assert (commit.found, commit.done, commit.counters) == (0, 0, {})
    assert told(out, Walk)
