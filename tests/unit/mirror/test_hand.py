"""Which of the actions in hand may be begun."""

from zfs_walk.mirror.hand import Hand
from zfs_walk.mirror.records import Action, Kind, State


def send(path: bytes) -> Action:
    return Action(path, Kind.SEND, State.TAKEN, 1, 5, 0.0, 0.0, 0, "", unsure=False)


def delete(path: bytes) -> Action:
    return Action(path, Kind.DELETE, State.TAKEN, 1, 0, 0.0, 0.0, 0, "", unsure=False)


def holding(*actions: Action) -> Hand:
    hand = Hand()
    hand.take(actions)
    return hand


def test_files_are_given_out_in_the_order_that_they_were_taken_in() -> None:
    hand = holding(send(b"b"), send(b"a"))
    assert hand.idle == 2
    assert [hand.next(), hand.next(), hand.next()] == [send(b"b"), send(b"a"), None]
    assert hand.idle == 0


def test_a_deletion_waits_until_it_is_decided_about_all_files() -> None:
    hand = holding(delete(b"old"), send(b"a"), send(b"b"))
    assert hand.deletions() == []
    for path in (b"a", b"b"):
        assert not hand.judgeable
        hand.next()
        hand.decided(path)
    assert hand.deletions() == [delete(b"old")]
    assert hand.deletions() == []


def test_a_file_that_is_long_in_sending_keeps_no_deletion_waiting() -> None:
    hand = holding(send(b"huge"), delete(b"old"))
    hand.next()
    hand.decided(b"huge")
    hand.approve(hand.deletions())
    assert hand.next() == delete(b"old")


def test_a_deletion_is_given_out_only_if_approved() -> None:
    hand = holding(delete(b"old"))
    assert hand.next() is None
    hand.approve(hand.deletions())
    assert hand.deletable
    assert hand.next() == delete(b"old")


def test_an_approved_deletion_waits_for_files_that_came_since() -> None:
    hand = holding(delete(b"old"))
    hand.approve(hand.deletions())
    hand.take([send(b"new")])
    assert hand.next() == send(b"new")
    assert hand.next() is None
    hand.decided(b"new")
    assert hand.next() == delete(b"old")


def test_a_name_that_a_move_takes_away_is_given_out_after_it() -> None:
    hand = holding(send(b"new"), send(b"old"))
    assert hand.next() == send(b"new")
    assert hand.borrow(b"new", b"old")
    assert hand.next() is None
    assert hand.done(b"new")
    assert hand.next() == send(b"old")


def test_a_deletion_of_what_a_move_takes_away_comes_after_it() -> None:
    hand = holding(send(b"new"), delete(b"old"))
    hand.next()
    assert hand.borrow(b"new", b"old")
    hand.decided(b"new")
    hand.approve(hand.deletions())
    assert hand.next() is None
    assert hand.done(b"new")
    assert hand.next() == delete(b"old")


def test_what_another_one_changes_cant_be_moved_away() -> None:
    hand = holding(send(b"one"), send(b"two"), send(b"three"))
    for _ in range(3):
        hand.next()
    assert not hand.borrow(b"one", b"two")
    assert hand.borrow(b"one", b"old")
    assert not hand.borrow(b"three", b"old")
    assert not hand.done(b"one")
    assert hand.borrow(b"three", b"old")


def test_a_deletion_that_has_begun_keeps_its_name() -> None:
    hand = holding(delete(b"old"))
    hand.approve(hand.deletions())
    hand.next()
    hand.take([send(b"new")])
    hand.next()
    assert not hand.borrow(b"new", b"old")


def test_what_failed_before_it_was_decided_keeps_nobody_waiting() -> None:
    hand = holding(send(b"new"), delete(b"old"))
    hand.next()
    hand.done(b"new")
    assert hand.judgeable


def test_what_was_not_begun_can_be_put_back() -> None:
    hand = holding(send(b"new"), send(b"old"), delete(b"x"), send(b"later"))
    hand.next()
    hand.borrow(b"new", b"old")
    assert hand.next() == send(b"later")
    assert {action.path for action in hand.put_back()} == {b"old", b"x"}
    assert hand.idle == 0
