"""Reading in slices: everything is read, watches first, however wide a directory is."""

import os
from pathlib import Path

from tests.unit.watch.conftest import find
from zfs_walk.scan.filters import Filter
from zfs_walk.watch.seen import Listing
from zfs_walk.watch.sweep import Sweep
from zfs_walk.watch.tree import unpack


def sweep(folder: Path, before: list[bytes]) -> Sweep:
    made = Sweep(os.fsencode(folder), Filter(), recursive=True, before=before.append)
    made.add(b"")
    return made


def read(made: Sweep) -> list[Listing]:
    listings: list[Listing] = []
    while not made.done:
        listings += made.step()
    made.close()
    return listings


def test_a_wide_directory_comes_in_pieces_that_make_a_whole(tmp_path: Path) -> None:
    wide = tmp_path / "wide"
    wide.mkdir()
    for number in range(10_000):
        (wide / f"{number}").touch()
    (wide / "d" / "e").mkdir(parents=True)
    (wide / "d" / "e" / "f").write_bytes(b"1")
    listings = read(sweep(tmp_path, []))
    found = {
        name: (row.size, row.mtime_ns)
        for listing in listings
        for name, packed in listing.files.items()
        for row in [unpack(name, packed)]
    }
    assert found == find(tmp_path)
    pieces = [listing for listing in listings if listing.directory == b"wide"]
    assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert len(pieces[-1].earlier) == 10_001
    assert all(name in pieces[-1] for name in found if name.count(b"/") == 1)


def test_every_directory_is_told_before_it_is_read_and_listed_even_if_empty(
    tmp_path: Path,
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "c").mkdir()
    before: list[bytes] = []
    listings = read(sweep(tmp_path, before))
    everything = {b"", b"a", b"a/b", b"c"}
    assert set(before) == everything
    assert {listing.directory for listing in listings} == everything
    assert all(listing.last for listing in listings)


def test_a_directory_that_is_gone_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    made = Sweep(os.fsencode(tmp_path), Filter(), recursive=True, before=lambda _: None)
    made.add(b"a")
    (tmp_path / "a").rmdir()
    assert read(made) == [Listing(b"a")]
