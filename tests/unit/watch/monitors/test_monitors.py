"""Every monitor against a real folder: what was done is what is told."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process import mounts
from tests.unit.watch.monitors.conftest import Eyes, Told, find
from zfs_walk.watch.choose import open_monitor
from zfs_walk.watch.monitor import Looked, Moved, Writing, Written


def test_a_file_that_was_made_and_closed_is_written(eyes: Eyes) -> None:
    (eyes.folder / "f").write_text("x")
    assert eyes.told() == Told(names={b"f": Written})


def test_a_file_that_is_open_is_being_written_until_it_is_closed(eyes: Eyes) -> None:
    with (eyes.folder / "f").open("w") as file:
        file.write("x")
        assert eyes.told() == Told(names={b"f": Writing})
    assert eyes.told() == Told(names={b"f": Written})


def test_what_is_appended_to_a_file_is_written(eyes: Eyes) -> None:
    (eyes.folder / "f").write_text("x")
    eyes.told()
    with (eyes.folder / "f").open("a") as file:
        file.write("y")
    assert eyes.told() == Told(names={b"f": Written})


def test_reading_tells_nothing(eyes: Eyes) -> None:
    (eyes.folder / "f").write_text("x")
    eyes.told()
    assert (eyes.folder / "f").read_text() == "x"
    assert len(list(eyes.folder.iterdir())) == 1
    assert eyes.told() == Told()


def test_a_deleted_file_is_to_be_looked_at(eyes: Eyes) -> None:
    (eyes.folder / "f").write_text("x")
    eyes.told()
    (eyes.folder / "f").unlink()
    assert eyes.told() == Told(names={b"f": Looked})


def test_changed_attributes_are_to_be_looked_at(eyes: Eyes) -> None:
    (eyes.folder / "f").write_text("x")
    (eyes.folder / "d").mkdir()
    eyes.told()
    (eyes.folder / "f").chmod(0o600)
    (eyes.folder / "d").chmod(0o700)
    os.utime(eyes.folder / "f", (1, 1))
    assert eyes.told() == Told(names={b"f": Looked, b"d": Looked})


def test_the_attributes_of_the_folder_itself_are_told(eyes: Eyes) -> None:
    eyes.folder.chmod(0o700)
    assert eyes.told() == Told(names={b"": Looked})


def test_links_are_told(eyes: Eyes) -> None:
    (eyes.folder / "f").write_text("x")
    eyes.told()
    (eyes.folder / "hard").hardlink_to(eyes.folder / "f")
    (eyes.folder / "soft").symlink_to("nowhere")
    # The number of its links is an attribute of the file; inotify tells it with every name.
    assert set(eyes.told().names) - {b"f"} == {b"hard", b"soft"}


def test_a_renamed_file_is_a_move(eyes: Eyes) -> None:
    (eyes.folder / "f").write_text("x")
    (eyes.folder / "d").mkdir()
    assert eyes.monitor.add(b"d")
    eyes.told()
    (eyes.folder / "f").rename(eyes.folder / "d" / "g")
    assert eyes.told() == Told(moves=[Moved(b"f", b"d/g", directory=False)])


def test_a_file_that_is_renamed_over_another_one_is_a_move(eyes: Eyes) -> None:
    (eyes.folder / "f").write_text("x")
    (eyes.folder / "g").write_text("y")
    eyes.told()
    (eyes.folder / "f").rename(eyes.folder / "g")
    assert eyes.told() == Told(moves=[Moved(b"f", b"g", directory=False)])


def test_a_renamed_directory_is_a_move_and_goes_on_under_its_new_name(eyes: Eyes) -> None:
    (eyes.folder / "d" / "e").mkdir(parents=True)
    assert eyes.monitor.add(b"d")
    assert eyes.monitor.add(b"d/e")
    (eyes.folder / "d" / "e" / "f").write_text("x")
    eyes.told()
    (eyes.folder / "d").rename(eyes.folder / "z")
    (eyes.folder / "z" / "e" / "g").write_text("x")
    assert eyes.told() == Told(names={b"z/e/g": Written}, moves=[Moved(b"d", b"z", directory=True)])
    (eyes.folder / "z" / "e" / "h").write_text("x")
    assert eyes.told() == Told(names={b"z/e/h": Written})


def test_two_directories_that_swap_their_names_are_told_apart(eyes: Eyes) -> None:
    for each in (b"a", b"b"):
        (eyes.folder / os.fsdecode(each)).mkdir()
        assert eyes.monitor.add(each)
        (eyes.folder / os.fsdecode(each) / "before").write_text("x")
    eyes.told()
    (eyes.folder / "a").rename(eyes.folder / "c")
    (eyes.folder / "b").rename(eyes.folder / "a")
    (eyes.folder / "c").rename(eyes.folder / "b")
    moves = [(b"a", b"c"), (b"b", b"a"), (b"c", b"b")]
    assert eyes.told().moves == [Moved(old, new, directory=True) for old, new in moves]
    (eyes.folder / "a" / "was-b").write_text("x")
    (eyes.folder / "b" / "was-a").write_text("x")
    assert eyes.told() == Told(names={b"a/was-b": Written, b"b/was-a": Written})


def test_a_directory_that_was_moved_out_tells_nothing_any_more(eyes: Eyes, tmp_path: Path) -> None:
    (eyes.folder / "d" / "e").mkdir(parents=True)
    assert eyes.monitor.add(b"d")
    assert eyes.monitor.add(b"d/e")
    (eyes.folder / "d" / "e" / "f").write_text("x")
    eyes.told()
    (eyes.folder / "d").rename(tmp_path / "out")
    assert eyes.told() == Told(names={b"d": Looked})
    (tmp_path / "out" / "g").write_text("x")
    (tmp_path / "out" / "e" / "f").write_text("x")
    assert eyes.told() == Told()


def test_a_directory_that_was_moved_in_tells_all_from_then_on(eyes: Eyes, tmp_path: Path) -> None:
    (tmp_path / "out" / "e").mkdir(parents=True)
    # A monitor that sees it may know by now that this is none of its own.
    (tmp_path / "out" / "e" / "f").write_text("x")
    eyes.told()
    (tmp_path / "out").rename(eyes.folder / "in")
    assert eyes.told() == Told(names={b"in": Looked})
    assert eyes.monitor.add(b"in")
    assert eyes.monitor.add(b"in/e")
    (eyes.folder / "in" / "e" / "f").write_text("y")
    assert eyes.told() == Told(names={b"in/e/f": Written})


def test_files_that_move_in_and_out_are_to_be_looked_at(eyes: Eyes, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    (tmp_path / "f").rename(eyes.folder / "f")
    assert eyes.told() == Told(names={b"f": Looked})
    (eyes.folder / "f").rename(tmp_path / "f")
    assert eyes.told() == Told(names={b"f": Looked})


def test_a_directory_may_be_added_twice(eyes: Eyes) -> None:
    (eyes.folder / "d").mkdir()
    assert eyes.monitor.add(b"d")
    assert eyes.monitor.add(b"d")
    eyes.told()
    (eyes.folder / "d" / "f").write_text("x")
    assert eyes.told() == Told(names={b"d/f": Written})


def test_what_vanished_before_it_was_added_is_no_limit(eyes: Eyes) -> None:
    assert eyes.monitor.add(b"missing")
    assert eyes.monitor.add(b"missing/below")


def test_names_that_are_not_utf_8_are_told_as_they_are(eyes: Eyes) -> None:
    directory = os.fsencode(eyes.folder) + b"/d\xff"
    os.mkdir(directory)  # noqa: PTH102 -- bytes
    assert eyes.monitor.add(b"d\xff")
    with open(directory + b"/f\xfe\n", "wb"):  # noqa: PTH123 -- bytes
        pass
    assert eyes.told() == Told(names={b"d\xff": Looked, b"d\xff/f\xfe\n": Written})


def test_a_tree_that_was_deleted_is_told_to_its_top(eyes: Eyes) -> None:
    (eyes.folder / "d" / "e").mkdir(parents=True)
    assert eyes.monitor.add(b"d")
    assert eyes.monitor.add(b"d/e")
    (eyes.folder / "d" / "e" / "f").write_text("x")
    eyes.told()
    shutil.rmtree(eyes.folder / "d")
    assert eyes.told().names[b"d"] is Looked
    (eyes.folder / "d" / "e").mkdir(parents=True)
    assert eyes.monitor.add(b"d")
    assert eyes.monitor.add(b"d/e")
    eyes.told()
    (eyes.folder / "d" / "e" / "f").write_text("x")
    assert eyes.told() == Told(names={b"d/e/f": Written})


def test_who_adds_what_he_is_told_of_before_he_lists_it_misses_nothing(eyes: Eyes) -> None:
    script = """
