"""Whatever comes, well-formed, from whomever: the broker goes on, and its books stay right."""

import dataclasses
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.model.invariants import check_broker
from tests.unit.broker.making import Broker, claim, commit, directory, files, hello, lease, place
from tests.unit.protocol.samples import any_message
from zfs_walk.protocol.codec import BUS
from zfs_walk.protocol.messages import CLIENT, Bye, Grant, Heartbeat, Message, WorkRequest

ROUTES = st.sampled_from([b"walker-0", b"walker-1", b"scout-0", b"scout-1", b"client", b"stranger"])
SMALL = st.integers(0, 4)
KINDS = (
    "commit", "want", "hello", "bye", "submit", "strange", "claim", "claim", "files", "files",
)  # fmt: skip


@st.composite
def plausible(draw: Any) -> Any:
    """Messages about what is really there, most of them wrong; `fit` fills in the numbers."""
    kind = draw(
        st.sampled_from(
            (
                "commit",
                "want",
                "hello",
                "bye",
                "submit",
                "strange",
                "claim",
                "claim",
                "files",
                "files",
            )
        )
    )
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
                draw(st.sampled_from(("walker-0", "scout-0"))), held=held, role=role,
                boot=draw(st.sampled_from("ab")), conn=draw(SMALL), highest_term=draw(SMALL),
            )  # fmt: skip
        case "claim":
            above = draw(st.lists(SMALL, max_size=2).map(tuple))
            return claim(
                draw(SMALL), b"/%d" % draw(SMALL), draw(SMALL), serving=draw(st.booleans()),
                ancestors=tuple(map(place, above)),
            )  # fmt: skip
        case "files":
            names = draw(st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=3))
            return files(
                draw(st.integers(0, 2)), draw(st.integers(0, 3)), *names, number=draw(SMALL),
                removed=tuple(draw(st.lists(st.just(b"a"), max_size=1))),
                whole=draw(st.booleans()), last=draw(st.booleans()),
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


def check_claims(broker: Broker) -> None:
    """No two claims of a host meet, their rows are counted, and the journal has the same ones."""
    registry = broker.core._desk.registry
    held = registry.in_order()
    assert (len(registry), registry.rows) == (len(held), sum(each.rows for each in held))
    assert registry.name_bytes == sum(each.name_bytes for each in held)
    for each in held:
        host = each.session.host
        met = registry.overlapping(host, each.path, each.place, each.ancestors)
        assert met == [each]
    stored = {(row.session, row.claim, row.path) for row in broker.journal.load().claims}
    assert stored == {(each.session.id, each.number, each.path) for each in held}
    for _, message in broker.published:
        assert BUS.decode(BUS.encode(message)) == message
    broker.published.clear()


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
    broker.join("scout-0", role="scout")
    broker.join("scout-1", role="scout")
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
        check_claims(broker)
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


def test_the_script_reaches_claims_and_lists() -> None:
    broker = Broker()
    broker.join("scout-0", role="scout")
    broker.take(b"scout-0", claim())
    broker.take(b"scout-0", files(1, 1, b"a", whole=True, last=True))
    assert broker.core._desk.registry.rows == 1
    check_claims(broker)
