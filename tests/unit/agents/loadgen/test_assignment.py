"""A load generator that stands by: orders are obeyed once, reports are said until heard."""

import pytest

from tests.unit.agents.loadgen.making import (
    EVERYBODY,
    MONITOR,
    WELCOME,
    A,
    Agent,
    B,
    checked,
    of,
    settings,
    told,
)
from zfs_walk.agents.events import Connected, Drain, Exit, Note, Send
from zfs_walk.agents.loadgen.events import (
    Died,
    Instruction,
    Kill,
    Plan,
    Planned,
    Snap,
    Snapped,
    Spawn,
    Tell,
)
from zfs_walk.agents.loadgen.run import Stage
from zfs_walk.agents.loadgen.tasks import Done, Finish, Go, LaidOut, Ready
from zfs_walk.protocol.messages import (
    FIGURES,
    Bye,
    ByeAck,
    Error,
    Heartbeat,
    LoadBegin,
    LoadEnd,
    LoadPrepare,
    LoadReady,
    Message,
    Report,
    ReportAck,
)

RUN = 5
PREPARE = LoadPrepare(RUN, 10_000, b"{}")
BEGIN = LoadBegin(RUN, 200, 0)


def sent(out: list[Instruction], kind: type[Message]) -> list[Message]:
    return [each.message for each in of(out, Send) if isinstance(each.message, kind)]


def standing_by() -> Agent:
    return Agent(own=False).welcomed()


def planned(agent: Agent) -> Agent:
    assert of(agent.hear(PREPARE), Plan) == [Plan(RUN, 10.0, b"{}")]
    out = agent.take(Planned(RUN, settings()))
    assert len(of(out, Spawn)) == 3
    return agent


def ready() -> Agent:
    agent = planned(standing_by())
    agent.say(*(Ready(number, 100 + number) for number in EVERYBODY))
    agent.say(checked(A), checked(B), LaidOut(A))
    assert sent(agent.say(LaidOut(B)), LoadReady) == [LoadReady(RUN, ok=True, detail="")]
    return agent


def begun() -> Agent:
    agent = ready()
    assert told(agent.hear(BEGIN), Go) == [A, B]
    return agent


def over() -> tuple[Agent, Report]:
    """A run that is over, and its last report, which is said and not acknowledged."""
    agent = begun()
    agent.after(10.5, answering=EVERYBODY)
    out = agent.say(*map(Done, EVERYBODY))
    assert of(out, Snap) == [Snap(RUN, last=True)]
    [report] = sent(agent.take(Snapped(RUN, last=True, body=b"all")), Report)
    assert isinstance(report, Report)
    return agent, report


def wants(out: list[Instruction]) -> list[int]:
    return [beat.want for beat in sent(out, Heartbeat) if isinstance(beat, Heartbeat)]


def test_it_says_that_it_stands_by_until_it_has_a_run() -> None:
    agent = standing_by()
    assert set(wants(agent.after(2.5))) == {1}
    planned(agent)
    assert set(wants(agent.after(2.5))) == {0}


def test_it_begins_when_it_is_told_and_not_before() -> None:
    agent = ready()
    assert agent.run.stage is Stage.READY
    out = agent.after(3.0, answering=EVERYBODY)
    assert told(out, Go) == []
    out = agent.hear(BEGIN)
    assert {tell.message for tell in of(out, Tell) if isinstance(tell.message, Go)} == {
        Go(round((agent.now + 0.2) * 1e9), round((agent.now + 10.2) * 1e9), 250_000_000)
    }


def test_one_that_is_late_begins_at_once_and_ends_with_the_others() -> None:
    agent = ready()
    agent.hear(LoadBegin(RUN, 0, 4_000))
    assert told(agent.after(5.75, answering=EVERYBODY), Finish) == []
    assert told(agent.after(0.5, answering=EVERYBODY), Finish) == [MONITOR, A, B]


def test_orders_that_come_again_change_nothing() -> None:
    agent = planned(standing_by())
    assert agent.hear(PREPARE) == []
    agent.say(*(Ready(number, 100 + number) for number in EVERYBODY))
    agent.say(checked(A), checked(B), LaidOut(A), LaidOut(B))
    assert sent(agent.hear(PREPARE), LoadReady) == [LoadReady(RUN, ok=True, detail="")]
    agent.hear(BEGIN)
    began = agent.run.began
    agent.after(1.0, answering=EVERYBODY)
    assert told(agent.hear(LoadBegin(RUN, 0, 900)), Go) == []
    assert agent.run.began == began
    assert told(agent.hear(LoadEnd(RUN, "enough")), Finish) == [MONITOR, A, B]
    assert told(agent.hear(LoadEnd(RUN, "enough, really")), Finish) == []
    assert agent.run.cut_short == "enough"


