"""Which files a task has, how they are packed, and how they are counted."""

import stat

import pytest

from zfs_walk.agents.sending.pieces import Account, Fate, Outcome, Piece, packed, pieces_of
from zfs_walk.scan.columns import ROWS, Columns
from zfs_walk.scan.entries import Unstatted, append
from zfs_walk.sinks.interface import LARGEST_PARCEL


def piece(number: int, size: int) -> Piece:
    name = b"f%d" % number
    return Piece(name, b"/root/" + name, size, 0, stat.S_IFREG | 0o644)


@pytest.mark.parametrize(("root", "directory"), [(b"/root", b"/root/d"), (b"/", b"/d")])
def test_pieces_are_the_regular_files_below_the_root(root: bytes, directory: bytes) -> None:
    columns = Columns(ROWS)
    kinds = [stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFREG, stat.S_IFREG]
    stats = [Unstatted(kind | 0o600, 7, st_mtime_ns=9) for kind in kinds]
    names = ["a", "b", "c", "d\udcff", "e"]
    append(columns, directory, 2, names, [each.st_mode for each in stats], stats, {4: 5})
    found = pieces_of(columns, root)
    assert [each.name for each in found] == [b"d/a", b"d/d\xff"]
    assert found[0] == Piece(b"d/a", directory + b"/a", 7, 9, stat.S_IFREG | 0o600)


@pytest.mark.parametrize("together", [1, 2, 32])
@pytest.mark.parametrize("sizes", [[], [0], [0] * 100, [LARGEST_PARCEL] * 5, [1, 10**10, 300_000]])
def test_each_file_is_in_one_pack_that_the_sink_takes(sizes: list[int], together: int) -> None:
    pieces = [piece(number, size) for number, size in enumerate(sizes)]
    packs = packed(pieces, 4, together)
    assert sorted(each for pack in packs for each in pack) == sorted(pieces)
    for pack in packs:
        assert 1 <= len(pack) <= together
        assert len(pack) == 1 or sum(each.size for each in pack) <= LARGEST_PARCEL


def test_large_files_go_first_and_small_ones_to_all_threads() -> None:
    pieces = [piece(number, number * 1000) for number in range(8)] + [piece(9, 2**30)]
    packs = packed(pieces, 4, 32)
    assert [each.size for each in packs[0]] == [2**30]
    assert [len(pack) for pack in packs[1:]] == [2, 2, 2, 2]


def test_each_fate_is_counted_once_and_troubles_are_errors() -> None:
    account = Account()
    for number, fate in enumerate(Fate):
        account.add([Outcome(piece(number, 5), fate, 10, 13, "why")])
    assert account.counters == {
        **{f"{fate}.files": 1 for fate in Fate},
        "sent.bytes": 10, "unchanged.bytes": 10, "planned.bytes": 10,
    }  # fmt: skip
    assert [(each.kind, each.errno, each.reason) for each in account.errors] == [
        ("refused", 13, "why"), ("unsent", 13, "why"),
    ]  # fmt: skip
    assert [each.fate for each in account.planned] == [Fate.PLANNED]
