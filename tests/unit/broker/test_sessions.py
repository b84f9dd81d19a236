"""Who is there: HELLO and what is kept, names, silence, terms."""

import pytest

from tests.unit.broker.making import Broker, commit, heartbeat, hello, lease, only
from zfs_walk.broker.state import SessionState
from zfs_walk.protocol.messages import (
    Ack,
    Bye,
    ByeAck,
    Error,
    Grant,
    HeartbeatAck,
    Nack,
    Rehello,
    Status,
    Welcome,
    WorkRequest,
)
from zfs_walk.protocol.records import NO_ENDPOINTS, Standing

A, B = b"walker-0", b"walker-1"


# ------------------------------------------------------------------------- HELLO


def test_a_first_hello_opens_a_session() -> None:
    broker = Broker()
    (sent,) = broker.take(A, hello())
    session = next(iter(broker.core.state.sessions))
    assert sent == (
        A,
        Welcome(
            session,
            broker.core.state.term,
            1,
            1_000_000,
            1000,
            15_000,
            5000,
            4,
            NO_ENDPOINTS,
            keep=(),
            drop=(),
        ),
    )
    assert session >> 28 == broker.core.state.term


def test_before_a_hello_nothing_is_answered_but_rehello() -> None:
    broker = Broker()
    term = broker.core.state.term
    for message in (heartbeat(), WorkRequest(1), commit(1, 1, 1), Bye(""), Status("q", 0, 1, 0)):
        assert broker.take(A, message) == [(A, Rehello(term))]


@pytest.mark.parametrize(("low", "high"), [(2, 3), (0, 0)])
def test_a_minor_version_that_is_not_spoken_is_refused_with_both(low: int, high: int) -> None:
    sent = Broker().take(A, hello(proto_min=low, proto_max=high))
    assert sent == [(A, Error("version", f"you speak {low} to {high}, this broker 1 to 1"))]


def test_what_only_a_broker_sends_is_refused() -> None:
    broker = Broker()
    sent = broker.take(A, ByeAck())
    assert only(sent, Error, A)[0].code == "not-yours"


def test_a_second_hello_of_the_process_moves_its_route() -> None:
    broker = Broker()
    broker.take(A, hello())
    broker.take(b"new", hello(conn=2))
    assert only(broker.take(A, heartbeat()), Rehello, A)
    assert only(broker.take(b"new", heartbeat()), HeartbeatAck, b"new")
    assert len(broker.core.state.sessions) == 1


def test_a_hello_of_an_earlier_socket_that_comes_late_is_ignored() -> None:
    broker = Broker()
    broker.take(b"new", hello(conn=2))
    assert broker.take(A, hello(conn=1)) == []
    assert only(broker.take(b"new", heartbeat()), HeartbeatAck)


def test_a_socket_speaks_for_one_process_only() -> None:
    broker = Broker()
    broker.join("walker-0")
    sent = broker.take(A, hello("walker-1"))
    assert only(sent, Error, A)[0].code == "malformed"
    assert len(broker.core.state.sessions) == 1


# ------------------------------------------------------------------------- what is kept


def test_a_lease_that_is_named_is_kept_with_what_was_applied() -> None:
    broker = Broker()
    broker.join("walker-0")
    broker.submit()
    grant = broker.granted(A)
    broker.take(A, commit(grant.uid, grant.epoch, 1))
    held = (lease(grant.uid, grant.epoch, acked=0),)
    (welcome,) = only(broker.take(b"new", hello(conn=2, held=held)), Welcome)
    assert welcome.keep == (Standing(grant.uid, grant.epoch, 1),)
    assert welcome.drop == ()


def test_a_grant_that_got_lost_is_pending_at_once() -> None:
    broker = Broker()
    broker.join("walker-0")
    broker.join("walker-1")
    broker.submit()
    lost = broker.granted(A)
    broker.take(b"new", hello(conn=2))
    again = broker.granted(B)
    assert again.uid == lost.uid
    assert again.epoch > lost.epoch


def test_a_lease_of_an_earlier_epoch_is_dropped_with_what_was_applied() -> None:
    broker = Broker()
    broker.join("walker-0")
    broker.submit()
    grant = broker.granted(A)
    broker.take(A, commit(grant.uid, grant.epoch, 1))
    broker.take(b"new", hello(conn=2))
    held = (lease(grant.uid, grant.epoch, acked=0),)
    (welcome,) = only(broker.take(b"newer", hello(conn=3, held=held)), Welcome)
    assert welcome.keep == ()
    assert welcome.drop == (Standing(grant.uid, grant.epoch, 1),)


