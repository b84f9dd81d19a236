"""What is found out by a list, and what by looks."""

from collections.abc import Generator, Iterable
from pathlib import Path

import pytest

from zfs_walk.agents.sending.pieces import Piece
from zfs_walk.agents.sending.there import FEW, FOR_EACH, list_folder, worth_listing
from zfs_walk.sinks.interface import Remote


class Shelf:
    """Has files in one folder, and counts those that it was asked for."""

    def __init__(self, names: Iterable[bytes]) -> None:
        self.names = list(names)
        self.told = 0

    def files_in(self, folder: bytes, most: int) -> Generator[Remote]:
        for name in self.names[:most]:
            self.told += 1
            yield Remote(folder + b"/" + name, 1, None, "")


def pieces(folder: str, count: int) -> list[Piece]:
    names = [(Path(folder) / str(number)).as_posix().encode() for number in range(count)]
    return [Piece(name, b"/r/" + name, 1, 0, 0o100644) for name in names]


def test_few_files_of_a_folder_are_looked_at() -> None:
    given = [*pieces("few", FEW), *pieces("many", FEW + 1), *pieces("", FEW + 1)]
    assert worth_listing(given) == dict.fromkeys([b"many", b""], FOR_EACH * (FEW + 1))


def test_the_more_files_in_hand_the_longer_a_list_may_be() -> None:
    assert worth_listing(pieces("d", 500)) == {b"d": 500 * FOR_EACH}


@pytest.mark.parametrize(("there", "known"), [(0, True), (10, True), (11, False), (99, False)])
def test_no_more_is_listed_than_is_worth_while(there: int, *, known: bool) -> None:
    shelf = Shelf(b"%d" % number for number in range(there))
    found = list_folder(shelf, b"d", 10)
    assert (found is not None) == known
    assert shelf.told == min(there, 11)
    if found is not None:
        assert set(found) == {b"d/" + name for name in shelf.names}
