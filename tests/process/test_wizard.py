"""The wizard of an uploader's file on a terminal: what it asks, refuses and writes.

The oracle is find, sha256sum and the file as YAML has it. To servers it is tested in tests/servers.
"""

import os
import signal
import socket
import stat
from pathlib import Path

import pytest
import yaml

from tests.process.dialogue import Dialogue, is_nowhere, wizard
from tests.process.place import Place
from tests.servers.compare import differences

pytestmark = pytest.mark.slow

NAME, FOLDER, OUT, THERE, MOUNT = (
    "Name of the mapping", "Folder to mirror", "Leave out", "Folder that the files go to",
    "Mount point",
)  # fmt: skip
DELETE, TRANSFERS, RATE, HOURS = (
    "Delete there what is deleted here (yes or no)", "Transfers at once", "Limit, bytes a second",
    "Hours in which files are sent",
)  # fmt: skip


class Sides:
    """A folder with odd names, and one to mirror it to."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.here = place.folder / os.fsdecode(b"a: 'b' #c \xff")
        self.there = place.folder / 'to "d" %41'
        for folder in (self.here / "deep", self.there):
            folder.mkdir(parents=True)
        for name in (b"one", b"deep/two", b"three: #\xe9", b"skipped.tmp"):
            Path(os.fsdecode(os.fsencode(self.here) + b"/" + name)).write_bytes(name)
        self.file = place.home / ".config/zfs_walk/uploader.yaml"

    def answer_all(self, talk: Dialogue) -> None:
        """Up to the file."""
        talk.answer(NAME, "odd")
        talk.answer(FOLDER, str(self.here))
        talk.answer(OUT, "*.tmp")
        talk.leave_empty(f"{OUT}, one more", "But not")
        talk.answer(THERE, str(self.there))
        talk.leave_empty(MOUNT, DELETE, TRANSFERS, RATE, HOURS)

    def written(self) -> None:
        with wizard(self.place, "local") as talk:
            self.answer_all(talk)
            assert talk.ended() == 0, talk.seen


@pytest.fixture
def sides(place: Place) -> Sides:
    return Sides(place)


def test_what_it_writes_mirrors_a_folder_as_it_is(sides: Sides) -> None:
    with wizard(sides.place) as talk:
        talk.answer("Kind of the other side", "local")
        sides.answer_all(talk)
        assert talk.ended() == 0
    assert "It works" in talk.words
    assert f"one -> {sides.there}/one" in talk.words
    assert f"deep/two -> {sides.there}/deep/two" in talk.words
    assert r"three: #\xe9" in talk.words or r"three: #\udce9" in talk.words
    assert "skipped.tmp" not in talk.words
    assert stat.S_IMODE(sides.file.stat().st_mode) == 0o600
    ended = sides.place.run("agent", "--role", "uploader", "--once")
    assert (ended.code, ended.err) == (0, "")
    (sides.here / "skipped.tmp").unlink()
    assert differences(sides.here, sides.there) == []


def test_wrong_answers_are_explained_and_asked_again(sides: Sides) -> None:
    file = sides.place.folder / "file"
    file.touch()
    with wizard(sides.place, "local") as talk:
        talk.refused(NAME, "a b", "wanted: up to 100 letters")
        talk.answer(NAME, "a")
        talk.refused(FOLDER, "/nowhere", "can't be used: No such file or directory")
        talk.refused(FOLDER, str(file), "can't be used: Not a directory")
        talk.answer(FOLDER, str(sides.here))
        talk.refused(OUT, "/", "is empty")
        talk.leave_empty(OUT)
        talk.refused(THERE, "/nowhere", "No such file or directory")
        talk.answer(THERE, str(sides.there))
        talk.leave_empty(MOUNT)
        talk.refused(DELETE, "perhaps", "wanted: yes or no")
        talk.answer(DELETE, "yes")
        talk.refused(TRANSFERS, "many", "wanted: a whole number, at least 1, at most 256")
        talk.refused(TRANSFERS, "257", "wanted: a whole number, at least 1, at most 256")
        talk.answer(TRANSFERS, "8")
        talk.refused(RATE, "fast", "wanted: bytes a second, such as")
        talk.answer(RATE, "10M")
        talk.refused(HOURS, "at night", "HH:MM-HH:MM")
        talk.answer(HOURS, "mon-fri 22:00-06:00")
        talk.answer(f"{HOURS}, one more", "sat,sun 00:00-24:00")
        talk.refused(f"{HOURS}, one more", "25:00-26:00", "HH:MM-HH:MM")
        talk.leave_empty(f"{HOURS}, one more")
        assert talk.ended() == 0
    [mapping] = yaml.safe_load(sides.file.read_text())["mappings"]
    del mapping["local"], mapping["to"]
    hours = ["mon-fri 22:00-06:00", "sat,sun 00:00-24:00"]
    assert mapping == {
        "name": "a", "complete_sync": True, "transfers": 8, "bwlimit": "10M", "windows": hours,
    }  # fmt: skip


def test_a_side_within_the_other_is_told_and_can_be_asked_for_again(sides: Sides) -> None:
    with wizard(sides.place, "local") as talk:
        talk.leave_empty(NAME)
        talk.answer(FOLDER, str(sides.here))
        talk.leave_empty(OUT)
        talk.answer(THERE, str(sides.here / "deep"))
        talk.answer(MOUNT, "/")
        talk.refused("What now", "", "wanted: again, retry, keep, give up")
        assert "lie in each other" in talk.words
        talk.answer("What now", "again")
        talk.leave_empty(f"{THERE} [{sides.here}/deep]".replace("\udcff", "\\udcff"))
        talk.answer(f"{MOUNT} [/]", "-")
        talk.answer("What now", "again")
        talk.answer(THERE, str(sides.there))
        talk.leave_empty(MOUNT, DELETE, TRANSFERS, RATE, HOURS)
        assert talk.ended() == 0
    assert "add to it: name" in talk.words
    [mapping] = yaml.safe_load(sides.file.read_text())["mappings"]
    assert set(mapping) == {"local", "to"}


def test_what_is_left_empty_is_a_comment_and_the_uploader_says_what_it_lacks(sides: Sides) -> None:
    with wizard(sides.place, "local") as talk:
        talk.leave_empty(NAME, FOLDER, OUT, THERE, MOUNT, DELETE, TRANSFERS, RATE, HOURS)
        assert talk.ended() == 0
    assert "add to it: name, folder to mirror, other side" in talk.words
    text = sides.file.read_text()
    for line in ("name:", "local:", "to:", "complete_sync: false", "transfers: 4", "windows: []"):
        assert f"\n    # {line}\n" in text
    assert yaml.safe_load(text) == {"role": "uploader", "mappings": [None]}
    ended = sides.place.run("agent", "--role", "uploader", "--once")
    assert ended.code == 2
    assert f"{sides.file}, line " in ended.err
    # A comment that is taken away is a key.
    for line, value in (("name:", "a"), ("local:", sides.place.folder), ("to:", "file:///b")):
        text = text.replace(f"    # {line}", f"    {line} {value}")
    sides.file.write_text(text)
    ended = sides.place.run("agent", "--role", "uploader", "--print-config")
    assert (ended.code, f"{sides.file}, line" in ended.out) == (0, True)


def test_a_file_that_is_there_is_kept_beside_the_new_one_or_left_alone(sides: Sides) -> None:
    sides.file.parent.mkdir(parents=True)
    sides.file.write_text("the old one")
    replace = "Replace it? [y/N]"
    with wizard(sides.place, "local") as talk:
        talk.refused(replace, "what", "wanted: y or n")
        talk.answer(replace, "n")
        talk.refused("File", str(sides.file), "there already")
        other = sides.place.folder / "other.yaml"
        talk.answer("File", str(other))
        sides.answer_all(talk)
        assert talk.ended() == 0
    assert f"--config {other}" in talk.words
    assert (sides.file.read_text(), other.exists()) == ("the old one", True)
    for number in ("", "2"):
        before = sides.file.read_text()
        with wizard(sides.place, "local") as talk:
            talk.answer(replace, "y")
            sides.answer_all(talk)
            assert talk.ended() == 0
        kept = sides.file.with_name(f"uploader.yaml.bak{number}")
        assert kept.read_text() == before
        assert sides.file.read_text() == other.read_text().replace(f" --config {other}", "")


@pytest.mark.parametrize("key", ["\x03", "\x04"], ids=["Ctrl-C", "end of file"])
def test_who_leaves_leaves_nothing_behind(sides: Sides, key: str) -> None:
    with wizard(sides.place, "local") as talk:
        talk.answer(NAME, "a")
        talk.asked(FOLDER)
        talk.type(key)
        assert talk.ended() == 128 + signal.SIGINT
    assert f"{sides.file} was not written" in talk.words
    assert not sides.file.parent.exists()


def test_who_leaves_during_the_trial_leaves_nothing_behind(sides: Sides) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, wizard(sides.place, "sftp") as talk:
        talk.leave_empty(NAME, FOLDER, OUT)
        talk.answer("Host", "127.0.0.1")
        talk.answer("Port", str(silent.getsockname()[1]))
        talk.leave_empty(
            "User", "Folder there", "Private key", "File with the password",
            "Variable with the password", "Keyring entry with the password",
            "File with known host keys",
        )  # fmt: skip
        with silent.accept()[0]:
            talk.type("\x03")
            assert talk.ended() == 128 + signal.SIGINT
    assert f"{sides.file} was not written" in talk.words
    assert not sides.file.parent.exists()


def test_a_file_that_can_not_be_written_loses_no_answer(sides: Sides) -> None:
    (sides.place.folder / "in-the-way").touch()
    with wizard(sides.place, "local", "--output", "in-the-way/u.yaml") as talk:
        sides.answer_all(talk)
        talk.answer("File", "u.yaml")
        assert talk.ended() == 0
    assert "can't be written: Not a directory" in talk.words
    mappings = yaml.safe_load((sides.place.folder / "u.yaml").read_text())["mappings"]
    assert mappings[0]["name"] == "odd"


def test_a_secret_in_an_answer_is_refused_and_kept_nowhere(sides: Sides) -> None:
    secret = "hunter2hunter2"  # noqa: S105 -- an example
    with wizard(sides.place, "local", env={"MY_PASSWORD": secret}) as talk:
        talk.refused(NAME, secret, "No secret belongs into this file")
        talk.refused(NAME, f"sftp://me:{secret}@host", "No secret belongs into this file")
        sides.answer_all(talk)
        assert talk.ended() == 0
    # As often as it was typed.
    assert talk.seen.count(secret) == 2
    is_nowhere(sides.place, secret)


def test_without_a_terminal_it_says_what_to_do_instead(place: Place) -> None:
    ended = place.run("ctl", "config", "wizard", "uploader", "local")
    assert (ended.code, ended.out) == (2, "")
    assert "write the file by hand, from configs/uploader.yaml" in ended.err


def test_an_uploader_that_has_no_file_names_the_wizard_and_the_file(sides: Sides) -> None:
    ended = sides.place.run("agent", "--role", "uploader")
    assert ended.code == 2
    assert f"{sides.file}, which `zfs-ctl config wizard uploader` writes" in ended.err


def test_a_file_that_is_named_goes_before_the_usual_one(sides: Sides) -> None:
    sides.written()
    (sides.place.folder / "empty.yaml").write_text("role: uploader\n")
    ended = sides.place.run("agent", "--config", "empty.yaml")
    assert (ended.code, "needs `mappings:`" in ended.err) == (2, True)
    given = f"[{{name: given, local: '{sides.place.folder}', to: 'file:///nowhere/at/all'}}]"
    words = ("--once", "--timeout", "0.1", "--mappings", given)
    ended = sides.place.run("agent", "--role", "uploader", *words)
    assert "given" in ended.err
    assert "odd" not in ended.err
