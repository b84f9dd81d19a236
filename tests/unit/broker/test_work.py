"""Grants, steals, commits and how runs share the sessions."""

from tests.unit.broker.making import (
    OPTIONS,
    Broker,
    commit,
    directory,
    heartbeat,
    hello,
    only,
    root,
)
from zfs_walk.protocol.messages import (
    CLIENT,
    Ack,
    Cannot,
    Command,
    Grant,
    Nack,
    Parked,
    Steal,
    StealRefused,
    Submit,
    WorkRequest,
)

A, B, C, D = b"walker-0", b"walker-1", b"walker-2", b"walker-3"


def two_agents_one_unit() -> tuple[Broker, Grant]:
    """A holds the run's unit, B is there and has not asked."""
    broker = Broker()
    broker.join("walker-0", capacity=4)
    broker.join("walker-1", capacity=2)
    broker.submit()
    return broker, broker.granted(A)


# ------------------------------------------------------------------------- requests and grants


def test_a_request_without_work_is_parked_and_stands() -> None:
    broker = Broker()
    broker.join("walker-0")
    assert broker.take(A, WorkRequest(3)) == [(A, Parked(3))]
    broker.submit()
    assert broker.core.state.units.popitem()[1].session


def test_a_request_of_zero_withdraws_the_earlier_one() -> None:
    broker = Broker()
    broker.join("walker-0")
    broker.take(A, WorkRequest(3))
    broker.take(A, WorkRequest(0))
    broker.submit()
    assert broker.core.state.units.popitem()[1].session == 0


def test_a_heartbeat_repeats_the_request() -> None:
    broker = Broker()
    broker.join("walker-0")
    broker.submit()
    assert only(broker.take(A, heartbeat(want=2)), Grant, A)


def test_a_grant_withdraws_the_request() -> None:
    broker = Broker()
    broker.join("walker-0")
    broker.submit()
    broker.submit(request="r2")
    assert len(only(broker.take(A, WorkRequest(5)), Grant)) == 1


def test_a_session_has_one_unconfirmed_grant_at_a_time() -> None:
    broker = Broker()
    broker.join("walker-0")
    broker.submit()
    broker.submit(request="r2")
    grant = broker.granted(A)
    assert not only(broker.take(A, WorkRequest(5)), Grant)
    assert only(broker.take(A, heartbeat((grant.uid, grant.epoch), want=5)), Grant)


def test_a_grant_without_a_sign_of_it_is_repeated_after_two_heartbeats() -> None:
    broker = Broker()
    broker.join("walker-0")
    broker.submit()
    grant = broker.granted(A)
    broker.after(1.5)
    assert not only(broker.take(A, heartbeat()), Grant)
    broker.after(1.0)
    assert only(broker.take(A, heartbeat()), Grant) == [grant]


def test_a_session_holds_at_most_four_units() -> None:
    broker = Broker()
    broker.join("walker-0")
    for i in range(6):
        broker.submit(request=f"r{i}")
    held: list[tuple[int, int]] = []
    for _ in range(4):
        grant = broker.granted(A)
        held.append((grant.uid, grant.epoch))
        broker.take(A, heartbeat(*held))
    assert not only(broker.take(A, heartbeat(*held, want=5)), Grant)


def test_a_grant_that_could_not_be_sent_is_taken_back_at_once() -> None:
    broker = Broker()
    broker.join("walker-0")
    broker.join("walker-1")
    broker.submit()
    grant = broker.granted(A)
    broker.take(B, WorkRequest(1))
    broker.not_sent(A, grant)
    sent = broker.after(0.25)
    assert only(sent, Grant, B)[0].uid == grant.uid


def test_a_grant_says_how_many_others_wait() -> None:
    broker = Broker()
    for i in range(3):
        broker.join(f"walker-{i}")
        broker.take(b"walker-%d" % i, WorkRequest(1))
    broker.take(b"client", hello("client", role=CLIENT))
    sent = broker.take(b"client", Submit("r", 0, (root(),), OPTIONS, 1))
    assert [grant.parked for grant in only(sent, Grant)] == [2]
    assert [steal.thieves for steal in only(sent, Steal)] == [(2, 2)]


