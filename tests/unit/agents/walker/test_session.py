"""The agent and its broker: HELLO, heartbeats, work requests, silence, leaving."""

from collections.abc import Sequence

import pytest

from tests.unit.agents.walker.making import (
    EPOCH,
    IDENTITY,
    UID,
    Agent,
    connected,
    directory,
    grant,
    holding,
    sent,
    standing,
    told,
    walked,
    welcome,
)
from zfs_walk.agents.events import Connected, Exit, Reconnect, Send, Tick
from zfs_walk.agents.walker.events import Spawn
from zfs_walk.agents.walker.tasks import CloseRun, OpenRun, Ready, Walk
from zfs_walk.protocol.messages import (
    Ack,
    Bye,
    ByeAck,
    Command,
    CommandDone,
    Commit,
    Error,
    Grant,
    Heartbeat,
    HeartbeatAck,
    Hello,
    Nack,
    Parked,
    Rehello,
    WorkRequest,
)
from zfs_walk.protocol.records import Holding, Lease, RunNote


def exits(out: Sequence[object]) -> list[str]:
    return [i.failure for i in out if isinstance(i, Exit)]


# ------------------------------------------------------------------------- HELLO


def test_at_the_start_there_are_workers_and_no_word_to_the_broker() -> None:
    assert Agent().started == [Spawn(1), Spawn(2)]


def test_a_fresh_socket_is_greeted_with_hello_and_nothing_else() -> None:
    agent = Agent()
    assert agent.take(Connected()) == [
        Send(Hello(1, 1, "walker", "h0", "walker-0", "boot", 1, 9, "0", 2, (), 0))
    ]


def test_hello_names_every_unit_and_what_was_acknowledged_of_it() -> None:
    agent, _ = holding(directory(1), directory(2))
    agent.worker_says(walked(1))
    agent.after(0.1)
    agent.hear(Ack(UID, EPOCH, 1))
    agent.hear(Rehello(6))
    (hello,) = sent(agent.take(Connected()), Hello)
    assert hello.held == (Lease(UID, EPOCH, 1),)
    assert (hello.conn, hello.highest_term) == (2, 6)


def test_a_rehello_closes_the_socket_and_opens_another() -> None:
    agent = connected()
    (reconnect,) = agent.hear(Rehello(6))
    assert isinstance(reconnect, Reconnect)
    assert 0.2 <= reconnect.delay <= 1.0
    assert not reconnect.elsewhere  # it has just spoken


def test_what_was_read_from_a_socket_that_is_given_up_is_too_late() -> None:
    agent = connected()
    agent.hear(Rehello(6))
    assert agent.hear(welcome()) == []
    assert agent.hear(grant()) == []
    assert not agent.core.units


def test_a_hello_without_an_answer_is_said_again_on_a_fresh_socket() -> None:
    agent = Agent()
    agent.take(Connected())
    assert not [i for i in agent.after(2.0) if isinstance(i, Reconnect)]
    assert [i.elsewhere for i in agent.after(0.6) if isinstance(i, Reconnect)] == [True]


def test_a_broker_that_is_silent_for_three_heartbeats_is_given_up() -> None:
    agent = connected()
    assert not [i for i in agent.after(3.0) if isinstance(i, Reconnect)]
    assert [i.elsewhere for i in agent.after(0.6) if isinstance(i, Reconnect)] == [True]


def test_short_heartbeats_do_not_hide_a_silence_from_an_agent_that_wakes_late() -> None:
    agent = Agent()
    agent.take(Connected())
    agent.hear(welcome(heartbeat_ms=300))
    out = []
    until = agent.now + 1.5
    while agent.now < until:
        agent.now = agent.core.next_deadline(agent.now) + 0.05
        out += agent.take(Tick())
    assert [i.elsewhere for i in out if isinstance(i, Reconnect)] == [True]


def test_an_agent_that_slept_blames_nobody_for_the_silence() -> None:
    agent = connected()
    assert not [i for i in agent.asleep(1000.0) if isinstance(i, Reconnect)]


def test_without_any_broker_the_agent_gives_up_after_its_patience() -> None:
    agent = Agent(patience=10.0)
    agent.take(Connected())
    out = agent.after(9.0)
    assert not exits(out)
    assert "no-broker" in exits(agent.after(2.0))


@pytest.mark.parametrize("code", ["version", "name-in-use", "superseded"])
def test_an_agent_that_is_not_wanted_exits(code: str) -> None:
    assert exits(connected().hear(Error(code, "why"))) == [f"{code}: why"]


def test_any_other_error_is_only_noted() -> None:
    assert connected().hear(Error("malformed", "why")) == []


# ------------------------------------------------------------------------- WELCOME


def test_a_unit_to_keep_sends_again_what_was_not_applied() -> None:
    agent, _ = holding(directory(1), directory(2), directory(3))
    agent.worker_says(walked(1))
    (first,) = sent(agent.after(0.1), Commit)
    agent.worker_says(walked(2, 2))
    (second,) = sent(agent.after(0.2), Commit)
    agent.hear(Rehello(6))
    agent.take(Connected())
    out = agent.hear(welcome(keep=(standing(1),)))
    assert sent(out, Commit) == [second]
    assert (first.seq, second.seq) == (1, 2)


