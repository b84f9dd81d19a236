"""A run from its first process to its last: in order, and whatever becomes of the processes."""

import logging

import pytest

from tests.unit.agents.loadgen.making import (
    EVERYBODY,
    MONITOR,
    A,
    Agent,
    B,
    checked,
    of,
    report,
    told,
)
from zfs_walk.agents.events import Drain, Exit, Note, Tick
from zfs_walk.agents.loadgen.events import Conclude, Died, Kill, Spawn, Tell
from zfs_walk.agents.loadgen.members import Phase
from zfs_walk.agents.loadgen.run import Stage
from zfs_walk.agents.loadgen.tasks import (
    Ask,
    Beat,
    Check,
    Consume,
    Done,
    Finish,
    Go,
    LaidOut,
    LayOut,
    Ready,
    Report,
    Sampled,
)
from zfs_walk.load.figures import Figures, packed
from zfs_walk.load.packing import unpacked_spec


def test_stages_follow_each_other_when_everybody_is_there() -> None:
    agent = Agent()
    assert [each.worker for each in of(agent.after(0.25), Spawn)] == [MONITOR, A, B]
    assert told(agent.say(Ready(MONITOR, 1), Ready(A, 2)), Check) == []
    out = agent.say(Ready(B, 3))
    assert told(out, Check) == told(out, Consume) == [A, B]
    loads = [tell.message.load for tell in of(out, Tell) if isinstance(tell.message, Consume)]
    assert [unpacked_spec(load).name for load in loads] == ["a", "b"]
    assert told(agent.say(checked(A)), LayOut) == []
    assert told(agent.say(checked(B)), LayOut) == [A, B]
    assert told(agent.say(LaidOut(B)), Go) == []
    begins = of(agent.say(LaidOut(A)), Tell)
    assert {tell.message for tell in begins if isinstance(tell.message, Go)} == {
        Go(50_300_000_000, 60_300_000_000, 250_000_000)
    }
    assert agent.run.stage is Stage.RUNNING


def test_who_wants_heartbeats_often_has_consumers_that_listen_often() -> None:
    agent = Agent(heartbeat=0.1).started()
    agent.say(checked(A), checked(B))
    begins = of(agent.say(LaidOut(A), LaidOut(B)), Tell)
    turns = {tell.message.turn_ns for tell in begins if isinstance(tell.message, Go)}
    assert turns == {25_000_000}


def test_the_run_ends_when_its_time_is_over_and_is_reported_when_all_are_done() -> None:
    agent = Agent(duration=10.0).running()
    assert told(agent.after(9.75, answering=EVERYBODY), Finish) == []
    out = agent.after(0.75, answering=EVERYBODY)
    assert told(out, Finish) == [MONITOR, A, B]
    assert of(agent.say(Done(MONITOR), Done(A)), Conclude) == []
    out = agent.say(Done(B))
    assert len(of(out, Conclude)) == 1
    assert of(out, Exit) == [Exit("")]
    assert agent.run.cut_short == ""


def test_figures_that_come_twice_or_late_change_nothing() -> None:
    agent = Agent().running()
    agent.say(report(A, 2, 200, 1, 2), report(A, 2, 999), report(A, 1, 100, 1))
    member = agent.member(A)
    assert (member.figures.written, sorted(member.rollovers)) == (200, [1, 2])
    # One that is lost leaves no hole: the next has all.
    agent.say(report(A, 5, 500, 1, 2, 3))
    assert (member.figures.written, sorted(member.rollovers)) == (500, [1, 2, 3])
    assert [point.written for point in member.series] == [200, 500]


def test_a_series_has_one_point_for_each_moment() -> None:
    agent = Agent().running()
    agent.say(report(A, 1, 100), report(A, 2, 300))
    # While files are removed the consumer's time stands still.
    figures = Figures(seconds=1.0, written=400)
    agent.say(Report(A, 3, packed(figures)), Report(A, 4, packed(figures)))
    points = [(point.seconds, point.written) for point in agent.member(A).series]
    assert points == [(0.5, 100), (1.0, 400)]


def test_silence_is_counted_and_does_not_end_the_run() -> None:
    agent = Agent(duration=100.0).running()
    out = agent.after(10.0, answering=(MONITOR, A))
    assert agent.member(B).missed in {8, 9}
    assert agent.member(A).missed == agent.member(MONITOR).missed == 0
    assert agent.member(A).beats in {9, 10}
    assert of(out, Kill) == []
    # It is asked once, not each time: a queue would fill up that nobody reads.
    assert told(out, Ask).count(B) == 1
    agent.say(Beat(B, 1))
    assert told(agent.after(1.0), Ask).count(B) == 1


