"""What clients ask: submit, status, pause, continue, abort, verify, lists, deadlines."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.broker.making import (
    OPTIONS,
    Broker,
    commit,
    directory,
    heartbeat,
    hello,
    only,
    root,
)
from zfs_walk.protocol.messages import (
    CLIENT,
    Abort,
    Ack,
    AgentList,
    Agents,
    Cannot,
    Command,
    Continue,
    Done,
    Drain,
    Error,
    Grant,
    HeartbeatAck,
    Message,
    Nack,
    Pause,
    Prune,
    Resize,
    Retry,
    RunList,
    Runs,
    RunStatus,
    SegmentList,
    Segments,
    Status,
    Submit,
    Submitted,
    Verify,
    WorkRequest,
)
from zfs_walk.protocol.records import LiveCount, Quarantined, Segment

A, B, CLI = b"walker-0", b"walker-1", b"client"


def ask(broker: Broker, message: Message) -> Any:
    """The one answer to a client's request."""
    (answer,) = [m for to, m in broker.take(CLI, message) if to == CLI]
    return answer


def running() -> tuple[Broker, int, Grant]:
    """A run with two roots, held by A."""
    broker = Broker()
    broker.join("walker-0")
    number = broker.submit(root(b"/a"), root(b"/b"))
    return broker, number, broker.granted(A)


def test_a_submit_is_answered_with_the_runs_number() -> None:
    broker = Broker()
    broker.take(CLI, hello("cli", role=CLIENT))
    assert ask(broker, Submit("q", 0, (root(),), OPTIONS, 1)) == Submitted("q", 1)


def test_a_repeated_submit_makes_no_second_run() -> None:
    broker = Broker()
    broker.submit(request="q")
    assert ask(broker, Submit("q", 0, (root(),), OPTIONS, 1)) == Submitted("q", 1)
    assert len(broker.core.state.runs) == 1


def test_a_submit_that_a_restarted_broker_gets_again_makes_no_second_run() -> None:
    broker = Broker()
    broker.submit(request="q")
    later = broker.restart()
    later.take(CLI, hello("cli", role=CLIENT))
    assert ask(later, Submit("q", 0, (root(),), OPTIONS, 1)) == Submitted("q", 1)


def test_a_submit_without_roots_is_refused() -> None:
    broker = Broker()
    broker.take(CLI, hello("cli", role=CLIENT))
    assert ask(broker, Submit("q", 0, (), OPTIONS, 1)).code == "no-roots"


REQUESTS: list[Message] = [
    Submit("q", 5, (root(),), OPTIONS, 1),
    Status("q", 5, 1, 0),
    Runs("q", 5),
    Agents("q", 5),
    Pause("q", 5, 1),
    Continue("q", 5, 1),
    Abort("q", 5, 1),
    Verify("q", 5, 1),
    Retry("q", 5, 1),
    Prune("q", 5, 1, 0),
    Drain("q", 5, "", "walker-0"),
    Resize("q", 5, "", "walker-0", 3),
    Segments("q", 5, 1, "", 10),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: type(r).__name__)
def test_a_request_past_its_deadline_is_not_executed(request_: Message) -> None:
    broker, number, _ = running()
    answer = ask(broker, request_)
    assert isinstance(answer, Error)
    assert (answer.code, answer.request) == ("too-late", "q")
    assert list(broker.core.state.runs) == [number]
    assert broker.core.state.runs[number].state == "RUNNING"


@pytest.mark.parametrize(
    "request_",
    [
        Status("q", 0, 9, 0), Pause("q", 0, 9), Continue("q", 0, 9), Abort("q", 0, 9),
        Verify("q", 0, 9), Segments("q", 0, 9, "", 1), Retry("q", 0, 9),
    ],
    ids=lambda r: type(r).__name__,
)  # fmt: skip
def test_a_run_that_is_not_there_is_said_with_those_that_are(request_: Message) -> None:
    broker, _, _ = running()
    assert ask(broker, request_) == Error("no-such-run", "no run 9; the latest: 1", "q")


# ------------------------------------------------------------------------- status


