"""Whatever happens in a folder: the list, and whoever follows its changes, agree with find."""
# ruff: noqa: PTH103, PTH104, PTH105, PTH108, PTH120 -- names are bytes

import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from tests.process import mounts
from tests.process.place import wait_for
from tests.unit.watch.conftest import EVENTS, Start, Watched
from zfs_walk.errors import FolderError
from zfs_walk.watch.tree import LINK, WRITING
from zfs_walk.watch.watch import Watch, WatchOptions, WatchState

OPTIONS = WatchOptions(
    recursive=True, hidden=True, includes=(), excludes=(), poll=0, settle=0, monitor="poll"
)


def make(path: Path | bytes, text: bytes = b"") -> None:
    """Write a file, and the directories above it."""
    name = os.fsencode(path)
    os.makedirs(os.path.dirname(name), exist_ok=True)
    with open(name, "wb") as file:  # noqa: PTH123 -- bytes
        file.write(text)


def test_the_first_list_is_what_find_finds(folder: Path, start: Start) -> None:
    for name in (b"a/b/c", b"a-b", b"a0", b"\xff\xfe", b"a/\xc3\xa4", b"z\n z", b".hidden/.h"):
        make(os.fsencode(folder) + b"/" + name, name)
    (folder / "link").symlink_to("a/b/c")
    (folder / "a" / "loop").symlink_to(folder)
    (folder / "nowhere").symlink_to("is-not-there")
    (folder / "empty").mkdir()
    os.mkfifo(folder / "fifo")
    os.utime(folder / "a0", ns=(-5, -5))
    watched = start("poll")
    watched.agrees()
    assert watched.flags(b"nowhere") == LINK
    assert watched.flags(b"a0") == 0
    assert watched.watch.statistics().directories == 5


def test_what_happens_shows(watched: Watched, tmp_path: Path) -> None:
    folder = watched.folder
    make(folder / "a", b"1")
    watched.agrees()
    with (folder / "a").open("ab") as file:
        file.write(b"2")
    watched.agrees()
    os.utime(folder / "a", ns=(5, 5))
    watched.agrees()
    os.rename(folder / "a", folder / "b")
    watched.agrees()
    make(folder / "new" / "a", b"3")
    os.replace(folder / "new" / "a", folder / "b")
    watched.agrees()
    (folder / "link").symlink_to(tmp_path)
    os.link(folder / "b", folder / "new" / "hard")
    watched.agrees()
    os.unlink(folder / "link")
    (folder / "link").mkdir()
    make(folder / "link" / "below")
    watched.agrees()
    shutil.rmtree(folder / "link")
    make(folder / "link")
    watched.agrees()
    os.unlink(folder / "b")
    watched.agrees()


def test_a_name_that_is_not_utf8_is_followed(watched: Watched) -> None:
    name = os.fsencode(watched.folder) + b"/\xff\xc3/\xfe"
    make(name, b"1")
    watched.agrees()
    os.rename(name, name + b"\x80")
    watched.agrees()
    assert [row.name for row in watched.rows] == [b"\xff\xc3/\xfe\x80"]


def test_trees_come_go_and_get_other_names(watched: Watched, tmp_path: Path) -> None:
    folder, outside = watched.folder, tmp_path / "outside"
    for number in range(200):
        make(outside / f"{number % 7}" / f"{number % 11}" / f"{number}", b"x" * number)
    os.rename(outside, folder / "in")
    watched.agrees()
    os.rename(folder / "in", folder / "within")
    watched.agrees()
    os.rename(folder / "within" / "3", folder / "3")
    make(folder / "3" / "1" / "more", b"1")
    watched.agrees()
    os.rename(folder / "within", outside)
    watched.agrees()
    # What moved away is another's affair, and its old name may be taken.
    make(outside / "0" / "phantom")
    make(folder / "within" / "0" / "real")
    watched.agrees()
    shutil.rmtree(folder / "3")
    watched.agrees()
    wait_for("the directories", lambda: watched.watch.statistics().directories == 3)


def test_directories_that_swap_their_names(watched: Watched) -> None:
    folder = watched.folder
    make(folder / "a" / "deep" / "1", b"1")
    make(folder / "b" / "deep" / "2", b"2")
    watched.agrees()
    os.rename(folder / "a", folder / "c")
    os.rename(folder / "b", folder / "a")
    os.rename(folder / "c", folder / "b")
    watched.agrees()
    make(folder / "a" / "deep" / "3")
    make(folder / "b" / "deep" / "4")
    watched.agrees()