import os, sys
for number in range(500):
    os.makedirs(f"{sys.argv[1]}/{number}/b/c")
    for each in "fgh":
        open(f"{sys.argv[1]}/{number}/b/c/{each}", "w").close()
"""
    maker = subprocess.Popen([sys.executable, "-c", script, eyes.folder])
    seen: set[bytes] = set()
    root = os.fsencode(eyes.folder)

    def look(path: bytes) -> None:
        if path in seen:
            return
        seen.add(path)
        if os.path.isdir(root + b"/" + path):  # noqa: PTH112 -- bytes
            assert eyes.monitor.add(path)
            for below in os.listdir(root + b"/" + path):  # noqa: PTH208 -- bytes
                look(path + b"/" + below)

    def all_there(told: Told) -> bool:
        for path in set(told.names) - seen:
            look(path)
        return len(seen) == 500 * 6

    told = eyes.told_when(all_there)
    assert maker.wait() == 0
    assert not told.lost
    assert seen == find(eyes.folder)


@pytest.mark.slow
def test_a_burst_of_files_by_another_process_is_told_whole(eyes: Eyes) -> None:
    script = """
import os, sys
for number in range(50_000):
    os.close(os.open(f"{sys.argv[1]}/{number}", os.O_CREAT | os.O_WRONLY))
