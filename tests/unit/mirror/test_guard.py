"""The guard: few deletions pass, many wait, and what somebody confirmed passes."""

from collections.abc import Iterable

from zfs_walk.mirror.guard import Guard


def names(count: int, first: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(first, first + count)]


def passes(guard: Guard, paths: Iterable[bytes], indexed: int, now: float, pending: int = 0) -> bool:
    return not guard.why_held(list(paths), indexed, now, pending=pending)


def test_few_files_pass_though_they_are_all_there_is() -> None:
    guard = Guard(files=10, percent=5)
    assert passes(guard, names(10), 10, 0.0)


def test_a_small_share_passes_though_it_is_many_files() -> None:
    guard = Guard(files=10, percent=5)
    assert passes(guard, names(50), 1_000, 0.0)


def test_many_files_that_are_a_large_share_wait() -> None:
    guard = Guard(files=10, percent=5)
    assert guard.why_held(names(51), 1_000, 0.0) == (
        "51 of 1000 files were to be deleted within 600 s"
    )


def test_deletions_that_follow_count() -> None:
    guard = Guard(files=10, percent=5)
    assert not passes(guard, names(1), 100, 0.0, pending=10)
    assert passes(guard, names(1), 100, 0.0, pending=9)


def test_deletions_add_up_within_the_window_and_not_beyond() -> None:
    guard = Guard(files=10, percent=5, window=60)
    assert passes(guard, names(10), 100, 0.0)
    assert not passes(guard, [b"a"], 90, 59.9)
    assert passes(guard, [b"a"], 90, 60.0)


def test_what_waits_does_not_count_as_done() -> None:
    guard = Guard(files=10, percent=5)
    assert not passes(guard, names(100), 100, 0.0)
    assert passes(guard, names(10, 100), 100, 1.0)


def test_what_was_confirmed_passes_once_and_does_not_count() -> None:
    guard = Guard(files=10, percent=5)
    assert not passes(guard, names(100), 200, 0.0)
    guard.confirm(names(100))
    assert passes(guard, names(60), 200, 1.0)
    assert passes(guard, names(40, 60), 140, 1.0)
    assert passes(guard, names(10, 200), 100, 1.0)
    assert not passes(guard, names(100), 100, 2.0)


def test_nothing_passes_a_shut_guard_until_somebody_confirms() -> None:
    guard = Guard(files=10, percent=5)
    guard.shut = "the folder was made anew"
    assert guard.why_held([b"a"], 1_000, 0.0) == "the folder was made anew"
    guard.confirm([b"a"])
    assert passes(guard, [b"a"], 1_000, 0.0)
    assert passes(guard, [b"b"], 1_000, 0.0)