def test_a_status_that_waits_is_answered_when_the_run_is_over() -> None:
    broker, number, grant = running()
    assert broker.take(CLI, Status("q", 0, number, 60_000)) == []
    done = commit(grant.uid, grant.epoch, 1, removed=(1, 2), done=2, counters={"entries": 9})
    (status,) = only(broker.take(A, done), RunStatus, CLI)
    assert (status.state, status.counters, status.items_left) == ("DONE", {"entries": 9}, 0)


def test_a_status_that_waits_is_answered_at_its_time() -> None:
    broker, number, _ = running()
    broker.take(CLI, Status("q", 0, number, 2_000))
    assert not only(broker.after(1.75), RunStatus)
    assert only(broker.after(0.5), RunStatus, CLI)[0].state == "RUNNING"


def test_a_client_waits_for_one_status_of_a_run_at_a_time() -> None:
    broker, number, _ = running()
    for i in range(100):
        broker.take(CLI, Status(f"q{i}", 0, number, 60_000))
    assert [w.request for w in broker.core.state.runs[number].waiters] == ["q99"]


def test_a_status_says_what_a_run_waits_for() -> None:
    broker = Broker()
    number = broker.submit(root(host="far", network=False), min_agents=2)
    waiting = ask(broker, Status("q", 0, number, 0)).waiting
    assert waiting == "no walker agent on far (its roots are local there) is there"
    broker.join("walker-0", host="far")
    assert ask(broker, Status("q", 0, number, 0)).waiting == "1 of 2 agents are there"


def test_what_agents_counted_and_did_not_commit_is_in_the_status_until_the_end() -> None:
    broker, number, grant = running()
    beat = heartbeat((grant.uid, grant.epoch))
    broker.take(A, replace(beat, live=(LiveCount(number, 50, 1, 7),)))
    assert ask(broker, Status("q", 0, number, 0)).live == LiveCount(number, 50, 1, 7)
    broker.take(A, commit(grant.uid, grant.epoch, 1, removed=(1, 2), done=2))
    assert ask(broker, Status("q", 0, number, 0)).live == LiveCount(number, 0, 0, 0)


def test_pauses_do_not_count_as_elapsed() -> None:
    broker, number, grant = running()
    for _ in range(3):
        broker.after(1.0)
        broker.take(A, heartbeat((grant.uid, grant.epoch)))
    broker.take(CLI, Pause("q", 0, number))
    broker.take(A, commit(grant.uid, grant.epoch, 1, release=True))
    broker.after(100.0)
    assert ask(broker, Status("q", 0, number, 0)).elapsed_ms == 3_000


# ------------------------------------------------------------------------- pause and continue


def test_a_pause_drains_then_pauses() -> None:
    broker, number, grant = running()
    sent = broker.take(CLI, Pause("q", 0, number))
    assert only(sent, Done, CLI) == [Done("q", "DRAINING")]
    assert [c.name for c in only(sent, Command, A)] == ["pause"]
    broker.join("walker-1")
    assert not only(broker.take(B, WorkRequest(1)), Grant)
    assert only(broker.take(A, commit(grant.uid, grant.epoch, 1, release=True)), Ack)
    assert broker.core.state.runs[number].state == "PAUSED"


def test_the_holders_of_a_draining_run_are_asked_again_every_heartbeat() -> None:
    broker, number, grant = running()
    broker.take(CLI, Pause("q", 0, number))
    asked = 0
    for _ in range(3):
        asked += len(only(broker.after(1.0), Command, A))
        broker.take(A, heartbeat((grant.uid, grant.epoch)))
    assert asked == 3


def test_a_draining_run_whose_holder_is_gone_is_paused_when_the_lease_is_open() -> None:
    broker, number, _ = running()
    broker.take(CLI, Pause("q", 0, number))
    broker.after(14.0)
    assert broker.core.state.runs[number].state == "DRAINING"
    broker.after(2.0)
    assert broker.core.state.runs[number].state == "PAUSED"


def test_a_run_without_holders_is_paused_at_once() -> None:
    broker = Broker()
    number = broker.submit()
    assert ask(broker, Pause("q", 0, number)) == Done("q", "PAUSED")


