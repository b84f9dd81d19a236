"""What moves borrow, and when it may be true no more."""

from zfs_walk.mirror.loans import Loans
from zfs_walk.mirror.records import Action, Done, Entry, Kind, State
from zfs_walk.mirror.result import Result
from zfs_walk.mirror.retry import Again, Aside

NEW = Action(b"new", Kind.SEND, State.TAKEN, 1, 5, 0.0, 0.0, 0, "", unsure=False)
OLD = Entry(b"old", 5, 0, 1, 2, 0o100644, "tag")
AGAIN = Again(0.0, "why", counts=True)


def in_doubt() -> Loans:
    """A move has failed in the middle."""
    loans = Loans()
    loans.lend(b"new", OLD)
    assert loans.settle([Result(NEW, AGAIN, unsure=True)]) == []
    assert loans.doubted(b"old")
    return loans


def test_a_move_that_did_not_begin_leaves_no_doubt() -> None:
    loans = Loans()
    loans.lend(b"new", OLD)
    assert loans.settle([Result(NEW, AGAIN)]) == []
    assert not loans.doubted(b"old")


def test_a_move_that_succeeds_in_the_end_leaves_no_doubt() -> None:
    loans = in_doubt()
    assert loans.settle([Result(NEW, Done(NEW, None, (b"old",)))]) == []
    assert not loans.doubted(b"old")


def test_a_file_that_was_sent_after_all_leaves_its_old_name_untrue() -> None:
    assert in_doubt().settle([Result(NEW, Done(NEW, None))]) == [OLD]


def test_a_move_that_is_set_aside_leaves_its_old_name_untrue() -> None:
    assert in_doubt().settle([Result(NEW, Aside("why"))]) == [OLD]


def test_a_move_that_something_is_in_the_way_of_lets_that_go() -> None:
    loans = Loans()
    loans.lend(b"new", OLD)
    assert loans.settle([Result(NEW, AGAIN, unsure=True, obstructed=True)]) == [OLD]
    assert not loans.doubted(b"old")


def test_a_file_that_is_sent_as_it_changed_and_is_obstructed_waits_for_no_move() -> None:
    # Its old name may be what is in the way: its deletion must not wait for this file.
    loans = in_doubt()
    assert loans.settle([Result(NEW, AGAIN, unsure=True, obstructed=True)]) == [OLD]
    assert not loans.doubted(b"old")


def test_at_the_end_every_doubt_is_told() -> None:
    loans = in_doubt()
    assert loans.end() == [OLD]
    assert loans.end() == []
