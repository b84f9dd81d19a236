"""One list on its way: whole, then changes; windows, repeats, gaps, another generation."""

import pytest

from tests.unit.agents.scout.making import List, Row, files, whole
from zfs_walk.agents.events import CommonInstruction, Send
from zfs_walk.agents.scout.sender import WINDOW, Sender
from zfs_walk.protocol.codec import BUS
from zfs_walk.protocol.files import MOST_ROWS, ROW_BYTES, Files


class Sending:
    """A sender whose source is complete, and what it has sent since the last look."""

    def __init__(self, source: List, *, serving: bool = True) -> None:
        self.out: list[CommonInstruction] = []
        self.sender = Sender(0, source, self.out)
        self.sender.is_serving(serving=serving)

    def sent(self, now: float = 0.0) -> list[Files]:
        self.sender.advance(now)
        messages = [each.message for each in self.out if isinstance(each, Send)]
        assert len(messages) == len(self.out)
        self.out.clear()
        return [message for message in messages if isinstance(message, Files)]


def standing(source: List) -> Sending:
    """A sender whose whole list the broker has, in one piece."""
    sending = Sending(source)
    sending.sender.claimed(0, 0, 0.0)
    sending.sent()
    sending.sender.acked(1, 1, 0.0)
    return sending


def names(number: int) -> list[bytes]:
    return [b"%06d" % n for n in range(number)]


# ------------------------------------------------------------------------- the whole list


def test_nothing_is_sent_before_the_claim_stands() -> None:
    assert Sending(List(b"a")).sent() == []


def test_nothing_is_sent_of_a_list_that_is_not_complete() -> None:
    sending = Sending(List(b"a"), serving=False)
    sending.sender.claimed(0, 0, 0.0)
    assert sending.sent() == []
    sending.sender.is_serving(serving=True)
    assert sending.sent() == [whole(1, b"a")]


def test_a_short_list_is_one_piece_in_the_order_of_the_names() -> None:
    sending = Sending(List(b"b", b"a/z", b"\xff", b"a"))
    sending.sender.claimed(0, 0, 0.0)
    assert sending.sent() == [whole(1, b"a", b"a/z", b"b", b"\xff")]


def test_an_empty_list_is_a_piece_without_rows() -> None:
    sending = Sending(List())
    sending.sender.claimed(0, 0, 0.0)
    assert sending.sent() == [whole(1)]


def test_a_row_travels_with_all_that_is_known_of_it() -> None:
    source = List()
    source.rows[b"a"] = Row(b"a", 5, -7, 3)
    sending = Sending(source)
    sending.sender.claimed(0, 0, 0.0)
    assert sending.sent() == [Files(0, 1, 1, True, True, (), (b"a",), (5,), (-7,), (3,))]


def test_a_long_list_goes_in_pieces_of_which_so_many_are_on_their_way() -> None:
    every = names(5 * MOST_ROWS + 1)
    sending = Sending(List(*every))
    sending.sender.claimed(0, 0, 0.0)
    pieces = sending.sent()
    assert [(piece.version, len(piece.names), piece.last) for piece in pieces] == [
        (version, MOST_ROWS, False) for version in range(1, WINDOW + 1)
    ]
    sending.sender.acked(1, 2, 0.0)
    pieces += sending.sent()
    assert [(piece.version, len(piece.names), piece.last) for piece in pieces[WINDOW:]] == [
        (5, MOST_ROWS, False), (6, 1, True),
    ]  # fmt: skip
    assert [name for piece in pieces for name in piece.names] == every


def test_a_list_that_fills_its_pieces_ends_with_an_empty_one() -> None:
    sending = Sending(List(*names(MOST_ROWS)))
    sending.sender.claimed(0, 0, 0.0)
    assert [(len(piece.names), piece.last) for piece in sending.sent()] == [
        (MOST_ROWS, False), (0, True),
    ]  # fmt: skip


