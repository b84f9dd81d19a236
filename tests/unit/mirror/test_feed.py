"""What a watch tells becomes changes, by the mapping's policies."""

import stat
from pathlib import Path

from zfs_walk.mirror.feed import Feed
from zfs_walk.mirror.mapper import Mapper
from zfs_walk.mirror.mapping import Symlinks
from zfs_walk.mirror.records import Change, Kind
from zfs_walk.watch.tree import LINK, WRITING, Row

NOW = 1000.0
DELAY = 5.0


def feed(
    folder: Path, symlinks: Symlinks = Symlinks.SKIP, *, complete_sync: bool = True
) -> tuple[Feed, Mapper]:
    mapper = Mapper(bytes(folder), symlinks)
    return Feed(mapper, complete_sync=complete_sync, deletion_delay=DELAY), mapper


def send(name: bytes, size: int = 4) -> Change:
    return Change(name, Kind.SEND, size, NOW)


def delete(name: bytes) -> Change:
    return Change(name, Kind.DELETE, 0, NOW + DELAY)


def link(folder: Path, name: str, target: str) -> Row:
    path = folder / name
    path.symlink_to(target)
    found = path.lstat()
    return Row(name.encode(), found.st_size, found.st_mtime_ns, LINK)


def test_what_is_new_is_sent_and_what_left_is_deleted(tmp_path: Path) -> None:
    told, _ = feed(tmp_path)
    assert told.changes([b"old", b"\xff"], [Row(b"new", 4, 1, 0)], NOW) == [
        delete(b"old"), delete(b"\xff"), send(b"new"),
    ]  # fmt: skip


def test_without_complete_sync_nothing_is_deleted(tmp_path: Path) -> None:
    told, _ = feed(tmp_path, complete_sync=False)
    row = link(tmp_path, "link", "nowhere")
    assert told.changes([b"old"], [row], NOW) == []


def test_a_file_that_is_being_written_waits(tmp_path: Path) -> None:
    told, _ = feed(tmp_path)
    now = int(NOW) * 10**9
    assert told.changes([], [Row(b"a", 4, now - 4 * 10**9, WRITING)], NOW) == []
    # A poll takes a file for one that is written when it only has got its name.
    assert told.changes([], [Row(b"a", 4, now - 5 * 10**9, WRITING)], NOW) == [send(b"a")]
    assert told.changes([], [Row(b"a", 4, 1, 0)], NOW) == [send(b"a")]


def test_a_link_is_skipped_and_no_longer_what_it_was(tmp_path: Path) -> None:
    told, mapper = feed(tmp_path)
    row = link(tmp_path, "link", "nowhere")
    assert told.changes([], [row], NOW) == [delete(b"link")]
    assert mapper.skipped == 1
    told.changes([b"link"], [], NOW)
    assert mapper.skipped == 0


def test_a_link_is_recorded_wherever_it_leads(tmp_path: Path) -> None:
    told, mapper = feed(tmp_path, Symlinks.RECORD)
    row = link(tmp_path, "link", "/etc/passwd")
    assert told.changes([], [row], NOW) == [send(b"link", len("/etc/passwd"))]
    assert mapper.take(row) == row


def test_a_link_to_a_file_of_the_folder_is_followed_and_changes_with_it(tmp_path: Path) -> None:
    told, mapper = feed(tmp_path, Symlinks.FOLLOW)
    target = tmp_path / "target"
    target.write_text("12345")
    row = link(tmp_path, "link", str(target))
    assert told.changes([], [row], NOW) == [send(b"link", 5)]
    found = target.stat()
    mode = stat.S_IMODE(found.st_mode)
    assert mapper.take(row) == Row(b"link", 5, found.st_mtime_ns, 0, mode)
    assert told.changes([], [Row(b"target", 6, 1, 0)], NOW) == [
        send(b"target", 6),
        send(b"link", 0),
    ]
    assert told.changes([b"link"], [], NOW) == [delete(b"link")]
    assert told.changes([], [Row(b"target", 6, 1, 0)], NOW) == [send(b"target", 6)]


def test_a_link_that_leads_nowhere_is_followed_once_it_does(tmp_path: Path) -> None:
    told, mapper = feed(tmp_path, Symlinks.FOLLOW)
    row = link(tmp_path, "link", "target")
    assert told.changes([], [row], NOW) == [delete(b"link")]
    assert mapper.skipped == 1
    assert told.changes([], [Row(b"target", 6, 1, 0)], NOW) == [
        send(b"target", 6),
        send(b"link", 0),
    ]


def test_a_link_out_of_the_folder_or_to_no_file_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret").touch()
    (tmp_path / "folder-beside").mkdir()
    (tmp_path / "folder-beside" / "file").touch()
    _, mapper = feed(folder, Symlinks.FOLLOW)
    targets = (
        "../secret", str(tmp_path / "secret"), "../folder-beside/file", ".", "loop", "/etc/passwd",
    )  # fmt: skip
    names = ("a", "b", "c", "d", "loop", "e")
    for name, target in zip(names, targets, strict=True):
        assert mapper.take(link(folder, name, target)) is None
    assert mapper.skipped == len(names)
