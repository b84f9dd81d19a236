"""The random changes are the same for the same seed, and the comparison sees every difference."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers.changes import Changes
from tests.servers.compare import differences, tree


def made(folder: Path, seed: int, steps: int, files: int = 300) -> Changes:
    folder.mkdir()
    changes = Changes(folder, seed, largest=200_000)
    changes.plant(files, [3 << 20])
    for _ in range(steps):
        changes.step()
    return changes


def test_the_same_seed_makes_the_same_tree_and_another_one_another(tmp_path: Path) -> None:
    one, two = made(tmp_path / "one", 1, 500), made(tmp_path / "two", 1, 500)
    assert differences(tmp_path / "one", tmp_path / "two") == []
    assert sorted(one.files) == sorted(two.files) == sorted(tree(tmp_path / "one"))
    made(tmp_path / "three", 2, 500)
    assert len(differences(tmp_path / "one", tmp_path / "three")) > 10


def test_every_kind_of_change_happens(tmp_path: Path) -> None:
    changes = made(tmp_path / "tree", 3, 0)
    happened = Counter(changes.step() for _ in range(1500))
    assert len(happened) == 15
    assert any(b"\xff" in name for name in changes.files)
    assert any(b"\n" in name for name in changes.files)


def test_what_was_deleted_is_what_was_settled_and_is_not_there(tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    changes = made(folder, 4, 100)
    settled = set(tree(folder))
    changes.settled()
    for _ in range(500):
        changes.step()
    assert changes.deleted
    assert changes.deleted <= settled - set(tree(folder))


def test_without_flips_no_name_changes_its_kind(tmp_path: Path) -> None:
    changes = Changes(tmp_path, 5, largest=1000, flips=False)
    changes.plant(200)
    kinds: dict[Path, bool] = {}
    for _ in range(500):
        assert not changes.step().endswith(("becomes_folder", "becomes_file"))
        for path in tmp_path.rglob("*"):
            assert kinds.setdefault(path, path.is_dir()) == path.is_dir()


def flip(folder: Path) -> None:
    content = bytearray((folder / "file").read_bytes())
    content[3] ^= 1
    (folder / "file").write_bytes(content)


@pytest.mark.parametrize(
    "change",
    [
        flip,
        lambda folder: (folder / "file").write_text("shorter"),
        lambda folder: (folder / "file").unlink(),
        lambda folder: (folder / "file").rename(folder / "File"),
        lambda folder: (folder / os.fsdecode(b"more\xff\n")).touch(),
        lambda folder: (folder / "link").symlink_to("elsewhere"),
        lambda folder: (folder / ".zfs-walk.00000000.0123456789abcdef.part").touch(),
    ],
)
def test_the_comparison_sees_every_difference(
    tmp_path: Path, change: Callable[[Path], object]
) -> None:
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        (folder / "file").write_text("some content")
        (folder / os.fsdecode(b"odd\xff\n")).write_text("odd")
    assert differences(tmp_path / "one", tmp_path / "two") == []
    change(tmp_path / "two")
    assert len(differences(tmp_path / "one", tmp_path / "two")) in {1, 2}