def test_a_large_unit_is_carved_and_the_rest_goes_to_the_next() -> None:
    broker = Broker(grant_items=2)
    broker.join("walker-0")
    broker.join("walker-1")
    broker.submit(root(b"/a"), root(b"/b"), root(b"/c"))
    assert [item.root for item in broker.granted(A).items] == [0, 1]
    assert [item.root for item in broker.granted(B).items] == [2]


def test_a_local_root_is_walked_on_its_own_host_only() -> None:
    broker = Broker()
    broker.join("walker-0", host="h1")
    broker.join("walker-1", host="h0")
    broker.submit(root(host="h0", network=False))
    assert not only(broker.take(A, WorkRequest(1)), Grant)
    assert only(broker.take(B, WorkRequest(1)), Grant)


def test_a_run_starts_when_enough_agents_are_there() -> None:
    broker = Broker()
    broker.join("walker-0")
    broker.submit(min_agents=2)
    assert not only(broker.take(A, WorkRequest(1)), Grant)
    assert only(broker.take(B, hello("walker-1")), Grant, A)


def test_a_run_that_has_started_goes_on_with_fewer_agents_after_a_restart() -> None:
    broker = Broker()
    broker.join("walker-0")
    broker.join("walker-1")
    broker.submit(min_agents=2)
    grant = broker.granted(A)
    broker.take(A, commit(grant.uid, grant.epoch, 1, added=(directory(2),), found=1, release=True))
    later = broker.restart()
    later.join("walker-0", conn=2)
    assert later.granted(A).uid == grant.uid


# ------------------------------------------------------------------------- steals


def test_who_asks_when_all_is_leased_has_a_holder_asked() -> None:
    broker, grant = two_agents_one_unit()
    sent = broker.take(B, WorkRequest(1))
    (steal,) = only(sent, Steal, A)
    assert (steal.uid, steal.epoch, steal.thieves) == (grant.uid, grant.epoch, (2,))
    assert only(sent, Parked, B)


def test_a_steal_stands_and_is_not_sent_again() -> None:
    broker, _ = two_agents_one_unit()
    broker.take(B, WorkRequest(1))
    broker.join("walker-2")
    assert not only(broker.take(C, WorkRequest(1)), Steal)
    assert not only(broker.take(B, WorkRequest(1)), Steal)


def test_the_thief_is_granted_when_the_split_is_applied() -> None:
    broker, grant = two_agents_one_unit()
    (steal,) = only(broker.take(B, WorkRequest(1)), Steal)
    sent = broker.take(
        A,
        commit(
            grant.uid, grant.epoch, 1, steal_id=steal.steal_id, found=2,
            added=(directory(2), directory(3)), split=((2,),),
        ),
    )  # fmt: skip
    assert only(sent, Ack, A)
    assert [item.n for item in only(sent, Grant, B)[0].items] == [2]


def test_who_refuses_is_not_asked_again_before_its_next_word() -> None:
    broker, grant = two_agents_one_unit()
    (steal,) = only(broker.take(B, WorkRequest(1)), Steal)
    broker.take(A, StealRefused(steal.steal_id, grant.uid, grant.epoch, "nothing to give"))
    assert not only(broker.after(0.5), Steal)
    sent = broker.take(A, heartbeat((grant.uid, grant.epoch), stealable=5))
    assert only(sent, Steal, A)


def test_the_thief_of_a_refused_steal_asks_another_holder() -> None:
    broker = Broker()
    for i in range(3):
        broker.join(f"walker-{i}")
    broker.submit(root(b"/a"))
    broker.submit(root(b"/b"), request="r2")
    one, two = broker.granted(A), broker.granted(B)
    (first,) = only(broker.take(C, WorkRequest(1)), Steal)
    asked = one if first.uid == one.uid else two
    other = two if asked is one else one
    holder = A if asked is one else B
    sent = broker.take(holder, StealRefused(first.steal_id, asked.uid, asked.epoch, "no"))
    assert [steal.uid for steal in only(sent, Steal)] == [other.uid]


