"""The folder of this host passes the suite, and keeps its own promises."""

import os
import stat
import threading
from pathlib import Path

import pytest

from zfs_walk.errors import WrongUseError
from zfs_walk.sinks.choose import open_sink
from zfs_walk.sinks.conformance import Content, SinkConformance
from zfs_walk.sinks.conformance.place import MTIME, Notes, Origin, freely, once, stop_after
from zfs_walk.sinks.errors import StoppedError, TransientError
from zfs_walk.sinks.interface import Sink
from zfs_walk.sinks.local import LocalSink


def below(folder: Path) -> set[str]:
    """Everything below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


class TestLocal(SinkConformance):
    """The suite."""

    @pytest.fixture
    def content(self, target: Path) -> Content:
        def content(name: bytes) -> bytes | None:
            path = target / os.fsdecode(name)
            return path.read_bytes() if path.is_file() else None

        return content


# ------------------------------------------------------------------ what is kept


def test_time_and_permissions_are_kept(sink: Sink, origin: Origin, target: Path) -> None:
    origin.write(b"file", b"content")
    (Path(os.fsdecode(origin.folder)) / "file").chmod(0o4751)
    sink.send(origin.open(b"file"), b"file", Notes(), freely)
    found = (target / "file").stat()
    assert found.st_mtime_ns == MTIME
    assert stat.S_IMODE(found.st_mode) == 0o751, "another owner's set-id bit is not taken over"


def test_a_link_keeps_its_target_and_its_time(sink: Sink, origin: Origin, target: Path) -> None:
    link = Path(os.fsdecode(origin.folder)) / "link"
    link.symlink_to("/nowhere")
    os.utime(link, ns=(MTIME, MTIME), follow_symlinks=False)
    sink.send(origin.open(b"link", link=True), b"d/link", Notes(), freely)
    assert (target / "d/link").readlink() == Path("/nowhere")
    assert (target / "d/link").lstat().st_mtime_ns == MTIME
    assert below(target) == {"d", "d/link"}


def test_nobody_else_may_read_what_is_being_written(
    sink: Sink, origin: Origin, target: Path
) -> None:
    modes: list[int] = []

    def look() -> None:
        modes.extend(stat.S_IMODE(path.stat().st_mode) for path in target.iterdir())

    sink.send(origin.made(b"file", b"secret"), b"file", Notes(), once(look))
    assert modes == [0o600]


# ------------------------------------------------------------------ nothing outside


@pytest.fixture
def outside(tmp_path: Path, target: Path) -> Path:
    """A folder with a file, to which a link in the sink leads."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "file").write_text("untouched")
    (target / "d").symlink_to(folder)
    return folder


def test_no_link_of_the_sink_is_followed(sink: Sink, origin: Origin, outside: Path) -> None:
    with pytest.raises(TransientError, match="in the way"):
        sink.send(origin.made(b"d/file", b"written"), b"d/file", Notes(), freely)
    assert sink.look(b"d/file") is None
    sink.delete(b"d/file")
    assert [found.name for found in sink.list(b"")] == [b"d"]
    assert (outside / "file").read_text() == "untouched"
    assert below(outside) == {"file"}


def test_a_file_takes_the_place_of_a_link_and_not_of_what_it_leads_to(
    sink: Sink, origin: Origin, outside: Path, target: Path
) -> None:
    sink.send(origin.made(b"d", b"written"), b"d", Notes(), freely)
    assert not (target / "d").is_symlink()
    assert (target / "d").read_text() == "written"
    assert below(outside) == {"file"}


def test_a_part_that_is_a_link_is_not_written_through(
    sink: Sink, origin: Origin, outside: Path, target: Path
) -> None:
    memory, data = Notes(), os.urandom(20 << 20)
    with pytest.raises(StoppedError):
        sink.send(origin.made(b"file", data), b"file", memory, stop_after(17 << 20))
    [part] = target.glob(".zfs-walk.*")
    part.unlink()
    part.symlink_to(outside / "file")
    sink.send(origin.open(b"file"), b"file", memory, freely)
    assert (target / "file").read_bytes() == data
    assert (outside / "file").read_text() == "untouched"


# ------------------------------------------------------------------ folders


def test_an_empty_folder_gives_way_to_a_file(sink: Sink, origin: Origin, target: Path) -> None:
    (target / "name").mkdir()
    sink.send(origin.made(b"name", b"content"), b"name", Notes(), freely)
    assert (target / "name").read_bytes() == b"content"


