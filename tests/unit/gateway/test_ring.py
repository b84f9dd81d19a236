"""The ring of changes: places, ids, and what is overtaken."""

import pytest

from zfs_walk.gateway.ring import Change, Ring


def filled(changes: int, most: int = 100, most_bytes: int = 10_000) -> Ring:
    ring = Ring("boot", most, most_bytes)
    for number in range(1, changes + 1):
        ring.add("added", b"%d" % number, "h", number)
    return ring


def numbers(changes: list[Change] | None) -> list[int] | None:
    return None if changes is None else [change.number for change in changes]


def test_a_new_ring_has_nothing() -> None:
    ring = Ring("boot")
    assert ring.last == 0
    assert ring.after(0, 10) == []
    assert ring.place(ring.name(0)) == 0


def test_a_reader_gets_what_came_after_its_place() -> None:
    ring = filled(5)
    assert ring.after(3, 10) == [
        Change(4, "added", b"4", "h", 4), Change(5, "added", b"5", "h", 5)
    ]  # fmt: skip
    assert numbers(ring.after(0, 2)) == [1, 2]
    assert numbers(ring.after(5, 2)) == []


def test_what_is_overtaken_is_not_passed_over_in_silence() -> None:
    ring = filled(150)
    assert ring.after(49, 1) is None
    assert numbers(ring.after(50, 1)) == [51]
    assert (ring.place("boot-49"), ring.place("boot-50")) == (None, 50)


def test_long_names_bound_the_ring_as_well() -> None:
    ring = filled(0, most=100, most_bytes=1000)
    for number in range(10):
        ring.add("added", b"x" * 300, "h", number)
    assert ring.after(6, 10) is None
    assert numbers(ring.after(7, 10)) == [8, 9, 10]
    ring.add("claim", None, "h", 0)
    assert numbers(ring.after(7, 10)) == [8, 9, 10, 11]


@pytest.mark.parametrize(
    "name", ["", "boot", "boot-", "boot-6", "boot--1", "boot-x", "other-3", "boot-٣", "-3",
             f"boot-{'9' * 5000}"],
)  # fmt: skip
def test_what_is_no_place_in_this_ring_is_none(name: str) -> None:
    assert filled(5).place(name) is None


def test_a_place_keeps_its_name() -> None:
    ring = filled(5)
    assert [ring.place(ring.name(place)) for place in range(6)] == [0, 1, 2, 3, 4, 5]