def test_nothing_is_missed_in_new_directories(watched: Watched) -> None:
    for number in range(300):
        for file in range(3):
            make(watched.folder / f"{number}" / "b" / "c" / f"{file}", b"1")
    watched.agrees()
    shutil.rmtree(watched.folder / "7")
    (watched.folder / "7").mkdir()
    make(watched.folder / "7" / "b" / "c" / "again")
    watched.agrees()


@pytest.mark.slow
def test_a_burst_in_one_directory(watched: Watched) -> None:
    for number in range(20_000):
        make(watched.folder / f"{number}")
    watched.agrees()
    for number in range(0, 20_000, 2):
        os.unlink(watched.folder / f"{number}")
    watched.agrees()
    statistics = watched.watch.statistics()
    polled = statistics.monitor == "poll"
    assert (statistics.found_by_poll == 0) == (not polled)
    assert (statistics.found_by_events == 0) == polled


@pytest.mark.parametrize("monitor", EVENTS)
def test_whoever_writes_is_told_from_whoever_is_done(start: Start, monitor: str) -> None:
    watched = start(monitor)
    with (watched.folder / "a").open("wb") as file:
        file.write(b"1")
        file.flush()
        wait_for("the writer", lambda: watched.flags(b"a") == WRITING)
        assert watched.watch.statistics().writing == 1
    wait_for("the end", lambda: watched.flags(b"a") == 0)
    watched.agrees()


@pytest.mark.slow
def test_the_poll_alone_takes_a_file_for_finished_when_it_stays_the_same(start: Start) -> None:
    watched = start("poll")
    make(watched.folder / "a", b"1")
    wait_for("the file", lambda: watched.flags(b"a") == WRITING)
    wait_for("the end", lambda: watched.flags(b"a") == 0)
    assert watched.watch.statistics().writing == 0


def test_a_poll_beside_events_finds_nothing_that_they_told(start: Start) -> None:
    watched = start("watchdog", poll=0.05)
    for number in range(500):
        make(watched.folder / f"{number % 10}" / f"{number}", b"1")
    watched.agrees()
    polls = watched.watch.statistics().polls
    wait_for("polls", lambda: watched.watch.statistics().polls > polls + 2)
    statistics = watched.watch.statistics()
    # One that was looked at between its creation and its first byte was found twice.
    assert statistics.found_by_events >= 500
    assert statistics.found_by_poll == 0
    watched.agrees()


def test_only_the_folder_itself_without_recursion(folder: Path, start: Start) -> None:
    make(folder / "a")
    make(folder / "d" / "b")
    for monitor in ("poll", "watchdog"):
        watched = start(monitor, recursive=False)
        watched.agrees("-maxdepth", "1", "-type", "f")
        make(folder / f"c-{monitor}")
        make(folder / f"d-{monitor}" / "below")
        watched.agrees("-maxdepth", "1", "-type", "f")
        assert watched.watch.statistics().directories == 1


@pytest.mark.parametrize("monitor", ["poll", "watchdog"])
def test_what_is_left_out_is_left_out_of_the_first_list_and_of_every_change(
    folder: Path, start: Start, monitor: str
) -> None:
    names = (".hidden", ".dir/a", "a.tmp", "b", "d/.h", "d/c.tmp", "d/c", ".keep", "cache/x")
    for name in names:
        make(folder / f"old-{name}" if "/" not in name else folder / name)
        make(folder / name)
    watched = start(monitor, hidden=False, excludes=("*.tmp", "/cache"), includes=(".keep",))
    shown = "( -type f -not ( ( -path */.* -o -name *.tmp -o -path */cache/* ) -not -name .keep ) )"
    watched.agrees(*shown.split())
    for name in names:
        make(folder / f"new/{name}")
    make(folder / "cache" / "y")
    make(folder / "last")
    watched.agrees("(", "-path", "*/new/cache/x", "-o", *shown.split(), ")")


def test_whoever_waits_is_woken(start: Start) -> None:
    woken = threading.Event()
    watched = start("watchdog", woken.set)
    woken.clear()
    make(watched.folder / "a")
    assert woken.wait(40)
    wait_for("the file", lambda: watched.flags(b"a") is not None)


def gone(watched: Watched) -> str:
    """Wait until the list is not shown any more; returns why."""
    wait_for("its end", lambda: not watched.watch.state.serving)
    return watched.watch.state.why


def test_a_folder_that_is_gone_is_not_served_until_it_is_back(
    watched: Watched, tmp_path: Path
) -> None:
    make(watched.folder / "d" / "a")
    make(watched.folder / "d" / "b")
    watched.agrees()
    os.rename(watched.folder, tmp_path / "away")
    assert gone(watched)
    os.unlink(tmp_path / "away" / "d" / "a")
    make(tmp_path / "away" / "e" / "c")
    os.rename(tmp_path / "away", watched.folder)
    watched.serves()
    watched.agrees()
    make(watched.folder / "d" / "more")
    make(watched.folder / "e" / "more")
    watched.agrees()


