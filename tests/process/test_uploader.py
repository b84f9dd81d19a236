"""Uploaders as processes: with a broker and without, through kills, ends and wrong files.

The oracle is find and diff. What sinks promise is tested in tests/servers and tests/unit/sinks.
"""

import json
import os
import signal
from pathlib import Path
from typing import Any

import persistqueue
import pytest

from tests.process.mirroring import Mirrored, grow, listed
from tests.process.place import OBEDIENT, Place, Site, wait_for
from zfs_walk.errors import StateError

pytestmark = [pytest.mark.slow, pytest.mark.long]


def mapping_of(site: Site, name: str = "one") -> dict[str, Any] | None:
    """What `zfs-ctl status` shows of a mapping; None: nothing."""
    for agent in site.ctl("status")["agents"]:
        if agent["role"] == "uploader" and agent["state"] == "live" and agent["status"]:
            for mapping in agent["status"]["mappings"]:
                if mapping["name"] == name:
                    return dict(mapping)
    return None


# ------------------------------------------------------------------------- without a broker


def test_a_folder_is_mirrored_without_a_broker(mirrored: Mirrored) -> None:
    mirrored.configure(complete_sync=True)
    process = mirrored.start()
    mirrored.becomes_equal("the first ones")
    (mirrored.data / "d1/new").write_bytes(b"12345")
    os.utime(mirrored.data / "d1/new", ns=(1, 1_500_000_000_123_456_789))
    (mirrored.data / "d1/new").chmod(0o640)
    mirrored.becomes_equal("a new file")
    (mirrored.data / "d1").rename(mirrored.data / "d9")
    mirrored.becomes_equal("a renamed folder")
    assert not (mirrored.copy / "d1").exists()
    mirrored.end(process)


def test_names_that_are_not_utf8_are_mirrored(mirrored: Mirrored) -> None:
    name = os.fsencode(mirrored.data) + b"/d0/\xff\n\xe4"
    Path(os.fsdecode(name)).write_bytes(b"x")
    mirrored.start()
    mirrored.becomes_equal("a strange name")


def test_what_changed_while_it_was_down_is_found(mirrored: Mirrored) -> None:
    mirrored.configure(complete_sync=True)
    process = mirrored.start()
    mirrored.becomes_equal("the first ones")
    mirrored.end(process)
    (mirrored.data / "late").write_bytes(b"1")
    (mirrored.data / "d0").rename(mirrored.data / "e0")
    with (mirrored.data / "d1/f000000").open("ab") as more:
        more.write(b"more")
    (mirrored.data / "d2/f000001").unlink()
    mirrored.start()
    mirrored.becomes_equal("what happened meanwhile")


def test_killed_at_any_time_it_goes_on(mirrored: Mirrored) -> None:
    mirrored.configure(complete_sync=True)
    for number in range(8):
        process = mirrored.start()
        mirrored.has_more_than(3 * number)
        grow(mirrored.data / f"more{number}")
        (mirrored.data / "d2").rename(mirrored.data / "moving")
        (mirrored.data / "moving").rename(mirrored.data / "d2")
        process.kill()
        assert mirrored.place.end(process).code == -signal.SIGKILL
    mirrored.start()
    mirrored.becomes_equal("after the kills")
    assert [*mirrored.copy.rglob(".zfs-walk.*")] == []


def test_its_end_stops_a_transfer_that_is_gone_on_with_at_the_next_start(
    mirrored: Mirrored,
) -> None:
    (mirrored.data / "large").write_bytes(os.urandom(20_000_000))
    mirrored.configure(bwlimit=1, transfers=1, order="smallest")
    process = mirrored.start()
    wait_for("something is sent", lambda: mirrored.says("compared"))
    mirrored.end(process)
    assert not (mirrored.copy / "large").exists()
    mirrored.configure()
    mirrored.start()
    mirrored.becomes_equal("the large one is there")


def test_a_second_signal_ends_it_at_once_and_nothing_is_lost(mirrored: Mirrored) -> None:
    process = mirrored.start()
    mirrored.has_more_than(1)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    assert mirrored.place.end(process).code in {0, 128 + signal.SIGINT, 128 + signal.SIGTERM}
    mirrored.start()
    mirrored.becomes_equal("after that")


def test_its_state_is_for_its_user_alone(mirrored: Mirrored) -> None:
    mirrored.start()
    mirrored.becomes_equal("the first ones")
    folder = mirrored.state / "mirrors/one"
    assert [path.stat().st_mode & 0o777 for path in (folder.parent, folder)] == [0o700, 0o700]


# ------------------------------------------------------------------------- deletions, limits


