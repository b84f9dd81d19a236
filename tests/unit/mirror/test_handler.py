"""A handler with a real journal, a real folder and the sink of another folder, which has trouble.

The oracle is find and sha256sum.
"""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from tests.process.place import wait_for
from tests.unit.mirror.place import Fault, Place
from zfs_walk.mirror import breaker, retry
from zfs_walk.mirror.handling import HandlerOptions, What
from zfs_walk.mirror.mapping import Symlinks
from zfs_walk.mirror.pace import Limit, Pace
from zfs_walk.mirror.records import Change, Kind, State
from zfs_walk.sinks.errors import (
    ChangedError,
    FileRefusedError,
    SinkRefusedError,
    StoppedError,
    TransientError,
    UnreachableSinkError,
)
from zfs_walk.sinks.interface import LARGEST_PARCEL

OPTIONS = HandlerOptions(complete_sync=True, transfers=3, tries=3, deletion_delay=0.01)
WHY = {"place": "there", "reason": "why"}


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FILE", retry.Backoff(0.01, 0.02))
    monkeypatch.setattr(retry, "CHANGED_DELAY", 0.01)
    monkeypatch.setattr(breaker, "UNREACHABLE", retry.Backoff(0.01, 0.02))
    monkeypatch.setattr(breaker, "_LEAST", 0.01)


@pytest.fixture
def options(request: pytest.FixtureRequest) -> HandlerOptions:
    return getattr(request, "param", OPTIONS)


@pytest.fixture(params=[False, True], ids=["alone", "together"])
def place(
    tmp_path: Path, options: HandlerOptions, request: pytest.FixtureRequest
) -> Iterator[Place]:
    place = Place(tmp_path, options, together=request.param)
    place.handler.start()
    yield place
    place.close()


no_deletions = pytest.mark.parametrize(
    "options", [HandlerOptions(transfers=3, tries=3, deletion_delay=0.01)], indirect=True
)


def test_files_are_sent_with_their_times_and_permissions(place: Place) -> None:
    place.write("a", "")
    place.write("b/c", "one").chmod(0o600)
    os.utime(place.write("b/d/e", "two"), ns=(1, 1_234_567_891))
    (place.here / os.fsdecode(b"no \xff UTF-8\n")).write_text("three")
    place.notice()
    place.settle()
    place.assert_equal()
    assert place.handler.statistics().sent == 4
    assert place.handler.statistics().bytes == 11


def test_what_is_told_comes_after_it_is_durable(place: Place) -> None:
    place.write("a")
    place.notice()
    wait_for("news", lambda: (What.SENT, b"a") in place.happened)
    assert place.happened == [(What.SENDING, b"a"), (What.SENT, b"a")]
    assert place.journal.entry(b"a") is not None
    assert place.waiting() == 0


def test_files_come_and_go_and_change(place: Place) -> None:
    for number in range(300):
        place.write(f"{number % 7}/{number}", str(number))
    place.notice()
    place.settle()
    for number in range(0, 300, 3):
        (place.here / f"{number % 7}/{number}").unlink()
    for number in range(1, 300, 3):
        place.write(f"{number % 7}/{number}", "other")
    place.notice()
    place.settle()
    place.assert_equal()
    assert place.handler.statistics().deleted == 100


def test_a_renamed_folder_is_moved_and_nothing_is_sent(place: Place) -> None:
    for number in range(50):
        place.write(f"old/{number}")
    place.notice()
    place.settle()
    (place.here / "old").rename(place.here / "new")
    place.notice()
    place.settle()
    place.assert_equal()
    assert len(place.calls("send")) == 50
    assert place.handler.statistics().moved == 50


def test_a_chain_and_a_swap_of_names_come_out_right(place: Place) -> None:
    for name in "abcde":
        place.write(name, f"content of {name}")
    place.notice()
    place.settle()
    for old, new in ("bz", "ab", "cx", "dc", "xd"):
        (place.here / old).rename(place.here / new)
    place.notice()
    place.settle()
    place.assert_equal()


def test_a_file_with_a_restored_time_is_not_taken_for_one_whose_inode_it_has(place: Place) -> None:
    """As after rm and tar: the inode is used again, the size and the time are the same."""
    old = place.write("old", "one")
    os.utime(old, (1, 1))
    place.notice()
    place.settle()
    entry = place.journal.entry(b"old")
    assert entry is not None
    new = place.write("new", "two")
    os.utime(new, (1, 1))
    old.unlink()
    # A file system that uses the number at once is not at hand everywhere.
    place.journal.record([entry._replace(ino=new.stat().st_ino)])
    place.notice()
    place.settle()
    place.assert_equal()
    assert place.handler.statistics().moved == 0


