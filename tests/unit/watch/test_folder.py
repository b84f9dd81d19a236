"""Which folders can be watched, and what they are."""

import os
from pathlib import Path

import pytest

from zfs_walk.errors import FolderError
from zfs_walk.watch.folder import look_at_folder
from zfs_walk.watch.look import Place


def place(path: Path) -> Place:
    found = path.stat()
    return Place(found.st_dev, found.st_ino)


def test_a_folder_is_resolved_and_known_with_all_above_it(tmp_path: Path) -> None:
    real = tmp_path / "a" / "b"
    real.mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    found = look_at_folder(str(tmp_path / "link" / "b"))
    assert found.path == os.fsencode(real.resolve())
    assert found.place == place(real)
    assert found.ancestors == tuple(place(parent) for parent in real.resolve().parents)


def test_the_top_has_nothing_above_it() -> None:
    found = look_at_folder("/")
    assert (found.path, found.ancestors) == (b"/", ())


def test_a_path_that_is_not_utf8_can_be_watched(tmp_path: Path) -> None:
    folder = tmp_path / "\udcff"
    folder.mkdir()
    assert look_at_folder(str(folder)).path.endswith(b"/\xff")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing", "No such file or directory"),
        ("file", "Not a directory"),
        ("loop", "Too many levels of symbolic links"),
        ("a\0b", "that is no path"),
    ],
)
def test_what_is_no_folder_is_refused_with_the_reason(
    tmp_path: Path, name: str, reason: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(FolderError, match=reason):
        look_at_folder(f"{tmp_path}/{name}")


@pytest.mark.plain_user
@pytest.mark.parametrize("mode", [0o000, 0o300, 0o400])
def test_a_folder_that_may_not_be_listed_or_searched_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode)
    with pytest.raises(FolderError, match=r"Permission denied|may not"):
        look_at_folder(str(folder))
    folder.chmod(0o700)
