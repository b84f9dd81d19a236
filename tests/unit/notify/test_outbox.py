"""What is put is given, in order, until it has arrived."""

import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Event as Flag

import pytest

from zfs_walk.errors import StateError
from zfs_walk.mirror.records import Kind
from zfs_walk.mirror.story import Event, Stage
from zfs_walk.notify.database import has_password
from zfs_walk.notify.notifier import Notifier
from zfs_walk.notify.outbox import Outbox


def event(number: int, path: bytes = b"a", detail: str = "") -> Event:
    return Event(number, path, Kind.SEND, Stage.SENT, 2**63, 3, detail, 1.5, 2.5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "outbox"
    made.mkdir()
    return made


def test_what_is_put_is_given_in_its_order_as_it_was(folder: Path) -> None:
    outbox = Outbox(folder, Flag())
    odd = event(2, b"\xff\n\x00", "half a character: \udcff")
    outbox.put([event(1), odd])
    outbox.put([event(3)])
    first, second = outbox.take(10)
    assert (first.events, second.events) == ((event(1), odd), (event(3),))
    assert outbox.take(10) == []
    outbox.close()


def test_so_many_at_most_are_given(folder: Path) -> None:
    outbox = Outbox(folder, Flag())
    for number in range(5):
        outbox.put([event(number)])
    assert [item.events[0].number for item in outbox.take(2)] == [0, 1]
    assert [item.events[0].number for item in outbox.take(9)] == [2, 3, 4]
    outbox.close()


def test_whoever_waits_is_woken(folder: Path) -> None:
    wake = Flag()
    outbox = Outbox(folder, wake)
    outbox.put([event(1)])
    assert wake.is_set()
    outbox.close()


def test_what_has_not_arrived_is_given_again_after_a_new_start(folder: Path) -> None:
    outbox = Outbox(folder, Flag())
    for number in range(4):
        outbox.put([event(number)])
    arrived, _ = outbox.take(2)
    outbox.done([arrived])
    outbox.close()
    outbox = Outbox(folder, Flag())
    assert [item.events[0].number for item in outbox.take(9)] == [1, 2, 3]
    outbox.close()


def test_what_has_arrived_leaves_the_file(folder: Path) -> None:
    outbox = Outbox(folder, Flag())
    for number in range(250):
        outbox.put([event(number)])
        outbox.done(outbox.take(1))
    assert outbox.take(1) == []
    outbox.close()
    [file] = folder.glob("*.db")
    with closing(sqlite3.connect(file)) as db:
        [[kept]] = db.execute("SELECT count(*) FROM ack_queue_default").fetchall()
    assert kept <= 200


def test_a_damaged_one_is_told_and_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "outbox").mkdir()
    (tmp_path / "outbox/data.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StateError, match="move it away"):
        Notifier("file", tmp_path).outbox("id", tmp_path)


@pytest.mark.parametrize(
    ("url", "has"),
    [
        ("postgresql://me@host/db", False),
        ("postgresql://me:secret@host/db", True),
        ("postgresql://host/db?user=me&password=secret", True),
        ("file", False),
    ],
)
def test_a_password_in_a_url_is_seen(url: str, *, has: bool) -> None:
    assert has_password(url) is has