def test_a_change_while_a_file_is_sent_is_sent_as_well(place: Place) -> None:
    path = place.write("a", "one")
    begun, go_on = Event(), Event()

    def fault(what: str, _name: bytes, after: bool) -> None:  # noqa: FBT001
        if what == "send" and after and not begun.is_set():
            begun.set()
            assert go_on.wait(20)

    place.faults.fault = fault
    place.notice()
    assert begun.wait(20)
    path.write_text("other")
    place.notice()
    go_on.set()
    place.settle()
    place.assert_equal()
    assert place.calls("send") == [b"a", b"a"]


def raising(error: Exception, *, times: int, what: str = "send", after: bool = False) -> Fault:
    left = [times]

    def fault(called: str, _name: bytes, done: bool) -> None:  # noqa: FBT001
        if called == what and done is after and left[0] > 0:
            left[0] -= 1
            raise error

    return fault


def test_a_bounded_number_of_actions_is_in_hand(place: Place) -> None:
    gate = Event()

    def fault(what: str, _name: bytes, _after: bool) -> None:  # noqa: FBT001
        if what == "send":
            gate.wait(30)

    place.faults.fault = fault
    for number in range(500):
        place.write(str(number))
    place.notice()
    transfers = place.options.transfers
    most = transfers * place.together
    wait_for("all are sending", lambda: len(place.handler.statistics().active) == most)
    assert place.journal.counts().taken <= 3 * 16 * transfers < 500
    gate.set()
    place.settle()
    place.assert_equal()


@pytest.mark.parametrize("after", [False, True])
def test_what_may_pass_is_tried_again(place: Place, *, after: bool) -> None:
    place.faults.fault = raising(TransientError(**WHY), times=2, after=after)
    place.write("a")
    place.notice()
    place.settle()
    place.assert_equal()
    assert place.handler.statistics().failed == (1 if after else 2)
    # What had arrived in spite of the error was found, and not sent once more.
    assert len(place.calls("send")) == (1 if after else 3)


def test_permissions_arrive_though_the_try_before_may_have_succeeded(place: Place) -> None:
    path = place.write("a")
    path.chmod(0o600)
    place.notice()
    place.settle()
    # The other side has its content and its time all along: a look would find no difference.
    place.faults.compared = True
    place.faults.fault = raising(TransientError(**WHY), times=1, after=False)
    path.chmod(0o640)
    place.notice()
    place.settle()
    place.assert_equal()


def test_a_poison_file_is_set_aside_and_keeps_nobody_waiting(place: Place) -> None:
    def fault(what: str, name: bytes, _after: bool) -> None:  # noqa: FBT001
        if what == "send" and name == b"poison":
            raise TransientError(**WHY)

    place.faults.fault = fault
    place.write("poison")
    for number in range(200):
        place.write(str(number))
    place.notice()
    place.settle()
    [aside] = place.aside()
    assert (aside.path, aside.tries) == (b"poison", 3)
    assert aside.error == str(TransientError(**WHY))
    assert place.handler.statistics().sent == 200
    wait_for("news", lambda: (What.ASIDE, b"poison") in place.happened)
    place.faults.fault = lambda *_: None
    place.journal.retry()
    place.handler.wake()
    place.settle()
    place.assert_equal()


def test_what_is_refused_is_not_tried_again(place: Place) -> None:
    place.faults.fault = raising(FileRefusedError(**WHY), times=1)
    place.write("a")
    place.notice()
    place.settle()
    assert [action.tries for action in place.aside()] == [1]


def test_a_bug_of_a_sink_ends_nothing(place: Place) -> None:
    place.faults.fault = raising(ZeroDivisionError("secret"), times=1)
    place.write("a")
    place.notice()
    place.settle()
    place.assert_equal()
    assert place.handler.statistics().failed == 1


