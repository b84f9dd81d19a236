"""A walk that sends what it finds: exact on both sides, whatever is killed. The oracle is find."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process import cargo, oracle
from tests.process.conftest import PrivateLedger
from tests.process.place import KILLED, OBEDIENT, Brake, Place, Process, Site, remove, wait_for

PAUSED, STALLED = 11, 8

HALF = ".zfs-walk.01234567.0123456789abcdef.part"
"""A name that a mirror into the walked folder has left."""


@pytest.fixture(scope="module")
def data(forest: Path) -> Path:
    """What is sent; no test changes it."""
    return cargo.load(forest / "cargo")


@pytest.fixture
def copy(place: Place) -> Iterator[Path]:
    """Where it goes."""
    folder = place.folder / "copy"
    folder.mkdir()
    yield folder
    remove(folder)


def to(copy: Path, *more: str | Path | int) -> tuple[str | Path | int, ...]:
    return ("--to", f"file://{copy}", *more)


def left_behind(copy: Path) -> list[bytes]:
    """Half-sent files."""
    return oracle.find(copy, "-name", ".zfs-walk.*").splitlines()


# ---------------------------------------------------------------------- in private


def test_all_files_arrive_and_a_second_run_sends_nothing(
    place: Place, data: Path, copy: Path
) -> None:
    (copy / "of somebody else").write_text("stays")
    first = place.walk(data, *to(copy))
    assert (copy / "of somebody else").read_text() == "stays"
    (copy / "of somebody else").unlink()
    cargo.is_there(first, data, copy)
    assert first["sending"]["sent"] == cargo.both(data)
    assert first["sending"]["not_sent"] == {"symlinks": 1, "other": 0}
    before = cargo.names(copy, "%P %i %C@\\n")
    second = place.walk(data, *to(copy))
    cargo.is_there(second, data, copy)
    assert second["sending"]["sent"] == {"files": 0, "bytes": 0}
    assert cargo.names(copy, "%P %i %C@\\n") == before
    place.nothing_left()
    place.no_private_state()


def test_what_has_changed_is_sent_and_nothing_else(place: Place, data: Path, copy: Path) -> None:
    own = place.folder / "own"
    shutil.copytree(data / "d1", own, symlinks=True)
    place.walk(own, *to(copy))
    (own / "e1" / "f1").write_bytes(b"another content")
    (own / "e1" / "new").write_bytes(b"another file")
    (own / "e6" / "f2").unlink()
    gone = (copy / "e6" / "f2").read_bytes()
    report = place.walk(own, *to(copy))
    assert report["sending"]["sent"] == {"files": 2, "bytes": 27}
    # Nothing is ever deleted there.
    assert (copy / "e6" / "f2").read_bytes() == gone
    (copy / "e6" / "f2").unlink()
    cargo.is_there(report, own, copy)


def test_a_dry_run_prints_what_it_would_send_and_leaves_nothing(
    place: Place, data: Path, copy: Path
) -> None:
    (copy / "of somebody else").write_text("stays")
    before = cargo.names(copy, "%P %i %C@ %s\\n"), sorted(copy.rglob("*"))
    ended = place.run("walk", data / "d1", *to(copy), "--dry-run", "--json", "-q")
    assert ended.code == 0, ended.err
    lines = ended.out[: ended.out.index("{\n")].splitlines()
    planned = {line["to"]: line["size"] for line in map(json.loads, lines)}
    wanted = {
        f"{copy}/{name.decode()}": int(size)
        for name, size in (line.split(b"\t") for line in cargo.names(data / "d1") if line)
    }
    assert len(lines) == len(planned)
    assert planned == wanted
    report = json.loads(ended.out[ended.out.index("{\n") :])
    assert report["sending"]["planned"] == cargo.both(data / "d1")
    assert report["sending"]["there"] == {"files": 0, "bytes": 0}
    assert (cargo.names(copy, "%P %i %C@ %s\\n"), sorted(copy.rglob("*"))) == before
    text = place.run("walk", data / "d1", *to(copy), "--dry-run", "-q").out
    shown = [line.split(maxsplit=1) for line in text[: text.index(f"{data}")].splitlines()]
    assert {path: int(size.replace(",", "")) for size, path in shown} == wanted
    place.no_private_state()
    assert not list((place.state / "zfs_walk").glob("sending/*"))


@pytest.mark.parametrize("point", ["send.begun:4", "send.ended:4"])
def test_each_worker_that_is_killed_costs_nothing(
    place: Place, data: Path, copy: Path, point: str
) -> None:
    # Each worker is killed at its fourth task: before its files are sent, or before that is told.
    ended = place.run(
        "walk", "--json", "-v", "--workers", 2, data, *to(copy), env={"ZFS_WALK_FAILPOINT": point}
    )
    assert ended.code == 0, ended.err
    assert len(KILLED.findall(ended.err)) > 3
    cargo.is_there(ended.json, data, copy)
    if point.startswith("send.ended"):
        # What a killed one had sent was found there by the next.
        assert ended.json["sending"]["unchanged"]["files"] > 0
    assert not left_behind(copy)
    place.no_private_state()


def test_a_file_in_the_middle_of_which_a_worker_dies_leaves_nothing(
    place: Place, data: Path, copy: Path
) -> None:
    env = {"ZFS_WALK_FAILPOINT": "file.begun:20"}
    ended = place.run("walk", "--json", "-v", "--workers", 1, data, *to(copy), env=env)
    assert ended.code == 0, ended.err
    assert KILLED.search(ended.err)
    cargo.is_there(ended.json, data, copy)
    assert not left_behind(copy)


def test_a_killed_command_is_resumed(
    place: Place, data: Path, copy: Path, brake: Brake, private_ledger: PrivateLedger
) -> None:
    process = place.start("walk", "--json", "-q", data, *to(copy), env=brake.environment)
    ledger = private_ledger.in_the_middle()
    wait_for("files arrive", lambda: cargo.both(copy)["files"] > 5)
    process.kill()
    place.end(process)
    place.nothing_left()
    assert ledger.left > 0
    assert 0 < cargo.both(copy)["files"] < cargo.both(data)["files"]
    ended = place.run("walk", "--json", "-q", "--resume", private_ledger.run)
    assert ended.code == 0, ended.err
    cargo.is_there(ended.json, data, copy)
    assert not left_behind(copy)
    place.no_private_state()


def test_ctrl_c_pauses_and_the_same_command_goes_on(
    place: Place, data: Path, copy: Path, brake: Brake, private_ledger: PrivateLedger
) -> None:
    process = place.start("walk", "--json", "-q", data, *to(copy), env=brake.environment)
    private_ledger.in_the_middle()
    wait_for("files arrive", lambda: cargo.both(copy)["files"] > 5)
    process.send_signal(signal.SIGINT)
    ended = place.end(process, 20.0)
    assert (ended.code, ended.out) == (PAUSED, "")
    assert "Go on with: zfs-walk --resume" in ended.err
    there = cargo.both(copy)
    assert 0 < there["files"] < cargo.both(data)["files"]
    report = place.walk(data, *to(copy))
    cargo.is_there(report, data, copy)
    assert report["sending"]["unchanged"] == there
    assert not left_behind(copy)


def test_with_a_catalog_rolled_back_work_is_counted_once(
    place: Place, data: Path, copy: Path, brake: Brake, private_ledger: PrivateLedger
) -> None:
    catalog = place.folder / "catalog"
    words = ("walk", "--json", "-v", "--workers", 2, data, *to(copy), "-o", catalog)
    process = place.start(*words, env=brake.environment)
    ledger = private_ledger.in_the_middle()
    os.kill(place.workers(process)[0], signal.SIGKILL)
    assert ledger.left > 0
    brake.release()
    ended = place.end(process)
    assert KILLED.search(ended.err)
    cargo.is_there(ended.json, data, copy)
    place.no_private_state()


def test_files_that_cannot_be_sent_are_listed_with_the_reason(place: Place, copy: Path) -> None:
    own = place.folder / "own"
    own.mkdir()
    for name in ("good", "closed", HALF, "in the way"):
        (own / name).write_text("content")
    (own / "closed").chmod(0)
    os.mkfifo(own / "pipe")
    (copy / "in the way").mkdir()
    (copy / "in the way" / "full").write_text("")
    ended = place.run("walk", "--json", "-q", own, *to(copy), prefix=OBEDIENT)
    assert ended.code == 1
    told = ended.json["sending"]
    assert told["sent"] == {"files": 1, "bytes": 7}
    assert (told["refused"]["files"], told["unsent"]["files"]) == (1, 2)
    assert told["not_sent"] == {"symlinks": 0, "other": 1}
    assert ended.json["errors_by_class"] == {"refused": 1, "unsent": 2}
    why = {
        Path(each["path"]).name: (each["class"], each["reason"])
        for each in ended.json["error_examples"]
    }
    assert why["closed"] == ("unsent", "Permission denied")
    assert (why[HALF][0], why["in the way"][0]) == ("refused", "unsent")
    assert all(reason for _, reason in why.values())
    assert (copy / "in the way" / "full").exists()


def test_a_sink_that_is_not_there_is_told_with_the_way_out(place: Place, data: Path) -> None:
    copy = place.folder / "later"
    ended = place.run("walk", "--json", "-q", data / "d1", *to(copy))
    assert ended.code == STALLED
    assert str(copy) in ended.err
    run = int(ended.err.split("--resume ")[1].split()[0])
    copy.mkdir()
    ended = place.run("walk", "--json", "-q", "--resume", run)
    assert ended.code == 0, ended.err
    cargo.is_there(ended.json, data / "d1", copy)


def test_what_makes_no_sense_is_refused(place: Place, data: Path, copy: Path) -> None:
    inside = data / "d1"
    wrong = {
        "one PATH": (inside, data / "d2", *to(copy)),
        "no directory": (data / "large", *to(copy)),
        "--names-only": (inside, *to(copy), "--names-only"),
        "lie in each other": (data, *to(data / "d1")),
        "no password": (inside, "--to", "sftp://me:secret@host/path"),
        "no option `fsyncc`": (inside, *to(copy, "--to-options", "{fsyncc: true}")),
        "a map of the sink's options": (inside, *to(copy, "--to-options", "fsync")),
        "there is no sink for": (inside, "--to", "gopher://host/path"),
        "give both": (inside, "--dry-run"),
    }
    for reason, words in wrong.items():
        ended = place.run("walk", *words)
        assert (ended.code, ended.out) == (2, ""), words
        assert reason in ended.err
        assert "secret" not in ended.err
    place.no_private_state()


# ---------------------------------------------------------------------- on a bus


def in_the_middle(site: Site) -> None:
    wait_for("it is in its middle", lambda: site.ledger.commits >= 3 and site.ledger.left)


def started(site: Site, data: Path, copy: Path) -> Process:
    return site.walk(data, *to(copy))


def ends_well(site: Site, process: Process, data: Path, copy: Path) -> None:
    ended = site.place.end(process)
    assert ended.code == 0, ended.err
    cargo.is_there(ended.json, data, copy)
    site.verify()


def is_open(site: Site) -> bool:
    return site.ledger.state == "RUNNING" and site.ledger.left > 0


def test_two_agents_share_one_directory(
    quick_site: Site, data: Path, copy: Path, brake: Brake
) -> None:
    quick_site.start_agents(2, "--workers", 1, env=brake.environment)
    process = started(quick_site, data / "wide", copy)
    ends_well(quick_site, process, data / "wide", copy)
    shares = quick_site.ledger.entries("sent.files")
    assert len(shares) == 2
    assert min(shares.values()) >= 20
    [row] = quick_site.ctl("run", "list")["runs"]
    assert (row["sent_files"], row["sent_bytes"]) == (80, 32_000_000)


@pytest.mark.slow
def test_a_killed_worker_on_a_bus_costs_nothing(
    quick_site: Site, data: Path, copy: Path, brake: Brake
) -> None:
    first, _ = quick_site.start_agents(2, "-v", env=brake.environment)
    process = started(quick_site, data, copy)
    in_the_middle(quick_site)
    os.kill(quick_site.place.workers(first)[0], signal.SIGKILL)
    assert is_open(quick_site)
    ends_well(quick_site, process, data, copy)
    first.terminate()
    assert KILLED.search(quick_site.place.end(first).err)


@pytest.mark.slow
def test_a_killed_agents_files_are_sent_by_another(
    quick_site: Site, data: Path, copy: Path, brake: Brake
) -> None:
    first, _ = quick_site.start_agents(2, env=brake.environment)
    process = started(quick_site, data, copy)
    wait_for("both work", lambda: len(quick_site.ledger.entries()) == 2)
    first.kill()
    assert is_open(quick_site)
    ends_well(quick_site, process, data, copy)
    assert quick_site.ledger.regranted > 0
    wait_for("what it has left is swept", lambda: not left_behind(copy))


@pytest.mark.slow
def test_a_killed_broker_goes_on(site: Site, data: Path, copy: Path, brake: Brake) -> None:
    quick = ("--heartbeat", "0.3", "--lease-ttl", "2", "--commit-interval", "1")
    broker = site.start_broker(*quick)
    site.start_agents(2, env=brake.environment)
    process = started(site, data, copy)
    in_the_middle(site)
    broker.kill()
    site.place.end(broker)
    assert is_open(site)
    commits = site.ledger.commits
    site.start_broker(*quick)
    wait_for("commits are applied again", lambda: site.ledger.commits > commits)
    ends_well(site, process, data, copy)


def test_an_agent_that_may_not_write_there_gives_its_work_back(
    quick_site: Site, data: Path, copy: Path
) -> None:
    kept_out = quick_site.start_agent("--allow", data, "-v")
    wait_for("it comes", lambda: len(quick_site.names()) == 1)
    process = quick_site.walk(data, *to(copy))
    ended = quick_site.place.end(process)
    assert ended.code == STALLED
    assert str(copy) in ended.err
    assert "--resume 1" in ended.err
    quick_site.start_agents(1)
    process = quick_site.place.start(
        "walk", "--broker", quick_site.endpoint, "--json", "-q", "--resume", 1
    )
    ends_well(quick_site, process, data, copy)
    shares = quick_site.ledger.entries("sent.files")
    assert sorted(shares.values()) == [0, cargo.both(data)["files"]]
    kept_out.terminate()
    assert "can't be walked here" in quick_site.place.end(kept_out).err


def test_a_dry_run_on_a_bus_sends_nothing(quick_site: Site, data: Path, copy: Path) -> None:
    ended = quick_site.place.end(quick_site.walk(data / "d1", *to(copy), "--dry-run"))
    assert ended.code == 0, ended.err
    assert ended.out.count(f'"to": "{copy}/') == cargo.both(data / "d1")["files"]
    assert not list(copy.iterdir())
