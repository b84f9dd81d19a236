"""Orders to agents: drain and resize, until the agent has answered."""

from typing import Any

from tests.unit.broker.making import Broker, heartbeat, hello, only
from zfs_walk.protocol.messages import (
    CLIENT,
    Bye,
    Command,
    CommandDone,
    Done,
    Drain,
    Error,
    Message,
    Queue,
    QueueOrder,
    QueuePage,
    QueueRows,
    Resize,
    Steer,
    SteerOrder,
)

A, B, CLI, UP = b"walker-0", b"walker-1", b"client", b"uploader"


def broker_with(*agents: tuple[str, str]) -> Broker:
    """Agents by host and name, and a client."""
    broker = Broker()
    for host, name in agents:
        broker.take(f"{host} {name}".encode(), hello(name, host=host))
    broker.take(CLI, hello("cli", role=CLIENT))
    return broker


def one_agent() -> Broker:
    broker = Broker()
    broker.join("walker-0")
    broker.take(CLI, hello("cli", role=CLIENT))
    return broker


def order(broker: Broker, message: Message) -> Command:
    """The one thing that is sent: a command to the agent."""
    ((to, command),) = broker.take(CLI, message)
    assert to == A
    assert isinstance(command, Command)
    return command


def refusal(broker: Broker, message: Message) -> Any:
    ((to, error),) = broker.take(CLI, message)
    assert to == CLI
    return error


def test_a_drain_is_told_to_the_agent_and_its_answer_to_the_client() -> None:
    broker = one_agent()
    command = order(broker, Drain("q", 0, "", "walker-0"))
    assert (command.name, command.workers) == ("drain", 0)
    answer = broker.take(A, CommandDone(command.id, ok=True, detail="it goes"))
    assert answer == [(CLI, Done("q", "it goes"))]


def test_a_resize_is_told_and_the_session_has_the_new_capacity_when_it_is_done() -> None:
    broker = one_agent()
    command = order(broker, Resize("q", 0, "h0", "walker-0", 7))
    assert (command.name, command.workers) == ("resize", 7)
    (session,) = broker.core.state.sessions.values()
    assert session.capacity == 2
    assert broker.take(A, CommandDone(command.id, ok=True, detail="2 -> 7 workers")) == [
        (CLI, Done("q", "2 -> 7 workers"))
    ]
    assert session.capacity == 7


def test_what_an_agent_cannot_do_is_an_error() -> None:
    broker = one_agent()
    command = order(broker, Resize("q", 0, "", "walker-0", 7))
    assert broker.take(A, CommandDone(command.id, ok=False, detail="it is leaving")) == [
        (CLI, Error("refused", "walker-0 on h0: it is leaving", "q"))
    ]
    assert next(iter(broker.core.state.sessions.values())).capacity == 2


def test_an_order_is_repeated_with_every_heartbeat_until_it_is_done() -> None:
    broker = one_agent()
    command = order(broker, Drain("q", 0, "", "walker-0"))
    for _ in range(3):
        assert only(broker.take(A, heartbeat()), Command, A) == [command]
    broker.take(A, CommandDone(command.id, ok=True, detail=""))
    assert only(broker.take(A, heartbeat()), Command) == []


def test_a_client_that_asks_again_gets_the_one_answer() -> None:
    broker = one_agent()
    command = order(broker, Drain("q", 0, "", "walker-0"))
    broker.take(b"new", hello("cli", role=CLIENT))
    assert broker.take(b"new", Drain("q", 0, "", "walker-0")) == []
    assert broker.take(A, CommandDone(command.id, ok=True, detail="")) == [(b"new", Done("q", ""))]


def test_an_agent_that_does_not_answer_is_told_of_and_the_order_stands() -> None:
    broker = one_agent()
    order(broker, Drain("q", 0, "", "walker-0"))
    errors = only(broker.after(4.0), Error, CLI)
    assert errors == [Error("no-answer", "walker-0 on h0 does not answer; the order stands", "q")]
    (again,) = only(broker.take(A, heartbeat()), Command, A)
    assert broker.take(A, CommandDone(again.id, ok=True, detail="")) == []


def test_an_agent_that_ends_answers_a_drain_and_no_resize() -> None:
    broker = one_agent()
    order(broker, Drain("q1", 0, "", "walker-0"))
    order(broker, Resize("q2", 0, "", "walker-0", 3))
    sent = broker.take(A, Bye("drained"))
    assert only(sent, Done, CLI) == [Done("q1", "it has ended")]
    assert only(sent, Error, CLI) == [Error("no-such-agent", "walker-0 on h0 has ended", "q2")]


