"""What becomes of every action is on the broker's stream, for whoever listens, and only then.

The oracle is find, and the queue's file.
"""

import os
import signal
import socket
from typing import Any

import pytest

from tests.process.following import Follower
from tests.process.mirroring import Mirrored, listed
from tests.process.place import Site, wait_for

pytestmark = pytest.mark.slow

ENDED = {"sent", "moved", "deleted", "unchanged", "dropped"}


def odd(follower: Follower) -> list[Any]:
    """Files that were sent and have no name in UTF-8."""
    said = follower.said("action")
    return [each for each in said if "path_b64" in each and each["stage"] == "sent"]


def test_the_life_of_each_action_is_heard(mirrored: Mirrored, quick_site: Site) -> None:
    mirrored.configure(complete_sync=True, tries=1)
    uploader = mirrored.start("--broker", quick_site.endpoint)
    mirrored.becomes_equal("the first ones")
    follower = Follower(quick_site)
    follower.hears(mirrored, "first")
    new = {f"new-{number}" for number in range(300)}
    for name in new:
        (mirrored.data / name).write_text(f"content of {name}")
    (mirrored.data / "d0/f000000").rename(mirrored.data / "moved")
    (mirrored.data / "d1/f000000").unlink()
    (mirrored.copy / "blocked").mkdir()
    (mirrored.copy / "blocked/stays").write_text("in the way")
    (mirrored.data / "blocked").write_text("content")
    wait_for("all is done", lambda: mirrored.actions() == {"blocked": ("send", "aside")})
    assert new < {line.split(b"\t")[0].decode() for line in listed(mirrored.copy)}
    (mirrored.data / os.fsdecode(b"\xff\xe4")).write_text("x")
    wait_for("the last one is heard", lambda: odd(follower))
    ends = {path: stages[-1] for path, stages in follower.stages().items()}
    assert {ends[name] for name in new} == {"sent"}
    assert (ends["moved"], ends["d1/f000000"]) == ("moved", "deleted")
    assert set(ends.values()) <= {*ENDED, "aside"}
    said = follower.said("action")
    [moved] = [each for each in said if each["stage"] == "moved"]
    assert moved["detail"] == "d0/f000000"
    [aside] = [each for each in said if each["stage"] == "aside"]
    assert (aside["tries"], "in the way" in aside["detail"]) == (1, True)
    assert aside["queued"] <= aside["time"]
    assert {(each["host"], each["mapping"]) for each in said} == {(socket.gethostname(), "one")}
    assert [each["path_b64"] for each in odd(follower)] == ["/+Q="]
    ended = [each["number"] for each in said if each["stage"] in ENDED]
    assert len(ended) == len(set(ended)), "each action ends once"
    assert follower.said("gap") == []
    follower.end()
    mirrored.end(uploader)


def test_what_is_sent_slowly_is_heard_with_its_bytes(mirrored: Mirrored, quick_site: Site) -> None:
    mirrored.configure({"bwlimit": 1_000_000})
    uploader = mirrored.start("--broker", quick_site.endpoint)
    mirrored.becomes_equal("the first ones")
    follower = Follower(quick_site, "one")
    follower.hears(mirrored, "first")
    (mirrored.data / "large").write_bytes(os.urandom(5_000_000))
    wait_for("it is sent", lambda: follower.stages().get("large", [""])[-1] == "sent")
    of_large = [each for each in follower.said("transfer") if each["path"] == "large"]
    sent = [each["sent"] for each in of_large]
    assert sent == sorted(sent)
    assert len(set(sent)) >= 3
    assert {(each["size"], each["parts"]) for each in of_large} == {(5_000_000, 0)}
    mirrored.end(uploader)


def slowly(mirrored: Mirrored, count: int) -> None:
    """Files that take ten seconds."""
    mirrored.configure({"bwlimit": 1_000 * count}, transfers=1)
    for number in range(count):
        (mirrored.data / f"new-{number}").write_bytes(os.urandom(10_000))


def test_a_killed_uploader_and_the_next_one_are_told_apart(
    mirrored: Mirrored, quick_site: Site
) -> None:
    uploader = mirrored.start("--broker", quick_site.endpoint)
    mirrored.becomes_equal("the first ones")
    mirrored.end(uploader)
    slowly(mirrored, 40)
    follower = Follower(quick_site)
    uploader = mirrored.start("--broker", quick_site.endpoint)
    wait_for("some are heard", lambda: follower.has("sent"))
    uploader.kill()
    assert mirrored.place.end(uploader).code == -signal.SIGKILL
    assert mirrored.actions(), "the kill has left something to do"
    [before] = {each["publisher"] for each in follower.said("action")}
    left = {os.fsdecode(name) for name in mirrored.actions()}
    mirrored.configure()
    uploader = mirrored.start("--broker", quick_site.endpoint)
    mirrored.becomes_equal("the rest")
    follower.hears(mirrored, "second")
    after = {each["path"] for each in follower.said("action") if each["publisher"] != before}
    assert after
    assert after <= {*left, *(path for path in after if path.startswith("second"))}
    mirrored.end(uploader)


def test_a_killed_broker_stops_nothing_and_what_was_missed_is_a_gap(
    mirrored: Mirrored, quick_site: Site
) -> None:
    slowly(mirrored, 60)
    uploader = mirrored.start("--broker", quick_site.endpoint)
    follower = Follower(quick_site)
    wait_for("some are heard", lambda: follower.has("sent"))
    assert quick_site.broker is not None
    quick_site.broker.kill()
    assert quick_site.place.end(quick_site.broker).code == -signal.SIGKILL
    assert mirrored.actions(), "there was something to be told"
    before = len(listed(mirrored.copy))
    mirrored.has_more_than(before)
    quick_site.start_broker("--heartbeat", "0.3")
    wait_for("it is noticed", lambda: follower.said("gap"))
    [gap] = follower.said("gap")
    assert (gap["lost"] >= 1, gap["host"]) == (True, socket.gethostname())
    mirrored.becomes_equal("in spite of it")
    follower.hears(mirrored, "last")
    seqs = [each["seq"] for each in follower.said() if each["kind"] != "gap"]
    assert seqs == sorted(seqs)
    mirrored.end(uploader)


def test_text_is_for_people_and_of_one_mapping(mirrored: Mirrored, quick_site: Site) -> None:
    uploader = mirrored.start("--broker", quick_site.endpoint)
    mirrored.becomes_equal("the first ones")
    other, one = Follower(quick_site, "two"), Follower(quick_site)
    text = mirrored.place.folder / "text"
    into = ("sh", "-c", f'exec "$@" >{text}', "sh")
    words = ("ctl", "upload", "follow", "one", "--broker", quick_site.endpoint)
    mirrored.place.start(*words, prefix=into)
    one.hears(mirrored, "first")
    (mirrored.data / "bell\a").write_text("x")
    wait_for("people are told", lambda: "bell" in text.read_text())
    assert f"sent      {socket.gethostname()}" in text.read_text()
    assert "\a" not in text.read_text()
    assert other.said() == []
    mirrored.end(uploader)


def test_no_broker_is_an_error_that_says_so(mirrored: Mirrored, quick_site: Site) -> None:
    assert quick_site.broker is not None
    quick_site.broker.terminate()
    quick_site.place.end(quick_site.broker)
    words = ("ctl", "upload", "follow", "--broker", quick_site.endpoint, "--timeout", "0.5")
    ended = mirrored.place.run(*words)
    assert ended.code == 4
    assert "broker" in ended.err