def test_whoever_has_most_by_its_last_word_is_asked() -> None:
    broker = Broker()
    for i in range(3):
        broker.join(f"walker-{i}")
    broker.submit(root(b"/a"), root(b"/b"))
    one = broker.granted(A)
    broker.take(A, commit(one.uid, one.epoch, 1, split=((2,),)))
    two = broker.granted(B)
    broker.take(B, heartbeat((two.uid, two.epoch), stealable=3))
    broker.take(A, heartbeat((one.uid, one.epoch), stealable=8))
    assert only(broker.take(C, WorkRequest(1)), Steal)[0].uid == one.uid


def test_with_no_word_the_newest_grant_is_asked() -> None:
    broker = Broker()
    for i in range(3):
        broker.join(f"walker-{i}")
    broker.submit(root(b"/a"), root(b"/b"))
    one = broker.granted(A)
    broker.take(A, commit(one.uid, one.epoch, 1, split=((2,),)))
    two = broker.granted(B)
    assert only(broker.take(C, WorkRequest(1)), Steal)[0].uid == two.uid


def test_a_steal_without_an_answer_is_forgotten() -> None:
    broker, grant = two_agents_one_unit()
    broker.take(B, WorkRequest(1))
    broker.after(3.0)
    assert broker.core.state.units[grant.uid].steal is None
    assert all(session.stealing == 0 for session in broker.core.state.sessions.values())


def test_a_steal_that_could_not_be_sent_is_forgotten_at_once() -> None:
    broker, grant = two_agents_one_unit()
    (steal,) = only(broker.take(B, WorkRequest(1)), Steal)
    broker.not_sent(A, steal)
    assert broker.core.state.units[grant.uid].steal is None


def test_a_unit_that_is_given_back_while_a_steal_stands_goes_to_the_thief() -> None:
    broker, grant = two_agents_one_unit()
    broker.take(B, WorkRequest(1))
    sent = broker.take(A, commit(grant.uid, grant.epoch, 1, release=True))
    assert only(sent, Grant, B)[0].uid == grant.uid
    assert all(session.stealing == 0 for session in broker.core.state.sessions.values())


# ------------------------------------------------------------------------- commits


def test_a_repeated_commit_is_acknowledged_and_counted_once() -> None:
    broker, grant = two_agents_one_unit()
    sent = commit(grant.uid, grant.epoch, 1, counters={"entries": 7})
    first, second = broker.take(A, sent), broker.take(A, sent)
    assert first == second == [(A, Ack(grant.uid, grant.epoch, 1))]
    assert broker.core.state.runs[grant.run].counters == {"entries": 7}


def test_a_gap_is_told_with_what_was_applied() -> None:
    broker, grant = two_agents_one_unit()
    broker.take(A, commit(grant.uid, grant.epoch, 1))
    (nack,) = only(broker.take(A, commit(grant.uid, grant.epoch, 3)), Nack)
    assert (nack.code, nack.applied) == ("GAP", 1)


def test_a_unit_whose_books_do_not_balance_is_opened_anew() -> None:
    broker, grant = two_agents_one_unit()
    (nack,) = only(broker.take(A, commit(grant.uid, grant.epoch, 1, done=1)), Nack)
    assert nack.code == "CONSERVATION"
    again = broker.granted(A)
    assert (again.uid, again.items) == (grant.uid, grant.items)
    assert again.epoch > grant.epoch


def test_the_third_time_that_books_do_not_balance_aborts_the_run() -> None:
    broker = Broker()
    broker.join("walker-0")
    number = broker.submit()
    for _ in range(3):
        grant = broker.granted(A)
        broker.take(A, commit(grant.uid, grant.epoch, 1, done=1))
    run = broker.core.state.runs[number]
    assert run.state == "ABORTED"
    assert run.reason.startswith("internal error: ")


