"""Notes of transfers outlive whoever wrote them, and are believed for their own content only."""

import os
import time
from pathlib import Path

from zfs_walk.agents.sending.notes import OLDEST, Notes


def test_what_is_stored_is_there_for_the_next(tmp_path: Path) -> None:
    note = Notes(tmp_path).of(b"d/\xff")
    assert not note.exists
    note.fingerprint = "1:2"
    note.store("id", "one")
    note.store("part", "two")
    later = Notes(tmp_path).of(b"d/\xff")
    assert later.exists
    assert later.load() == {"id": "one", "part": "two"}
    assert later.is_of("1:2")
    assert not later.is_of("1:3")
    assert not Notes(tmp_path).of(b"d/other").exists
    assert Notes(tmp_path).values() == {"one", "two"}
    later.forget()
    assert not list(tmp_path.iterdir())


def test_a_damaged_note_is_none(tmp_path: Path) -> None:
    note = Notes(tmp_path).of(b"a")
    note.store("id", "one")
    [path] = tmp_path.iterdir()
    path.write_text(path.read_text()[:10])
    assert note.load() == {}
    assert not note.is_of("")


def test_notes_that_nobody_goes_on_with_are_forgotten(tmp_path: Path) -> None:
    notes = Notes(tmp_path)
    notes.of(b"old").store("id", "old")
    [path] = tmp_path.iterdir()
    notes.of(b"new").store("id", "new")
    long_ago = time.time() - OLDEST - 60
    os.utime(path, (long_ago, long_ago))
    notes.forget_old()
    assert notes.values() == {"new"}
