"""What is refused before it begins, and what is not."""

from typing import Any

import pytest

from zfs_walk.load.preflight import Measured, refusal
from zfs_walk.load.shape import Shape
from zfs_walk.load.spec import KEEP_ALL, LoadSpec, Order, Work

MIB = 1 << 20
FAST = Measured(MIB, 0.001, 1, 100_000 * MIB, 90_000 * MIB)
SLOW = Measured(MIB, 1.0, 1, 100_000 * MIB, 90_000 * MIB)


def load(**given: Any) -> LoadSpec:
    return LoadSpec(name=given.pop("name", "one"), target="/data", **given)


def test_a_run_in_which_nobody_comes_to_a_second_file_twice_is_refused_with_the_figures() -> None:
    text = refusal([load(), load(name="two")], [SLOW, SLOW], 100.0, 90)
    assert "no consumer would come to a second file twice in 100 s" in text
    assert "one wrote 1,048,576 bytes in 1000.00 ms" in text
    assert "67,108,864 bytes takes 64.0 s" in text
    assert "two wrote" in text


def test_one_that_comes_to_it_is_enough() -> None:
    assert refusal([load(), load(name="two")], [SLOW, FAST], 100.0, 90) == ""


def test_limits_make_it_slower() -> None:
    text = refusal([load(bandwidth=MIB)], [FAST], 100.0, 90)
    assert "may do 1,048,576 bytes a second, so a file of 67,108,864 bytes takes 64.0 s" in text
    text = refusal([load(rate=1.0)], [FAST], 100.0, 90)
    assert "may do 1 operations a second, so a file of 67,108,864 bytes takes 64.0 s" in text


@pytest.mark.parametrize(
    "given", [{"work": Work.METADATA}, {"work": Work.READ, "order": Order.RANDOM}]
)
def test_what_has_no_files_to_come_to_is_not_refused(given: dict[str, Any]) -> None:
    assert refusal([load(**given)], [SLOW], 1.0, 90) == ""


@pytest.mark.parametrize(
    ("given", "space"),
    [
        ({"keep": KEEP_ALL}, 1000 * 100 * MIB + 64 * MIB),
        ({"keep": 1500}, 1501 * 64 * MIB),
        ({"work": Work.READ, "files": 1500}, 1500 * 64 * MIB),
    ],
)
def test_what_would_fill_the_disk_is_refused_with_the_figures(
    given: dict[str, Any], space: int
) -> None:
    text = refusal([load(**given)], [FAST], 100.0, 90)
    assert f"the run takes {space:,} bytes" in text
    assert "--max-fill allows 90 %" in text
    assert refusal([load(**{**given, "keep": 2, "files": 2})], [FAST], 100.0, 90) == ""


TREE = Shape(((0, 500), (MIB, 499), (1 << 50, 1)), ((1, 1000),), (1,))
MEAN = -(-round(TREE.mean) // 4096) * 4096


@pytest.mark.parametrize(
    ("given", "space"),
    [
        ({"work": Work.READ, "files": 1500}, 1500 * MEAN),
        ({"keep": KEEP_ALL, "count": 10}, 10 * MEAN + MEAN),
        ({"keep": 3, "shape": TREE.limited(10 * MIB)}, None),
    ],
)
def test_what_is_like_a_catalog_is_judged_by_its_mean(
    given: dict[str, Any], space: int | None
) -> None:
    text = refusal([load(**{"shape": TREE, **given})], [FAST], 1e6, 90)
    assert (f"the run takes {space:,} bytes" in text) if space else not text


def test_a_huge_file_counts_if_the_run_may_come_to_it() -> None:
    tree = Shape(((MIB, 999_999), (85_000 * MIB, 1)), ((1, 10**6),), (1,))
    assert not refusal([load(shape=tree)], [FAST], 100.0, 90)
    assert refusal([load(shape=tree)], [FAST], 1000.0, 90)


def test_one_file_is_enough_if_no_more_are_wanted() -> None:
    assert refusal([load(count=1)], [SLOW], 100.0, 90) == ""


def test_consumers_of_one_disk_share_its_room_those_of_two_do_not() -> None:
    loads = [load(keep=800), load(name="two", keep=800)]
    other = Measured(MIB, 0.001, 2, FAST.total, FAST.free)
    assert refusal(loads, [FAST, FAST], 100.0, 90)
    assert not refusal(loads, [FAST, other], 100.0, 90)


def test_what_can_not_be_written_at_all_is_named() -> None:
    text = refusal([load()], [Measured(failed="/data: Read-only file system")], 10.0, 90)
    assert text == "one: /data: Read-only file system"