@pytest.mark.parametrize("change", [False, True])
def test_long_names_end_a_message_early_and_one_that_is_too_long_goes_alone(change: bool) -> None:  # noqa: FBT001 -- an example
    third = ROW_BYTES // 3
    every = [b"%d" % n + b"x" * third for n in range(3)] + [b"y" * (ROW_BYTES + 1)]
    source = List() if change else List(*every)
    sending = standing(source) if change else Sending(source)
    if change:
        for name in every:
            source.put(name)
    else:
        sending.sender.claimed(0, 0, 0.0)
    assert [len(message.names) for message in sending.sent()] == [2, 1, 1]


# ------------------------------------------------------------------------- changes


def test_a_change_follows_the_whole_list_with_the_next_version() -> None:
    source = List(b"a", b"b")
    sending = standing(source)
    source.put(b"c")
    source.remove(b"a")
    assert sending.sent() == [files(2, b"c", removed=(b"a",))]


def test_what_changes_again_before_it_was_sent_is_sent_once_as_it_is() -> None:
    source = List(b"a")
    sending = standing(source)
    source.put(b"b")
    source.put(b"b", 3)
    source.put(b"c")
    source.remove(b"c")
    assert sending.sent() == [files(2, b"b", sizes=(3,), removed=(b"c",))]


def test_changes_wait_while_the_window_is_full_and_gather() -> None:
    source = List()
    sending = standing(source)
    for name in (b"a", b"b", b"c", b"d"):
        source.put(name)
        assert [message.names for message in sending.sent()] == [(name,)]
    source.put(b"e")
    source.put(b"f")
    assert sending.sent() == []
    sending.sender.acked(1, 2, 0.0)
    assert sending.sent() == [files(6, b"e", b"f")]


def test_what_changes_while_the_whole_list_is_sent_comes_after_it() -> None:
    every = names(4 * MOST_ROWS + 1)
    source = List(*every)
    sending = Sending(source)
    sending.sender.claimed(0, 0, 0.0)
    sending.sent()
    source.put(every[0], 7)
    source.remove(every[-1])
    sending.sender.acked(1, 4, 0.0)
    assert sending.sent() == [whole(5), files(6, every[0], removed=(every[-1],), sizes=(7,))]


def test_a_folder_that_is_gone_holds_its_changes_back() -> None:
    source = List(b"a")
    sending = standing(source)
    sending.sender.is_serving(serving=False)
    source.remove(b"a")
    assert sending.sent() == []
    sending.sender.is_serving(serving=True)
    assert sending.sent() == [files(2, removed=(b"a",))]


# ------------------------------------------------------------------------- acknowledgements


def test_what_is_not_acknowledged_is_sent_again_byte_for_byte() -> None:
    source = List(b"a")
    sending = standing(source)
    source.put(b"b")
    first = sending.sent(10.0)
    source.put(b"b", 9)
    second = sending.sent(11.0)
    sending.sender.resend_overdue(2.0, 11.9)
    assert sending.sent(11.9) == []
    sending.sender.resend_overdue(2.0, 12.0)
    again = sending.sent(12.0)
    assert [BUS.encode(m) for m in again] == [BUS.encode(m) for m in first + second]
    sending.sender.resend_overdue(2.0, 13.9)
    assert sending.sent(13.9) == []


def test_what_is_acknowledged_is_forgotten() -> None:
    source = List(b"a")
    sending = standing(source)
    for name in (b"b", b"c", b"d"):
        source.put(name)
        sending.sent(10.0)
    assert sending.sender.unsent == 3
    sending.sender.acked(1, 3, 11.0)
    assert sending.sender.unsent == 1
    sending.sender.resend_overdue(2.0, 13.0)
    assert sending.sent(13.0) == [files(4, b"d")]
    sending.sender.acked(1, 4, 13.0)
    sending.sender.resend_overdue(2.0, 99.0)
    assert sending.sent(99.0) == []


@pytest.mark.parametrize(("generation", "version"), [(1, 1), (1, 0), (1, 3), (2, 2), (0, 2)])
def test_an_acknowledgement_of_something_else_changes_nothing(
    generation: int, version: int
) -> None:
    source = List(b"a")
    sending = standing(source)
    source.put(b"b")
    sending.sent(10.0)
    sending.sender.acked(generation, version, 10.0)
    sending.sender.resend_overdue(2.0, 12.0)
    assert sending.sent(12.0) == [files(2, b"b")]


