"""Rules 1 and 4 of section 7: who may have a folder, and when its files are in the answers."""

from typing import Any

import pytest

from tests.unit.broker.making import Broker, claim, files, heartbeat, hello, only, place
from zfs_walk.broker import claims as rules
from zfs_walk.protocol.messages import (
    CLIENT,
    SCOUT,
    Bye,
    Claim,
    Claimed,
    ClaimList,
    ClaimRefused,
    Claims,
    ClaimStatus,
    Error,
    FilesAck,
)


def scout(broker: Broker, name: str = "scout-0", host: str = "h1", **fields: Any) -> bytes:
    return broker.join(name, role=SCOUT, host=host, **fields)


def lines(broker: Broker) -> Any:
    broker.take(b"client", hello("client", role=CLIENT))
    (answer,) = only(broker.take(b"client", Claims("r", 0)), ClaimList)
    return answer.claims


def whole(broker: Broker, route: bytes, *names: bytes, number: int = 1) -> None:
    message = files(1, 1, *names, number=number, whole=True, last=True)
    (ack,) = only(broker.take(route, message), FilesAck)
    assert (ack.generation, ack.version) == (1, 1)


def statuses(broker: Broker) -> list[tuple[bytes, bool, str, bool]]:
    """What was published of claims since the last look: folder, serving, why not, gone."""
    told = [m for _, m in broker.published if isinstance(m, ClaimStatus)]
    broker.published.clear()
    return [(m.claim.path, m.claim.serving, m.claim.why, m.gone) for m in told]


def refused(broker: Broker, route: bytes, message: Claim) -> ClaimRefused:
    (answer,) = only(broker.take(route, message), ClaimRefused, route)
    assert answer.claim == message.claim
    return answer  # type: ignore[no-any-return]


def test_a_claim_stands_and_is_listed_and_published() -> None:
    broker = Broker()
    route = scout(broker)
    assert only(broker.take(route, claim()), Claimed) == [Claimed(1, 0, 0)]
    broker.after(1.0)
    (line,) = lines(broker)
    assert (line.host, line.path, line.scout, line.pid) == ("h1", b"/data", "scout-0", 7)
    assert (line.state, line.since_ms, line.monitor) == ("live", 1000, "poll")
    assert (line.serving, line.why) == (False, "its list is not here yet")
    assert [topic for topic, _ in broker.published] == [b"files.h1"]
    whole(broker, route, b"a", b"b")
    (line,) = lines(broker)
    assert (line.serving, line.why, line.version, line.files) == (True, "", 1, 2)
    assert line.generation > 0
    assert statuses(broker) == [
        (b"/data", False, "its list is not here yet", False),
        (b"/data", True, "", False),
    ]


def test_repeating_a_claim_changes_nothing_and_tells_nobody() -> None:
    broker = Broker()
    route = scout(broker)
    broker.take(route, claim())
    whole(broker, route, b"a")
    statuses(broker)
    assert only(broker.take(route, claim()), Claimed) == [Claimed(1, 1, 1)]
    assert statuses(broker) == []


@pytest.mark.parametrize(
    ("other", "how"),
    [
        (claim(path=b"/other/name"), "it is /data"),
        (claim(path=b"/data/a/b", ino=12, ancestors=(place(11), place(10), place(2))), "within"),
        (claim(path=b"/", ino=2, ancestors=()), "it contains /data"),
        (claim(path=b"/data", ino=99), "the name is that of /data"),
    ],
)
def test_a_folder_one_above_it_and_one_below_it_are_refused_with_the_holder(
    other: Claim, how: str
) -> None:
    broker = Broker()
    broker.take(scout(broker, pid=4711), claim())
    answer = refused(broker, scout(broker, "scout-1"), other)
    assert answer.code == "claimed"
    assert how in answer.detail
    assert "the scout scout-0 (pid 4711) on h1 watches" in answer.detail
    assert len(lines(broker)) == 1


def test_two_claims_of_one_scout_may_not_overlap_either() -> None:
    broker = Broker()
    route = scout(broker)
    broker.take(route, claim())
    assert (
        refused(broker, route, claim(2, b"/data/a", 11, ancestors=(place(10), place(2)))).code
        == "claimed"
    )


def test_folders_beside_each_other_and_of_other_hosts_do_not_meet() -> None:
    broker = Broker()
    one, other = scout(broker), scout(broker, "scout-1", host="h2")
    for route, message in (
        (one, claim()), (one, claim(2, b"/more", 11)), (other, claim()),
        (other, claim(2, b"/data2", 10 + 2**64 - 20)),
    ):  # fmt: skip
        assert only(broker.take(route, message), Claimed)
    assert [(each.host, each.path) for each in lines(broker)] == [
        ("h1", b"/data"), ("h1", b"/more"), ("h2", b"/data"), ("h2", b"/data2"),
    ]  # fmt: skip


def test_only_a_scout_claims_and_sends_lists() -> None:
    broker = Broker()
    route = broker.join("walker-0")
    for message in (claim(), files(1, 1, b"a", whole=True, last=True)):
        (answer,) = only(broker.take(route, message), Error)
        assert answer.code == "not-allowed"
    assert lines(broker) == ()


