"""A burst of events says each name once between two moves."""

from zfs_walk.watch.burst import Burst
from zfs_walk.watch.monitor import Event, Looked, Lost, Moved, RootGone, Writing, Written

MOVED = Moved(b"f", b"g", directory=False)


def taken(*events: Event) -> list[Event]:
    burst = Burst()
    for event in events:
        burst.put(event)
    return burst.take()


def test_the_last_word_on_being_written_stands_in_the_place_of_the_first() -> None:
    assert taken(Writing(b"f"), Looked(b"d"), Written(b"f")) == [Written(b"f"), Looked(b"d")]
    assert taken(Written(b"f"), Writing(b"f")) == [Writing(b"f")]


def test_a_look_adds_nothing_to_what_was_told() -> None:
    assert taken(Looked(b"f"), Looked(b"f")) == [Looked(b"f")]
    assert taken(Writing(b"f"), Looked(b"f")) == [Writing(b"f")]
    assert taken(Looked(b"f"), Written(b"f")) == [Written(b"f")]


def test_a_name_is_told_anew_after_a_move() -> None:
    assert taken(Written(b"f"), MOVED, Looked(b"f")) == [Written(b"f"), MOVED, Looked(b"f")]


def test_what_concerns_the_whole_folder_is_told_in_its_place() -> None:
    lost, gone = Lost("full"), RootGone("deleted")
    assert taken(Looked(b"f"), lost, lost, gone) == [Looked(b"f"), lost, gone]


def test_what_was_taken_is_not_told_again() -> None:
    burst = Burst()
    burst.put(Looked(b"f"))
    assert burst.take() == [Looked(b"f")]
    assert burst.take() == []
    burst.put(Looked(b"f"))
    assert burst.take() == [Looked(b"f")]
