"""Those at an uploader's own door are answered, each request once."""

from zfs_walk.agents.uploader.doorman import REMEMBERED, Doorman
from zfs_walk.protocol.messages import (
    Agents,
    CommandDone,
    Done,
    Drain,
    Error,
    Hello,
    Queue,
    QueueOrder,
    QueuePage,
    QueueRows,
    Steer,
    SteerOrder,
    Welcome,
)

A, B = b"a", b"b"


def steer(request: str = "q") -> Steer:
    return Steer(request, 0, "", "up", "retry", "photos", (b"x",), 0)


def test_whoever_comes_is_welcome_and_gets_its_clock() -> None:
    hello = Hello(1, 1, "client", "h", "c", "boot", 1, 9, "0", 1, (), 0)
    [(route, welcome)] = Doorman().hear(A, hello, 12.5)
    assert isinstance(welcome, Welcome)
    assert (route, welcome.now_ms, welcome.proto) == (A, 12_500, 1)


def test_an_order_is_carried_out_and_its_answer_told() -> None:
    doorman = Doorman()
    assert doorman.hear(A, steer(), 0.0) == []
    [order] = doorman.orders
    assert order == SteerOrder(order.id, "retry", "photos", (b"x",), 0)
    assert doorman.done(CommandDone(order.id, ok=True, detail="one")) == [(A, Done("q", "one"))]


def test_what_is_refused_is_an_error() -> None:
    doorman = Doorman()
    doorman.hear(A, steer(), 0.0)
    refused = CommandDone(doorman.orders[0].id, ok=False, detail="no")
    assert doorman.done(refused) == [(A, Error("refused", "no", "q"))]


def test_a_question_is_answered_with_what_there_is() -> None:
    doorman = Doorman()
    doorman.hear(A, Queue("q", 0, "", "up", "photos", "held", "m", b"p", 5), 0.0)
    [asked] = doorman.orders
    assert asked == QueueOrder(asked.id, "photos", "held", "m", b"p", 5)
    rows = QueueRows(asked.id, 9, True, (), (), ())
    assert doorman.done(rows) == [(A, QueuePage("q", 9, True, (), (), ()))]


def test_whoever_asks_again_gets_the_one_answer() -> None:
    doorman = Doorman()
    doorman.hear(A, steer(), 0.0)
    assert doorman.hear(B, steer(), 0.0) == []
    [order] = doorman.orders
    assert doorman.done(CommandDone(order.id, ok=True, detail="")) == [(B, Done("q", ""))]
    assert doorman.hear(A, steer(), 0.0) == [(A, Done("q", ""))]
    assert len(doorman.orders) == 1


def test_only_so_many_answers_are_remembered() -> None:
    doorman = Doorman()
    for number in range(REMEMBERED + 1):
        doorman.hear(A, steer(f"q{number}"), 0.0)
    first, second, *_ = doorman.orders
    assert doorman.done(CommandDone(first.id, ok=True, detail="")) == []
    assert doorman.done(CommandDone(second.id, ok=True, detail="")) == [(A, Done("q1", ""))]


def test_somebody_can_let_it_end() -> None:
    doorman = Doorman()
    assert not doorman.leave
    [(_, done)] = doorman.hear(A, Drain("q", 0, "", "up"), 0.0)
    assert isinstance(done, Done)
    assert doorman.leave


def test_what_only_a_broker_knows_is_refused() -> None:
    [(_, error)] = Doorman().hear(A, Agents("q", 0), 0.0)
    assert isinstance(error, Error)
    assert (error.code, error.request) == ("unsupported", "q")
