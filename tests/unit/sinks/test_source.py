"""A local file that is sent: it is the file of that name, in one state, and nothing else."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from zfs_walk.sinks.errors import ChangedError
from zfs_walk.sinks.source import Source


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    (made / "below").mkdir(parents=True)
    (made / "below" / "file").write_bytes(b"content")
    (tmp_path / "secret").write_bytes(b"secret")
    return made


@pytest.fixture
def root(folder: Path) -> Iterator[int]:
    opened = os.open(folder, os.O_RDONLY)
    yield opened
    os.close(opened)


@pytest.mark.timeout(30)
def test_a_pipe_in_its_place_is_refused_and_holds_nobody(folder: Path, root: int) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        Source(root, b"pipe")


@pytest.mark.parametrize("name", [b"link", b"out/secret", b"inside/file"])
def test_no_link_is_followed(folder: Path, root: int, name: bytes) -> None:
    (folder / "link").symlink_to("../secret")
    (folder / "out").symlink_to("..")
    (folder / "inside").symlink_to("below")
    with pytest.raises(OSError, match=r"Too many levels|Not a directory"):
        Source(root, name)


@pytest.mark.parametrize("what", ["append", "truncate", "replace", "delete", "touch"])
def test_a_change_is_noticed(folder: Path, root: int, what: str) -> None:
    path = folder / "below" / "file"
    source = Source(root, b"below/file")
    source.check()
    match what:
        case "append":
            with path.open("ab") as file:
                file.write(b"more")
        case "truncate":
            os.truncate(path, 3)
            with pytest.raises(ChangedError):
                source.read(7, 0)
        case "replace":
            # Same size, same time: as `sed -i` does, and then puts the time back.
            other = folder / "other"
            other.write_bytes(b"CONTENT")
            os.utime(other, ns=(source.stat.st_atime_ns, source.stat.st_mtime_ns))
            other.rename(path)
        case "delete":
            path.unlink()
        case _:
            os.utime(path, ns=(1, 1))
    with pytest.raises(ChangedError):
        source.check()
    source.close()