def test_a_unit_to_drop_is_dropped() -> None:
    agent, _ = holding(directory(1))
    agent.hear(Rehello(6))
    agent.take(Connected())
    out = agent.hear(welcome(drop=(standing(0),)))
    assert not agent.core.units
    assert told(out, CloseRun)


def test_every_welcome_forgets_the_request_and_the_agent_asks_again() -> None:
    agent = connected()
    assert agent.core.want.told
    agent.hear(Rehello(6))
    agent.take(Connected())
    assert sent(agent.hear(welcome()), WorkRequest) == [WorkRequest(2)]


# ------------------------------------------------------------------------- heartbeats, requests


def test_a_heartbeat_names_the_units_and_what_could_be_stolen() -> None:
    agent, _ = holding(directory(1), directory(2), directory(3))
    agent.after(0.1)
    (beat,) = sent(agent.after(1.0), Heartbeat)
    assert beat.held == (Holding(UID, EPOCH, 1),)


def test_a_heartbeat_goes_out_however_often_the_loop_turns() -> None:
    agent = connected()
    beats = 0
    for _ in range(300):
        agent.now += 0.01
        out = agent.take(Tick())
        beats += len(sent(out, Heartbeat))
        agent.hear(HeartbeatAck(1, 5, 1000, ()))
    assert 2 <= beats <= 4


def test_idle_workers_ask_at_once_when_nothing_is_held() -> None:
    agent = Agent()
    agent.take(Connected())
    agent.hear(welcome())
    assert sent(agent.worker_says(Ready(1, 1)), WorkRequest) == [WorkRequest(1)]


def test_a_request_is_said_once_and_repeated_by_heartbeats() -> None:
    agent = connected()
    agent.hear(Parked(1))
    agent.after(0.1)
    out = agent.after(1.0)
    assert not sent(out, WorkRequest)
    assert [beat.want for beat in sent(out, Heartbeat)] == [1]


def test_workers_that_got_work_from_here_withdraw_the_request_with_the_heartbeat() -> None:
    agent, _ = holding(directory(1))
    assert sent(agent.after(0.01), WorkRequest) == [WorkRequest(1)]
    agent.worker_says(walked(1, 1, b"a", b"b", b"c"))
    assert not agent.core.crew.idle()
    assert [beat.want for beat in sent(agent.after(1.0), Heartbeat)] == [0]


def test_an_agent_with_a_unit_asks_when_a_worker_stays_idle_for_a_moment() -> None:
    agent, out = holding(directory(1))
    assert not sent(out, WorkRequest)
    assert sent(agent.after(0.004), WorkRequest) == []
    assert sent(agent.after(0.002), WorkRequest) == [WorkRequest(1)]


def test_a_full_agent_does_not_ask() -> None:
    agent = connected()
    for i in range(4):
        agent.hear(grant(uid=100 + i, epoch=200 + i))
    for task in (1, 2):
        agent.worker_says(walked(task, task, refused=""))
    assert not sent(agent.after(0.04), WorkRequest)


# ------------------------------------------------------------------------- grants


def test_a_grant_opens_the_run_and_gives_its_items_out() -> None:
    _, out = holding(directory(1), directory(2))
    assert [type(message) for message in told(out)] == [OpenRun, Walk, OpenRun, Walk]
    assert [walk.batch for walk in told(out, Walk)] == [((0, b"d2"),), ((0, b"d1"),)]


def test_a_repeated_grant_changes_nothing() -> None:
    agent, _ = holding(directory(1), directory(2))
    assert agent.hear(grant(directory(1), directory(2))) == []


def test_the_oldest_unit_is_walked_first() -> None:
    agent, _ = holding(*[directory(n) for n in range(1, 4)])
    agent.hear(grant(directory(9), uid=8, epoch=80))
    (walk,) = told(agent.worker_says(walked(1)), Walk)
    assert walk.uid == UID


# ------------------------------------------------------------------------- answers to commits


def committed() -> tuple[Agent, list[Commit]]:
    """A unit with two commits on their way."""
    agent, _ = holding(*[directory(n) for n in range(1, 4)])
    commits: list[Commit] = []
    for task in (1, 2):
        commits += sent(agent.worker_says(walked(task, task)) + agent.after(0.2), Commit)
    return agent, commits


def test_an_acknowledged_commit_is_not_sent_again() -> None:
    agent, commits = committed()
    agent.hear(Ack(UID, EPOCH, 2))
    agent.hear(HeartbeatAck(1, 5, 1000, ()))
    assert len(commits) == 2
    assert not agent.unit.unacked


def test_a_commit_without_an_answer_is_sent_again_byte_for_byte() -> None:
    agent, commits = committed()
    out = []
    for _ in range(4):
        out += agent.after(0.9)
        agent.hear(HeartbeatAck(1, 5, 1000, ()))
    again = sent(out, Commit)
    assert again[:2] == commits


