"""``zfs-ctl upload``: each verb by its effect, through a broker and at the uploader's own door.

The oracle is what is on the other side, the process table, or the file of the queue.
"""

import json
import os
import signal
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.process.mirroring import Mirrored, listed
from tests.process.place import Ended, Process, Site, Word, wait_for

pytestmark = pytest.mark.slow


class Way(ABC):
    """How an uploader is reached."""

    def __init__(self, mirrored: Mirrored) -> None:
        self.mirrored = mirrored

    @abstractmethod
    def start(self) -> Process:
        """An uploader that can be reached."""

    @abstractmethod
    def run(self, *arguments: Word) -> Ended:
        """``zfs-ctl upload``, whatever becomes of it."""

    def upload(self, *arguments: Word) -> Any:
        """``zfs-ctl upload``; returns the JSON."""
        ended = self.run(*arguments, "--json")
        assert (ended.code, ended.err) == (0, "")
        return ended.json

    def look(self, *arguments: Word) -> Any:
        """What ``list`` says of the one uploader."""
        [found] = self.upload("list", *arguments)["uploaders"]
        return found


class Door(Way):
    """There is no broker."""

    def start(self) -> Process:
        process = self.mirrored.start()
        wait_for("it can be reached", lambda: self.run("list").code == 0)
        return process

    def run(self, *arguments: Word) -> Ended:
        return self.mirrored.place.run("ctl", "upload", *arguments, "--state", self.mirrored.state)


class Bus(Way):
    """There is one."""

    def __init__(self, mirrored: Mirrored, site: Site) -> None:
        super().__init__(mirrored)
        self._site = site

    def start(self) -> Process:
        process = self.mirrored.start("--broker", self._site.endpoint)
        wait_for("it can be reached", lambda: self.run("list").code == 0)
        return process

    def run(self, *arguments: Word) -> Ended:
        place = self.mirrored.place
        return place.run("ctl", "upload", *arguments, "--broker", self._site.endpoint)


@pytest.fixture(params=["door", "broker"])
def way(request: pytest.FixtureRequest, mirrored: Mirrored) -> Iterator[Way]:
    if request.param == "door":
        yield Door(mirrored)
    else:
        yield Bus(mirrored, request.getfixturevalue("quick_site"))


def in_the_way(mirrored: Mirrored) -> Path:
    """A file whose place on the other side a folder has, so that it is set aside."""
    mirrored.configure(tries=1)
    stays = mirrored.copy / "blocked/stays"
    stays.parent.mkdir()
    stays.write_text("in the way")
    (mirrored.data / "blocked").write_text("content")
    return stays


def is_aside(mirrored: Mirrored) -> bool:
    return mirrored.actions() == {"blocked": ("send", "aside")}


def test_what_is_in_hand_is_shown(way: Way) -> None:
    in_the_way(way.mirrored)
    way.start()
    wait_for("one is set aside, the others are sent", lambda: is_aside(way.mirrored))
    found = way.look()
    [mapping] = found["mappings"]
    files = len(listed(way.mirrored.data)) - 1
    assert (mapping["name"], mapping["there"], mapping["aside"]) == ("one", files - 1, 1)
    [action] = found["actions"]
    assert (action["path"], action["action"], action["state"]) == ("blocked", "send", "aside")
    assert "in the way" in action["error"]
    assert way.look("--which", "held")["actions"] == []
    text = way.run("list").out
    assert "blocked" in text
    assert "in the way" in text
    refused = way.run("list", "two")
    assert refused.code == 2
    assert "two" in refused.err


def test_a_whole_queue_is_listed_and_only_one_page_if_that_is_wanted(way: Way) -> None:
    mirrored = way.mirrored
    for number in range(1500):
        (mirrored.data / f"q{number:04}").write_text("x")
    mirrored.configure(windows=["mon 00:00-00:01"])
    way.start()
    wait_for("all are queued", lambda: len(mirrored.actions()) == len(listed(mirrored.data)) - 1)
    found = way.look("--all")
    assert {each["path"] for each in found["actions"]} == set(mirrored.actions())
    assert len(found["actions"]) == len(mirrored.actions())
    assert len(way.look("--most", 7)["actions"]) == 7


