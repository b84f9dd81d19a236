"""An uploader and its broker, who may be away, unknown or unwilling; and how it leaves."""

import logging
from typing import Any, TypeVar

import pytest

from zfs_walk.agents.events import (
    Connected,
    Drain,
    Exit,
    FromBroker,
    Note,
    Reconnect,
    Send,
    SetLogLevel,
    Tick,
    Welcomed,
)
from zfs_walk.agents.link import Identity
from zfs_walk.agents.membership import UNWANTED_FOR
from zfs_walk.agents.uploader.core import REMEMBERED, UploaderCore
from zfs_walk.agents.uploader.events import (
    Close,
    Closed,
    Event,
    Instruction,
    Serve,
    Served,
    Unwanted,
)
from zfs_walk.protocol.messages import (
    Bye,
    ByeAck,
    Command,
    CommandDone,
    Error,
    Heartbeat,
    Hello,
    Message,
    Parked,
    QueueOrder,
    QueueRows,
    Rehello,
    SteerOrder,
    Welcome,
)
from zfs_walk.protocol.records import NO_ENDPOINTS

Kind = TypeVar("Kind")


class Uploader:
    """A core and the time."""

    def __init__(self) -> None:
        self.now = 50.0
        self.core = UploaderCore(Identity("uploader", "h0", "up", "boot", 9, "0", 0), self.now)

    def take(self, event: Event) -> list[Instruction]:
        return self.core.handle(event, self.now)

    def hear(self, message: Message) -> list[Instruction]:
        return self.take(FromBroker(message))

    def after(self, seconds: float) -> list[Instruction]:
        """What a tick makes, and those before it: whoever ticks rarely is taken for asleep."""
        out: list[Instruction] = []
        until = self.now + seconds
        while True:
            self.now = min(until, self.now + 0.5)
            out += self.take(Tick(rss=1, cpu_ms=2, loop_lag_ms=3))
            if self.now == until:
                return out


def welcome() -> Welcome:
    return Welcome(7, 5, 1, 0, 1000, 15_000, 5000, 1, NO_ENDPOINTS, (), ())


def connected() -> Uploader:
    uploader = Uploader()
    uploader.take(Connected())
    uploader.hear(welcome())
    return uploader


def found(kind: type[Kind], out: list[Any]) -> list[Kind]:
    return [each for each in out if isinstance(each, kind)]


def sent(kind: type[Kind], out: list[Any]) -> list[Kind]:
    return found(kind, [each.message for each in out if isinstance(each, Send)])


# ------------------------------------------------------------------------- the session


def test_a_fresh_socket_is_greeted_with_hello_and_nothing_else() -> None:
    assert Uploader().take(Connected()) == [
        Send(Hello(1, 1, "uploader", "h0", "up", "boot", 1, 9, "0", 0, (), 0))
    ]


def test_whoever_is_welcome_says_heartbeats() -> None:
    uploader = Uploader()
    uploader.take(Connected())
    assert uploader.hear(welcome()) == [Welcomed(7, NO_ENDPOINTS)]
    assert [beat.n for beat in sent(Heartbeat, uploader.after(2.0))] == [1, 2]


def test_a_broker_that_never_comes_ends_nothing() -> None:
    uploader = Uploader()
    assert uploader.after(7200.0) == []
    uploader.take(Connected())
    out = uploader.after(5.0)
    assert found(Reconnect, out)
    assert not found(Exit, out)


def test_a_broker_that_goes_is_told_once_and_looked_for() -> None:
    uploader = connected()
    out = uploader.after(10.0)
    assert [note.text.partition(":")[0] for note in found(Note, out)] == ["the broker is silent"]
    assert len(found(Reconnect, out)) == 1
    assert not found(Exit, uploader.after(7200.0))


def test_a_broker_that_forgot_the_session_gets_another_hello() -> None:
    uploader = connected()
    assert found(Reconnect, uploader.hear(Rehello(9)))
    [hello] = sent(Hello, uploader.take(Connected()))
    assert (hello.conn, hello.highest_term) == (2, 9)


@pytest.mark.parametrize("code", ["version", "name-in-use", "superseded", "not-allowed"])
def test_a_broker_that_refuses_is_asked_again_later_and_complained_of_once(code: str) -> None:
    uploader = connected()
    out = uploader.hear(Error(code, "no"))
    assert found(Reconnect, out) == [Reconnect(UNWANTED_FOR)]
    [note] = found(Note, out)
    assert (note.level, f"{code}: no" in note.text) == (logging.ERROR, True)
    uploader.take(Connected())
    assert found(Note, uploader.hear(Error(code, "no"))) == []
    assert not uploader.core.link.live


def test_a_release_that_can_not_be_spoken_to_ends_nothing() -> None:
    uploader = Uploader()
    uploader.take(Connected())
    out = uploader.take(Unwanted("protocol 9"))
    assert found(Reconnect, out) == [Reconnect(UNWANTED_FOR)]
    assert not found(Exit, out)


