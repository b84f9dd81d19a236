"""What is particular to fanotify: a mark sees a whole file system, and not the others."""

import os
from pathlib import Path

import pytest

from tests.process import mounts
from tests.unit.watch.monitors.conftest import Eyes, Told
from zfs_walk.errors import MonitorError
from zfs_walk.watch import fanotify_calls
from zfs_walk.watch.choose import open_monitor
from zfs_walk.watch.fanotify import FanotifyMonitor
from zfs_walk.watch.monitor import Looked, Moved, Written

pytestmark = pytest.mark.root


@pytest.fixture
def name() -> str:
    return "fanotify"


def test_it_is_taken_where_the_system_allows_it(folder: Path) -> None:
    monitor, why = open_monitor("auto", os.fsencode(folder), recursive=True)
    assert (monitor.name, why) == ("fanotify", "")
    monitor.close()


def test_what_happens_beside_the_folder_is_not_told(eyes: Eyes, tmp_path: Path) -> None:
    # Its name begins like that of the folder.
    beside = tmp_path / "watched-too"
    (beside / "d").mkdir(parents=True)
    (beside / "d" / "f").write_text("x")
    (beside / "d").rename(beside / "e")
    (beside / "e" / "f").unlink()
    assert eyes.told() == Told()


def test_directories_need_not_be_added(eyes: Eyes) -> None:
    (eyes.folder / "d" / "e").mkdir(parents=True)
    (eyes.folder / "d" / "e" / "f").write_text("x")
    assert eyes.told() == Told(names={b"d": Looked, b"d/e": Looked, b"d/e/f": Written})


def test_another_file_system_below_the_folder_must_be_polled(eyes: Eyes) -> None:
    (eyes.folder / "own").mkdir()
    with mounts.tmpfs(eyes.folder / "other"):
        assert eyes.monitor.add(b"own")
        assert not eyes.monitor.add(b"other")
        eyes.told()
        (eyes.folder / "other" / "f").write_text("x")
        assert eyes.told() == Told()


def test_a_file_system_without_handles_is_refused_with_the_reason() -> None:
    with pytest.raises(MonitorError, match="its file system gives no file handles"):
        open_monitor("fanotify", b"/proc", recursive=True)


def test_a_folder_behind_a_symbolic_link_is_watched(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    monitor, _ = open_monitor("fanotify", os.fsencode(tmp_path / "link"), recursive=True)
    (folder / "d").mkdir()
    (folder / "d" / "f").write_text("x")
    assert Eyes(monitor, folder).told() == Told(names={b"d": Looked, b"d/f": Written})
    monitor.close()


def test_a_bind_mount_tells_what_is_changed_by_either_of_its_paths(tmp_path: Path) -> None:
    source, shown = tmp_path / "source", tmp_path / "shown"
    (source / "in" / "d").mkdir(parents=True)
    (source / "out" / "d").mkdir(parents=True)
    shown.mkdir()
    mounts.bind(source / "in", shown)
    monitor, _ = open_monitor("fanotify", os.fsencode(shown), recursive=True)
    eyes = Eyes(monitor, shown)
    try:
        (source / "in" / "d" / "f").write_text("x")
        (shown / "d" / "g").write_text("x")
        (source / "out" / "d" / "h").write_text("x")
        assert eyes.told() == Told(names={b"d/f": Written, b"d/g": Written})
    finally:
        monitor.close()
        mounts.unmount(shown)


def test_a_name_that_was_made_again_after_a_move_is_looked_at_after_it(eyes: Eyes) -> None:
    """The system merges what happened to a name into the first event of it."""
    (eyes.folder / "f").write_text("first")
    (eyes.folder / "f").rename(eyes.folder / "g")
    (eyes.folder / "f").write_text("second")
    events = eyes.monitor.read()
    moved = events.index(Moved(b"f", b"g", directory=False))
    assert any(getattr(event, "path", None) == b"f" for event in events[moved + 1 :])


def test_a_tree_that_was_renamed_and_deleted_before_it_was_read_is_told(eyes: Eyes) -> None:
    (eyes.folder / "d" / "e").mkdir(parents=True)
    (eyes.folder / "d" / "e" / "f").write_text("x")
    (eyes.folder / "d").rename(eyes.folder / "z")
    (eyes.folder / "z" / "e" / "f").unlink()
    (eyes.folder / "z" / "e").rmdir()
    (eyes.folder / "z").rmdir()
    told = eyes.told()
    assert told.moves == [Moved(b"d", b"z", directory=True)]
    assert told.names[b"d"] is Looked
    assert told.names[b"z"] is Looked


def test_a_deleted_directory_that_is_still_open_somewhere_does_no_harm(eyes: Eyes) -> None:
    (eyes.folder / "d").mkdir()
    opened = os.open(eyes.folder / "d", os.O_RDONLY)
    try:
        (eyes.folder / "d").rmdir()
        os.fchmod(opened, 0o700)
        assert eyes.told() == Told(names={b"d": Looked})
    finally:
        os.close(opened)


def test_an_old_linux_that_tells_no_renames_tells_both_names(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanotify_calls, "MASKS", fanotify_calls.MASKS[1:])
    monitor, _ = open_monitor("fanotify", os.fsencode(folder), recursive=True)
    eyes = Eyes(monitor, folder)
    (folder / "d").mkdir()
    (folder / "d" / "f").write_text("x")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "f").write_text("x")
    eyes.told()
    (folder / "d").rename(folder / "z")
    (tmp_path / "out").rename(folder / "in")
    assert eyes.told() == Told(names={b"d": Looked, b"z": Looked, b"in": Looked})
    (folder / "z" / "f").write_text("y")
    (folder / "in" / "f").write_text("y")
    assert eyes.told() == Told(names={b"z/f": Written, b"in/f": Written})
    monitor.close()


def test_what_the_system_lost_is_said_and_paths_are_found_anew(folder: Path) -> None:
    # Its queue has no limit here: only a system that is out of memory writes this.
    lost = b"\x18\0\0\0\x03\0\x18\0" + (0x4000).to_bytes(8, "little") + b"\xff\xff\xff\xff" * 2
    monitor = FanotifyMonitor(os.fsencode(folder), recursive=True)
    eyes = Eyes(monitor, folder)
    (folder / "d").mkdir()
    (folder / "d" / "f").write_text("x")
    eyes.told()
    monitor._take(lost)
    (folder / "d" / "f").write_text("y")
    told = eyes.told()
    assert told.lost == ["the queue of fanotify was full"]
    assert told.names == {b"d/f": Written}
    monitor.close()
