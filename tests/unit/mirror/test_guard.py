"""The guard: few deletions pass, many wait."""

from zfs_walk.mirror.guard import Guard


def passes(guard: Guard, count: int, indexed: int, now: float) -> bool:
    return not guard.why_held(count, indexed, now)


def test_few_files_pass_though_they_are_all_there_is() -> None:
    assert passes(Guard(files=10, percent=5), 10, 10, 0.0)


def test_a_small_share_passes_though_it_is_many_files() -> None:
    assert passes(Guard(files=10, percent=5), 50, 1_000, 0.0)


def test_many_files_that_are_a_large_share_wait() -> None:
    guard = Guard(files=10, percent=5)
    expected = "51 of 1000 files were to be deleted within 600 s"
    assert guard.why_held(51, 1_000, 0.0) == expected


def test_deletions_add_up_within_the_window_and_not_beyond() -> None:
    guard = Guard(files=10, percent=5, window=60)
    assert passes(guard, 10, 100, 0.0)
    assert not passes(guard, 1, 90, 59.9)
    assert passes(guard, 1, 90, 60.0)


def test_what_was_deleted_is_part_of_what_was_there() -> None:
    guard = Guard(files=10, percent=50)
    assert passes(guard, 40, 100, 0.0)
    # Of the 60 that are left it would be 83 %.
    assert passes(guard, 10, 60, 1.0)
    assert not passes(guard, 1, 50, 2.0)


def test_what_waits_does_not_count_as_done() -> None:
    guard = Guard(files=10, percent=5)
    assert not passes(guard, 100, 100, 0.0)
    assert passes(guard, 10, 100, 1.0)


def test_nothing_passes_a_guard_that_is_shut() -> None:
    guard = Guard(files=10, percent=5)
    guard.shut = "the folder was made anew"
    assert guard.why_held(1, 1_000, 0.0) == "the folder was made anew"
    guard.shut = ""
    assert passes(guard, 1, 1_000, 0.0)
