"""A folder is mirrored if it is the one that was, and is asked about if that is not sure."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.process import mounts
from zfs_walk.errors import FolderError
from zfs_walk.mirror.anchor import Anchor, Likeness, is_it
from zfs_walk.mirror.origin import Device, Origin
from zfs_walk.watch.folder import look_at_folder
from zfs_walk.watch.watch import WatchOptions

OPTIONS = WatchOptions(
    recursive=True, hidden=True, includes=(), excludes=(), poll=0, settle=0, monitor="poll"
)
BEFORE = Anchor(dev=1, ino=2, born_ns=3, mount=b"/data")


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (BEFORE, Likeness.SAME),
        # After a start of the host: another number, the same file system.
        (replace(BEFORE, dev=9), Likeness.SAME),
        # Another file system, which got the old one's number.
        (replace(BEFORE, born_ns=9), Likeness.UNSURE),
        (replace(BEFORE, born_ns=0), Likeness.SAME),
        (replace(BEFORE, dev=9, born_ns=0), Likeness.UNSURE),
        (replace(BEFORE, ino=9), Likeness.UNSURE),
        (replace(BEFORE, mount=b"/"), Likeness.OTHER),
    ],
)
def test_a_folder_is_known_by_more_than_its_name(now: Anchor, expected: Likeness) -> None:
    assert BEFORE.likeness(now) is expected


def test_a_folder_in_doubt_is_known_by_its_files() -> None:
    assert is_it(known=100, intact=50)
    assert not is_it(known=100, intact=49)
    assert is_it(known=0, intact=0)


def test_what_is_stored_survives_whatever_the_mount_is_called(tmp_path: Path) -> None:
    anchor = replace(BEFORE, mount=b"/\xff\n")
    anchor.store(tmp_path / "folder.json")
    assert Anchor.load(tmp_path / "folder.json") == anchor
    (tmp_path / "folder.json").write_text("{")
    assert Anchor.load(tmp_path / "folder.json") is None


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "folder"
    folder.mkdir()
    yield folder
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        if line.split()[1].startswith(str(tmp_path)):
            mounts.unmount(Path(line.split()[1]))


def origin(folder: Path) -> Origin:
    file = folder.parent / "folder.json"
    return Origin(os.fsencode(folder), OPTIONS, file, lambda: None)


def mirrored(folder: Path) -> None:
    """The folder was mirrored as it is."""
    first = origin(folder)
    first.recognize(look_at_folder(str(folder)), 0)
    assert not first.doubt
    first.accept()


def test_a_folder_that_is_made_anew_is_doubted_until_it_is_accepted(folder: Path) -> None:
    mirrored(folder)
    folder.rename(folder.parent / "old")
    folder.mkdir()
    again = origin(folder)
    again.recognize(look_at_folder(str(folder)), 1)
    assert again.doubt == "the folder is another one than before"
    again.accept()
    assert not again.doubt
    third = origin(folder)
    third.recognize(look_at_folder(str(folder)), 1)
    assert not third.doubt


def test_without_a_memory_a_folder_of_which_files_are_known_is_doubted(folder: Path) -> None:
    first = origin(folder)
    first.recognize(look_at_folder(str(folder)), 1)
    assert first.doubt == "nobody knows which folder was mirrored"


def test_a_folder_that_is_missing_or_a_link_is_refused(folder: Path) -> None:
    folder.rmdir()
    with pytest.raises(FolderError, match="No such file"):
        origin(folder).open()
    folder.symlink_to(folder.parent)
    with pytest.raises(FolderError, match="it is a link now"):
        origin(folder).open()


@pytest.mark.root
def test_the_place_of_a_missing_mount_is_refused_until_it_is_accepted(folder: Path) -> None:
    mounts.mount(folder)
    mirrored(folder)
    mounts.unmount(folder)
    again = origin(folder)
    with pytest.raises(FolderError, match="it was on what is mounted at"):
        again.open()
    again.accept()
    watch = again.open()
    again.recognize(watch.folder, 1)
    assert not again.doubt
    again.close()
    third = origin(folder)
    third.recognize(look_at_folder(str(folder)), 1)
    assert not third.doubt


@pytest.mark.root
def test_another_file_system_at_the_same_place_is_doubted(folder: Path) -> None:
    mounts.mount(folder)
    before = folder.stat()
    mirrored(folder)
    mounts.unmount(folder)
    mounts.mount(folder)
    again = origin(folder)
    again.recognize(look_at_folder(str(folder)), 1)
    assert again.doubt == "the folder is another one than before"
    if folder.stat().st_dev != before.st_dev:
        assert again.device == Device(before.st_dev, folder.stat().st_dev)