def test_many_deletions_wait_until_they_are_confirmed(mirrored: Mirrored) -> None:
    mirrored.configure(complete_sync=True, guard_files=2, guard_percent=1)
    process = mirrored.start()
    mirrored.becomes_equal("the first ones")
    before = listed(mirrored.copy)
    for path in (mirrored.data / "d1").rglob("*"):
        if path.is_file():
            path.unlink()
    wait_for("they are held", lambda: mirrored.says("deletions wait to be confirmed"))
    mirrored.end(process)
    assert listed(mirrored.copy) == before
    process = mirrored.start()
    (mirrored.data / "late").write_bytes(b"1")
    wait_for("other things go on", (mirrored.copy / "late").exists)
    mirrored.end(process)
    assert [line for line in listed(mirrored.copy) if not line.startswith(b"late\t")] == before
    mirrored.start("--confirm", "one")
    mirrored.becomes_equal("they are confirmed")


def test_without_complete_sync_nothing_is_ever_deleted(mirrored: Mirrored) -> None:
    mirrored.start()
    mirrored.becomes_equal("the first ones")
    before = listed(mirrored.copy)
    (mirrored.data / "d1/f000000").unlink()
    (mirrored.data / "late").write_bytes(b"1")
    wait_for("what comes is sent", (mirrored.copy / "late").exists)
    assert set(before) <= set(listed(mirrored.copy))


def test_limits_are_read_anew_while_it_runs(mirrored: Mirrored) -> None:
    (mirrored.data / "large").write_bytes(os.urandom(20_000_000))
    mirrored.configure({"bwlimit": "1"}, bwlimit=2)
    process = mirrored.start()
    wait_for("it runs", lambda: mirrored.says("compared"))
    mirrored.configure({"bwlimit": "fast"})
    process.send_signal(signal.SIGUSR1)
    wait_for("it says what is wrong", lambda: mirrored.says("the limits stay as they are"))
    assert not (mirrored.copy / "large").exists()
    mirrored.configure()
    process.send_signal(signal.SIGUSR1)
    mirrored.becomes_equal("without a limit")
    mirrored.end(process)


@pytest.mark.root
def test_what_was_set_aside_is_named_and_tried_again_on_demand(mirrored: Mirrored) -> None:
    secret = mirrored.data / "d0/f000000"
    secret.chmod(0)
    mirrored.configure(tries=1)
    process = mirrored.start(prefix=OBEDIENT)
    wait_for("it is set aside", lambda: mirrored.says("one: d0/f000000 aside: "))
    wait_for("the others are there", lambda: mirrored.lacks == ["d0/f000000"])
    mirrored.end(process)
    secret.chmod(0o644)
    mirrored.start("--retry", "one")
    mirrored.becomes_equal("it can be read")


# ------------------------------------------------------------------------- once


def test_once_ends_when_both_sides_are_equal(mirrored: Mirrored) -> None:
    for number in range(2):
        assert mirrored.run("--once") == (0, "")
        assert mirrored.equal
        (mirrored.data / f"late{number}").write_bytes(b"1")


def test_once_says_that_deletions_are_held(mirrored: Mirrored) -> None:
    mirrored.configure(complete_sync=True, guard_files=2, guard_percent=1)
    assert mirrored.run("--once")[0] == 0
    before = listed(mirrored.copy)
    for number in range(3):
        (mirrored.data / f"d1/f00000{number}").unlink()
    code, said = mirrored.run("--once")
    assert (code, "3 deletions" in said) == (1, True)
    assert listed(mirrored.copy) == before
    assert mirrored.run("--once", "--confirm", "one")[0] == 0
    assert mirrored.equal


def test_once_gives_up_a_folder_that_is_not_there(mirrored: Mirrored) -> None:
    mirrored.data.rename(mirrored.place.folder / "away")
    code, said = mirrored.run("--once", "--timeout", "0.5")
    assert (code, "one can't be mirrored" in said) == (15, True)