def test_a_file_that_is_being_sent_is_shown(way: Way) -> None:
    mirrored = way.mirrored
    (mirrored.data / "large").write_bytes(os.urandom(20_000_000))
    mirrored.configure(bwlimit=1_000_000, order="smallest")
    way.start()
    wait_for("some of it is sent", lambda: any(
        one["path"] == "large" and one["size"] == 20_000_000 and one["sent"] > 0
        for one in way.look()["transfers"]
    ))  # fmt: skip


def test_a_pause_outlasts_a_kill_and_is_over_when_that_is_said(way: Way) -> None:
    mirrored = way.mirrored
    process = way.start()
    mirrored.becomes_equal("the first ones")
    way.upload("pause", "one")
    process.kill()
    mirrored.place.end(process)
    (mirrored.data / "while paused").write_text("x")
    way.start()
    wait_for("it is queued", lambda: mirrored.actions() == {"while paused": ("send", "ready")})
    assert "paused" in way.look()["mappings"][0]["health"]
    assert not (mirrored.copy / "while paused").exists()
    way.upload("continue", "one")
    mirrored.becomes_equal("it goes on")
    assert way.look()["mappings"][0]["health"] == "ok"


def test_what_was_set_aside_is_tried_again(way: Way) -> None:
    mirrored = way.mirrored
    stays = in_the_way(mirrored)
    way.start()
    wait_for("it is set aside", lambda: is_aside(mirrored))
    stays.unlink()
    stays.parent.rmdir()
    assert "0 actions" in way.upload("retry", "one", "another")["detail"]
    assert is_aside(mirrored)
    assert "1 actions" in way.upload("retry", "one", "blocked")["detail"]
    mirrored.becomes_equal("it is sent")


def test_what_is_forgotten_is_not_done_until_it_is_found_again(way: Way) -> None:
    mirrored = way.mirrored
    stays = in_the_way(mirrored)
    way.start()
    wait_for("it is set aside", lambda: is_aside(mirrored))
    assert "1 actions" in way.upload("forget", "one", "blocked")["detail"]
    assert mirrored.actions() == {}
    stays.unlink()
    stays.parent.rmdir()
    (mirrored.data / "late").write_text("x")
    wait_for("other things go on", (mirrored.copy / "late").exists)
    assert not (mirrored.copy / "blocked").exists()
    way.upload("rescan", "one")
    mirrored.becomes_equal("a comparison has found it")


def test_held_deletions_are_confirmed(way: Way) -> None:
    mirrored = way.mirrored
    mirrored.configure(complete_sync=True, guard_files=2, guard_percent=1)
    way.start()
    mirrored.becomes_equal("the first ones")
    doomed = [path for path in (mirrored.data / "d1").rglob("*") if path.is_file()]
    for path in doomed:
        path.unlink()
    held = {str(path.relative_to(mirrored.data)): ("delete", "held") for path in doomed}
    wait_for("they are held", lambda: mirrored.actions() == held)
    assert {one["path"] for one in way.look("--which", "held")["actions"]} == set(held)
    assert f"{len(held)} deletions" in way.upload("confirm")["detail"]
    mirrored.becomes_equal("they are confirmed")


def test_a_comparison_is_made_when_that_is_said(way: Way) -> None:
    mirrored = way.mirrored
    mirrored.configure(rescan=0)
    way.start()
    mirrored.becomes_equal("the first ones")
    wait_for("nothing is left to do", lambda: not mirrored.actions())
    (mirrored.copy / "d0/f000000").unlink()
    way.upload("rescan")
    mirrored.becomes_equal("what was lost there is found")