def test_an_unknown_agent_is_said_with_those_that_are_there() -> None:
    broker = broker_with(("h1", "walker-1"), ("h0", "walker-1"))
    there = "walker-1 on h0, walker-1 on h1"
    assert refusal(broker, Drain("q", 0, "", "walker-9")) == Error(
        "no-such-agent", f"no agent walker-9 is there; there are: {there}", "q"
    )
    assert refusal(broker, Drain("q", 0, "h7", "walker-1")) == Error(
        "no-such-agent", f"no agent walker-1 on h7 is there; there are: {there}", "q"
    )
    assert refusal(broker_with(), Resize("q", 0, "", "w", 1)).detail.endswith("there are: none")


def test_a_name_that_several_have_is_ambiguous_without_a_host() -> None:
    broker = broker_with(("h1", "walker-1"), ("h0", "walker-1"))
    assert refusal(broker, Drain("q", 0, "", "walker-1")) == Error(
        "ambiguous", "walker-1 on h0, walker-1 on h1 have that name; say which with --host", "q"
    )
    ((to, command),) = broker.take(CLI, Drain("q", 0, "h1", "walker-1"))
    assert (to, isinstance(command, Command)) == (b"h1 walker-1", True)


def test_a_long_list_of_agents_is_cut() -> None:
    broker = broker_with(*((f"h{i:02}", "w") for i in range(25)))
    assert refusal(broker, Drain("q", 0, "", "x")).detail.endswith("w on h19 and 5 more")


def test_a_lost_agent_can_not_be_ordered() -> None:
    broker = one_agent()
    broker.after(60.0)
    assert refusal(broker, Drain("q", 0, "", "walker-0")).code == "no-such-agent"


# ------------------------------------------------------------------ uploaders

STEER = Steer("q", 0, "", "up", "retry", "photos", (b"a",), 0)
QUEUE = Queue("q", 0, "", "up", "photos", "held", "", b"", 5)


def passed_on(broker: Broker, message: Message) -> Any:
    """The one thing that is sent: the uploader's order."""
    ((to, order),) = broker.take(CLI, message)
    assert to == UP
    return order


def with_an_uploader() -> Broker:
    broker = one_agent()
    broker.take(UP, hello("up", role="uploader"))
    return broker


def test_what_an_uploader_is_to_do_is_told_to_it_and_its_answer_to_the_client() -> None:
    broker = with_an_uploader()
    order = passed_on(broker, STEER)
    assert order == SteerOrder(order.id, "retry", "photos", (b"a",), 0)
    answer = broker.take(UP, CommandDone(order.id, ok=True, detail="one"))
    assert answer == [(CLI, Done("q", "one"))]


def test_what_an_uploader_has_is_asked_of_it_and_told_to_the_client() -> None:
    broker = with_an_uploader()
    asked = passed_on(broker, QUEUE)
    assert asked == QueueOrder(asked.id, "photos", "held", "", b"", 5)
    rows = QueueRows(asked.id, 9, True, (), (), ())
    assert broker.take(UP, rows) == [(CLI, QueuePage("q", 9, True, (), (), ()))]
    assert broker.take(UP, rows) == []


def test_an_uploader_that_refuses_is_told_of() -> None:
    broker = with_an_uploader()
    asked = passed_on(broker, QUEUE)
    assert broker.take(UP, CommandDone(asked.id, ok=False, detail="no such mapping")) == [
        (CLI, Error("refused", "up on h0: no such mapping", "q"))
    ]


def test_only_an_uploader_has_uploads() -> None:
    broker = with_an_uploader()
    error = refusal(broker, Steer("q", 0, "", "walker-0", "pause", "", (), 0))
    assert error == Error(
        "no-such-agent", "no uploader walker-0 is there; there are: up on h0", "q"
    )


def test_a_question_that_nobody_answers_is_dropped_and_an_order_stands() -> None:
    broker = with_an_uploader()
    broker.take(CLI, QUEUE)
    broker.take(CLI, Steer("q2", 0, "", "up", "pause", "", (), 0))
    details = {error.request: error.detail for error in only(broker.after(4.0), Error, CLI)}
    assert details == {
        "q": "up on h0 does not answer", "q2": "up on h0 does not answer; the order stands"
    }  # fmt: skip
    again = broker.take(UP, heartbeat())
    assert len(only(again, SteerOrder, UP)) == 1
    assert only(again, QueueOrder, UP) == []


def test_an_uploader_that_ends_carries_nothing_out() -> None:
    broker = with_an_uploader()
    broker.take(CLI, STEER)
    sent = broker.take(UP, Bye("drained"))
    assert only(sent, Error, CLI) == [Error("no-such-agent", "up on h0 has ended", "q")]
