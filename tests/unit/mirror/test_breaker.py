"""When transfers may begin, exactly."""

from zfs_walk.mirror.breaker import Breaker


def closed() -> Breaker:
    breaker = Breaker(0.0)
    assert breaker.probe(0.0)
    breaker.passed()
    return breaker


def test_nothing_begins_before_a_probe_has_passed() -> None:
    breaker = Breaker(5.0)
    assert not breaker.closed
    assert breaker.trouble == ""
    assert breaker.next() == 5.0
    assert breaker.probe(5.0)
    breaker.passed()
    assert breaker.closed
    assert breaker.next() is None
    assert not breaker.probe(6.0)


def test_one_probe_at_a_time() -> None:
    breaker = Breaker(0.0)
    assert breaker.probe(0.0)
    assert not breaker.probe(1.0)
    assert breaker.next() is None


def test_a_trouble_opens_it_and_a_probe_that_passes_closes_it() -> None:
    breaker = closed()
    breaker.failed("why", 10.0, 1.0, again=True, probe=False)
    assert (breaker.closed, breaker.trouble, breaker.since) == (False, "why", 10.0)
    assert not breaker.probe(10.9)
    assert breaker.probe(11.0)
    breaker.passed()
    assert (breaker.closed, breaker.trouble) == (True, "")


def test_probes_that_fail_come_more_and_more_seldom() -> None:
    breaker = closed()
    breaker.failed("one", 10.0, 1.0, again=True, probe=False)
    times = []
    for _ in range(7):
        due = breaker.next()
        assert due is not None
        assert breaker.probe(due)
        breaker.failed("two", due, 1.0, again=True, probe=True)
        times.append((breaker.next() or 0.0) - due)
    assert times == [2, 4, 8, 16, 30, 30, 30]
    assert (breaker.trouble, breaker.since) == ("two", 10.0)


def test_what_somebody_must_put_right_is_asked_less_often() -> None:
    breaker = closed()
    breaker.failed("why", 10.0, 1.0, again=False, probe=False)
    assert breaker.next() == 20.0


def test_there_is_a_pause_whatever_the_dice_say() -> None:
    breaker = closed()
    breaker.failed("why", 10.0, 0.0, again=True, probe=False)
    assert breaker.next() == 10.5


def test_the_transfers_that_fail_with_the_first_one_change_nothing() -> None:
    breaker = closed()
    breaker.failed("one", 10.0, 1.0, again=True, probe=False)
    breaker.failed("two", 10.5, 1.0, again=True, probe=False)
    assert (breaker.trouble, breaker.next()) == ("one", 11.0)
    assert breaker.probe(11.0)
    breaker.failed("three", 11.5, 1.0, again=True, probe=False)
    assert breaker.next() is None


def test_somebody_can_ask_for_a_probe_now() -> None:
    breaker = closed()
    breaker.failed("why", 10.0, 1.0, again=False, probe=False)
    breaker.hurry(12.0)
    assert breaker.probe(12.0)


def test_after_a_success_it_is_patient_no_more() -> None:
    breaker = closed()
    for _ in range(3):
        breaker.failed("why", 10.0, 1.0, again=True, probe=False)
        due = breaker.next()
        assert due == 11.0
        assert breaker.probe(due)
        breaker.passed()
