"""A load generator with a run of its own, and a broker that may be there."""

from tests.unit.agents.loadgen.making import EVERYBODY, MONITOR, A, Agent, B, of, told
from zfs_walk.agents.events import Drain, Exit, FromBroker, Reconnect, Send
from zfs_walk.agents.loadgen.run import Stage
from zfs_walk.agents.loadgen.tasks import Done, Finish
from zfs_walk.protocol.messages import Bye, ByeAck, Command, CommandDone, Error


def test_a_broker_is_told_when_the_run_is_over() -> None:
    agent = Agent().running().welcomed()
    agent.take(Drain("enough"))
    out = agent.say(Done(A), Done(B), Done(MONITOR))
    assert [send.message for send in of(out, Send)] == [Bye("enough")]
    assert of(out, Exit) == []
    assert of(agent.take(FromBroker(ByeAck())), Exit) == [Exit("")]


def test_a_broker_that_dies_does_not_end_the_run_nor_hold_its_end() -> None:
    agent = Agent().running().welcomed()
    assert of(agent.after(5.0, answering=EVERYBODY, alone=True), Reconnect)
    assert agent.run.stage is Stage.RUNNING
    agent.take(Drain("enough"))
    assert of(agent.say(Done(A), Done(B), Done(MONITOR)), Exit) == [Exit("")]


def test_a_broker_that_does_not_want_it_is_no_reason_to_end() -> None:
    agent = Agent().running().welcomed()
    out = agent.take(FromBroker(Error("not-allowed", "no")))
    assert of(out, Exit) == []
    assert of(out, Reconnect)
    assert agent.run.stage is Stage.RUNNING


def test_a_broker_may_drain_it() -> None:
    agent = Agent().running().welcomed()
    out = agent.take(FromBroker(Command(3, "drain")))
    assert isinstance(of(out, Send)[0].message, CommandDone)
    assert told(out, Finish) == [MONITOR, A, B]