@pytest.mark.parametrize("kind", [UnreachableSinkError, SinkRefusedError])
def test_without_the_sink_everything_waits_and_then_goes_on(
    place: Place, kind: type[UnreachableSinkError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "REFUSED", retry.Backoff(0.01, 0.02))
    there = Event()

    def fault(_what: str, _name: bytes, _after: bool) -> None:  # noqa: FBT001
        if not there.is_set():
            raise kind(**WHY)

    place.faults.fault = fault
    for number in range(100):
        place.write(str(number))
    place.notice()
    wait_for("some probes", lambda: len(place.calls("check")) > 5)
    assert place.handler.statistics().trouble == str(kind(**WHY))
    sends = len(place.calls("send"))
    assert sends <= OPTIONS.transfers * place.together
    place.write("later")
    place.notice()
    assert len(place.calls("send")) == sends
    there.set()
    place.settle()
    place.assert_equal()
    assert place.aside() == []
    assert place.handler.statistics().trouble == ""


def test_somebody_who_has_put_it_right_need_not_wait(place: Place) -> None:
    place.faults.fault = raising(SinkRefusedError(**WHY), times=1)
    place.write("a")
    place.notice()
    wait_for("trouble", lambda: place.handler.statistics().trouble)
    place.handler.hurry()
    place.settle()
    place.assert_equal()


def test_a_file_that_changes_while_it_is_sent_is_sent_again(place: Place) -> None:
    place.faults.fault = raising(ChangedError(), times=5)
    place.write("a")
    place.notice()
    place.settle()
    place.assert_equal()


def test_what_cant_be_read_fails_and_is_not_deleted(place: Place) -> None:
    place.write("a/b")
    place.notice()
    place.settle()
    (place.here / "a").rename(place.here / "kept")
    (place.here / "a").symlink_to("a")
    os.truncate(place.here / "kept/b", 0)
    place.journal.put([Change(b"a/b", Kind.SEND, 0, 0.0), Change(b"kept/b", Kind.SEND, 0, 0.0)])
    place.handler.wake()
    place.settle()
    # No link on the way is followed: there is no file of this name any more.
    assert not (place.there / "a/b").exists()
    assert (place.there / "kept/b").read_text() == ""


def test_a_file_where_a_folder_was_and_a_folder_where_a_file_was(place: Place) -> None:
    place.write("a/b/c")
    place.write("a/b/d")
    place.write("x")
    place.notice()
    place.settle()
    for name in "cd":
        (place.here / "a/b" / name).unlink()
    (place.here / "a/b").rmdir()
    place.write("a/b", "file")
    (place.here / "x").unlink()
    place.write("x/y/z")
    place.notice()
    place.settle()
    place.assert_equal()


@no_deletions
def test_without_complete_sync_nothing_is_deleted(place: Place) -> None:
    place.write("a")
    place.write("b")
    place.notice()
    place.settle()
    (place.here / "a").unlink()
    (place.here / "b").rename(place.here / "c")
    place.notice()
    place.settle()
    assert sorted(path.name for path in place.there.iterdir()) == ["a", "c"]
    assert place.calls("delete") == []


@no_deletions
def test_without_complete_sync_what_is_in_the_way_is_told(place: Place) -> None:
    place.write("a")
    place.notice()
    place.settle()
    (place.here / "a").unlink()
    place.write("a/b")
    place.notice()
    place.settle()
    [aside] = place.aside()
    assert aside.path == b"a/b"
    assert "a is in the way" in aside.error
    assert (place.there / "a").read_text() == "content"


def test_deletions_that_the_guard_holds_wait_until_they_are_confirmed(place: Place) -> None:
    place.write("a")
    place.notice()
    place.settle()
    place.held = "too many"
    (place.here / "a").unlink()
    place.notice()
    wait_for("it to be held", lambda: place.journal.counts().held)
    place.settle()
    assert (place.there / "a").exists()
    wait_for("news", lambda: (What.HELD, b"a") in place.happened)
    place.journal.confirm()
    place.handler.wake()
    place.settle()
    place.assert_equal()


def test_a_deletion_on_a_file_system_that_is_not_there_is_held(place: Place) -> None:
    place.write("a")
    place.notice()
    place.settle()
    entry = place.journal.entry(b"a")
    assert entry is not None
    place.journal.record([entry._replace(dev=entry.dev + 1)])
    (place.here / "a").unlink()
    place.notice()
    wait_for("it to be held", lambda: place.journal.counts().held)
    assert (place.there / "a").exists()


def test_of_another_folder_at_its_place_nothing_is_believed(place: Place) -> None:
    place.write("a")
    place.notice()
    place.settle()
    place.here.rename(place.here.with_name("moved"))
    place.here.mkdir()
    place.notice()
    wait_for("trouble", lambda: place.handler.statistics().trouble)
    assert "another folder" in place.handler.statistics().trouble
    assert (place.there / "a").exists()
    assert place.waiting() == 1
    place.here.rmdir()
    place.here.with_name("moved").rename(place.here)
    place.settle()
    place.assert_equal()


def test_a_pause_begins_nothing_and_a_second_reason_keeps_it(place: Place) -> None:
    place.handler.pause("one", stop=False)
    place.handler.pause("two", stop=True)
    place.write("a")
    place.notice()
    place.handler.resume("one")
    assert place.handler.statistics().paused == ("two",)
    assert place.calls("send") == []
    place.handler.resume("two")
    place.settle()
    place.assert_equal()


def test_a_transfer_ends_at_once_when_it_is_to_stop_and_is_gone_on_with_later(
    place: Place,
) -> None:
    limit = Limit(1.0)  # byte a second
    place.limit(Pace([limit]))
    place.write("a", "x" * 1000)
    place.notice()
    wait_for("it to be sent", lambda: place.handler.statistics().active)
    assert [file.path for file in place.handler.statistics().active] == [b"a"]
    limit.change(None)
    place.restart()
    place.settle()
    place.assert_equal()


def test_what_was_not_begun_is_given_back_at_the_end(place: Place) -> None:
    begun = Event()

    def fault(what: str, _name: bytes, after: bool) -> None:  # noqa: FBT001
        if what == "send" and not after:
            begun.set()
            wait_for("the end", lambda: place.pace._stopped)
            raise StoppedError

    place.faults.fault = fault
    for number in range(100):
        place.write(str(number))
    place.notice()
    assert begun.wait(20)
    assert place.handler.close(20)
    counts = place.journal.counts()
    assert (counts.ready, counts.taken) == (100, 0)
    assert not any(row.unsure for row in place.journal.actions(State.READY, b"", 200))
    place.faults.fault = lambda *_: None
    place.restart()
    place.settle()
    place.assert_equal()


def test_an_error_of_the_file_system_counts_as_a_try(place: Place) -> None:
    error = OSError(errno.EIO, os.strerror(errno.EIO))
    place.faults.fault = raising(error, times=9)
    place.write("a")
    place.notice()
    place.settle()
    assert [action.error for action in place.aside()] == [os.strerror(errno.EIO)]


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (HandlerOptions(symlinks=Symlinks.SKIP), {"file"}),
        (HandlerOptions(symlinks=Symlinks.FOLLOW), {"file", "in"}),
        (HandlerOptions(symlinks=Symlinks.RECORD), {"file", "in", "out", "lost"}),
    ],
    indirect=["options"],
)
def test_links_are_skipped_followed_or_recorded(place: Place, sent: set[str]) -> None:
    place.write("file")
    for name, target in (("in", "file"), ("out", "/etc/hostname"), ("lost", "nothing")):
        (place.here / name).symlink_to(target)
    names = (b"file", b"in", b"out", b"lost")
    place.journal.put([Change(name, Kind.SEND, 0, 0.0) for name in names])
    place.handler.wake()
    place.settle()
    assert {path.name for path in place.there.iterdir()} == sent
    if place.options.symlinks is Symlinks.FOLLOW:
        assert (place.there / "in").read_text() == "content"
        assert not (place.there / "in").is_symlink()
    if place.options.symlinks is Symlinks.RECORD:
        assert (place.there / "out").readlink() == Path("/etc/hostname")


def test_small_files_go_together_and_one_that_fails_keeps_none_back(tmp_path: Path) -> None:
    place = Place(tmp_path, OPTIONS, together=True)
    for number in range(40):
        place.write(f"folder/{number}", str(number))
    place.write("folder/bad")

    def refuse(what: str, name: bytes, after: bool) -> None:  # noqa: FBT001
        if what == "send" and name == b"folder/bad" and not after:
            raise FileRefusedError(**WHY)

    place.faults.fault = refuse
    place.notice()
    place.handler.start()
    place.settle()
    assert max(place.faults.batches) == 4
    assert [action.path for action in place.aside()] == [b"folder/bad"]
    assert len(list(place.there.rglob("*"))) == 41
    place.close()


def test_a_file_that_grew_too_large_to_go_with_others_goes_alone(tmp_path: Path) -> None:
    place = Place(tmp_path, OPTIONS, together=True)
    for number in range(8):
        place.write(f"small-{number}")
    place.notice()
    with place.write("small-3").open("ab") as file:
        file.truncate(2 * LARGEST_PARCEL)
    place.handler.start()
    place.settle()
    assert sum(place.faults.batches) == 7
    place.assert_equal()
    place.close()
