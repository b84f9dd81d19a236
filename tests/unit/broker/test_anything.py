"""Whatever comes, well-formed, from whomever: the broker goes on, and its books stay right."""

import dataclasses
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.model.invariants import check_broker
from tests.unit.broker.making import Broker, commit, directory, hello, lease
from tests.unit.protocol.samples import any_message
from zfs_walk.protocol.codec import BUS
from zfs_walk.protocol.messages import CLIENT, Bye, Grant, Heartbeat, Message, WorkRequest

ROUTES = st.sampled_from([b"walker-0", b"walker-1", b"client", b"stranger"])
SMALL = st.integers(0, 4)


@st.composite
def plausible(draw: Any) -> Any:
    """Messages about what is really there, most of them wrong; `fit` fills in the numbers."""
    kind = draw(st.sampled_from(("commit", "want", "hello", "bye", "submit", "strange")))
    match kind:
        case "commit":
            numbers = draw(st.lists(SMALL, max_size=3).map(tuple))
            return commit(
                draw(SMALL), draw(SMALL), draw(st.integers(1, 3)), removed=numbers,
                added=tuple(directory(n) for n in draw(st.lists(SMALL, max_size=2))),
                found=draw(SMALL), done=draw(SMALL), release=draw(st.booleans()),
                split=draw(st.lists(st.lists(SMALL, max_size=2).map(tuple), max_size=2).map(tuple)),
                counters={"entries": draw(st.integers(-(2**63), 2**63 - 1))},
            )  # fmt: skip
        case "want":
            return WorkRequest(draw(SMALL))
        case "hello":
            held = tuple(lease(draw(SMALL), draw(SMALL), draw(SMALL)) for _ in range(draw(SMALL)))
            role = draw(st.sampled_from(("walker", "scout", CLIENT)))
            return hello(
                draw(st.sampled_from(("walker-0", "walker-1"))), held=held, role=role,
                boot=draw(st.sampled_from("ab")), conn=draw(SMALL), highest_term=draw(SMALL),
            )  # fmt: skip
        case "bye":
            return Bye("")
        case _:
            return draw(any_message)


def fit(broker: Broker, message: Message) -> Message:
    """Small numbers of units and epochs mean those that there are."""
    units = list(broker.core.state.units.values())
    if not units or not hasattr(message, "uid") or not hasattr(message, "epoch"):
        return message
    unit = units[message.uid % len(units)]
    epoch = unit.epoch if message.epoch else 0
    return dataclasses.replace(message, uid=unit.uid, epoch=epoch)  # type: ignore[type-var]


steps = st.one_of(
    st.tuples(st.just("take"), ROUTES, plausible()),
    st.tuples(st.just("fail"), ROUTES, any_message),
    st.tuples(st.just("gone"), ROUTES, any_message),
    st.tuples(st.just("wait"), st.sampled_from([0.25, 1.0, 5.0, 20.0]), st.none()),
    st.tuples(st.just("restart"), st.none(), st.none()),
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(steps, max_size=30))
def test_nothing_well_formed_disturbs_the_broker(script: list[Any]) -> None:
    broker = Broker()
    broker.join("walker-0")
    broker.join("walker-1")
    broker.submit()
    broker.submit(request="r2")
    for kind, where, what in script:
        sent: list[tuple[bytes, Message]] = []
        match kind:
            case "take":
                sent = broker.take(where, fit(broker, what))
            case "fail" | "gone":
                sent = broker.not_sent(where, what, gone=kind == "gone")
            case "wait":
                sent = broker.after(where)
            case "restart":
                broker = broker.restart()
        check_broker(broker.core, broker.journal)
        for _, message in sent:
            assert BUS.decode(BUS.encode(message)) == message
            assert not isinstance(message, Heartbeat)


def test_the_script_reaches_grants_and_commits() -> None:
    """The fuzz above would prove little if everything it sent were refused at the door."""
    broker = Broker()
    broker.join("walker-0")
    broker.submit()
    grant = broker.granted(b"walker-0")
    assert isinstance(grant, Grant)
    sent = fit(broker, commit(0, 1, 1, counters={"entries": 1}))
    broker.take(b"walker-0", sent)
    assert broker.core.state.runs[1].counters == {"entries": 1}
