"""Blocks of a file: each one once, in whatever order, the same ones for the same seed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zfs_walk.load import draw
from zfs_walk.load.draw import Dice, Pass, cut

sizes = st.lists(
    st.tuples(st.integers(1, 64).map(lambda n: n * 512), st.integers(1, 5)), min_size=1
)


@settings(deadline=None)
@given(st.integers(1, 300_000), sizes, st.integers(1, 50))
def test_a_pass_has_every_byte_once(size: int, blocks: list[tuple[int, int]], window: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draw, "WINDOW", window)
        extents = sorted(Pass("seed", cut("file", size, tuple(blocks))))
    assert extents == list(cut("file", size, tuple(blocks)))
    ends = [0, *(offset + length for offset, length in extents)]
    assert [offset for offset, _ in extents] == ends[:-1]
    assert ends[-1] == size


def test_the_order_is_random_and_the_seeds() -> None:
    blocks = ((512, 1),)
    one = list(Pass("a", cut("file", 51_200, blocks)))
    assert one == list(Pass("a", cut("file", 51_200, blocks)))
    assert one != list(Pass("b", cut("file", 51_200, blocks)))
    assert one != sorted(one)


def test_sizes_come_by_their_weights() -> None:
    dice = Dice("seed", ((1, 3), (2, 1)))
    rolled = [dice.roll() for _ in range(10_000)]
    assert rolled.count(1) == pytest.approx(7500, abs=200)
