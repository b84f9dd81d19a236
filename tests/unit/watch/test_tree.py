"""The list in memory: what is there, in order, and what has changed."""

import random

from hypothesis import given
from hypothesis import strategies as st

from zfs_walk.watch.tree import LINK, WRITING, Row, Tree, is_within, pack, unpack

NAMES = st.binary(min_size=1, max_size=3).filter(lambda name: not {0, 47} & set(name))
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(b"/".join)


@given(st.integers(0, 2**63 - 1), st.integers(-(2**63), 2**63 - 1), st.sampled_from([0, 1, 2, 3]))
def test_a_row_survives_being_packed(size: int, mtime: int, flags: int) -> None:
    assert unpack(b"n", pack(size, mtime, flags)) == Row(b"n", size, mtime, flags)


def filled(*paths: bytes) -> Tree:
    tree = Tree()
    for path in paths:
        at = path
        while b"/" in at:
            at = at.rpartition(b"/")[0]
            tree.enter(at, 1)
        tree.put(path, pack(len(path), 7, 0))
    tree.recording = True
    return tree


def names(tree: Tree) -> list[bytes]:
    return [row.name for row in tree.page(b"", 1_000)]


def test_pages_are_in_the_order_of_bytes_and_go_on_after_a_name() -> None:
    paths = [b"a/b", b"a-b", b"a", b"a0", b"\xff", b"a/b-c", b"B", b"a/\xc3\xa4"]
    tree = filled(*(path for path in paths if path != b"a"))
    expected = sorted(path for path in paths if path != b"a")
    assert names(tree) == expected
    assert [row.name for row in tree.page(expected[2], 2)] == expected[3:5]
    assert tree.page(expected[-1], 5) == []


def test_a_change_is_given_once_and_as_it_is_now() -> None:
    tree = filled(b"a", b"b", b"c")
    tree.put(b"a", pack(1, 1, 0))
    tree.put(b"a", pack(2, 2, WRITING))
    tree.remove(b"b")
    tree.put(b"d", pack(4, 4, LINK))
    tree.remove(b"d")
    assert tree.unsent == 3
    assert tree.changes(1) == ([], [Row(b"a", 2, 2, WRITING)])
    assert tree.changes(9) == ([b"b", b"d"], [])
    assert tree.changes(9) == ([], [])


def test_what_is_seen_again_unchanged_is_no_change() -> None:
    tree = filled(b"a")
    tree.put(b"a", pack(1, 7, 0))
    assert tree.unsent == 0


def test_before_the_first_list_is_complete_nothing_counts_as_changed() -> None:
    tree = Tree()
    tree.put(b"a", pack(1, 1, 0))
    assert tree.changes(9) == ([], [])


def test_a_directory_goes_with_all_below_it_and_nothing_beside_it() -> None:
    tree = filled(b"a/b/c", b"a/b/d/e", b"a/b-c", b"a/b0", b"a/c")
    assert tree.remove(b"a/b") == 2
    assert names(tree) == [b"a/b-c", b"a/b0", b"a/c"]
    assert tree.identity(b"a/b/d") is None
    assert tree.identity(b"a") == 1
    assert tree.directories == 2
    assert tree.changes(9) == ([b"a/b/c", b"a/b/d/e"], [])


def test_a_file_takes_the_place_of_a_directory_and_back() -> None:
    tree = filled(b"a/b/c")
    tree.put(b"a/b", pack(1, 1, 0))
    assert names(tree) == [b"a/b"]
    tree.enter(b"a/b", 5)
    assert names(tree) == []
    assert tree.changes(9) == ([b"a/b/c", b"a/b"], [])


@given(st.sets(PATHS, max_size=40))
def test_the_children_of_every_directory_are_found(paths: set[bytes]) -> None:
    prefixes = {
        path[:index] for path in paths for index, byte in enumerate(path) if byte == ord("/")
    }
    tree = filled(*sorted(paths - prefixes))
    everything = paths | prefixes
    for directory in prefixes | {b""}:
        expected = sorted(path for path in everything if path.rpartition(b"/")[0] == directory)
        assert sorted(tree.children(directory)) == expected


def test_children_are_found_among_many_that_are_deeper() -> None:
    paths = [b"%d/%d" % (random.randrange(50), number) for number in range(2_000)]
    tree = filled(*paths, b"0", b"00")
    assert sorted(tree.children(b"")) == sorted({path.split(b"/")[0] for path in paths} | {b"00"})


def test_a_path_is_within_itself_and_what_is_above_it() -> None:
    assert is_within(b"a/b", {b"a/b"})
    assert is_within(b"a/b/c", {b"a"})
    assert not is_within(b"a-b/c", {b"a"})
    assert not is_within(b"", {b"a"})
