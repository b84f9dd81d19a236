"""Several sorted lists are one."""

from hypothesis import given
from hypothesis import strategies as st

from zfs_walk.lists.merging import Packed, merged

ROWS = st.lists(
    st.tuples(
        st.binary(max_size=2), st.sampled_from(["h", "i"]), st.just(b"/d"), st.binary(max_size=1)
    ),
    max_size=60,
    unique=True,
)


@given(st.lists(ROWS, max_size=5), st.integers(0, 200))
def test_the_first_rows_are_those_of_all_rows_sorted(lists: list[list[Packed]], limit: int) -> None:
    every = sorted(row for rows in lists for row in rows)
    assert merged([iter(sorted(rows)) for rows in lists], limit) == every[:limit]
    assert merged([iter(sorted(rows)) for rows in lists], 10**9) == every


def test_lists_one_behind_the_other_are_taken_piece_by_piece() -> None:
    rows = [(b"%06d" % number, "h", b"/d", b"") for number in range(27_000)]
    lists = [iter(rows[at : at + 9_000]) for at in (18_000, 0, 9_000)]
    assert merged(lists, 26_000) == rows[:26_000]