def test_that_it_is_ready_is_said_until_the_broker_says_something() -> None:
    agent = ready()
    assert len(sent(agent.after(5.0, answering=EVERYBODY), LoadReady)) == 2
    agent.hear(BEGIN)
    assert sent(agent.after(5.0, answering=EVERYBODY), LoadReady) == []


def test_what_it_can_not_do_it_says_and_is_free_when_that_is_undone() -> None:
    agent = standing_by()
    agent.hear(PREPARE)
    out = agent.take(Planned(RUN, None, "/x: there is no such folder"))
    refusal = LoadReady(RUN, ok=False, detail="/x: there is no such folder")
    assert sent(out, LoadReady) == sent(agent.hear(PREPARE), LoadReady) == [refusal]
    last = Report(RUN, FIGURES, 1, last=True, snapshot=b"")
    assert sent(agent.hear(LoadEnd(RUN, "no")), Report) == [last]
    agent.hear(ReportAck(RUN, FIGURES, 1))
    assert wants(agent.after(1.0)) == [1]


@pytest.mark.parametrize("stage", ["starting", "laying out"])
def test_a_consumer_that_dies_before_the_begin_is_a_refusal(stage: str) -> None:
    agent = planned(standing_by())
    if stage == "starting":
        agent.take(Died(A, "gone"))
    agent.say(Ready(MONITOR, 1), Ready(A, 2), Ready(B, 3), checked(A), checked(B))
    if stage == "laying out":
        agent.take(Died(A, "gone"))
    out = agent.say(LaidOut(A), LaidOut(B))
    assert sent(out, LoadReady) == [LoadReady(RUN, ok=False, detail="a: gone")]


def test_a_pre_flight_check_that_fails_is_a_refusal_and_its_report_the_last_word() -> None:
    agent = planned(standing_by())
    agent.say(*(Ready(number, 100 + number) for number in EVERYBODY))
    out = agent.say(checked(A, failed="/data: No space left on device"), checked(B))
    [refusal] = sent(out, LoadReady)
    assert isinstance(refusal, LoadReady)
    assert (refusal.ok, refusal.detail) == (False, "a: /data: No space left on device")
    assert of(agent.say(*map(Done, EVERYBODY)), Snap) == [Snap(RUN, last=True)]


def test_a_second_run_is_refused_while_there_is_one() -> None:
    agent = begun()
    out = agent.hear(LoadPrepare(6, 1_000, b"{}"))
    assert sent(out, LoadReady) == [LoadReady(6, ok=False, detail="it has run 5")]
    assert of(out, Plan) == []


def test_orders_of_a_run_that_it_never_had_are_answered() -> None:
    agent = standing_by()
    [answer] = sent(agent.hear(LoadBegin(9, 0, 0)), LoadReady)
    assert isinstance(answer, LoadReady)
    assert not answer.ok
    last = Report(9, FIGURES, 1, last=True, snapshot=b"")
    assert sent(agent.hear(LoadEnd(9, "no")), Report) == [last]
    # The answer may be lost; what was sent before it and comes late is out of date.
    assert sent(agent.hear(LoadEnd(9, "no")), Report) == [last]
    assert agent.hear(LoadPrepare(9, 1_000, b"{}")) == []


def test_reports_come_every_second_and_large_ones_less_often() -> None:
    agent = begun()
    assert len(of(agent.after(1.0, answering=EVERYBODY), Snap)) == 1
    agent.take(Snapped(RUN, last=False, body=bytes(250_000)))
    agent.hear(ReportAck(RUN, FIGURES, 1))
    assert of(agent.after(2.25, answering=EVERYBODY), Snap) == []
    assert of(agent.after(0.5, answering=EVERYBODY), Snap) == [Snap(RUN, last=False)]