def test_a_move_or_deletion_that_was_killed_takes_its_empty_folders_the_next_time(
    sink: Sink, origin: Origin, target: Path
) -> None:
    sink.send(origin.made(b"file", b"content"), b"new", Notes(), freely)
    for again in (lambda: sink.move(b"a/b/old", b"new"), lambda: sink.delete(b"a/b/old")):
        (target / "a/b").mkdir(parents=True)
        again()
        assert below(target) == {"new"}


def test_a_folder_with_files_is_in_the_way_until_they_are_deleted(
    sink: Sink, origin: Origin, target: Path
) -> None:
    sink.send(origin.made(b"other", b"content"), b"name/file", Notes(), freely)
    with pytest.raises(TransientError, match="in the way"):
        sink.send(origin.made(b"name", b"content"), b"name", Notes(), freely)
    assert below(target) == {"name", "name/file"}
    sink.delete(b"name/file")
    sink.send(origin.open(b"name"), b"name", Notes(), freely)
    assert below(target) == {"name"}


def test_a_move_that_a_folder_is_in_the_way_of_is_undone(
    sink: Sink, origin: Origin, target: Path
) -> None:
    for name in (b"name/file", b"name/other"):
        sink.send(origin.made(name, name), name, Notes(), freely)
    with pytest.raises(TransientError, match="in the way"):
        sink.move(b"name/file", b"name")
    assert below(target) == {"name", "name/file", "name/other"}


def test_a_file_is_in_the_way_of_a_folder_until_it_is_deleted(
    sink: Sink, origin: Origin, target: Path
) -> None:
    sink.send(origin.made(b"file", b"content"), b"name", Notes(), freely)
    with pytest.raises(TransientError, match="in the way"):
        sink.send(origin.open(b"file"), b"name/file", Notes(), freely)
    sink.delete(b"name")
    sink.send(origin.open(b"file"), b"name/file", Notes(), freely)
    assert below(target) == {"name", "name/file"}


def test_what_is_no_file_is_neither_listed_nor_deleted(sink: Sink, target: Path) -> None:
    os.mkfifo(target / "pipe")
    assert list(sink.list(b"")) == []
    assert sink.look(b"pipe") is None
    sink.delete(b"pipe")
    assert below(target) == {"pipe"}


def test_a_folder_that_one_thread_empties_is_there_for_the_other(
    sink: Sink, origin: Origin, target: Path
) -> None:
    failed: list[BaseException] = []

    def churn(name: bytes) -> None:
        try:
            for _ in range(300):
                sink.send(origin.open(name), b"d/e/" + name, Notes(), freely)
                sink.move(b"d/e/" + name, b"d/f/" + name)
                sink.delete(b"d/f/" + name)
        except BaseException as error:  # noqa: BLE001 -- the test tells it
            failed.append(error)

    names = [b"one", b"two", b"three"]
    for name in names:
        origin.write(name, name)
    threads = [threading.Thread(target=churn, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert below(target) == set()


# ------------------------------------------------------------------ parts of others


def test_a_sweep_leaves_what_is_written_now_and_what_others_write(
    sink: Sink, origin: Origin, target: Path
) -> None:
    (target / ".zfs-walk.00000000.0123456789abcdef.part").write_text("of another client")
    swept: list[int] = []
    source = origin.made(b"file", b"content")
    sink.send(source, b"d/file", Notes(), once(lambda: swept.append(sink.sweep(frozenset()))))
    assert swept == [0]
    assert below(target) == {
        "d", "d/file", ".zfs-walk.00000000.0123456789abcdef.part",
    }  # fmt: skip
    assert [found.name for found in sink.list(b"")] == [b"d/file"]


# ------------------------------------------------------------------ URLs


@pytest.mark.parametrize(
    "url", ["file:///a%20b/%C3%BC%FF", "file://localhost/a%20b/c/../%C3%BC%FF"]
)
def test_a_url_names_any_path(url: str) -> None:
    assert open_sink(url, {}).place(b"n\xff") == "/a b/ü\ufffd/n\ufffd"


@pytest.mark.parametrize("url", ["file://host/path", "file://relative", "file://", "file:///a%00b"])
def test_a_url_that_is_no_absolute_path_is_refused(url: str) -> None:
    with pytest.raises(WrongUseError, match="file:///path"):
        open_sink(url, {})


def test_a_mount_is_an_absolute_path() -> None:
    with pytest.raises(WrongUseError, match=r"`mount`: .*absolute"):
        open_sink("file:///path", {"mount": "relative"})
    assert isinstance(open_sink("file:///path", {"mount": "/mnt", "fsync": False}), LocalSink)