def test_a_lease_of_which_more_was_acknowledged_than_the_journal_has_is_dropped() -> None:
    """The journal was restored from a copy."""
    broker = Broker()
    broker.join("walker-0")
    broker.submit()
    grant = broker.granted(A)
    held = (lease(grant.uid, grant.epoch, acked=5),)
    (welcome,) = only(broker.take(b"new", hello(conn=2, held=held)), Welcome)
    assert welcome.keep == ()
    assert welcome.drop == (Standing(grant.uid, grant.epoch, 0),)
    assert broker.granted(b"new").epoch > grant.epoch


def test_a_restarted_broker_knows_the_session_and_its_lease() -> None:
    broker = Broker()
    broker.join("walker-0")
    broker.submit()
    grant = broker.granted(A)
    later = broker.restart()
    (rehello,) = only(later.take(A, commit(grant.uid, grant.epoch, 1)), Rehello)
    assert rehello.term == broker.core.state.term + 1
    held = (lease(grant.uid, grant.epoch),)
    (welcome,) = only(later.take(b"new", hello(conn=2, held=held)), Welcome)
    assert welcome.keep == (Standing(grant.uid, grant.epoch, 0),)
    assert only(later.take(b"new", commit(grant.uid, grant.epoch, 1)), Ack)


def test_a_restarted_broker_leaves_every_lease_one_ttl() -> None:
    broker = Broker()
    broker.join("walker-0")
    broker.submit()
    grant = broker.granted(A)
    later = broker.restart()
    later.join("walker-1")
    assert not only(later.take(B, WorkRequest(1)), Grant)
    for _ in range(14):
        later.after(1.0)
        assert not only(later.take(B, heartbeat(want=1)), Grant)
    sent = later.after(0.5) + later.take(B, heartbeat(want=1)) + later.after(1.0)
    assert only(sent, Grant, B)[0].uid == grant.uid


# ------------------------------------------------------------------------- heartbeats and silence


def test_a_heartbeat_renews_the_leases_that_it_names_and_no_other() -> None:
    broker = Broker()
    broker.join("walker-0")
    broker.submit()
    broker.submit(request="r2")
    one, two = broker.granted(A), None
    broker.take(A, heartbeat((one.uid, one.epoch)))
    two = broker.granted(A)
    broker.take(A, heartbeat((two.uid, two.epoch)))
    for _ in range(16):
        broker.after(1.0)
        broker.take(A, heartbeat((two.uid, two.epoch)))
    units = broker.core.state.units
    assert units[one.uid].open
    assert not units[two.uid].open


def test_a_heartbeat_of_an_old_epoch_renews_nothing() -> None:
    broker = Broker()
    broker.join("walker-0")
    broker.submit()
    grant = broker.granted(A)
    before = broker.core.state.units[grant.uid].deadline
    broker.now += 0.5
    broker.take(A, heartbeat((grant.uid, grant.epoch - 1)))
    assert broker.core.state.units[grant.uid].deadline == before


def test_a_heartbeat_is_answered_with_the_states_of_the_runs_at_hand() -> None:
    broker = Broker()
    broker.join("walker-0")
    number = broker.submit()
    grant = broker.granted(A)
    (answer,) = only(broker.take(A, heartbeat((grant.uid, grant.epoch), n=9)), HeartbeatAck)
    assert answer.n == 9
    assert [(note.run, note.state) for note in answer.runs] == [(number, "RUNNING")]


def test_a_silent_session_is_probed_after_a_heartbeat() -> None:
    broker = Broker()
    broker.join("walker-0")
    assert broker.after(1.0) == []
    probes = only(broker.after(0.5), HeartbeatAck, A)
    assert [probe.n for probe in probes] == [0]


def test_who_missed_three_heartbeats_gets_no_grants_until_he_speaks() -> None:
    broker = Broker()
    broker.join("walker-0")
    broker.take(A, WorkRequest(1))
    broker.after(3.5)
    assert next(iter(broker.core.state.sessions.values())).state is SessionState.SUSPECT
    broker.submit()
    assert not only(broker.after(1.0), Grant)
    assert only(broker.take(A, heartbeat(want=1)), Grant)


def test_an_unreachable_holder_has_the_grace_to_say_hello_then_its_unit_is_open() -> None:
    broker = Broker()
    broker.join("walker-0")
    broker.submit()
    grant = broker.granted(A)
    broker.take(A, heartbeat((grant.uid, grant.epoch)))
    (probe,) = only(broker.after(1.5), HeartbeatAck, A)
    broker.not_sent(A, probe, gone=True)
    unit = broker.core.state.units[grant.uid]
    broker.after(2.75)
    assert not unit.open
    broker.after(0.5)
    assert unit.open
    assert unit.epoch == grant.epoch


def test_an_open_lease_is_its_holders_until_another_is_granted_the_unit() -> None:
    broker = Broker()
    broker.join("walker-0")
    broker.submit()
    grant = broker.granted(A)
    broker.after(16.0)
    unit = broker.core.state.units[grant.uid]
    assert unit.open
    assert only(broker.take(A, commit(grant.uid, grant.epoch, 1)), Ack, A)
    assert not unit.open