def test_a_paused_run_goes_on() -> None:
    broker, number, grant = running()
    broker.take(CLI, Pause("q", 0, number))
    broker.take(A, commit(grant.uid, grant.epoch, 1, release=True))
    broker.take(A, WorkRequest(1))
    sent = broker.take(CLI, Continue("q", 0, number))
    assert only(sent, Done, CLI) == [Done("q", "RUNNING")]
    assert only(sent, Grant, A)[0].uid == grant.uid


def test_continue_asks_again_those_who_could_not() -> None:
    broker, number, grant = running()
    broker.take(A, Cannot(number, "not mounted"))
    broker.take(A, commit(grant.uid, grant.epoch, 1, release=True))
    broker.after(0.25)
    assert broker.core.state.runs[number].state == "PAUSED"
    broker.take(CLI, Continue("q", 0, number))
    assert only(broker.take(A, WorkRequest(1)), Grant)


def test_a_holder_of_a_paused_run_that_was_away_hears_of_it() -> None:
    broker, number, grant = running()
    broker.take(CLI, Pause("q", 0, number))
    broker.after(16.0)
    sent = broker.take(A, heartbeat((grant.uid, grant.epoch)))
    (answer,) = only(sent, HeartbeatAck, A)
    assert [(note.run, note.state) for note in answer.runs] == [(number, "PAUSED")]
    assert only(broker.take(A, commit(grant.uid, grant.epoch, 1, release=True)), Ack)


# ------------------------------------------------------------------------- retry


def with_a_quarantined_item() -> tuple[Broker, int]:
    broker, number, grant = running()
    given_up = (Quarantined(directory(2), "3 workers died over it"),)
    broker.take(A, commit(grant.uid, grant.epoch, 1, removed=(1, 2), done=1, quarantined=given_up))
    assert broker.core.state.runs[number].state == "DONE_WITH_ERRORS"
    return broker, number


def test_a_retry_takes_the_run_up_again_and_grants_what_was_given_up() -> None:
    broker, number = with_a_quarantined_item()
    broker.take(A, WorkRequest(1))
    sent = broker.take(CLI, Retry("q", 0, number))
    assert only(sent, Done, CLI) == [Done("q", "RUNNING")]
    (grant,) = only(sent, Grant, A)
    assert [(item.path, item.deaths) for item in grant.items] == [(b"d", 0)]
    (status,) = only(broker.take(CLI, Status("s", 0, number, 0)), RunStatus)
    assert (status.state, status.items_left, status.quarantined) == ("RUNNING", 1, ())
    broker.take(A, commit(grant.uid, grant.epoch, 1, removed=(1,), done=1))
    assert broker.core.state.runs[number].state == "DONE"
    assert ask(broker, Verify("v", 0, number)).detail == (
        "2 roots + 0 found - 2 done - 0 quarantined = 0 left; totals agree"
    )


def test_a_retry_that_is_repeated_takes_nothing_up_twice() -> None:
    broker, number = with_a_quarantined_item()
    assert ask(broker, Retry("q", 0, number)) == Done("q", "RUNNING")
    assert ask(broker, Retry("q", 0, number)) == Done("q", "RUNNING")
    assert broker.journal.books(number).left == 1


def test_a_retried_run_is_there_after_a_restart() -> None:
    broker, number = with_a_quarantined_item()
    ask(broker, Retry("q", 0, number))
    later = broker.restart()
    later.join("walker-1")
    assert later.granted(B).run == number


def test_only_a_run_with_quarantined_items_is_retried() -> None:
    broker, number, _ = running()
    answer = ask(broker, Retry("q", 0, number))
    assert answer == Error(
        "nothing-to-retry", "run 1 is RUNNING and has no quarantined items to retry", "q"
    )


# ------------------------------------------------------------------------- abort and the end


def test_an_abort_ends_the_run_and_tells_its_holders() -> None:
    broker, number, grant = running()
    sent = broker.take(CLI, Abort("q", 0, number))
    assert only(sent, Done, CLI) == [Done("q", "ABORTED")]
    assert [c.name for c in only(sent, Command, A)] == ["abort"]
    (nack,) = only(broker.take(A, commit(grant.uid, grant.epoch, 1)), Nack)
    assert nack.code == "RUN_OVER"
    broker.after(0.25)
    assert broker.journal.books(number).left == 0


