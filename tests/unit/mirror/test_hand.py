"""Which of the actions in hand may be begun."""

from dataclasses import replace

from zfs_walk.mirror.hand import Hand
from zfs_walk.mirror.records import Action, Kind, State
from zfs_walk.sinks.interface import LARGEST_PARCEL


def send(path: bytes) -> Action:
    return Action(path, Kind.SEND, State.TAKEN, 1, 5, 0.0, 0.0, 0, "", unsure=False)


def delete(path: bytes) -> Action:
    return Action(path, Kind.DELETE, State.TAKEN, 1, 0, 0.0, 0.0, 0, "", unsure=False)


def next_of(hand: Hand) -> Action | None:
    """One at a time."""
    given = hand.next(together=1, transfers=1)
    return given[0] if given else None


def holding(*actions: Action) -> Hand:
    hand = Hand()
    hand.take(actions)
    return hand


def test_files_are_given_out_in_the_order_that_they_were_taken_in() -> None:
    hand = holding(send(b"b"), send(b"a"))
    assert hand.idle == 2
    assert [next_of(hand), next_of(hand), next_of(hand)] == [send(b"b"), send(b"a"), None]
    assert hand.idle == 0


def test_a_deletion_waits_until_it_is_decided_about_all_files() -> None:
    hand = holding(delete(b"old"), send(b"a"), send(b"b"))
    assert hand.deletions() == []
    for path in (b"a", b"b"):
        assert not hand.judgeable
        next_of(hand)
        hand.decided(path)
    assert hand.deletions() == [delete(b"old")]
    assert hand.deletions() == []


def test_a_file_that_is_long_in_sending_keeps_no_deletion_waiting() -> None:
    hand = holding(send(b"huge"), delete(b"old"))
    next_of(hand)
    hand.decided(b"huge")
    hand.approve(hand.deletions())
    assert next_of(hand) == delete(b"old")


def test_a_deletion_is_given_out_only_if_approved() -> None:
    hand = holding(delete(b"old"))
    assert next_of(hand) is None
    hand.approve(hand.deletions())
    assert hand.deletable
    assert next_of(hand) == delete(b"old")


def test_an_approved_deletion_waits_for_files_that_came_since() -> None:
    hand = holding(delete(b"old"))
    hand.approve(hand.deletions())
    hand.take([send(b"new")])
    assert next_of(hand) == send(b"new")
    assert next_of(hand) is None
    hand.decided(b"new")
    assert next_of(hand) == delete(b"old")


def test_a_name_that_a_move_takes_away_is_given_out_after_it() -> None:
    hand = holding(send(b"new"), send(b"old"))
    assert next_of(hand) == send(b"new")
    assert hand.borrow(b"new", b"old")
    assert next_of(hand) is None
    assert hand.done(b"new")
    assert next_of(hand) == send(b"old")


def test_a_deletion_of_what_a_move_takes_away_comes_after_it() -> None:
    hand = holding(send(b"new"), delete(b"old"))
    next_of(hand)
    assert hand.borrow(b"new", b"old")
    hand.decided(b"new")
    hand.approve(hand.deletions())
    assert next_of(hand) is None
    assert hand.done(b"new")
    assert next_of(hand) == delete(b"old")


def test_what_another_one_changes_cant_be_moved_away() -> None:
    hand = holding(send(b"one"), send(b"two"), send(b"three"))
    for _ in range(3):
        next_of(hand)
    assert not hand.borrow(b"one", b"two")
    assert hand.borrow(b"one", b"old")
    assert not hand.borrow(b"three", b"old")
    assert not hand.done(b"one")
    assert hand.borrow(b"three", b"old")


def test_a_deletion_that_has_begun_keeps_its_name() -> None:
    hand = holding(delete(b"old"))
    hand.approve(hand.deletions())
    next_of(hand)
    hand.take([send(b"new")])
    next_of(hand)
    assert not hand.borrow(b"new", b"old")


def test_what_failed_before_it_was_decided_keeps_nobody_waiting() -> None:
    hand = holding(send(b"new"), delete(b"old"))
    next_of(hand)
    hand.done(b"new")
    assert hand.judgeable


def test_what_was_not_begun_can_be_put_back() -> None:
    hand = holding(send(b"new"), send(b"old"), delete(b"x"), send(b"later"))
    next_of(hand)
    hand.borrow(b"new", b"old")
    assert next_of(hand) == send(b"later")
    assert {action.path for action in hand.put_back()} == {b"old", b"x"}
    assert hand.idle == 0


def large(path: bytes, size: int) -> Action:
    return replace(send(path), size=size)


def test_small_files_are_given_out_together() -> None:
    hand = holding(*(send(b"%d" % number) for number in range(5)))
    assert hand.next(together=3, transfers=1) == [send(b"0"), send(b"1"), send(b"2")]
    assert hand.next(together=3, transfers=1) == [send(b"3"), send(b"4")]
    assert hand.next(together=3, transfers=1) == []


def test_few_files_are_shared_by_the_transfers() -> None:
    hand = holding(*(send(b"%d" % number) for number in range(5)))
    assert [len(hand.next(together=16, transfers=4)) for _ in range(4)] == [2, 1, 1, 1]


def test_a_large_file_goes_alone() -> None:
    hand = holding(large(b"huge", 2 * LARGEST_PARCEL), send(b"a"), large(b"big", LARGEST_PARCEL))
    assert hand.next(together=16, transfers=1) == [large(b"huge", 2 * LARGEST_PARCEL)]
    assert hand.next(together=16, transfers=1) == [send(b"a")]
    assert hand.next(together=16, transfers=1) == [large(b"big", LARGEST_PARCEL)]


def test_of_files_given_out_together_none_can_be_moved_away_by_another() -> None:
    hand = holding(send(b"one"), send(b"two"))
    hand.next(together=2, transfers=1)
    assert not hand.borrow(b"one", b"two")


def test_a_borrowed_name_is_not_among_those_that_go_together() -> None:
    hand = holding(send(b"new"), send(b"old"), send(b"other"))
    next_of(hand)
    hand.borrow(b"new", b"old")
    assert hand.next(together=2, transfers=1) == [send(b"other")]


def test_a_deletion_is_given_out_alone() -> None:
    hand = holding(delete(b"a"), delete(b"b"))
    hand.approve(hand.deletions())
    assert hand.next(together=16, transfers=1) == [delete(b"a")]