# ------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("options", "keys", "message"),
    [
        ({}, {"trasnfers": 2}, "line 1: unknown key trasnfers; the nearest is transfers;"),
        ({}, {"to": "gopher://x"}, "line 1: "),
        ({"bwlimit": "fast"}, {}, 'bwlimit: "fast" is not accepted; accepted: bytes a second'),
        ({"mapings": []}, {}, "unknown key mapings; the nearest is mappings;"),
        ({"mappings": []}, {}, "mappings: a list with at least one mapping is wanted"),
        ({"only": ["two"]}, {}, "there is no mapping two; there are one"),
        ({"allow": ["/usr"]}, {}, "only /usr may be mirrored"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_the_file_is_refused_with_its_place(
    mirrored: Mirrored, options: dict[str, Any], keys: dict[str, Any], message: str
) -> None:
    mirrored.configure(options, **keys)
    code, said = mirrored.run()
    assert (code, str(mirrored.file) in said or "there is no mapping" in said) == (2, True)
    assert message in said
    assert listed(mirrored.copy) == [b""]


def test_an_uploader_without_mappings_is_refused(place: Place) -> None:
    ended = place.run("agent", "--role", "uploader")
    assert ended.code == 2
    assert "an uploader needs `mappings:` in the file of --config" in ended.err


def test_options_of_other_roles_are_refused(mirrored: Mirrored) -> None:
    code, said = mirrored.run("--workers", 2)
    assert (code, "--workers is an option of a walker, not of an uploader" in said) == (2, True)


def test_two_processes_do_not_share_a_mapping(mirrored: Mirrored) -> None:
    process = mirrored.start()
    mirrored.becomes_equal("the first ones")
    code, said = mirrored.run()
    assert (code, str(process.pid) in said) == (6, True)


def test_only_the_mappings_that_are_named_run(mirrored: Mirrored) -> None:
    other = mirrored.place.folder / "other"
    other.mkdir()
    content = json.loads(mirrored.file.read_text())
    content["mappings"].append(
        {"name": "two", "local": str(mirrored.data), "to": f"file://{other}"}
    )
    mirrored.file.write_text(json.dumps(content))
    process = mirrored.start("--only", "two")
    wait_for("the second one is equal", lambda: listed(mirrored.data) == listed(other))
    mirrored.end(process)
    assert listed(mirrored.copy) == [b""]
    assert not (mirrored.state / "mirrors/one").exists()


# ------------------------------------------------------------------------- with a broker


def test_it_joins_a_broker_that_comes_and_mirrors_on_when_it_goes(
    mirrored: Mirrored, site: Site
) -> None:
    process = mirrored.start()
    mirrored.becomes_equal("nobody knows of a broker")
    broker = site.start_broker("--heartbeat", "0.3")
    wait_for("its mapping is shown", lambda: mapping_of(site))
    broker.kill()
    site.place.end(broker)
    (mirrored.data / "alone").write_bytes(b"1")
    mirrored.becomes_equal("the broker is away")
    site.start_broker("--heartbeat", "0.3")
    wait_for("its mapping is shown again", lambda: mapping_of(site))
    shown = mapping_of(site)
    assert shown is not None
    files = len(listed(mirrored.data)) - 1
    assert (shown["path"], shown["url"]) == (str(mirrored.data), f"file://{mirrored.copy}")
    wait_for("all is told", lambda: (mapping_of(site) or {}).get("indexed") == files)
    mirrored.end(process)
    assert site.ctl("status")["agents"] == []


def test_it_runs_with_a_broker_that_is_named_and_away(mirrored: Mirrored, site: Site) -> None:
    site.endpoint = site.another_endpoint()
    process = mirrored.start("--broker", site.endpoint)
    mirrored.becomes_equal("nobody is at the endpoint")
    site.start_broker("--heartbeat", "0.3")
    wait_for("its mapping is shown", lambda: mapping_of(site))
    mirrored.end(process)


def test_a_broker_that_refuses_it_stops_no_mirror(mirrored: Mirrored, quick_site: Site) -> None:
    holder = mirrored.start("--name", "here")
    wait_for("the name is taken", lambda: mapping_of(quick_site))
    mirrored.copy = mirrored.place.folder / "other"
    mirrored.copy.mkdir()
    mirrored.state = mirrored.place.folder / "other-state"
    mirrored.configure()
    process = mirrored.start("--name", "here")
    wait_for("it is refused", lambda: mirrored.says("mirroring on without the broker: name-in-use"))
    (mirrored.data / "late").write_bytes(b"1")
    mirrored.becomes_equal("the broker has another one of that name")
    for each in (process, holder):
        mirrored.end(each)


def test_a_drain_ends_it(mirrored: Mirrored, quick_site: Site) -> None:
    process = mirrored.start("--name", "up")
    wait_for("its mapping is shown", lambda: mapping_of(quick_site))
    quick_site.ctl("agent", "drain", "up")
    assert mirrored.place.end(process).code == 0


@pytest.mark.root
def test_what_keeps_a_mapping_from_its_work_is_its_health(
    mirrored: Mirrored, quick_site: Site
) -> None:
    mirrored.copy.chmod(0o500)
    mirrored.start(prefix=OBEDIENT)
    wait_for("it is told", lambda: (mapping_of(quick_site) or {"health": "ok"})["health"] != "ok")
    mirrored.copy.chmod(0o700)
    mirrored.becomes_equal("it may be written to")
    wait_for("it is well", lambda: (mapping_of(quick_site) or {"health": ""})["health"] == "ok")


def test_what_an_older_uploader_has_left_is_taken_over(mirrored: Mirrored) -> None:
    code, said = mirrored.run("--once")
    assert code == 0, said
    gone = min(mirrored.data.rglob("f*"))
    there = mirrored.copy / gone.relative_to(mirrored.data)
    gone.unlink()
    queue = mirrored.place.folder / "old"
    old = persistqueue.UniqueQ(str(queue), auto_commit=True)
    old.put({"action": "DeleteAction", "src_path": str(gone)})
    old.put({"action": "SendAction", "src_path": "/elsewhere/file"})
    del old
    mirrored.configure(complete_sync=True)
    code, said = mirrored.run("--once", "--take-over", "one", queue)
    assert code == 0, said
    assert "2 items, 1 names are queued, 1 items name none of them" in said
    assert not there.exists()
    assert mirrored.equal
    code, said = mirrored.run("--once", "--take-over", "one", mirrored.data)
    assert code == StateError.exit_code
    assert str(mirrored.data) in said