def test_what_says_that_it_does_not_serve_is_not_served() -> None:
    broker = Broker()
    route = scout(broker)
    broker.take(route, claim())
    whole(broker, route, b"a")
    statuses(broker)
    broker.take(route, claim(serving=False, why="the folder is gone"))
    broker.take(route, claim())
    assert statuses(broker) == [
        (b"/data", False, "the folder is gone", False), (b"/data", True, "", False),
    ]  # fmt: skip


def test_a_silent_scout_s_files_leave_and_are_back_when_it_speaks() -> None:
    broker = Broker()
    route = scout(broker)
    broker.take(route, claim())
    whole(broker, route, b"a")
    statuses(broker)
    broker.after(3.5)
    assert statuses(broker) == [(b"/data", False, "its scout is suspect", False)]
    broker.take(route, heartbeat())
    assert statuses(broker) == [(b"/data", True, "", False)]


def test_an_ended_session_has_no_claims() -> None:
    broker = Broker()
    route = scout(broker)
    broker.take(route, claim())
    broker.take(route, Bye("done"))
    assert statuses(broker)[-1] == (b"/data", False, "the claim has ended", True)
    assert lines(broker) == ()
    assert only(broker.take(scout(broker, "scout-1"), claim()), Claimed)
    assert broker.journal.load().claims[0].claim == 1


def test_a_lost_scout_s_claims_can_be_taken_over_and_it_is_refused_when_it_returns() -> None:
    broker = Broker()
    old = scout(broker)
    broker.take(old, claim())
    whole(broker, old, b"a")
    new = scout(broker, "scout-1")
    broker.after(10.0)
    broker.take(new, heartbeat())
    assert refused(broker, new, claim()).code == "claimed"
    broker.after(6.0)
    broker.take(new, heartbeat())
    statuses(broker)
    assert only(broker.take(new, claim()), Claimed) == [Claimed(1, 0, 0)]
    assert [(path, gone) for path, _, _, gone in statuses(broker)] == [
        (b"/data", True), (b"/data", False),
    ]  # fmt: skip
    assert "scout-1" in refused(broker, old, claim()).detail
    assert [line.scout for line in lines(broker)] == ["scout-1"]


def test_claims_are_reserved_over_a_restart_until_their_session_is_lost() -> None:
    broker = Broker()
    route = scout(broker)
    broker.take(route, claim())
    whole(broker, route, b"a")
    broker = broker.restart()
    (line,) = lines(broker)
    assert (line.path, line.serving, line.why) == (b"/data", False, "its scout is suspect")
    assert (line.generation, line.version, line.files) == (0, 0, 0)
    assert refused(broker, scout(broker, "scout-1"), claim()).code == "claimed"
    assert only(broker.take(scout(broker), claim()), Claimed) == [Claimed(1, 0, 0)]
    broker = broker.restart()
    broker.after(16.0)
    assert only(broker.take(scout(broker, "scout-2"), claim()), Claimed)


def test_another_folder_under_the_same_number_takes_the_place_of_the_first() -> None:
    broker = Broker()
    route = scout(broker)
    broker.take(route, claim())
    whole(broker, route, b"a")
    assert only(broker.take(route, claim(ino=77)), Claimed) == [Claimed(1, 0, 0)]
    assert only(broker.take(scout(broker, "scout-1"), claim(path=b"/x")), Claimed)


def test_a_folder_whose_ancestors_changed_keeps_its_list_and_is_compared_anew() -> None:
    broker = Broker()
    route = scout(broker)
    broker.take(route, claim())
    whole(broker, route, b"a")
    moved = claim(ancestors=(place(3),))
    assert only(broker.take(route, moved), Claimed) == [Claimed(1, 1, 1)]
    other = scout(broker, "scout-1")
    assert only(broker.take(other, claim(path=b"/x", ino=2, ancestors=())), Claimed)
    assert refused(broker, other, claim(2, b"/y", 3, ancestors=())).code == "claimed"


@pytest.mark.parametrize(
    ("name", "value", "message", "code"),
    [
        ("MOST_CLAIMS", 1, claim(2, b"/b", 11), "too-many"),
        ("MOST_OF_A_SESSION", 1, claim(2, b"/b", 11), "too-many"),
        ("LIST_BYTES", 2_000, claim(2, b"/" + b"b" * 999, 11), "too-many"),
        ("DEEPEST", 1, claim(2, b"/b", 11, ancestors=(place(2), place(3))), "too-deep"),
        ("LONGEST_PATH", 5, claim(2, b"/data/", 11), "malformed"),
        ("LONGEST_PATH", 5, claim(2, b"data", 11), "malformed"),
    ],
)
def test_what_a_broker_could_not_list_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: int, message: Claim, code: str
) -> None:
    broker = Broker()
    route = scout(broker)
    broker.take(route, claim())
    monkeypatch.setattr(rules, name, value)
    assert refused(broker, route, message).code == code
    assert only(broker.take(route, claim()), Claimed)