open(f"{sys.argv[1]}/end", "w").close()
"""
    maker = subprocess.Popen([sys.executable, "-c", script, eyes.folder])
    told = eyes.told_when(lambda told: told.names.get(b"end") is Written or told.lost)
    assert maker.wait() == 0
    # inotify has a queue that may be full; that must be said, and nothing else may be missing.
    assert told.lost or set(told.names) == find(eyes.folder)
    if eyes.monitor.name == "fanotify":
        assert not told.lost


def test_a_folder_that_is_not_recursive_tells_its_own_names_only(name: str, folder: Path) -> None:
    (folder / "d").mkdir()
    monitor, _ = open_monitor(name, os.fsencode(folder), recursive=False)
    eyes = Eyes(monitor, folder)
    (folder / "d" / "f").write_text("x")
    (folder / "f").write_text("x")
    assert eyes.told() == Told(names={b"f": Written})
    monitor.close()


def test_a_folder_that_was_moved_is_gone(eyes: Eyes, tmp_path: Path) -> None:
    eyes.folder.rename(tmp_path / "elsewhere")
    told = eyes.told_when(lambda told: told.gone)
    assert told.gone == ["moved or deleted"]


def test_a_folder_that_was_deleted_is_gone(eyes: Eyes) -> None:
    eyes.folder.rmdir()
    assert eyes.told_when(lambda told: told.gone).gone == ["moved or deleted"]


def test_a_folder_in_the_place_of_another_one_is_not_the_same(eyes: Eyes, tmp_path: Path) -> None:
    eyes.folder.rename(tmp_path / "elsewhere")
    eyes.folder.mkdir()
    told = eyes.told_when(lambda told: told.gone)
    assert told.gone == ["another folder is there"]


@pytest.mark.root
def test_a_file_system_can_be_unmounted_while_it_is_watched(name: str, folder: Path) -> None:
    with mounts.tmpfs(folder / "mounted") as mounted:
        monitor, _ = open_monitor(name, os.fsencode(mounted), recursive=True)
        eyes = Eyes(monitor, mounted)
        (mounted / "f").write_text("x")
        assert eyes.told() == Told(names={b"f": Written})
        mounts.run("umount", mounted)  # not lazily: it would fail if anything were held open
        told = eyes.told_when(lambda told: told.gone)
        assert told.gone == ["another file system is there: unmounted, or mounted over"]
        monitor.close()
        mounts.mount(mounted)


@pytest.mark.root
def test_a_folder_that_is_mounted_over_is_gone(eyes: Eyes) -> None:
    mounts.mount(eyes.folder)
    try:
        told = eyes.told_when(lambda told: told.gone)
    finally:
        mounts.unmount(eyes.folder)
    assert told.gone == ["another file system is there: unmounted, or mounted over"]
