"""The directories that a monitor knows, against a dict of paths."""

from hypothesis import given
from hypothesis import strategies as st

from zfs_walk.watch.directories import Directories

PATHS = st.lists(st.sampled_from([b"a", b"b", b"c"]), min_size=1, max_size=4).map(b"/".join)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), PATHS, st.integers(1, 9)),
        st.tuples(st.just("move"), PATHS, PATHS),
        st.tuples(st.just("remove"), PATHS, st.none()),
        st.tuples(st.just("discard"), st.none(), st.integers(1, 9)),
    ),
    max_size=30,
)


def is_in(path: bytes, above: bytes) -> bool:
    return path == above or path.startswith(above + b"/")


def known(*pairs: tuple[bytes, int]) -> Directories[int]:
    found: Directories[int] = Directories()
    for path, key in pairs:
        assert found.put(path, key) == []
    return found


def test_the_folder_itself_has_the_empty_path() -> None:
    found = known((b"", 1))
    assert found.path(1) == b""
    assert found.path(2) is None


def test_what_is_below_a_renamed_directory_goes_along() -> None:
    found = known((b"", 1), (b"a", 2), (b"a/b", 3), (b"a/b/c", 4))
    assert found.move(b"a", b"x/y") == []
    assert [found.path(key) for key in (1, 2, 3, 4)] == [b"", b"x/y", b"x/y/b", b"x/y/b/c"]


def test_what_was_at_the_new_name_is_known_no_more() -> None:
    found = known((b"a", 1), (b"b", 2), (b"b/c", 3))
    assert sorted(found.move(b"a", b"b")) == [2, 3]
    assert [found.path(key) for key in (1, 2, 3)] == [b"b", None, None]


def test_a_directory_that_is_found_elsewhere_takes_along_what_is_below_it() -> None:
    found = known((b"a", 1), (b"a/b", 2), (b"c", 3))
    assert found.put(b"c", 1) == [3]
    assert [found.path(key) for key in (1, 2, 3)] == [b"c", b"c/b", None]


def test_a_removed_directory_takes_all_below_it_along() -> None:
    found = known((b"a", 1), (b"a/b", 2), (b"ab", 3))
    assert sorted(found.remove(b"a")) == [1, 2]
    assert [found.path(key) for key in (1, 2, 3)] == [None, None, b"ab"]
    assert found.remove(b"a") == []


def test_a_discarded_key_leaves_what_is_below_it() -> None:
    found = known((b"a", 1), (b"a/b", 2))
    found.discard(1)
    found.discard(1)
    assert [found.path(1), found.path(2)] == [None, b"a/b"]


@given(STEPS)
def test_any_history_leaves_each_key_where_it_went(
    steps: list[tuple[str, bytes | None, bytes | int | None]],
) -> None:
    found: Directories[int] = Directories()
    model: dict[int, bytes] = {}
    for step in steps:
        match step:
            case ("put", bytes(path), int(key)):
                if key in model or path in model.values():
                    continue
                assert found.put(path, key) == []
                model[key] = path
            case ("move", bytes(old), bytes(new)):
                if is_in(new, old) or is_in(old, new):
                    continue
                gone = {key for key, path in model.items() if is_in(path, new)}
                assert set(found.move(old, new)) == gone
                model = {
                    key: new + path[len(old) :] if is_in(path, old) else path
                    for key, path in model.items()
                    if key not in gone
                }
            case ("remove", bytes(path), _):
                gone = {key for key, at in model.items() if is_in(at, path)}
                assert set(found.remove(path)) == gone
                model = {key: at for key, at in model.items() if key not in gone}
            case (_, _, int(key)):
                found.discard(key)
                model.pop(key, None)
        assert {key: found.path(key) for key in range(1, 10)} == {
            key: model.get(key) for key in range(1, 10)
        }