def test_whoever_never_answers_the_stop_is_reported_and_ended() -> None:
    agent = Agent(duration=2.0).running()
    agent.after(2.5, answering=(MONITOR, A))
    agent.say(Done(A), Done(MONITOR))
    out = agent.after(8.0)
    assert [each.worker for each in of(out, Kill)] == [B]
    assert "has not answered for" in agent.member(B).lost
    assert len(of(out, Conclude)) == 1


def test_whoever_falls_silent_before_the_run_is_ended_and_the_others_begin() -> None:
    agent = Agent().started()
    agent.say(checked(A))
    assert told(agent.after(4.0, answering=(MONITOR, A)), LayOut) == []
    out = agent.after(4.0, answering=(MONITOR, A))
    assert [each.worker for each in of(out, Kill)] == [B]
    assert "has not answered for" in agent.member(B).lost
    assert told(out, LayOut) == [A]


def test_whoever_takes_long_to_stop_but_answers_is_waited_for() -> None:
    agent = Agent(duration=2.0).running()
    agent.after(2.5, answering=EVERYBODY)
    agent.say(Done(A), Done(MONITOR))
    assert of(agent.after(60.0, answering=(B,)), Kill) == []
    assert of(agent.say(Done(B)), Conclude)


def test_one_that_dies_keeps_its_last_figures_and_the_others_go_on() -> None:
    agent = Agent().running()
    agent.say(report(A, 1, 100))
    out = agent.take(Died(A, "it was ended by SIGKILL"))
    assert of(out, Note)[0].level == logging.ERROR
    member = agent.member(A)
    assert (member.phase, member.lost) == (Phase.LOST, "it was ended by SIGKILL")
    assert (member.figures.written, member.ended) == (100, agent.now)
    assert told(out, Finish) == []
    assert agent.run.stage is Stage.RUNNING
    agent.say(report(A, 2, 200))  # what was on its way is too late
    assert member.figures.written == 100


@pytest.mark.parametrize("stage", ["starting", "checking", "laying out"])
def test_a_death_before_the_begin_stops_nobody_else(stage: str) -> None:
    agent = Agent()
    agent.after(0.25)
    if stage == "starting":
        agent.take(Died(A, "gone"))
    agent.say(Ready(MONITOR, 1), Ready(A, 2), Ready(B, 3))
    if stage == "checking":
        agent.take(Died(A, "gone"))
    agent.say(checked(A), checked(B))
    if stage == "laying out":
        agent.take(Died(A, "gone"))
    agent.say(LaidOut(A), LaidOut(B))
    assert agent.run.stage is Stage.RUNNING
    assert agent.member(B).phase is Phase.RUNNING


def test_when_nobody_is_left_the_run_is_over_before_its_time() -> None:
    agent = Agent().running()
    agent.take(Died(A, "gone"))
    out = agent.say(Done(B))
    assert told(out, Finish) == [MONITOR]
    assert of(agent.say(Done(MONITOR)), Conclude)


def test_a_monitor_that_dies_ends_nothing() -> None:
    agent = Agent().running()
    agent.take(Died(MONITOR, "gone"))
    assert agent.run.stage is Stage.RUNNING
    assert agent.member(MONITOR).lost == "gone"


def test_samples_count_once() -> None:
    agent = Agent().running()
    agent.say(Sampled(MONITOR, 1, b"a"), Sampled(MONITOR, 1, b"a"), Sampled(MONITOR, 2, b"b"))
    assert agent.run.samples == [b"a", b"b"]


def test_what_can_come_to_nothing_is_refused_and_nobody_begins() -> None:
    agent = Agent().started()
    out = agent.say(checked(A, took=100.0), checked(B, took=100.0))
    assert "no consumer would come to a second file twice" in agent.run.refused
    assert told(out, Finish) == [MONITOR, A, B]
    assert told(out, LayOut) == []
    assert of(agent.say(Done(A), Done(B), Done(MONITOR)), Conclude)


def test_a_drain_ends_the_run_early_and_it_is_reported() -> None:
    agent = Agent().running()
    assert told(agent.take(Drain("drained by SIGTERM")), Finish) == [MONITOR, A, B]
    assert agent.run.cut_short == "drained by SIGTERM"
    assert of(agent.say(Done(A), Done(B), Done(MONITOR)), Conclude)


def test_a_drain_before_anybody_is_there_ends_it() -> None:
    agent = Agent()
    agent.after(0.25)
    out = agent.take(Drain("drained by SIGTERM"))
    assert [each.worker for each in of(out, Kill)] == [MONITOR, A, B]
    assert of(out, Conclude)


def test_who_was_asleep_itself_blames_nobody() -> None:
    agent = Agent(duration=1000.0).running()
    agent.after(2.0, answering=EVERYBODY)
    agent.now += 60.0
    agent.take(Tick())
    assert [agent.member(number).missed for number in EVERYBODY] == [0, 0, 0]
