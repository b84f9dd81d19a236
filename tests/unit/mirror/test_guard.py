"""The guard: few deletions pass, many wait, and then all do until somebody confirms them."""

from zfs_walk.mirror.guard import RELAX, Guard


def passes(guard: Guard, count: int, indexed: int, now: float, waiting: int = 0) -> bool:
    return not guard.judge(count, lambda most: min(most, waiting), indexed, now)


def test_few_files_pass_though_they_are_all_there_is() -> None:
    assert passes(Guard(files=10, percent=5), 10, 10, 0.0)


def test_a_small_share_passes_though_it_is_many_files() -> None:
    assert passes(Guard(files=10, percent=5), 50, 1_000, 0.0)


def test_many_files_that_are_a_large_share_wait() -> None:
    guard = Guard(files=10, percent=5)
    why = guard.judge(51, lambda most: most, 1_000, 0.0)
    assert why == "at least 51 of 1000 files were to be deleted within 600 s"


def test_deletions_that_are_to_follow_count_and_are_counted_once() -> None:
    guard = Guard(files=10, percent=5)
    assert passes(guard, 4, 100, 0.0, waiting=10)
    assert passes(guard, 4, 96, 1.0, waiting=99)
    assert passes(guard, 2, 92, 2.0, waiting=99)
    assert not passes(guard, 1, 90, 3.0, waiting=1)
    assert not passes(Guard(files=10, percent=5), 1, 100, 0.0, waiting=11)


def test_deletions_add_up_within_the_window_and_not_beyond() -> None:
    guard = Guard(files=10, percent=5, window=60)
    assert passes(guard, 10, 100, 0.0)
    assert passes(guard, 1, 90, 60.0)
    assert not passes(guard, 10, 90, 119.9)


def test_what_was_deleted_is_part_of_what_was_there() -> None:
    guard = Guard(files=10, percent=50)
    assert passes(guard, 40, 100, 0.0)
    # Of the 60 that are left it would be 83 %.
    assert passes(guard, 10, 60, 1.0)
    assert not passes(guard, 1, 50, 2.0)


def test_once_some_wait_all_do() -> None:
    guard = Guard(files=10, percent=5)
    assert not passes(guard, 100, 100, 0.0)
    assert not passes(guard, 1, 100, 10_000.0)
    guard.why = ""
    assert passes(guard, 1, 100, 10_001.0)


def test_a_guard_that_holds_nothing_any_more_lets_go_after_a_while() -> None:
    guard = Guard(files=10, percent=5)
    assert not passes(guard, 100, 100, 0.0)
    guard.relax(RELAX - 0.1)
    assert not passes(guard, 1, 100, RELAX)
    guard.relax(RELAX)
    assert passes(guard, 1, 100, RELAX)


def test_nothing_passes_as_long_as_the_folder_is_in_doubt() -> None:
    guard = Guard(files=10, percent=5)
    guard.doubt = "the folder was made anew"
    assert guard.judge(1, lambda most: most, 1_000, 0.0) == "the folder was made anew"
    guard.doubt = ""
    assert passes(guard, 1, 1_000, 0.0)
