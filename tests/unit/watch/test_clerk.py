"""What follows from events, looks and listings."""

from zfs_walk.watch.clerk import Clerk, Todo, Told
from zfs_walk.watch.monitor import Event, Looked, Lost, Moved, RootGone, Writing, Written
from zfs_walk.watch.seen import Listing, Looks, Seen
from zfs_walk.watch.settle import By, Due
from zfs_walk.watch.tree import LINK, WRITING, Row, pack

ONE, TWO = pack(1, 1, 0), pack(2, 2, 0)


def clerk() -> Clerk:
    """One that knows ``f``, ``d``, ``d/g`` and ``d/e/h``."""
    made = Clerk(0.0)
    made.swept(Listing(b"", files={b"f": ONE}, directories={b"d": 10}), By.FRESH, 0.0)
    made.swept(Listing(b"d", files={b"d/g": ONE}, directories={b"d/e": 11}), By.FRESH, 0.0)
    made.swept(Listing(b"d/e", files={b"d/e/h": ONE}), By.FRESH, 0.0)
    made.tree.recording = True
    return made


def see(made: Clerk, *seen: Seen, by: By = By.EVENT, now: float = 1.0) -> Todo:
    return made.looked([Due(each.path, by) for each in seen], Looks(list(seen)), now)


def test_events_become_names_to_look_at() -> None:
    made = clerk()
    events: list[Event] = [
        Looked(b"a"),
        Writing(b"b"),
        Written(b"c"),
        Moved(b"d", b"e", directory=True),
    ]
    assert made.tell(events, 1.0) == Told()
    assert {due.path for due in made.settle.due(2.0, 9)} == {b"a", b"b", b"c", b"d", b"e"}
    assert made.settle.is_written(b"b")
    assert made.events == 4


def test_what_concerns_the_whole_folder_is_handed_on() -> None:
    made = clerk()
    told = made.tell([Lost("overflow"), RootGone("moved"), Looked(b"")], 1.0)
    assert told == Told(lost="overflow", gone="moved", check=True)
    assert made.lost == 1
    assert made.settle.next() is None


def test_a_file_is_put_and_counted() -> None:
    made = clerk()
    assert see(made, Seen(b"d/n", TWO, directory=False)) == Todo()
    assert made.tree.changes(9) == ([], [Row(b"d/n", 2, 2, 0)])
    see(made, Seen(b"d/n", TWO, directory=False))
    assert (made.found[By.EVENT], made.found[By.POLL]) == (1, 0)


def test_a_file_in_a_directory_that_is_not_known_waits_until_that_is_read() -> None:
    made = clerk()
    see(made, Seen(b"new/n", TWO, directory=False), Seen(b"new/e", 5, directory=True))
    assert made.tree.changes(9) == ([], [])
    assert made.tree.identity(b"new/e") is None


def test_a_new_directory_is_read_once_with_all_below_it() -> None:
    made = clerk()
    todo = see(
        made,
        Seen(b"n", 20, directory=True),
        Seen(b"n-n", 22, directory=True),
        Seen(b"n/m", 21, directory=True),
    )
    assert todo.sweep == [Due(b"n", By.EVENT), Due(b"n-n", By.EVENT)]
    assert todo.forget == []


def test_a_directory_that_is_gone_takes_its_files_and_its_watches() -> None:
    made = clerk()
    todo = see(made, Seen(b"d", None, directory=False))
    assert todo == Todo(forget=[b"d"])
    assert made.tree.changes(9) == ([b"d/e/h", b"d/g"], [])
    assert made.found[By.EVENT] == 2


def test_another_directory_of_the_same_name_is_read_and_its_watch_renewed() -> None:
    made = clerk()
    todo = see(made, Seen(b"d", 99, directory=True), by=By.POLL)
    assert todo == Todo(forget=[b"d"], sweep=[Due(b"d", By.POLL)])