@pytest.mark.parametrize("kind", [Pause, Continue])
def test_a_run_that_is_over_does_not_pause_or_go_on(kind: type) -> None:
    broker, number, _ = running()
    broker.take(CLI, Abort("q", 0, number))
    assert ask(broker, kind("q", 0, number)) == Error("run-over", "run 1 is ABORTED", "q")


def test_a_second_abort_changes_nothing() -> None:
    broker, number, _ = running()
    broker.take(CLI, Abort("q", 0, number))
    assert ask(broker, Abort("q2", 0, number)) == Done("q2", "ABORTED")


def test_a_run_that_is_done_cannot_be_aborted() -> None:
    broker, number, grant = running()
    broker.take(A, commit(grant.uid, grant.epoch, 1, removed=(1, 2), done=2))
    assert ask(broker, Abort("q", 0, number)) == Error("run-over", "run 1 is DONE", "q")


def test_a_run_with_given_up_items_is_done_with_errors() -> None:
    broker, number, grant = running()
    lost = (Quarantined(directory(1, b""), "3 workers died over it"),)
    broker.take(
        A, commit(grant.uid, grant.epoch, 1, removed=(1, 2), done=1, quarantined=lost)
    )  # fmt: skip
    status = ask(broker, Status("q", 0, number, 0))
    assert status.state == "DONE_WITH_ERRORS"
    assert [q.reason for q in status.quarantined] == ["3 workers died over it"]


def test_verify_says_the_sum() -> None:
    broker, number, grant = running()
    broker.take(A, commit(grant.uid, grant.epoch, 1, removed=(1,), done=1))
    detail = ask(broker, Verify("q", 0, number)).detail
    assert detail == "2 roots + 0 found - 1 done - 0 quarantined = 1 left; totals agree"


def test_verify_finds_an_item_that_is_missing() -> None:
    broker, number, _ = running()
    broker.journal._db.execute("DELETE FROM item WHERE n = 2")
    answer = ask(broker, Verify("q", 0, number))
    assert (answer.code, answer.detail) == ("books", "2 items should be left, 1 are")


def test_verify_finds_totals_that_are_not_the_ledgers() -> None:
    broker, number, _ = running()
    broker.journal._db.execute("INSERT INTO counter VALUES (1, 'entries', 5)")
    assert ask(broker, Verify("q", 0, number)).code == "books"


# ------------------------------------------------------------------------- lists


def test_runs_are_listed_newest_first() -> None:
    broker, _, _ = running()
    broker.submit(request="r2")
    answer = ask(broker, Runs("q", 0))
    assert isinstance(answer, RunList)
    assert [line.run for line in answer.runs] == [2, 1]


def test_agents_are_listed_with_what_they_hold() -> None:
    broker, _, _ = running()
    broker.now += 0.5
    answer = ask(broker, Agents("q", 0))
    assert isinstance(answer, AgentList)
    (line,) = answer.agents
    assert (line.name, line.state, line.units, line.silent_ms) == ("walker-0", "live", 1, 500)


def test_segments_are_listed_in_pages() -> None:
    broker, number, grant = running()
    segments = tuple(Segment(f"s{i}", "rows", i, i, "") for i in range(5))
    broker.take(A, commit(grant.uid, grant.epoch, 1, segments=segments))
    first = ask(broker, Segments("q", 0, number, "", 3))
    assert isinstance(first, SegmentList)
    assert ([s.name for s in first.segments], first.more) == (["s0", "s1", "s2"], True)
    rest = ask(broker, Segments("q", 0, number, "s2", 3))
    assert ([s.name for s in rest.segments], rest.more) == (["s3", "s4"], False)


def test_a_message_that_is_garbled_is_answered_and_nothing_else_happens() -> None:
    broker, _, _ = running()
    before = repr(broker.core.state.sessions)
    assert broker.garbled(b"x", "malformed", "HELLO.name: missing") == [
        (b"x", Error("malformed", "HELLO.name: missing"))
    ]
    assert repr(broker.core.state.sessions) == before