def test_an_open_unit_that_was_granted_to_another_fences_its_old_holder() -> None:
    broker = Broker()
    broker.join("walker-0")
    broker.submit()
    grant = broker.granted(A)
    broker.take(A, commit(grant.uid, grant.epoch, 1))
    broker.after(16.0)
    broker.join("walker-1")
    again = broker.granted(B)
    assert again.uid == grant.uid
    assert only(broker.take(A, commit(grant.uid, grant.epoch, 1)), Ack, A)
    (nack,) = only(broker.take(A, commit(grant.uid, grant.epoch, 2)), Nack, A)
    assert (nack.code, nack.applied) == ("FENCED", 1)


def test_a_broker_that_slept_judges_nobody_by_that_time() -> None:
    broker = Broker()
    broker.join("walker-0")
    broker.submit()
    grant = broker.granted(A)
    broker.asleep(3600.0)
    broker.after(0.25)
    session = next(iter(broker.core.state.sessions.values()))
    assert session.state is SessionState.LIVE
    assert not broker.core.state.units[grant.uid].open


def test_bye_ends_the_session_and_its_leases_at_once() -> None:
    broker = Broker()
    broker.join("walker-0")
    broker.join("walker-1")
    broker.submit()
    grant = broker.granted(A)
    broker.take(B, WorkRequest(1))
    sent = broker.take(A, Bye("drained"))
    assert only(sent, ByeAck, A)
    assert only(sent, Grant, B)[0].uid == grant.uid
    assert broker.take(A, heartbeat()) == [(A, Rehello(broker.core.state.term))]


def test_an_ended_process_that_comes_back_is_superseded() -> None:
    broker = Broker()
    broker.join("walker-0")
    broker.take(A, Bye(""))
    (error,) = only(broker.take(b"new", hello(conn=2)), Error)
    assert error.code == "superseded"
    assert only(broker.take(b"other", hello(boot="another")), Welcome)


# ------------------------------------------------------------------------- names


def test_a_name_in_use_is_refused_when_its_holder_answers_the_probe() -> None:
    broker = Broker()
    broker.join("walker-0")
    probe = broker.take(B, hello(boot="another", pid=8))
    assert [(to, message.n) for to, message in probe if isinstance(message, HeartbeatAck)] == [
        (A, 0)
    ]
    sent = broker.take(A, heartbeat())
    (error,) = only(sent, Error, B)
    assert error.code == "name-in-use"
    assert "pid 7" in error.detail
    assert not only(broker.after(2.0), Welcome)


def test_a_holder_that_reconnects_keeps_its_name() -> None:
    broker = Broker()
    broker.join("walker-0")
    broker.take(B, hello(boot="another"))
    sent = broker.take(b"new", hello(conn=2))
    assert only(sent, Error, B)[0].code == "name-in-use"
    assert not only(broker.after(2.0), Welcome)
    assert only(broker.take(b"new", heartbeat()), HeartbeatAck)


def test_a_silent_holder_loses_its_name_after_a_heartbeat() -> None:
    broker = Broker()
    broker.join("walker-0")
    broker.take(B, hello(boot="another"))
    assert only(broker.after(1.25), Welcome, B)
    (error,) = only(broker.take(b"new", hello(conn=2)), Error)
    assert error.code == "superseded"


def test_an_unreachable_holder_loses_its_name_at_once() -> None:
    broker = Broker()
    broker.join("walker-0")
    (probe,) = only(broker.take(B, hello(boot="another")), HeartbeatAck, A)
    assert only(broker.not_sent(A, probe, gone=True), Welcome, B)


def test_the_same_name_on_another_host_or_in_another_role_is_another() -> None:
    broker = Broker()
    broker.join("walker-0")
    assert only(broker.take(b"x", hello(host="h1", boot="x")), Welcome)
    assert only(broker.take(b"y", hello(role="scout", boot="y")), Welcome)


# ------------------------------------------------------------------------- terms


def test_a_later_term_is_overtaken_and_everybody_starts_over() -> None:
    broker = Broker()
    broker.join("walker-0")
    term = broker.core.state.term
    sent = broker.take(B, hello("walker-1", highest_term=term + 50))
    assert (A, Rehello(term + 51)) in sent
    assert only(sent, Welcome, B)[0].term == term + 51
    assert broker.journal.term == term + 51


def test_a_term_ten_years_ahead_is_no_term() -> None:
    broker = Broker()
    term = broker.core.state.term
    (error,) = only(broker.take(A, hello(highest_term=term + 10**9)), Error)
    assert error.code == "malformed"
    assert broker.core.state.term == term