def test_a_directory_that_an_event_tells_of_is_read_again_even_if_its_inode_is_the_same() -> None:
    made = clerk()
    assert see(made, Seen(b"d", 10, directory=True)).sweep == [Due(b"d", By.EVENT)]
    assert see(made, Seen(b"d", 10, directory=True), by=By.POLL) == Todo()


def test_a_file_that_takes_the_place_of_a_directory() -> None:
    made = clerk()
    todo = see(made, Seen(b"d", TWO, directory=False))
    assert todo == Todo(forget=[b"d"])
    assert [row.name for row in made.tree.page(b"", 9)] == [b"d", b"f"]


def test_who_writes_shows_in_the_flags_until_he_is_done() -> None:
    made = clerk()
    made.tell([Writing(b"f")], 1.0)
    see(made, Seen(b"f", ONE, directory=False))
    assert made.tree.page(b"", 9)[-1] == Row(b"f", 1, 1, WRITING)
    made.tell([Written(b"f")], 2.0)
    see(made, Seen(b"f", TWO, directory=False), now=2.0)
    assert made.tree.page(b"", 9)[-1] == Row(b"f", 2, 2, 0)
    # That nobody writes any more is no change that anything had to find.
    assert made.found[By.EVENT] == 1


def test_a_link_is_never_being_written() -> None:
    made = clerk()
    made.tell([Writing(b"l")], 1.0)
    see(made, Seen(b"l", pack(3, 3, LINK), directory=False))
    assert made.tree.changes(9) == ([], [Row(b"l", 3, 3, LINK)])
    assert made.settle.writing == 0


def test_a_poll_changes_nothing_but_has_every_difference_looked_at() -> None:
    made = clerk()
    made.compared(Listing(b"", files={b"f": TWO, b"n": ONE}, directories={b"m": 7}), 1.0)
    made.compared(Listing(b"d", files={b"d/g": ONE}, directories={b"d/e": 12}), 1.0)
    assert made.tree.changes(9) == ([], [])
    due = made.settle.due(9.0, 9)
    assert {each.path for each in due} == {b"f", b"n", b"m", b"d", b"d/e"}
    assert {each.by for each in due} == {By.POLL}


def test_a_poll_does_not_wonder_about_a_file_that_is_being_written() -> None:
    made = clerk()
    made.tree.put(b"f", ONE | WRITING)
    made.compared(Listing(b"", files={b"f": ONE}, directories={b"d": 10}), 1.0)
    assert made.settle.next() is None


def test_what_a_listing_misses_is_looked_at_when_it_has_been_read_to_its_end() -> None:
    made = clerk()
    piece = Listing(b"", files={b"n": ONE}, last=False)
    assert made.swept(piece, By.EVENT, 1.0) == []
    assert sorted(made.swept(Listing(b"", earlier={b"n"}), By.EVENT, 1.0)) == [b"d", b"f"]


def test_a_listing_of_a_directory_that_is_gone_by_now_is_ignored() -> None:
    made = clerk()
    assert made.swept(Listing(b"x", files={b"x/y": ONE}), By.EVENT, 1.0) == []
    made.compared(Listing(b"x", files={b"x/y": ONE}), 1.0)
    assert made.settle.next() is None
    assert made.tree.changes(9) == ([], [])


def test_what_is_different_after_the_folder_was_gone_was_found_by_nobody() -> None:
    made = clerk()
    missing = made.swept(Listing(b"", files={b"f": TWO}, directories={b"d": 10}), By.FRESH, 1.0)
    assert missing == []
    assert made.tree.changes(9) == ([], [Row(b"f", 2, 2, 0)])
    assert (made.found[By.EVENT], made.found[By.POLL]) == (0, 0)


def test_a_name_that_could_not_be_looked_at_keeps_its_row_and_is_tried_again() -> None:
    made = clerk()
    made.looked([Due(b"f", By.EVENT)], Looks(failed=[b"f"]), 1.0)
    assert made.tree.changes(9) == ([], [])
    assert made.settle.due(99.0, 9) == [Due(b"f", By.EVENT)]
