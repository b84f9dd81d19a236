"""Any name has a key of its own, and comes back from it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zfs_walk.sinks.errors import NameRefusedError
from zfs_walk.sinks.s3_keys import LONGEST, PROBE, key_of, name_of

PARTS = st.binary(min_size=1, max_size=12).filter(
    lambda part: part not in {b".", b".."} and not {0, ord("/")} & {*part}
)
TRICKY = st.lists(st.sampled_from([b"%", b"%4", b"%41", b"%FF", b"\xff", b"\\", b"A", b"\n"]))
NAMES = st.one_of(
    st.lists(PARTS, min_size=1, max_size=4).map(b"/".join),
    TRICKY.map(b"".join).filter(bool),
)


@given(NAMES)
def test_every_name_comes_back(name: bytes) -> None:
    assert name_of("p/q/", key_of("p/q/", name)) == name


@given(NAMES, NAMES)
def test_two_names_never_have_one_key(one: bytes, other: bytes) -> None:
    assert (key_of("", one) == key_of("", other)) == (one == other)


@given(NAMES)
def test_a_key_travels_in_xml(name: bytes) -> None:
    assert all(char.isprintable() or ord(char) > 0x9F for char in key_of("", name))
    assert not {"\\", "\ufffe", "\uffff"} & {*key_of("", name)}


@given(st.text(max_size=20))
def test_a_key_that_is_taken_for_a_names_is_that_names(key: str) -> None:
    name = name_of("p/", f"p/{key}")
    assert name is None or key_of("p/", name) == f"p/{key}"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (b"plain name.txt", "plain name.txt"),
        ("café".encode(), "café"),
        (b"100%", "100%"),
        (b"%41", "%2541"),
        (b"%ff", "%ff"),
        (b"latin\xe9", "latin%E9"),
        (b"new\nline", "new%0Aline"),
        (b"back\\slash", "back%5Cslash"),
    ],
)
def test_keys_are_as_documented(name: bytes, key: str) -> None:
    assert key_of("", name) == key


@pytest.mark.parametrize(
    "key", ["q/other", "p/", "p/a//b", "p/../q", "p/a/", "p/%41", "p/%5c", "p/a\\b", f"p/{PROBE}"]
)
def test_keys_of_others_are_no_names(key: str) -> None:
    assert name_of("p/", key) in {None, b"%5c"}


def test_what_is_too_long_is_refused() -> None:
    key_of("p/", b"x" * (LONGEST - 2))
    for name in (b"x" * (LONGEST - 1), b"\xff" * (LONGEST // 3)):
        with pytest.raises(NameRefusedError, match=r"1,024"):
            key_of("p/", name)
