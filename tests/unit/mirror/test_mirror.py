"""One mapping from end to end: a folder, a mirror, and the other side, which find compares."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.process import mounts
from tests.process.place import wait_for
from zfs_walk.errors import WrongUseError
from zfs_walk.mirror import breaker
from zfs_walk.mirror.handling import HandlerStatistics
from zfs_walk.mirror.mapping import Mapping, Symlinks
from zfs_walk.mirror.mirror import Mirror
from zfs_walk.mirror.statistics import MirrorStatistics, Phase
from zfs_walk.mirror.wishes import PAUSED
from zfs_walk.sinks.interface import Memory, Remote, Report
from zfs_walk.sinks.local import LocalOptions, LocalSink
from zfs_walk.sinks.source import Source

SECONDS = 30.0
FIRST = 1_700_000_000


def tree(folder: Path) -> dict[bytes, bytes]:
    """Kind, mode, size, time and target of everything but directories, as find sees it."""
    program = shutil.which("find")
    assert program is not None
    command = [
        *(program, str(folder), "-mindepth", "1", "!", "-type", "d"),
        *("-printf", r"%P\0%y %m %s %T@ %l\0"),
    ]
    found = subprocess.run(command, capture_output=True, check=False)
    if found.returncode:
        return {b"": found.stderr}  # something changed meanwhile
    fields = found.stdout.split(b"\0")
    return dict(zip(fields[0:-1:2], fields[1::2], strict=True))


def make(path: Path, text: str = "text", time: int | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if time is not None:
        os.utime(path, (time, time))
    return path


def fill(folder: Path) -> Path:
    """Leave no room on the disk of a folder; returns the file that takes it."""
    filler = folder / "filler"
    no_space = pytest.raises(OSError, match="No space left")
    with no_space, filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return filler


class Folding(LocalSink):
    """A folder that takes no notice of case, as no file system does here."""

    def __init__(self, url: str, options: dict[str, Any] | LocalOptions) -> None:
        super().__init__(url, LocalOptions.model_validate(options))

    def send(self, source: Source, name: bytes, memory: Memory, report: Report) -> Remote:
        return super().send(source, name.lower(), memory, report)._replace(name=name)

    def look(self, name: bytes) -> Remote | None:
        found = super().look(name.lower())
        return found and found._replace(name=name)


class Pair:
    """A folder and its mirror, which is started and stopped."""

    def __init__(self, place: Path) -> None:
        self.here, self.there = place / "here", place / "there"
        self.here.mkdir()
        self.there.mkdir()
        self.state = place / "state"
        self.mapping = Mapping(
            name="test",
            local=os.fsencode(self.here),
            url=f"file://{self.there}",
            options={"fsync": False},
            complete_sync=True,
            deletion_delay=0.5,
            poll=1.0,
            settle=0.01,
            monitor="watchdog",
        )
        self.mirror: Mirror | None = None

    def start(self, **changes: Any) -> Mirror:
        self.mapping = replace(self.mapping, **changes)
        self.mirror = Mirror(self.mapping, self.state)
        self.mirror.start()
        return self.mirror

    def stop(self) -> None:
        if self.mirror is not None:
            self.mirror.close()
            self.mirror = None

    @property
    def statistics(self) -> MirrorStatistics:
        assert self.mirror is not None
        return self.mirror.statistics()

    @property
    def handled(self) -> HandlerStatistics:
        handler = self.statistics.handler
        assert handler is not None
        return handler

    def wait(self, what: str, condition: Callable[[], object]) -> None:
        try:
            wait_for(what, condition, SECONDS)
        except AssertionError as error:
            message = f"{error}: {self.statistics}"
            raise AssertionError(message) from error

    def phase(self, phase: Phase) -> None:
        self.wait(phase.value, lambda: self.statistics.phase is phase)

    def compared(self, times: int = 1) -> None:
        self.wait("a comparison", lambda: self.statistics.reconcile.done >= times)

    def idle(self) -> None:
        """Nothing is queued but what waits for people."""
        self.compared()
        self.wait("an empty queue", lambda: self.statistics.counts[:2] == (0, 0))

    def agrees(self) -> None:
        self.compared()
        self.wait("both sides are equal", lambda: tree(self.here) == tree(self.there))
        self.idle()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path)
    yield pair
    pair.stop()
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        if line.split()[1].startswith(str(tmp_path)):
            mounts.unmount(Path(line.split()[1]))


@pytest.fixture
def mirrored(pair: Pair) -> Pair:
    """A folder of some files that is mirrored."""
    for number in range(20):
        make(pair.here / f"{number % 3}" / str(number), f"text {number}")
    pair.start()
    pair.agrees()
    return pair


def test_at_first_only_what_is_not_there_yet_is_sent(pair: Pair) -> None:
    for name in ("a", "b/c", os.fsdecode(b"\xff\xfe/\n"), ".hidden"):
        make(pair.here / name, time=FIRST)
        make(pair.there / name, time=FIRST)
    for name in ("new", "b/new", os.fsdecode(b"\xff\xfe/\x80")):
        make(pair.here / name)
    make(pair.there / "other", "nobody's")
    pair.start()
    pair.agrees()
    assert (pair.handled.sent, pair.handled.deleted) == (3, 1)
    assert pair.statistics.indexed == 7
    assert pair.statistics.phase is Phase.MIRRORING


def test_changes_are_mirrored_as_they_happen(mirrored: Pair) -> None:
    make(mirrored.here / "new" / "file")
    make(mirrored.here / "0" / "0", "other text")
    (mirrored.here / "1" / "1").unlink()
    (mirrored.here / "2").rename(mirrored.here / "renamed")
    mirrored.agrees()
    assert mirrored.handled.moved == 6


def test_what_changed_while_it_was_down_is_sent_and_nothing_else(mirrored: Pair) -> None:
    mirrored.stop()
    make(mirrored.here / "0" / "0", "other text")
    make(mirrored.here / "new")
    (mirrored.here / "1" / "1").unlink()
    (mirrored.here / "2" / "2").rename(mirrored.here / "renamed")
    mirrored.start()
    mirrored.agrees()
    handled = mirrored.handled
    assert (handled.sent, handled.moved, handled.deleted) == (2, 1, 1)


def test_after_a_start_with_nothing_to_do_nothing_is_done(mirrored: Pair) -> None:
    mirrored.stop()
    mirrored.start()
    mirrored.agrees()
    handled = mirrored.handled
    assert (handled.sent, handled.moved, handled.deleted, handled.failed) == (0, 0, 0, 0)
    assert mirrored.statistics.reconcile.equal == 20


@pytest.mark.parametrize(
    "monitor", ["watchdog", "poll", pytest.param("fanotify", marks=pytest.mark.root)]
)
def test_permissions_that_change_are_changed_there(pair: Pair, monitor: str) -> None:
    make(pair.here / "a", time=FIRST).chmod(0o640)
    make(pair.here / "b", time=FIRST).chmod(0o640)
    pair.start(monitor=monitor)
    pair.agrees()
    (pair.here / "a").chmod(0o750)
    pair.agrees()
    # While it is down, too: nothing but a comparison can tell.
    pair.stop()
    (pair.here / "b").chmod(0o600)
    pair.start()
    pair.agrees()
    assert pair.handled.sent == 1


def test_copies_of_old_files_are_moved_with_their_folder(pair: Pair) -> None:
    for number in range(9):
        make(pair.here.parent / "tree" / str(number), str(number), time=FIRST)
    tree = pair.here.parent / "tree"
    subprocess.run(["cp", "-a", tree, pair.here / "old"], check=True)  # noqa: S607 -- of every system
    # What was made just now can't be told from what takes its inode in the same moment.
    time.sleep(0.05)
    pair.start()
    pair.agrees()
    (pair.here / "old").rename(pair.here / "new")
    pair.agrees()
    assert (pair.handled.sent, pair.handled.moved) == (9, 9)


def test_what_is_saved_by_a_rename_is_sent_once_and_nothing_beside_it(mirrored: Pair) -> None:
    target = mirrored.here / "0" / "0"
    # As editors do: a probe, a copy beside it, and that one takes the place.
    make(target.with_name("4913")).unlink()
    make(target.with_name(".0.swp"), "other text").rename(target)
    mirrored.agrees()
    assert (mirrored.handled.sent, mirrored.handled.deleted) == (21, 0)


def test_a_file_from_the_future_is_sent_once(pair: Pair) -> None:
    make(pair.here / "a", time=4_000_000_000)
    pair.start()
    pair.agrees()
    pair.stop()
    pair.start()
    pair.agrees()
    assert pair.handled.sent == 0
    assert pair.statistics.reconcile.equal == 1


def test_what_another_mirror_is_writing_into_the_folder_is_left_out(pair: Pair) -> None:
    make(pair.here / "a" / ".zfs-walk.0.part")
    make(pair.here / "b")
    pair.start()
    pair.idle()
    assert set(tree(pair.there)) == {b"b"}
    (pair.here / "a" / ".zfs-walk.0.part").rename(pair.here / "a" / "file")
    pair.agrees()


def test_names_that_are_one_on_the_other_side_are_told(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("zfs_walk.mirror.mirror.open_sink", Folding)
    make(pair.here / "Name", "one")
    make(pair.here / "caf\N{LATIN SMALL LETTER E WITH ACUTE}", "this")
    make(pair.here / "other", "other")
    mirror = pair.start(complete_sync=False)
    pair.idle()
    make(pair.here / "name", "longer")
    pair.wait("it is sent", lambda: (pair.there / "name").read_text() == "longer")
    pair.idle()
    assert "are one file" not in caplog.text
    # The one that was sent last is as it was sent; of the other one it is seen.
    for times in (2, 3):
        mirror.wishes.rescan()
        pair.compared(times)
        pair.idle()
    [told] = {record.getMessage() for record in caplog.records if "one file" in record.message}
    assert "'Name' and 'name' are one file" in told


@pytest.mark.root
def test_an_end_on_a_full_disk_is_one_and_loses_nothing(pair: Pair) -> None:
    with mounts.tmpfs(pair.state, "size=2m"):
        make(pair.here / "first")
        pair.start()
        pair.agrees()
        filler = fill(pair.state)
        for number in range(200):
            make(pair.here / f"{number}-{'long' * 50}")
        pair.wait("it says so", lambda: "full" in pair.statistics.why)
        pair.stop()
        filler.unlink()
        pair.start()
        pair.agrees()
        pair.stop()


@pytest.mark.root
def test_changes_wait_while_the_disk_of_the_queue_is_full(pair: Pair) -> None:
    with mounts.tmpfs(pair.state, "size=2m"):
        make(pair.here / "first")
        pair.start()
        pair.agrees()
        filler = fill(pair.state)
        for number in range(200):
            make(pair.here / f"{number}-{'long' * 50}")
        pair.wait("it says so", lambda: "full" in pair.statistics.why)
        assert pair.statistics.phase is Phase.WAITING
        filler.unlink()
        pair.agrees()
        assert pair.handled.failed == 0
        pair.stop()


@pytest.mark.slow
def test_a_folder_that_gets_another_name_is_moved_whole(pair: Pair) -> None:
    for number in range(1_000):
        make(pair.here / "old" / str(number % 7) / str(number), str(number))
    pair.start(guard_files=1)
    pair.agrees()
    (pair.here / "old").rename(pair.here / "new")
    pair.agrees()
    assert (pair.handled.sent, pair.handled.moved) == (1_000, 1_000)
    assert pair.statistics.counts.held == 0


def test_without_complete_sync_nothing_is_ever_deleted(pair: Pair) -> None:
    make(pair.here / "a")
    make(pair.here / "b")
    make(pair.there / "nobody's")
    before = pair.start(complete_sync=False)
    pair.wait("both are sent", lambda: before.statistics().indexed == 2)
    (pair.here / "a").unlink()
    make(pair.here / "c")
    pair.wait("the third is sent", lambda: before.statistics().indexed == 3)
    pair.stop()
    (pair.here / "b").unlink()
    pair.start()
    pair.idle()
    # The sink's check may be at it, with a file of its own.
    wanted = {b"a", b"b", b"c", b"nobody's"}
    pair.wait("nothing has left", lambda: set(tree(pair.there)) == wanted)


def test_many_deletions_wait_until_they_are_confirmed(pair: Pair) -> None:
    for number in range(30):
        make(pair.here / str(number))
    pair.start(guard_files=5)
    pair.agrees()
    for number in range(10):
        (pair.here / str(number)).unlink()
    pair.wait("they are held", lambda: pair.statistics.counts.held == 10)
    assert "of 30 files were to be deleted" in pair.statistics.held_why
    make(pair.here / "new")
    pair.wait("others are sent", (pair.there / "new").exists)
    assert len(tree(pair.there)) == 31
    # They are still held after a start.
    pair.stop()
    (pair.here / "10").unlink()
    mirror = pair.start()
    pair.wait("the later one is held, too", lambda: pair.statistics.counts.held == 11)
    assert mirror.wishes.confirm() == 11
    pair.agrees()
    assert pair.handled.deleted == 11


def test_who_has_put_something_right_need_not_wait(
    mirrored: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "_LEAST", 3600.0)
    away = mirrored.there.rename(mirrored.there.with_name("away"))
    make(mirrored.here / "new")
    mirrored.wait("trouble", lambda: mirrored.handled.trouble)
    away.rename(mirrored.there)
    assert mirrored.mirror is not None
    mirrored.mirror.wishes.retry()
    mirrored.agrees()


def test_a_folder_that_is_made_anew_takes_nothing_away(mirrored: Pair) -> None:
    shutil.rmtree(mirrored.here)
    mirrored.phase(Phase.WAITING)
    before = tree(mirrored.there)
    mirrored.here.mkdir()
    make(mirrored.here / "new")
    mirrored.wait("what is new is sent", (mirrored.there / "new").exists)
    mirrored.wait("the rest is held", lambda: mirrored.statistics.counts.held == 20)
    assert "the folder is another one than before: 0 of 20" in mirrored.statistics.held_why
    assert {name: tree(mirrored.there)[name] for name in before} == before
    assert mirrored.mirror is not None
    mirrored.mirror.wishes.confirm()
    mirrored.agrees()


def test_a_folder_that_comes_back_from_a_backup_is_the_same(mirrored: Pair) -> None:
    mirrored.stop()
    backup = mirrored.here.parent / "backup"
    subprocess.run(["cp", "-a", mirrored.here, backup], check=True)  # noqa: S607 -- of every system
    shutil.rmtree(mirrored.here)
    backup.rename(mirrored.here)
    (mirrored.here / "0" / "0").unlink()
    mirrored.start()
    mirrored.agrees()
    handled = mirrored.handled
    assert (handled.sent, handled.deleted) == (0, 1)


def test_a_folder_that_is_not_there_is_waited_for(mirrored: Pair) -> None:
    mirrored.stop()
    away = mirrored.here.parent / "away"
    mirrored.here.rename(away)
    mirrored.start()
    mirrored.phase(Phase.WAITING)
    assert mirrored.statistics.why == "No such file or directory"
    away.rename(mirrored.here)
    make(mirrored.here / "new")
    mirrored.agrees()
    assert mirrored.handled.sent == 1


@pytest.mark.root
def test_a_folder_whose_mount_goes_away_takes_nothing_away(pair: Pair) -> None:
    mounts.mount(pair.here)
    for number in range(3):
        make(pair.here / str(number))
    pair.start()
    pair.agrees()
    before = tree(pair.there)
    mounts.unmount(pair.here)
    pair.phase(Phase.WAITING)
    make(pair.here / "below the mount")
    pair.stop()
    pair.start()
    pair.phase(Phase.WAITING)
    assert "it was on what is mounted at" in pair.statistics.why
    # Another file system: fewer than the guard's files, and yet they are held.
    mounts.mount(pair.here)
    make(pair.here / "3")
    pair.wait("they are held", lambda: pair.statistics.counts.held == 3)
    assert before.items() <= tree(pair.there).items()


@pytest.mark.root
def test_a_folder_below_whose_mount_goes_away_takes_nothing_away(pair: Pair) -> None:
    below = pair.here / "below"
    below.mkdir()
    mounts.mount(below)
    for number in range(3):
        make(below / str(number))
    make(pair.here / "a")
    pair.start()
    pair.agrees()
    before = tree(pair.there)
    mounts.unmount(below)
    pair.wait("they are held", lambda: pair.statistics.counts.held == 3)
    assert "unmounted" in pair.statistics.held_why
    assert tree(pair.there) == before


@pytest.mark.plain_user
def test_a_folder_below_that_can_not_be_read_takes_nothing_away(mirrored: Pair) -> None:
    below = mirrored.here / "0"
    below.chmod(0)
    try:
        assert mirrored.mirror is not None
        make(mirrored.here / "new")
        mirrored.wait("others are sent", (mirrored.there / "new").exists)
        mirrored.mirror.wishes.rescan()
        mirrored.compared(2)
    finally:
        below.chmod(0o755)
    mirrored.agrees()
    assert mirrored.handled.deleted == 0


def test_links_are_treated_as_the_mapping_says(pair: Pair) -> None:
    make(pair.here / "file")
    make(pair.here.parent / "secret")
    (pair.here / "in").symlink_to("file")
    (pair.here / "out").symlink_to("../secret")
    pair.start(symlinks=Symlinks.SKIP)
    pair.idle()
    assert set(tree(pair.there)) == {b"file"}
    assert pair.statistics.skipped == 2
    pair.stop()
    pair.start(symlinks=Symlinks.FOLLOW)
    pair.idle()
    assert tree(pair.there)[b"in"] == tree(pair.there)[b"file"]
    assert set(tree(pair.there)) == {b"file", b"in"}
    make(pair.here / "file", "longer text")
    pair.wait("both change", lambda: (pair.there / "in").read_text() == "longer text")
    pair.stop()
    pair.start(symlinks=Symlinks.RECORD)
    pair.agrees()


def test_what_somebody_does_to_the_other_side_is_put_right(mirrored: Pair) -> None:
    (mirrored.there / "0" / "0").unlink()
    make(mirrored.there / "1" / "1", "somebody's")
    make(mirrored.there / "extra")
    assert mirrored.mirror is not None
    mirrored.mirror.wishes.rescan()
    mirrored.compared(2)
    mirrored.agrees()


def test_an_other_side_that_is_away_is_waited_for(mirrored: Pair) -> None:
    mirrored.stop()
    away = mirrored.there.parent / "away"
    mirrored.there.rename(away)
    make(mirrored.here / "new")
    mirrored.start()
    mirrored.wait("it is noticed", lambda: mirrored.statistics.reconcile.failed)
    mirrored.phase(Phase.RECONCILING)
    make(mirrored.here / "newer")
    away.rename(mirrored.there)
    mirrored.agrees()
    assert mirrored.statistics.reconcile.failed == ""


def test_while_it_is_paused_changes_are_queued(mirrored: Pair) -> None:
    assert mirrored.mirror is not None
    mirrored.mirror.wishes.pause()
    make(mirrored.here / "new")
    mirrored.wait("it is queued", lambda: mirrored.statistics.counts.ready == 1)
    assert mirrored.handled.paused == (PAUSED,)
    mirrored.mirror.wishes.resume()
    mirrored.agrees()


def test_a_mirror_of_itself_is_refused(pair: Pair) -> None:
    inside = replace(pair.mapping, url=f"file://{pair.here}/inside")
    around = replace(pair.mapping, url=f"file://{pair.here.parent}")
    for mapping in (inside, around):
        with pytest.raises(WrongUseError, match="lie in each other"):
            Mirror(mapping, pair.state)
    with pytest.raises(WrongUseError, match="lies in the mirrored folder"):
        Mirror(pair.mapping, pair.here / "state")


@pytest.mark.parametrize(
    ("wrong", "why"),
    [({"excludes": ("",)}, "pattern"), ({"windows": ("at night",)}, "is no window")],
)
def test_what_is_wrong_with_a_mapping_is_said(pair: Pair, wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(WrongUseError, match=why):
        Mirror(replace(pair.mapping, **wrong), pair.state)
