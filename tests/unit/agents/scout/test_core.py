"""A scout and its broker: claims asked for, standing, refused, lost; orders; how it leaves."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.unit.agents.scout.making import (
    WAY,
    List,
    Scout,
    claim,
    connected,
    files,
    level,
    sent,
    welcome,
    whole,
)
from zfs_walk.agents.events import Connected, Drain, Exit, Note, Reconnect, Send, SetLogLevel
from zfs_walk.protocol.files import Claim, Claimed, ClaimRefused, Files, FilesAck, Resync
from zfs_walk.protocol.messages import (
    Bye,
    ByeAck,
    Command,
    CommandDone,
    Error,
    Heartbeat,
    HeartbeatAck,
    Hello,
    Rehello,
)

HOLDER = "scout-2 on h0 (pid 7) has it"


def exits(out: Sequence[object]) -> list[str]:
    return [each.failure for each in out if isinstance(each, Exit)]


def notes(out: Sequence[object]) -> list[str]:
    return [each.text for each in out if isinstance(each, Note)]


# ------------------------------------------------------------------------- the session


def test_a_fresh_socket_is_greeted_with_hello_and_nothing_else() -> None:
    scout = Scout(List())
    assert scout.take(Connected()) == [
        Send(Hello(1, 1, "scout", "h0", "scout-1", "boot", 1, 9, "0", 0, (), 0))
    ]


def test_heartbeats_are_said_as_often_as_the_broker_wants() -> None:
    scout = connected(List())
    assert [beat.n for beat in sent(scout.after(0.0), Heartbeat)] == [1]
    assert sent(scout.after(0.9), Heartbeat) == []
    assert [beat.n for beat in sent(scout.after(0.1), Heartbeat)] == [2]
    scout.hear(HeartbeatAck(2, 5, 4000, ()))
    assert [beat.n for beat in sent(scout.after(1.0), Heartbeat)] == [3]
    assert sent(scout.after(3.9), Heartbeat) == []


def test_a_first_broker_is_waited_for_only_so_long() -> None:
    scout = Scout(List(), patience=10.0)
    scout.take(Connected())
    assert exits(scout.after(1.0)) == []
    assert exits(scout.after(9.1)) == []  # it was asleep: nobody had time to answer
    assert [exits(scout.after(0.9)) for _ in range(11)].index(["no-broker"]) == 9


def test_a_broker_that_went_away_is_waited_for_for_ever() -> None:
    scout = connected(List())
    found = [each for _ in range(2000) for each in scout.after(0.9)]
    assert any(isinstance(each, Reconnect) for each in found)
    assert exits(found) == []


def test_a_rehello_closes_the_socket_and_opens_another() -> None:
    (reconnect,) = connected(List()).hear(Rehello(6))
    assert isinstance(reconnect, Reconnect)
    assert 0.2 <= reconnect.delay <= 1.0
    assert not reconnect.elsewhere  # it has just spoken


@pytest.mark.parametrize("code", ["version", "name-in-use", "superseded", "not-allowed"])
def test_a_scout_that_is_not_wanted_ends(code: str) -> None:
    assert connected(List()).hear(Error(code, "why")) == [Exit(f"{code}: why")]


# ------------------------------------------------------------------------- claims


def test_every_folder_is_claimed_after_each_welcome() -> None:
    scout = Scout(List(), List())
    scout.take(Connected())
    scout.stir(0)
    scout.stir(1, monitor="fanotify", serving=False, why="its first list is not complete")
    asked = [
        claim(0, serving=False, why=WAY),
        claim(1, monitor="fanotify", serving=False, why="its first list is not complete"),
    ]
    assert sent(scout.hear(welcome()), Claim) == asked
    scout.hear(Claimed(0, 0, 0))
    scout.hear(Claimed(1, 0, 0))
    scout.hear(Rehello(5))
    scout.take(Connected())
    assert sent(scout.hear(welcome()), Claim) == asked


def test_a_claim_is_repeated_until_it_is_answered() -> None:
    scout = connected(List())
    assert [len(sent(scout.heard(0.5), Claim)) for _ in range(9)] == [0, 0, 0, 1, 0, 0, 0, 1, 0]
    scout.hear(Claimed(0, 0, 0))
    assert sent([each for _ in range(20) for each in scout.heard(0.5)], Claim) == []


def test_a_claim_serves_once_the_broker_has_the_list() -> None:
    scout = connected(List(b"a"))
    assert scout.hear(Claimed(0, 0, 0)) == [Send(whole(1, b"a"))]
    assert scout.hear(FilesAck(0, 1, 1)) == [Send(claim())]
    assert scout.hear(Claimed(0, 1, 1)) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"monitor": "fanotify"}, claim(monitor="fanotify")),
        ({"serving": False, "why": "it is gone"}, claim(serving=False, why="it is gone")),
    ],
)
def test_what_changes_about_a_claim_is_told_at_once_and_until_it_is_answered(
    changed: dict[str, Any], said: Claim
) -> None:
    scout = level(List(b"a"))
    assert scout.stir(**changed) == [Send(said)]
    assert sent(scout.after(0.9), Claim) + sent(scout.after(0.9), Claim) == []
    assert sent(scout.after(0.9), Claim) == [said]
    scout.hear(Claimed(0, 1, 1))
    assert sent(scout.after(0.9) + scout.after(0.9) + scout.after(0.9), Claim) == []


def test_a_folder_that_is_back_serves_after_its_changes_are_there() -> None:
    source = List(b"a", b"b")
    scout = level(source)
    scout.stir(serving=False, why="it is gone")
    scout.hear(Claimed(0, 1, 1))
    source.remove(b"a")
    assert scout.stir() == [
        Send(files(2, removed=(b"a",))), Send(claim(serving=False, why=WAY)),
    ]  # fmt: skip
    assert scout.hear(FilesAck(0, 1, 2)) == [Send(claim())]


def test_each_folder_has_its_own_list() -> None:
    one, two = List(b"a"), List(b"b")
    scout = connected(one, two)
    scout.hear(Claimed(1, 0, 0))
    scout.hear(FilesAck(1, 1, 1))
    two.put(b"c")
    (changed,) = sent(scout.stir(1), Files)
    assert (changed.claim, changed.version, changed.names) == (1, 2, (b"c",))
    assert sent(scout.hear(Claimed(0, 0, 0)), Files) == [whole(1, b"a")]


def test_what_a_broker_says_of_a_claim_that_never_was_is_ignored() -> None:
    scout = connected(List())
    assert scout.hear(Claimed(7, 0, 0)) == []


# ------------------------------------------------------------------------- the broker is away


def test_while_the_broker_is_away_everything_is_held_back_and_then_told() -> None:
    source = List(b"a")
    scout = level(source)
    scout.hear(Rehello(6))
    source.put(b"b")
    assert scout.stir() == []
    scout.take(Connected())
    assert sent(scout.hear(welcome()), Files) == []
    assert scout.hear(Claimed(0, 1, 1)) == [Send(files(2, b"b"))]


def test_a_broker_that_was_restarted_gets_the_next_generation() -> None:
    source = List(b"a")
    scout = level(source)
    scout.hear(Rehello(6))
    scout.take(Connected())
    assert sent(scout.hear(welcome(term=6)), Claim) == [claim()]
    assert scout.hear(Claimed(0, 0, 0)) == [Send(whole(1, b"a", generation=2))]


def test_a_resync_is_answered_with_the_claim_and_then_the_next_generation() -> None:
    scout = level(List(b"a"))
    assert scout.hear(Resync(0)) == [Send(claim())]
    assert scout.hear(Resync(0)) == [Send(claim())]
    assert scout.hear(Claimed(0, 1, 1)) == [Send(whole(1, b"a", generation=2))]


def test_an_unacknowledged_change_is_sent_again_after_two_heartbeats() -> None:
    source = List(b"a")
    scout = level(source)
    source.put(b"b")
    changed = scout.stir()
    assert changed == [Send(files(2, b"b"))]
    late = [sent(scout.after(0.9), Files) for _ in range(3)]
    assert late == [[], [], [files(2, b"b")]]


def test_a_scout_that_slept_blames_nobody_for_the_silence() -> None:
    source = List(b"a")
    scout = level(source)
    source.put(b"b")
    scout.stir()
    found = scout.after(60.0)
    assert sent(found, Files) == []
    assert not any(isinstance(each, Reconnect) for each in found)


def test_a_scout_that_slept_asks_whether_its_folders_are_still_its_own() -> None:
    scout = level(List(b"a"))
    assert sent(scout.after(60.0), Claim) == [claim()]
    assert notes(scout.hear(ClaimRefused(0, "claimed", HOLDER))) != []


def test_a_list_that_the_broker_has_lost_is_sent_again() -> None:
    scout = level(List(b"a"))
    scout.after(60.0)
    assert scout.hear(Claimed(0, 0, 0)) == [Send(whole(1, b"a", generation=2))]


# ------------------------------------------------------------------------- refusals


def test_a_folder_that_is_refused_at_the_start_ends_the_scout_and_its_other_claims() -> None:
    scout = connected(List(), List())
    scout.hear(Claimed(1, 0, 0))
    out = scout.hear(ClaimRefused(0, "claimed", HOLDER))
    assert out == [Send(Bye("/data0 is refused"))]
    assert scout.hear(ByeAck()) == [Exit(f"claim-refused: /data0: {HOLDER}")]


def test_a_folder_that_is_refused_and_a_broker_that_goes_ends_the_scout_too() -> None:
    scout = connected(List())
    scout.hear(ClaimRefused(0, "claimed", HOLDER))
    scout.hear(Rehello(6))
    assert exits(scout.after(0.5)) == [f"claim-refused: /data0: {HOLDER}"]


def test_a_folder_that_was_taken_meanwhile_is_asked_for_again_and_the_others_go_on() -> None:
    one, two = List(b"a"), List(b"b")
    scout = connected(one, two)
    for number in (0, 1):
        scout.hear(Claimed(number, 0, 0))
        scout.hear(FilesAck(number, 1, 1))
        scout.hear(Claimed(number, 1, 1))
    scout.hear(Rehello(6))
    scout.take(Connected())
    scout.hear(welcome(lease_ttl_ms=5000))
    scout.hear(Claimed(1, 1, 1))
    out = scout.hear(ClaimRefused(0, "claimed", HOLDER))
    assert notes(out) == [f"/data0 is in no answer any more: {HOLDER}"]
    assert scout.core.health() == f"/data0: {HOLDER}"
    one.put(b"c")
    two.put(b"d")
    assert scout.stir(0) == []
    assert sent(scout.stir(1), Files) == [files(2, b"d", claim=1)]
    asked = [len(sent(scout.heard(0.9), Claim)) for _ in range(6)]
    assert asked == [0, 0, 0, 0, 0, 1]
    assert notes(scout.hear(ClaimRefused(0, "claimed", HOLDER))) == []
    back = scout.hear(Claimed(0, 4, 9))
    assert notes(back) == ["/data0 is claimed again"]
    assert sent(back, Files) == [whole(1, b"a", b"c", generation=5), files(2, b"c", generation=5)]
    assert scout.core.health() == "ok"


# ------------------------------------------------------------------------- health


def test_health_says_what_keeps_it_from_its_work() -> None:
    scout = Scout(List())
    assert scout.core.health() == "no broker answers"
    scout.take(Connected())
    scout.hear(welcome())
    assert scout.core.health() == "/data0: its watch has not begun"
    scout.stir(serving=False, why="it is gone")
    assert scout.core.health() == "/data0: it is gone"
    scout.stir()
    scout.hear(Claimed(0, 0, 0))
    scout.hear(FilesAck(0, 1, 1))
    assert scout.core.health() == "ok"
    scout.take(Drain("drained by SIGTERM"))
    assert scout.core.health() == "it is leaving: drained by SIGTERM"


# ------------------------------------------------------------------------- orders


def test_a_level_is_set_and_one_that_is_none_is_refused() -> None:
    scout = connected(List())
    assert scout.hear(Command(1, "set-log-level", level="debug", logger="")) == [
        SetLogLevel("debug", ""), Send(CommandDone(1, True, "")),
    ]  # fmt: skip
    ((_, refused),) = [(1, each) for each in sent(
        scout.hear(Command(2, "set-log-level", level="loud", logger="")), CommandDone
    )]  # fmt: skip
    assert (refused.id, refused.ok) == (2, False)
    assert refused.detail.startswith("'loud' is no level")


def test_a_scout_has_no_workers_and_no_work() -> None:
    scout = connected(List())
    assert scout.hear(Command(1, "resize", workers=3)) == [
        Send(CommandDone(1, False, "a scout has no workers"))
    ]
    assert scout.hear(Command(2, "pause", run=3)) == [
        Send(CommandDone(2, False, "a scout knows no pause"))
    ]


def test_a_drain_by_request_is_answered_and_then_it_leaves() -> None:
    scout = connected(List())
    assert scout.hear(Command(1, "drain")) == [
        Send(CommandDone(1, True, "it gives its folders back and ends")),
        Send(Bye("drained by request")),
    ]
    assert scout.hear(ByeAck()) == [Exit("")]


# ------------------------------------------------------------------------- leaving


def test_a_scout_says_bye_once_and_nothing_after_it() -> None:
    source = List(b"a")
    scout = level(source)
    assert scout.take(Drain("drained by SIGTERM")) == [Send(Bye("drained by SIGTERM"))]
    source.put(b"b")
    assert scout.stir() + scout.hear(Resync(0)) + sent(scout.after(0.9), Files) == []
    assert scout.hear(ByeAck()) == [Exit("")]


def test_a_scout_without_a_broker_just_leaves() -> None:
    assert Scout(List()).take(Drain("drained by SIGTERM")) == [Exit("")]


def test_a_bye_that_nobody_answers_ends_with_the_brokers_silence() -> None:
    scout = connected(List())
    scout.take(Drain("drained by SIGTERM"))
    found = [exits(scout.after(0.9)) for _ in range(5)]
    assert [""] in found


def test_after_a_rehello_bye_is_said_again() -> None:
    scout = connected(List())
    scout.take(Drain("drained by SIGTERM"))
    assert sent(scout.hear(welcome()), Bye) == [Bye("drained by SIGTERM")]


def test_an_ended_session_is_what_a_leaving_scout_wants() -> None:
    scout = connected(List())
    scout.take(Drain("drained by SIGTERM"))
    assert scout.hear(Error("superseded", "it has ended")) == [Exit("")]