def test_a_gap_is_answered_once_with_everything_from_there() -> None:
    agent, commits = committed()
    nack = Nack(UID, EPOCH, 0, "GAP", "")
    assert sent(agent.hear(nack)) == commits
    assert agent.hear(nack) == []


def test_a_gap_before_what_was_acknowledged_is_late() -> None:
    agent, commits = committed()
    agent.hear(Ack(UID, EPOCH, 1))
    assert agent.hear(Nack(UID, EPOCH, 0, "GAP", "")) == []
    assert sent(agent.hear(Nack(UID, EPOCH, 1, "GAP", ""))) == commits[1:]


def test_a_gap_that_cannot_be_filled_drops_the_unit() -> None:
    agent, _ = committed()
    agent.hear(Nack(UID, EPOCH, 2, "GAP", ""))
    assert not agent.core.units


@pytest.mark.parametrize("code", ["FENCED", "RUN_OVER", "CONSERVATION", "MALFORMED"])
def test_a_unit_that_is_refused_is_dropped(code: str) -> None:
    agent, _ = committed()
    agent.hear(Nack(UID, EPOCH, 0, code, ""))
    assert not agent.core.units


def test_an_answer_about_an_epoch_that_is_not_held_is_ignored() -> None:
    agent, _ = committed()
    assert agent.hear(Nack(UID, EPOCH - 1, 0, "FENCED", "")) == []
    assert agent.hear(Ack(UID, EPOCH - 1, 5)) == []
    assert agent.core.units


# ------------------------------------------------------------------------- commands and leaving


def release_of(agent: Agent) -> Commit:
    (commit,) = [c for c in sent(agent.after(0.01), Commit) if c.release]
    assert isinstance(commit, Commit)
    return commit


@pytest.mark.parametrize("command", [Command(1, "pause", 1, UID), Command(1, "release", 1, UID)])
def test_a_unit_is_given_back_when_its_workers_are_back(command: Command) -> None:
    agent, _ = holding(directory(1), directory(2), directory(3))
    out = agent.hear(command)
    assert sent(out) == [CommandDone(1, ok=True, detail="")]
    assert not told(agent.worker_says(walked(1, 1, b"a")))
    (commit,) = sent(agent.worker_says(walked(2, 2, listed=0, found=0, untouched=1)), Commit)
    assert commit.release
    assert commit.removed == (3,)
    assert [item.path for item in commit.added] == [b"a"]
    agent.hear(Ack(UID, EPOCH, 1))
    assert not agent.core.units


def test_a_heartbeats_answer_tells_of_a_run_that_pauses_or_is_over() -> None:
    agent, _ = holding(directory(1))
    agent.hear(HeartbeatAck(1, 5, 1000, (RunNote(1, "PAUSED"),)))
    assert agent.unit.releasing == "paused"
    agent.hear(HeartbeatAck(2, 5, 1000, (RunNote(1, "ABORTED"),)))
    assert not agent.core.units


def test_a_terminated_agent_gives_back_says_bye_and_goes() -> None:
    agent, _ = holding(directory(1), directory(2))
    agent.drain()
    for task in (1, 2):
        agent.worker_says(walked(task, task, listed=0, found=0, untouched=1, counters={}))
    assert agent.unit.finished
    assert sent(agent.hear(Ack(UID, EPOCH, 1))) == [Bye("terminated")]
    assert exits(agent.hear(ByeAck())) == [""]


def test_a_bye_whose_answer_was_lost_ends_well_all_the_same() -> None:
    agent = connected()
    assert sent(agent.drain()) == [Bye("terminated")]
    agent.hear(Rehello(6))
    agent.now += 0.1
    agent.take(Connected())
    assert "" in exits(agent.hear(Error("superseded", "ended")))


def test_a_grant_that_comes_while_draining_is_given_back_untouched() -> None:
    agent = connected()
    agent.drain()
    out = agent.hear(grant(directory(1)))
    (commit,) = sent(out, Commit)
    assert (commit.release, commit.removed, commit.added) == (True, (), ())
    assert not told(out, Walk)


def test_a_drain_that_is_not_acknowledged_is_given_up_but_sleep_does_not_count() -> None:
    agent, _ = holding(directory(1))
    agent.drain()
    assert not exits(agent.asleep(100.0))
    out = []
    for _ in range(32):
        agent.hear(HeartbeatAck(1, 5, 1000, ()))
        out += agent.after(1.0)
    assert any("did not acknowledge" in failure for failure in exits(out))


def test_identity_is_what_hello_says() -> None:
    (hello,) = sent(Agent().take(Connected()), Hello)
    assert (hello.role, hello.host, hello.name, hello.boot) == (
        IDENTITY.role, IDENTITY.host, IDENTITY.name, IDENTITY.boot,
    )  # fmt: skip
    assert isinstance(grant(), Grant)
