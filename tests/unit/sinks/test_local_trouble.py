"""Folders that are missing, full, read-only or not what they were."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process import mounts
from zfs_walk.sinks.choose import open_sink
from zfs_walk.sinks.conformance.place import Notes, Origin, freely
from zfs_walk.sinks.errors import (
    FileRefusedError,
    FullSinkError,
    MissingError,
    SinkError,
    SinkRefusedError,
    UnreachableSinkError,
)
from zfs_walk.sinks.interface import Sink


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    with mounts.tmpfs(folder, "size=1m"):
        yield folder


def send(sink: Sink, origin: Origin, name: bytes, content: bytes = b"content") -> None:
    sink.send(origin.made(name, content), name, Notes(), freely)


def test_a_folder_that_is_missing_is_not_made(tmp_path: Path, origin: Origin) -> None:
    sink = open_sink(f"file://{tmp_path}/missing", {})
    for use in (sink.check, lambda: send(sink, origin, b"file"), lambda: list(sink.list(b""))):
        with pytest.raises(UnreachableSinkError, match="make it, or mount"):
            use()
    assert not (tmp_path / "missing").exists()


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SinkRefusedError):
        open_sink(f"file://{tmp_path}/file", {}).check()


def test_nothing_is_sent_where_nothing_is_mounted(sink: Sink, origin: Origin, target: Path) -> None:
    unmounted = open_sink(f"file://{target}", {"mount": str(target)})
    for use in (unmounted.check, lambda: send(unmounted, origin, b"file")):
        with pytest.raises(UnreachableSinkError, match="nothing is mounted"):
            use()
    assert list(target.iterdir()) == []
    sink.check()


@pytest.mark.root
@pytest.mark.parametrize("below", ["", "/tree"])
def test_a_disk_that_goes_and_comes_back_is_noticed(disk: Path, origin: Origin, below: str) -> None:
    (disk / "tree").mkdir()
    sink = open_sink(f"file://{disk}{below}", {})
    send(sink, origin, b"file")
    mounts.unmount(disk)
    (disk / "tree").mkdir()
    for use in (sink.check, lambda: send(sink, origin, b"file"), lambda: sink.delete(b"file")):
        with pytest.raises(UnreachableSinkError, match="nothing is mounted"):
            use()
    assert list((disk / "tree").iterdir()) == []
    (disk / "tree").rmdir()

    mounts.mount(disk, "size=1m")
    (disk / "tree").mkdir()
    sink.check()
    send(sink, origin, b"file")
    assert Path(f"{disk}{below}/file").read_bytes() == b"content"


@pytest.mark.root
def test_a_full_disk_is_told_and_nothing_stays(disk: Path, origin: Origin) -> None:
    sink = open_sink(f"file://{disk}", {})
    for size in (2 << 20, 20 << 20):
        with pytest.raises(FullSinkError, match="No space left"):
            send(sink, origin, b"large", bytes(size))
        assert list(disk.iterdir()) == []
    (disk / "filler").write_bytes(bytes(1 << 20))
    with pytest.raises(FullSinkError):
        sink.check()
    (disk / "filler").unlink()
    sink.check()
    send(sink, origin, b"file")


@pytest.mark.root
def test_a_read_only_disk_refuses_as_a_whole(disk: Path, origin: Origin) -> None:
    sink = open_sink(f"file://{disk}", {})
    send(sink, origin, b"file")
    mounts.run("mount", "-o", "remount,ro", disk)
    uses = (
        sink.check, lambda: send(sink, origin, b"file"), lambda: sink.delete(b"file"),
        lambda: sink.move(b"file", b"d/new"),
    )  # fmt: skip
    for use in uses:
        with pytest.raises(SinkRefusedError, match="Read-only"):
            use()
    assert [found.name for found in sink.list(b"")] == [b"file"]
    mounts.run("mount", "-o", "remount,rw", disk)
    send(sink, origin, b"file")


@pytest.mark.root
def test_what_can_not_be_renamed_to_another_disk_is_sent_there(
    sink: Sink, origin: Origin, target: Path
) -> None:
    with mounts.tmpfs(target / "disk"):
        send(sink, origin, b"file")
        # To who asks it is as if it were not there: then it is sent.
        with pytest.raises(MissingError):
            sink.move(b"file", b"disk/file")
        assert [found.name for found in sink.list(b"")] == [b"file"]
        assert list((target / "disk").iterdir()) == []


@pytest.mark.plain_user
def test_a_folder_without_permission_refuses_its_files_and_the_root_all(
    sink: Sink, origin: Origin, target: Path
) -> None:
    (target / "closed").mkdir(mode=0o500)
    with pytest.raises(FileRefusedError) as refused:
        send(sink, origin, b"closed/file")
    assert not refused.value.whole
    target.chmod(0o500)
    with pytest.raises(SinkRefusedError):
        send(sink, origin, b"file")
    target.chmod(0o700)
    send(sink, origin, b"file")


def test_an_error_names_the_place_and_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(SinkError) as raised:
        open_sink(f"file://{tmp_path}/missing", {}).check()
    assert str(raised.value) == (
        f"{os.fspath(tmp_path)}/missing can't be reached: there is no such folder: make it, or "
        "mount what it lies on; sending goes on when it can."
    )
