"""Queues of persist-queue's, made by persist-queue."""

import os
import pickle
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import persistqueue
import pytest

from zfs_walk.errors import StateError
from zfs_walk.mirror.importer import Imported, take_over
from zfs_walk.mirror.journal import Journal
from zfs_walk.mirror.records import Kind


class SendAction:
    """What the older uploader pickles."""

    def __init__(self, src_path: Any) -> None:
        self.src_path = src_path


class MoveAction(NamedTuple):
    """The same, as a tuple."""

    src_path: Any
    dest_path: Any


class Trap:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


@pytest.fixture(name="journal")
def empty_journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal.db", "a -> b")
    yield journal
    journal.close()


@pytest.fixture(name="folder")
def mirrored_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "new").write_bytes(b"12345")
    return folder


def queue_of(folder: Path, *items: Any) -> Path:
    old = persistqueue.UniqueQ(str(folder / "old"), auto_commit=True)
    for item in items:
        old.put(item)
    old.close()
    return folder / "old"


def queued(journal: Journal) -> dict[bytes, tuple[Kind, int]]:
    return {action.path: (action.kind, action.size) for action in journal.actions(None, b"", 99)}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("of", [str, PurePosixPath, os.fsencode])
def test_every_form_of_an_item_queues_its_names(
    journal: Journal, folder: Path, tmp_path: Path, protocol: int, of: Any
) -> None:
    items = [
        SendAction(of(folder / "new")),
        {"action": "delete", "src_path": of(folder / "sub" / "gone")},
        MoveAction(of(folder / "before"), of(folder / "after")),
    ]
    old = queue_of(tmp_path)
    with sqlite3.connect(old / "data.db") as db:
        db.executemany(
            "INSERT INTO unique_queue_default (data) VALUES (?)",
            [(pickle.dumps(item, protocol),) for item in items],
        )
    db.close()
    assert take_over(old, bytes(folder), journal) == Imported(3, 4, 0)
    assert queued(journal) == {
        b"new": (Kind.SEND, 5),
        b"sub/gone": (Kind.DELETE, 0),
        b"before": (Kind.DELETE, 0),
        b"after": (Kind.DELETE, 0),
    }


def test_what_persist_queue_has_written_is_taken_over_and_left_as_it_is(
    journal: Journal, folder: Path, tmp_path: Path
) -> None:
    old = queue_of(tmp_path, SendAction(str(folder / "new")), SendAction(str(folder / "gone")))
    take_over(old, bytes(folder), journal)
    take_over(old / "data.db", bytes(folder), journal)
    assert queued(journal) == {b"new": (Kind.SEND, 5), b"gone": (Kind.DELETE, 0)}
    assert persistqueue.UniqueQ(str(old)).size == 2


def test_what_a_killed_uploader_has_left_is_taken_over(
    journal: Journal, folder: Path, tmp_path: Path
) -> None:
    living = persistqueue.UniqueQ(str(tmp_path / "living"), auto_commit=True)
    living.put(SendAction(str(folder / "new")))
    # Its files as they are at this moment; the item is in the log that was not merged yet.
    left = shutil.copytree(tmp_path / "living", tmp_path / "left")
    assert (left / "data.db-wal").stat().st_size > 0
    living.close()
    assert take_over(left, bytes(folder), journal) == Imported(1, 1, 0)
    assert queued(journal) == {b"new": (Kind.SEND, 5)}


def test_an_item_that_would_run_something_does_not(
    journal: Journal, folder: Path, tmp_path: Path
) -> None:
    trap = [Trap(f"touch {tmp_path}/sprung"), str(folder / "new")]
    old = queue_of(tmp_path, trap)
    assert take_over(old, bytes(folder), journal) == Imported(1, 1, 0)
    assert not (tmp_path / "sprung").exists()
    pickle.loads(pickle.dumps(trap))  # noqa: S301 -- ours: the trap works
    assert (tmp_path / "sprung").exists()


def test_names_elsewhere_and_items_that_are_no_pickles_are_counted(
    journal: Journal, folder: Path, tmp_path: Path
) -> None:
    old = queue_of(
        tmp_path,
        SendAction("/etc/passwd"),
        SendAction(f"{folder}/../outside"),
        SendAction(f"{folder}2/beside"),
        SendAction("relative"),
        7,
    )
    with sqlite3.connect(old / "data.db") as db:
        db.execute("INSERT INTO unique_queue_default (data) VALUES (x'8004'), ('text'), (NULL)")
    db.close()
    assert take_over(old, bytes(folder), journal) == Imported(8, 0, 8)
    assert queued(journal) == {}


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("of", [os.fsdecode, bytes])
def test_a_name_that_is_no_utf8_is_taken_over(
    journal: Journal, folder: Path, tmp_path: Path, protocol: int, of: Any
) -> None:
    old = queue_of(tmp_path)
    data = pickle.dumps({"src_path": of(bytes(folder) + b"/\xff")}, protocol)
    with sqlite3.connect(old / "data.db") as db:
        db.execute("INSERT INTO unique_queue_default (data) VALUES (?)", (data,))
    db.close()
    take_over(old, bytes(folder), journal)
    assert queued(journal) == {b"\xff": (Kind.DELETE, 0)}


def test_an_item_that_holds_itself_is_read(journal: Journal, folder: Path, tmp_path: Path) -> None:
    item: list[Any] = [str(folder / "new")]
    item.append(item)
    assert take_over(queue_of(tmp_path, item), bytes(folder), journal) == Imported(1, 1, 0)


@pytest.mark.parametrize("content", [None, b"", b"no database at all, but some text " * 99])
def test_what_is_no_queue_is_refused(
    journal: Journal, folder: Path, tmp_path: Path, content: bytes | None
) -> None:
    old = tmp_path / "old.db"
    if content is not None:
        old.write_bytes(content)
    with pytest.raises(StateError, match=r"persist-queue"):
        take_over(old, bytes(folder), journal)
    assert old.exists() == (content is not None)