def test_the_last_item_ends_the_run() -> None:
    broker, grant = two_agents_one_unit()
    broker.take(A, commit(grant.uid, grant.epoch, 1, removed=(1,), done=1))
    assert broker.core.state.runs[grant.run].state == "DONE"
    assert broker.core.state.units == {}


# ------------------------------------------------------------------------- who can't, and sharing


def test_a_host_that_cannot_walk_a_run_gets_no_more_of_it() -> None:
    broker, grant = two_agents_one_unit()
    broker.take(A, Cannot(grant.run, "not mounted"))
    broker.take(A, commit(grant.uid, grant.epoch, 1, release=True))
    assert not only(broker.take(A, WorkRequest(1)), Grant)
    assert only(broker.take(B, WorkRequest(1)), Grant)


def test_a_run_that_nobody_can_walk_is_paused_with_the_reasons() -> None:
    broker = Broker()
    broker.join("walker-0")
    number = broker.submit()
    grant = broker.granted(A)
    broker.take(A, Cannot(number, "not mounted"))
    broker.take(A, commit(grant.uid, grant.epoch, 1, release=True))
    broker.after(0.25)
    run = broker.core.state.runs[number]
    assert run.state == "PAUSED"
    assert run.reason == "no agent can go on: walker-0 on h0: not mounted"


def test_a_run_is_not_paused_while_a_suspect_may_come_back_to_it() -> None:
    broker, grant = two_agents_one_unit()
    for _ in range(4):
        broker.after(1.0)
        broker.take(A, heartbeat((grant.uid, grant.epoch)))
    broker.take(A, Cannot(grant.run, "not mounted"))
    broker.after(0.5)
    assert broker.core.state.runs[grant.run].state == "RUNNING"


def test_runs_share_the_sessions_one_a_heartbeat() -> None:
    broker = Broker()
    names = [b"walker-%d" % i for i in range(4)]
    for name in names:
        broker.join(name.decode())
    rich = broker.submit(*[root(b"/%d" % i) for i in range(4)])
    held: dict[bytes, Grant] = {}
    first = broker.granted(A)
    held[A] = first
    broker.take(A, commit(first.uid, first.epoch, 1, split=((2,), (3,), (4,))))
    for name in names[1:]:
        held[name] = broker.granted(name)
    broker.submit(request="r2")
    asked = []
    for _ in range(8):
        sent = broker.after(0.25)
        asked += [(to, m.uid) for to, m in sent if isinstance(m, Command) and m.name == "release"]
        for name in names:
            grant = held[name]
            sent += broker.take(name, heartbeat((grant.uid, grant.epoch)))
    holder = {grant.uid: name for name, grant in held.items()}
    assert asked
    assert all(holder[uid] == to for to, uid in asked)
    assert len({to for to, _ in asked}) == 1
    (giver, uid) = asked[0]
    grant = held[giver]
    broker.take(giver, commit(uid, grant.epoch, 2 if giver == A else 1, release=True))
    assert broker.granted(giver).run != rich


def test_a_run_with_one_session_and_nothing_free_is_split_for_a_second() -> None:
    broker = Broker()
    names = [b"walker-%d" % i for i in range(4)]
    for name in names:
        broker.join(name.decode())
    broker.submit(root(b"/a"), root(b"/b"), root(b"/c"))
    first = broker.granted(A)
    broker.take(A, commit(first.uid, first.epoch, 1, split=((2,), (3,))))
    held = {A: first, B: broker.granted(B), C: broker.granted(C)}
    broker.submit(request="r2")
    held[D] = broker.granted(D)
    steals = []
    for _ in range(8):
        steals += only(broker.after(0.25), Steal, D)
        for name, grant in held.items():
            broker.take(name, heartbeat((grant.uid, grant.epoch), stealable=5))
    assert [steal.uid for steal in steals] == [held[D].uid]
