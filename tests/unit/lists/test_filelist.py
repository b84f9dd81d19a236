"""A list of files is in the order of its names' bytes, and its rows are those put last."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfs_walk.lists import filelist
from zfs_walk.lists.differences import differences
from zfs_walk.lists.filelist import NO_ROWS, Columns, FileList

NAMES = st.binary(min_size=1, max_size=3)
ROWS = st.dictionaries(NAMES, st.tuples(st.integers(0, 2**63 - 1), st.integers(-5, 5)), max_size=30)


def made(rows: dict[bytes, tuple[int, int]]) -> FileList:
    made = FileList()
    for name, (size, mtime) in rows.items():
        made.put((name,), (size,), (mtime,), (3,))
    return made


@given(ROWS, st.sets(NAMES), st.binary(max_size=2), st.binary(max_size=3), st.integers(1, 9))
def test_pages_are_those_of_a_sorted_dictionary(
    rows: dict[bytes, tuple[int, int]], gone: set[bytes], prefix: bytes, after: bytes, limit: int
) -> None:
    files = made(rows)
    files.remove(gone)
    left = {name: rows[name] for name in sorted(rows) if name not in gone}
    wanted = [name for name in left if name.startswith(prefix) and name > after]
    page, more = files.rows(prefix, after, limit)
    assert list(page.names) == wanted[:limit]
    assert more == (len(wanted) > limit)
    assert list(zip(page.sizes, page.mtimes, page.flags, strict=True)) == [
        (*left[name], 3) for name in wanted[:limit]
    ]
    assert (len(files), files.name_bytes) == (len(left), sum(map(len, left)))


def test_a_row_takes_the_place_of_the_one_with_its_name() -> None:
    files = FileList()
    files.put((b"a", b"\xff", b"a"), (1, 2, 3), (1, 2, 3), (0, 0, 1))
    assert files.rows(b"", b"", 9) == (Columns((b"a", b"\xff"), (3, 2), (3, 2), (1, 0)), False)
    assert files.name_bytes == 2


def test_an_empty_list_has_an_empty_page() -> None:
    assert FileList().rows(b"", b"", 9) == (NO_ROWS, False)


def test_long_names_end_a_page_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filelist, "ROW_BYTES", 10)
    files = made({bytes([65 + n]) * 6: (1, 1) for n in range(5)})
    page, more = files.rows(b"", b"", 9)
    assert (page.names, more) == ((b"AAAAAA", b"BBBBBB"), True)


@given(ROWS, ROWS)
def test_differences_make_the_new_list_of_the_old_one(
    old: dict[bytes, tuple[int, int]], new: dict[bytes, tuple[int, int]]
) -> None:
    rows = dict(old)
    for removed, columns in differences(made(old), made(new)):
        assert all(name in old and name not in new for name in removed)
        for name in removed:
            del rows[name]
        for name, size, mtime, _ in zip(*columns, strict=True):
            assert old.get(name) != (size, mtime)
            rows[name] = size, mtime
    assert rows == new