def test_a_report_is_said_again_until_it_is_acknowledged_and_none_beside_it() -> None:
    agent = begun()
    agent.after(1.0, answering=EVERYBODY)
    [said] = sent(agent.take(Snapped(RUN, last=False, body=b"x")), Report)
    out = agent.after(2.5, answering=EVERYBODY)
    assert sent(out, Report) == [said]
    assert of(out, Snap) == []
    assert of(agent.hear(ReportAck(RUN, FIGURES, 0)), Snap) == []
    assert of(agent.hear(ReportAck(RUN, FIGURES, 1)), Snap) == [Snap(RUN, last=False)]


def test_it_has_not_done_with_a_run_before_its_last_report_is_acknowledged() -> None:
    agent, report = over()
    assert report == Report(RUN, FIGURES, 1, last=True, snapshot=b"all")
    assert set(sent(agent.after(5.0), Report)) == {report}
    out = agent.hear(ReportAck(RUN, FIGURES, 1))
    assert sorted(each.worker for each in of(out, Kill)) == list(EVERYBODY)
    assert wants(agent.after(0.25)) == [1]
    # What is late is no news.
    assert agent.hear(PREPARE) == agent.hear(BEGIN) == []


def test_a_new_session_hears_the_last_report_again() -> None:
    agent, report = over()
    agent.take(Connected())
    assert sent(agent.hear(WELCOME), Report) == [report]


def test_a_broker_that_is_away_is_told_when_it_is_back() -> None:
    agent = begun()
    agent.after(9.0, answering=EVERYBODY, alone=True)
    assert not agent.core.link.live
    out = agent.after(1.5, answering=EVERYBODY, alone=True)
    assert told(out, Finish) == [MONITOR, A, B]
    agent.say(*map(Done, EVERYBODY))
    for snap in (False, True):
        assert sent(agent.take(Snapped(RUN, last=snap, body=b"all")), Report) == []
    agent.take(Connected())
    [report] = sent(agent.hear(WELCOME), Report)
    assert isinstance(report, Report)
    assert report.last


def test_the_next_run_has_processes_of_its_own() -> None:
    agent, _ = over()
    agent.hear(ReportAck(RUN, FIGURES, 1))
    agent.hear(LoadPrepare(6, 1_000, b"{}"))
    out = agent.take(Planned(6, settings()))
    assert [each.worker for each in of(out, Spawn)] == [4, 5, 6]
    # Those of the first run end meanwhile.
    agent.take(Died(A, "it was ended by SIGKILL"))
    assert agent.run.missing() == ""


def test_a_drain_ends_the_run_and_it_leaves_when_that_is_reported() -> None:
    agent = begun()
    agent.after(1.0, answering=EVERYBODY)
    agent.take(Snapped(RUN, last=False, body=b"x"))
    assert told(agent.take(Drain("drained by SIGTERM")), Finish) == [MONITOR, A, B]
    agent.say(*map(Done, EVERYBODY))
    out = agent.take(Snapped(RUN, last=True, body=b"all"))
    assert sent(out, Bye) == []
    assert sent(agent.hear(ReportAck(RUN, FIGURES, 2)), Bye) == [Bye("drained by SIGTERM")]
    assert of(agent.hear(ByeAck()), Exit) == [Exit("")]


def test_who_leaves_waits_for_a_broker_that_is_away_but_not_for_ever() -> None:
    agent, _ = over()
    agent.after(4.0, alone=True)
    assert not agent.core.link.live
    assert of(agent.take(Drain("drained by SIGTERM")), Exit) == []
    assert of(agent.after(9.0, alone=True), Exit) == []
    out = agent.after(1.5, alone=True)
    assert of(out, Exit)[0] == Exit("")
    assert any("the report of run 5" in note.text for note in of(out, Note))


def test_one_that_stands_by_leaves_at_once() -> None:
    agent = standing_by()
    assert sent(agent.take(Drain("drained by SIGTERM")), Bye) == [Bye("drained by SIGTERM")]
    assert sent(agent.hear(PREPARE), LoadReady) == [
        LoadReady(RUN, ok=False, detail="it is leaving")
    ]


def test_one_that_stands_by_is_nothing_without_a_broker_that_wants_it() -> None:
    agent = standing_by()
    assert of(agent.hear(Error("not-allowed", "no")), Exit) == [Exit("not-allowed: no")]
    assert of(Agent(own=False).after(11.0), Exit) == []
    lonely = Agent(own=False)
    lonely.take(Connected())
    assert of(lonely.after(11.0), Exit)[0] == Exit("no-broker")
