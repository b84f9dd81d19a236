"""When names are looked at, and who is writing."""

from zfs_walk.watch.settle import GRACE, PROGRESS, QUIET, By, Due, Settle

SETTLE = 0.02


def test_a_burst_on_a_name_is_one_look_that_nothing_puts_off() -> None:
    settle = Settle(SETTLE)
    for now in (1.0, 1.01, 1.019):
        settle.touched(b"a", now)
    assert settle.next() == 1.0 + SETTLE
    assert settle.due(1.019, 9) == []
    assert settle.due(1.02, 9) == [Due(b"a", By.EVENT)]
    assert settle.next() is None


def test_what_waits_longest_is_looked_at_first_and_no_more_than_asked_for() -> None:
    settle = Settle(SETTLE)
    for number, name in enumerate((b"c", b"a", b"b")):
        settle.touched(name, float(number))
    assert [due.path for due in settle.due(9.0, 2)] == [b"c", b"a"]
    assert [due.path for due in settle.due(9.0, 2)] == [b"b"]


def test_an_event_that_was_late_gets_the_credit() -> None:
    settle = Settle(SETTLE)
    settle.suspected(b"a", 1.0)
    assert settle.next() == 1.0 + GRACE
    settle.touched(b"a", 1.05)
    assert settle.due(1.05 + SETTLE, 9) == [Due(b"a", By.EVENT)]
    assert settle.due(9.0, 9) == []


def test_a_suspicion_does_not_take_the_credit_of_an_event() -> None:
    settle = Settle(SETTLE)
    settle.touched(b"a", 1.0)
    settle.suspected(b"a", 1.01)
    assert settle.due(9.0, 9) == [Due(b"a", By.EVENT)]


def test_a_suspicion_does_not_wait_for_the_end_of_a_writer() -> None:
    settle = Settle(SETTLE)
    settle.outcome(b"a", By.POLL, 1.0, changed=True)
    assert settle.next() == 1.0 + QUIET
    settle.suspected(b"a", 2.0)
    assert settle.due(2.0 + GRACE, 9) == [Due(b"a", By.POLL)]
    assert settle.next() is None


def test_what_no_event_told_is_found_by_the_poll() -> None:
    settle = Settle(SETTLE)
    settle.suspected(b"a", 1.0)
    assert settle.due(9.0, 9) == [Due(b"a", By.POLL)]


def test_a_file_is_written_until_it_is_closed() -> None:
    settle = Settle(SETTLE)
    settle.written_to(b"a", 1.0)
    assert settle.due(1.02, 9) == [Due(b"a", By.EVENT)]
    assert settle.outcome(b"a", By.EVENT, 1.02, changed=True)
    settle.closed(b"a", 1.1)
    assert settle.due(1.12, 9) == [Due(b"a", By.EVENT)]
    assert not settle.outcome(b"a", By.EVENT, 1.12, changed=True)
    assert settle.writing == 0
    assert settle.due(99.0, 9) == []


def test_a_file_that_grows_is_looked_at_only_so_often() -> None:
    settle = Settle(SETTLE)
    settle.written_to(b"a", 1.0)
    settle.due(1.02, 9)
    settle.outcome(b"a", By.EVENT, 1.02, changed=True)
    settle.written_to(b"a", 1.03)
    settle.written_to(b"a", 1.04)
    assert settle.next() == 1.02 + PROGRESS


def test_a_file_that_nobody_closes_is_finished_when_it_stays_the_same() -> None:
    settle = Settle(SETTLE)
    settle.written_to(b"a", 1.0)
    settle.due(2.0, 9)
    assert settle.outcome(b"a", By.EVENT, 2.0, changed=True)
    quiet = 2.0 + QUIET
    assert settle.next() == quiet
    settle.due(quiet, 9)
    # It grew, though no event told it: it is still being written.
    assert settle.outcome(b"a", By.EVENT, quiet, changed=True)
    assert settle.due(quiet + QUIET, 9) == [Due(b"a", By.EVENT)]
    assert not settle.outcome(b"a", By.EVENT, quiet + QUIET, changed=False)


def test_what_a_poll_finds_counts_as_being_written_until_it_stays_the_same() -> None:
    settle = Settle(SETTLE)
    settle.suspected(b"a", 1.0)
    settle.due(2.0, 9)
    assert settle.outcome(b"a", By.POLL, 2.0, changed=True)
    assert settle.due(2.0 + QUIET, 9) == [Due(b"a", By.POLL)]
    assert not settle.outcome(b"a", By.POLL, 2.0 + QUIET, changed=False)
    assert not settle.outcome(b"a", By.POLL, 99.0, changed=False)


def test_a_finished_file_that_an_event_tells_of_is_not_being_written() -> None:
    settle = Settle(SETTLE)
    assert not settle.outcome(b"a", By.EVENT, 1.0, changed=True)
    assert not settle.outcome(b"b", By.FRESH, 1.0, changed=True)


def test_who_writes_goes_on_under_the_new_name() -> None:
    settle = Settle(SETTLE)
    settle.written_to(b"d/a", 1.0)
    settle.written_to(b"d/b", 1.0)
    settle.written_to(b"x", 1.0)
    settle.due(2.0, 9)
    settle.moved(b"d", b"e", 2.0, directory=True)
    settle.moved(b"x", b"d/y", 2.0, directory=False)
    written = [path for path in (b"d/a", b"e/a", b"e/b", b"x", b"d/y") if settle.is_written(path)]
    assert written == [b"e/a", b"e/b", b"d/y"]
    assert {due.path for due in settle.due(3.0, 9)} == {b"d", b"e", b"x", b"d/y"}


def test_a_finished_file_that_is_moved_over_a_written_one_is_finished() -> None:
    settle = Settle(SETTLE)
    settle.written_to(b"a", 1.0)
    settle.moved(b"b", b"a", 2.0, directory=False)
    assert settle.writing == 0


def test_what_is_gone_is_written_by_nobody() -> None:
    settle = Settle(SETTLE)
    for path in (b"d/a", b"d-b", b"x"):
        settle.written_to(path, 1.0)
    settle.gone(b"d", directory=True)
    settle.gone(b"x", directory=False)
    assert settle.writing == 1
    settle.clear()
    assert (settle.writing, settle.next()) == (0, None)


def test_what_failed_is_tried_again() -> None:
    settle = Settle(SETTLE)
    settle.failed(b"a", By.FRESH, 1.0)
    assert settle.due(1.0 + QUIET, 9) == [Due(b"a", By.FRESH)]