def test_after_a_welcome_the_same_refusal_is_news() -> None:
    uploader = connected()
    uploader.hear(Error("not-allowed", "no"))
    uploader.take(Connected())
    uploader.hear(welcome())
    assert found(Note, uploader.hear(Error("not-allowed", "no")))


# ------------------------------------------------------------------------- orders


def order(name: str, **fields: Any) -> list[Instruction]:
    return connected().hear(Command(4, name, **fields))


def test_the_level_of_its_log_is_set() -> None:
    out = order("set-log-level", level="debug", logger="zfs_walk")
    assert found(SetLogLevel, out) == [SetLogLevel("debug", "zfs_walk")]
    assert [done.ok for done in sent(CommandDone, out)] == [True]


@pytest.mark.parametrize(
    ("name", "fields"),
    [("set-log-level", {"level": "loud"}), ("resize", {"workers": 3}), ("pause", {"run": 1})],
)
def test_what_it_can_not_do_is_refused(name: str, fields: dict[str, Any]) -> None:
    [done] = sent(CommandDone, order(name, **fields))
    assert (done.ok, bool(done.detail)) == (False, True)


def test_messages_of_other_roles_are_a_sign_of_life() -> None:
    uploader = connected()
    for _ in range(10):
        uploader.hear(Parked(1))
        assert not found(Reconnect, uploader.after(1.0))


STEER = SteerOrder(9, "pause", "", (), 0)
QUEUE = QueueOrder(9, "", "", "", b"", 5)


def test_an_order_is_carried_out_once_and_its_answer_repeated_when_it_is() -> None:
    uploader = connected()
    assert uploader.hear(STEER) == [Serve(STEER)]
    assert uploader.hear(STEER) == []
    done = CommandDone(9, ok=True, detail="paused")
    assert uploader.take(Served(done)) == [Send(done)]
    assert uploader.hear(STEER) == [Send(done)]


def test_a_question_that_comes_again_is_answered_anew() -> None:
    uploader = connected()
    assert uploader.hear(QUEUE) == [Serve(QUEUE)]
    assert uploader.hear(QUEUE) == []
    rows = QueueRows(9, 1, False, (), (), ())
    assert uploader.take(Served(rows)) == [Send(rows)]
    assert uploader.hear(QUEUE) == [Serve(QUEUE)]


def test_an_answer_waits_for_a_broker_that_asks_again() -> None:
    uploader = connected()
    uploader.hear(STEER)
    uploader.hear(Rehello(9))
    done = CommandDone(9, ok=True, detail="paused")
    assert uploader.take(Served(done)) == []
    uploader.take(Connected())
    uploader.hear(welcome())
    assert uploader.hear(STEER) == [Send(done)]


def test_only_so_many_answers_are_remembered() -> None:
    uploader = connected()
    for number in range(2 * REMEMBERED):
        order = SteerOrder(number, "pause", "", (), 0)
        uploader.hear(order)
        uploader.take(Served(CommandDone(number, ok=True, detail="")))
    assert uploader.hear(SteerOrder(0, "pause", "", (), 0))[0] == Serve(
        SteerOrder(0, "pause", "", (), 0)
    )
    last = 2 * REMEMBERED - 1
    assert sent(CommandDone, uploader.hear(SteerOrder(last, "pause", "", (), 0)))


# ------------------------------------------------------------------------- the end


def test_it_says_bye_when_its_mirrors_have_ended_and_leaves_when_that_is_heard() -> None:
    uploader = connected()
    assert uploader.take(Drain("SIGTERM")) == [Close()]
    assert sent(Heartbeat, uploader.after(1.0))
    assert uploader.take(Closed()) == [Send(Bye("SIGTERM"))]
    assert not found(Exit, uploader.after(0.5))
    assert uploader.hear(ByeAck()) == [Exit("")]


def test_mirrors_are_ended_once() -> None:
    uploader = connected()
    uploader.take(Drain("SIGTERM"))
    assert found(Close, uploader.hear(Command(4, "drain"))) == []


def test_without_a_broker_it_leaves_when_its_mirrors_have_ended() -> None:
    uploader = Uploader()
    assert uploader.take(Drain("SIGTERM")) == [Close()]
    assert not found(Exit, uploader.after(5.0))
    assert uploader.take(Closed()) == [Exit("")]


def test_it_leaves_a_broker_that_does_not_answer() -> None:
    uploader = connected()
    uploader.take(Drain("SIGTERM"))
    uploader.take(Closed())
    assert found(Exit, uploader.after(5.0))


def test_a_bye_that_was_lost_is_said_to_the_next_socket() -> None:
    uploader = connected()
    assert [Close()] == found(Close, uploader.hear(Command(4, "drain")))
    uploader.hear(Rehello(9))
    uploader.take(Connected())
    uploader.hear(welcome())
    assert sent(Bye, uploader.take(Closed())) == [Bye("drained by request")]