def test_a_reset_asks_drops_the_queue_and_compares(way: Way) -> None:
    mirrored = way.mirrored
    stays = in_the_way(mirrored)
    way.start()
    wait_for("it is set aside", lambda: is_aside(mirrored))
    refused = way.run("reset", "one")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert is_aside(mirrored)
    stays.unlink()
    stays.parent.rmdir()
    assert "1 actions" in way.upload("reset", "one", "--yes")["detail"]
    mirrored.becomes_equal("the comparison has found it again")


def test_a_limit_holds_until_it_is_changed(way: Way) -> None:
    mirrored = way.mirrored
    way.start()
    mirrored.becomes_equal("the first ones")
    way.upload("limit", "1", "one")
    (mirrored.data / "large").write_bytes(os.urandom(20_000_000))
    wait_for("it is being sent", lambda: way.look()["transfers"])
    assert not (mirrored.copy / "large").exists()
    refused = way.run("limit", "fast")
    assert refused.code == 2
    assert "fast" in refused.err
    way.upload("limit", "0", "one")
    mirrored.becomes_equal("there is no limit any more")


def test_it_is_stopped(way: Way) -> None:
    process = way.start()
    way.mirrored.becomes_equal("the first ones")
    way.upload("stop")
    ended = way.mirrored.place.end(process)
    assert ended.code == 0, ended.err


def test_what_it_does_not_know_it_refuses(way: Way) -> None:
    way.start()
    for words in (("pause", "two"), ("forget", "two", "x")):
        refused = way.run(*words)
        assert refused.code == 2
        assert "no mapping two; there are one" in refused.err


# ------------------------------------------------------------------ the door


def test_the_door_is_for_its_user_alone(mirrored: Mirrored) -> None:
    mirrored.state.mkdir(mode=0o755)
    Door(mirrored).start()
    [door] = mirrored.state.glob("*.door")
    found = door.lstat().st_mode
    assert (stat.S_ISSOCK(found), stat.S_IMODE(found)) == (True, 0o600)


def test_a_state_folder_with_a_long_name_has_a_door(mirrored: Mirrored) -> None:
    mirrored.state = mirrored.place.folder.joinpath(*["x" * 100] * 3)
    mirrored.configure()
    door = Door(mirrored)
    door.start()
    mirrored.becomes_equal("the first ones")
    assert door.look()["mappings"][0]["name"] == "one"


def test_a_door_without_an_uploader_is_told(mirrored: Mirrored) -> None:
    door = Door(mirrored)
    process = door.start()
    process.kill()
    assert mirrored.place.end(process).code == -signal.SIGKILL
    assert [*mirrored.state.glob("*.door")]  # it was left
    for words in (("list",), ("pause",), ("stop",)):
        ended = door.run(*words)
        assert ended.code == 4
        assert "No uploader runs with the state folder" in ended.err
    door.start()
    assert door.look()["name"] == "uploader-1"


def test_several_uploaders_are_told_apart(mirrored: Mirrored) -> None:
    other = mirrored.place.folder / "other.yaml"
    content = json.loads(mirrored.file.read_text())
    (mirrored.place.folder / "copy2").mkdir()
    content["mappings"][0] |= {"name": "two", "to": f"file://{mirrored.place.folder}/copy2"}
    other.write_text(json.dumps(content))
    door = Door(mirrored)
    first = door.start()
    second = mirrored.place.start("agent", "--config", other)
    wait_for("both are there", lambda: len(door.upload("list")["uploaders"]) == 2)
    refused = door.run("stop")
    assert refused.code == 2
    assert "--agent" in refused.err
    assert "paused" in door.upload("pause", "two")["detail"]
    paused = {
        each["mappings"][0]["name"]: each["mappings"][0]["health"]
        for each in door.upload("list")["uploaders"]
    }
    assert paused["one"] == "ok"
    assert "paused" in paused["two"]
    assert len(door.upload("list", "two")["uploaders"]) == 1
    door.upload("stop", "--agent", "uploader-2")
    assert mirrored.place.end(second).code == 0
    assert first.poll() is None