# ------------------------------------------------------------------------- another generation


def test_a_resync_sends_the_next_generation_whole() -> None:
    source = List(b"a")
    sending = standing(source)
    source.put(b"b")
    sending.sent()
    source.put(b"c")
    sending.sender.resync()
    assert sending.sent() == []
    sending.sender.claimed(1, 1, 0.0)
    assert sending.sent() == [
        whole(1, b"a", b"b", b"c", generation=2), files(2, b"c", generation=2),
    ]  # fmt: skip


def test_a_broker_that_has_all_of_it_gets_no_whole_list() -> None:
    source = List(b"a")
    sending = standing(source)
    sending.sender.pause()
    source.put(b"b")
    assert sending.sent() == []
    sending.sender.claimed(1, 1, 0.0)
    assert sending.sent() == [files(2, b"b")]


def test_a_broker_that_has_missed_the_last_changes_gets_those_again() -> None:
    source = List(b"a")
    sending = standing(source)
    for name in (b"b", b"c", b"d"):
        source.put(name)
        sending.sent()
    sending.sender.acked(1, 2, 0.0)
    sending.sender.pause()
    sending.sender.claimed(1, 3, 0.0)
    assert sending.sent() == [files(4, b"d")]


@pytest.mark.parametrize(
    ("generation", "version", "following"), [(0, 0, 2), (1, 1, 2), (1, 3, 2), (6, 1, 7)]
)
def test_a_broker_that_has_another_list_gets_the_next_generation(
    generation: int, version: int, following: int
) -> None:
    source = List(b"a")
    sending = standing(source)
    source.put(b"b")
    sending.sent()
    sending.sender.acked(1, 2, 0.0)
    sending.sender.pause()
    sending.sender.claimed(generation, version, 0.0)
    assert sending.sent()[0] == whole(1, b"a", b"b", generation=following)


def test_an_answer_that_came_late_does_not_begin_anew() -> None:
    sending = Sending(List(b"a"))
    sending.sender.claimed(0, 0, 0.0)
    assert sending.sent() == [whole(1, b"a")]
    sending.sender.claimed(0, 0, 0.0)
    assert sending.sent() == []
    sending.sender.acked(1, 1, 0.0)
    sending.sender.claimed(1, 1, 0.0)
    assert sending.sent() == []


def test_a_resync_before_the_claim_stands_changes_nothing() -> None:
    sending = standing(List(b"a"))
    sending.sender.pause()
    sending.sender.resync()
    sending.sender.claimed(1, 1, 0.0)
    assert sending.sent() == []


# ------------------------------------------------------------------------- caught up


def test_the_broker_is_level_once_it_has_acknowledged_all_there_was() -> None:
    every = names(2 * MOST_ROWS)
    sending = Sending(List(*every))
    sending.sender.claimed(0, 0, 0.0)
    assert len(sending.sent()) == 3
    sending.sender.acked(1, 2, 0.0)
    assert not sending.sender.caught_up
    sending.sender.acked(1, 3, 0.0)
    assert sending.sender.caught_up


def test_a_list_that_was_not_true_must_be_level_again() -> None:
    source = List(b"a")
    sending = standing(source)
    sending.sender.is_serving(serving=False)
    assert not sending.sender.caught_up
    source.put(b"b")
    sending.sender.is_serving(serving=True)
    sending.sent()
    assert not sending.sender.caught_up
    sending.sender.acked(1, 2, 0.0)
    assert sending.sender.caught_up


def test_a_list_that_is_still_true_stays_level_while_it_is_sent_anew() -> None:
    sending = standing(List(b"a"))
    sending.sender.resync()
    sending.sender.claimed(1, 1, 0.0)
    assert sending.sent() == [whole(1, b"a", generation=2)]
    assert sending.sender.caught_up