def test_a_folder_that_was_made_anew_is_served(watched: Watched, tmp_path: Path) -> None:
    make(watched.folder / "a")
    watched.agrees()
    before = watched.watch.folder.place
    os.rename(watched.folder, tmp_path / "away")
    watched.folder.mkdir()
    make(watched.folder / "other")
    wait_for("it is known", lambda: watched.watch.folder.place != before)
    watched.serves()
    watched.agrees()
    make(watched.folder / "more")
    watched.agrees()


def test_a_link_in_its_place_is_not_served(watched: Watched, tmp_path: Path) -> None:
    make(watched.folder / "a")
    watched.agrees()
    os.rename(watched.folder, tmp_path / "away")
    watched.folder.symlink_to(tmp_path / "away")
    why = f"it is a link to {os.path.realpath(tmp_path / 'away')} now"
    wait_for("why", lambda: watched.watch.state == WatchState(serving=False, why=why))
    assert [row.name for row in watched.rows] == [b"a"]


@pytest.mark.root
@pytest.mark.parametrize("monitor", ["poll", "watchdog", "fanotify"])
def test_another_file_system_that_is_mounted_there_again_is_served(
    folder: Path, start: Start, monitor: str
) -> None:
    mounts.mount(folder)
    try:
        watched = start(monitor)
        make(folder / "d" / "a")
        watched.agrees()
    finally:
        mounts.unmount(folder)
    why = f"it was on what is mounted at {folder}, and is on "
    wait_for("why", lambda: watched.watch.state.why.startswith(why))
    mounts.mount(folder)
    try:
        watched.serves()
        watched.agrees()
        make(folder / "d" / "b")
        watched.agrees()
        watched.watch.close()
    finally:
        mounts.unmount(folder)


@pytest.mark.root
@pytest.mark.parametrize("monitor", ["poll", "watchdog", "fanotify"])
def test_an_unmounted_folder_is_not_served_until_it_is_mounted(
    folder: Path, start: Start, tmp_path: Path, monitor: str
) -> None:
    source = tmp_path / "source"
    make(source / "d" / "a")
    mounts.bind(source, folder)
    try:
        watched = start(monitor)
        watched.agrees()
    except BaseException:
        mounts.unmount(folder)
        raise

    program = shutil.which("umount")
    assert program is not None

    def unmounted() -> bool:
        """Not lazily: while anything of it is held open, this fails."""
        return subprocess.run([program, folder], check=False, capture_output=True).returncode == 0

    wait_for("the unmount", unmounted)
    gone(watched)
    make(source / "d" / "b")
    mounts.bind(source, folder)
    try:
        watched.serves()
        watched.agrees()
        make(source / "d" / "c")
        watched.agrees()
        watched.watch.close()
    finally:
        mounts.unmount(folder)


@pytest.mark.plain_user
@pytest.mark.parametrize("monitor", ["poll", "watchdog"])
def test_a_directory_that_may_not_be_read_leaves_the_list_and_comes_back(
    folder: Path, start: Start, monitor: str
) -> None:
    make(folder / "a")
    make(folder / "d" / "b" / "c")
    watched = start(monitor)
    watched.agrees()
    closed = ("-path", "*/d", "-prune", "-o", "-type", "f")
    (folder / "d").chmod(0)
    watched.agrees(*closed)
    (folder / "d").chmod(0o755)
    watched.agrees()
    folder.chmod(0)
    assert gone(watched)
    folder.chmod(0o755)
    watched.serves()
    watched.agrees()


def test_a_folder_that_goes_before_it_is_watched_is_waited_for(
    folder: Path, tmp_path: Path
) -> None:
    watch = Watch(os.fsencode(folder), OPTIONS, lambda: None)
    os.rename(folder, tmp_path / "away")
    watch.start()
    wait_for("why", lambda: watch.state.why == "No such file or directory")
    os.rename(tmp_path / "away", folder)
    wait_for("the list", lambda: watch.state.serving)
    watch.close()


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FolderError):
        Watch(os.fsencode(tmp_path / "missing"), OPTIONS, lambda: None)


def test_a_closed_watch_leaves_nothing_behind(start: Start, folder: Path) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- a count

    make(folder / "a")
    start("watchdog").watch.close()
    before, threads = descriptors(), threading.active_count()
    for monitor in ("poll", "watchdog"):
        watch = start(monitor).watch
        watch.close()
        watch.close()
    assert descriptors() == before
    assert threading.active_count() == threads
