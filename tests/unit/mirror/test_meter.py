"""How many bytes a second pass, exactly."""

from zfs_walk.mirror.meter import Meter


def test_the_rate_is_the_mean_of_the_last_seconds() -> None:
    meter = Meter(100.0)
    for second in range(20):
        meter.add(50, 100.0 + second)
    assert meter.rate(119.0) == 50.0
    assert meter.total == 1000


def test_after_a_pause_it_is_nothing() -> None:
    meter = Meter(100.0)
    meter.add(1000, 100.5)
    assert meter.rate(101.0) == 1000.0
    assert meter.rate(105.0) == 200.0
    assert meter.rate(111.0) == 0.0


def test_at_the_start_it_is_not_exaggerated() -> None:
    meter = Meter(100.0)
    meter.add(1000, 100.001)
    assert meter.rate(100.001) == 1000.0
