"""Each thing that can be wrong: a clear message, its exit code, nothing left behind or hanging."""

import os
import socket
import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest

from tests.process import mounts, oracle, trees
from tests.process.ledger import Ledger
from tests.process.place import Ended, Place, Site, wait_for


@pytest.fixture
def small(place: Place) -> Path:
    return trees.bushy(place.folder / "small", width=3, depth=2, files=3)


def refused(ended: Ended, code: int, *words: str) -> None:
    """It ended with this code, and said this in one line."""
    assert (ended.code, ended.out) == (code, ""), ended.err
    for word in words:
        assert word in ended.err
    assert "Traceback" not in ended.err
    assert len(ended.err.splitlines()) <= 4, ended.err


# ------------------------------------------------------------------ roots and options


def test_no_root(place: Place) -> None:
    refused(place.run("walk"), 2, "no PATH was given")


def test_a_missing_root(place: Place) -> None:
    refused(place.run("walk", "/no/such"), 2, "/no/such: No such file or directory")
    place.no_private_state()


def test_a_file_with_a_slash(place: Place, small: Path) -> None:
    refused(place.run("walk", f"{small}/f000000/"), 2, "Not a directory")


def test_overlapping_roots(place: Place, small: Path) -> None:
    refused(place.run("walk", small, small / "d0"), 2, f"{small}/d0 is inside {small}")
    refused(place.run("walk", small, f"{small}/"), 2, "twice")


def test_a_bad_pattern(place: Place, small: Path) -> None:
    refused(place.run("walk", small, "--exclude", ""), 2)
    refused(place.run("walk", small, "--exclude", "/"), 2)


def test_a_missing_file_of_roots(place: Place) -> None:
    refused(place.run("walk", "--roots-from", "/no/such"), 2, "/no/such")


def test_options_of_a_bus_without_one(place: Place, small: Path) -> None:
    refused(place.run("walk", small, "--detach"), 2, "--broker")
    refused(place.run("walk", "--attach", 3), 2, "--broker")
    refused(place.run("walk", small, "--min-agents", 2), 2, "--broker")


def test_a_resumed_run_keeps_its_options(place: Place, small: Path) -> None:
    refused(place.run("walk", small, "--resume", 3), 2, "--resume")
    refused(place.run("walk", "--resume", 3, "--names-only"), 2, "--names-only", "--resume")
    refused(place.run("walk", "--resume", 3, "--attach", 3), 2)


def test_a_run_that_is_not_there(place: Place) -> None:
    refused(place.run("walk", "--resume", 3), 2, "no interrupted run 3", "there are: none")


def test_an_unknown_command(place: Place) -> None:
    refused(place.run("wander"), 1, "walk|broker|agent|ctl|catalog")


# ------------------------------------------------------------------ the catalog


def test_an_output_that_is_no_catalog(place: Place, small: Path) -> None:
    full = place.folder / "full"
    full.mkdir()
    (full / "mine").write_text("precious")
    refused(place.run("walk", small, "-o", full), 9, "it exists and is not a catalog")
    assert [path.name for path in full.iterdir()] == ["mine"]
    place.no_private_state()


def test_an_output_that_is_a_catalog_already(place: Place, small: Path) -> None:
    catalog = place.folder / "catalog"
    place.walk(small, "-o", catalog)
    before = (catalog / "manifest.json").read_bytes()
    refused(place.run("walk", small, "-o", catalog), 9, "already holds the catalog of run")
    assert (catalog / "manifest.json").read_bytes() == before


def test_an_output_without_a_parent(place: Place, small: Path) -> None:
    refused(place.run("walk", small, "-o", "/no/such/catalog"), 9, "No such file")


def test_an_output_is_not_left_when_there_is_no_walk(place: Place, small: Path) -> None:
    catalog = place.folder / "catalog"
    refused(place.run("walk", "/no/such", "-o", catalog), 2)
    assert not catalog.exists()
    (place.state / "zfs_walk" / "runs").mkdir(parents=True)
    (place.state / "zfs_walk" / "runs").chmod(0o777)
    refused(place.run("walk", small, "-o", catalog), 6, "others may write")
    assert not catalog.exists()


@pytest.mark.root
@pytest.mark.slow
def test_a_full_disk_under_the_catalog(place: Place, tree: Path) -> None:
    with mounts.tmpfs(place.folder / "disk", "size=24k") as disk:
        ended = place.run("walk", "-q", tree, "-o", disk / "catalog")
        refused(ended, 8, "No space left on device", "--resume")
        run = int(ended.err.split("--resume ")[1].split()[0])
        mounts.mount(disk, "remount,size=64m")
        resumed = place.run("walk", "-q", "--json", "--resume", run)
        oracle.same_totals(resumed.json, oracle.totals(tree))
        assert oracle.catalog_paths(disk / "catalog") == oracle.paths(tree)
        place.no_private_state()


@pytest.mark.root
@pytest.mark.slow
def test_a_full_disk_under_the_manifest_can_be_finished_later(place: Place) -> None:
    root = place.folder / "three"
    root.mkdir()
    trees.touch(root, 2)
    # Enough files for the catalog's folders, its token and one segment, not for what comes then.
    with mounts.tmpfs(place.folder / "disk", "nr_inodes=6") as disk:
        ended = place.run("walk", "-q", root, "-o", disk / "catalog", "--workers", 1)
        refused(ended, 9, "No space left on device", "nothing is lost", "--resume")
        run = int(ended.err.split("--resume ")[1].split()[0])
        mounts.mount(disk, "remount,nr_inodes=99")
        resumed = place.run("walk", "-q", "--json", "--resume", run)
        oracle.same_totals(resumed.json, oracle.totals(root))
        assert oracle.catalog_paths(disk / "catalog") == oracle.paths(root)
        place.no_private_state()


# ------------------------------------------------------------------ the state


@pytest.mark.root
@pytest.mark.slow
def test_a_full_disk_under_the_journal(place: Place, tree: Path, slow: dict[str, str]) -> None:
    with mounts.tmpfs(place.folder / "disk", "size=8m") as disk:
        process = place.start("walk", "-q", tree, "--state", disk, env=slow)
        wait_for("it has begun", lambda: any(map(has_commits, disk.glob("runs/*/journal.db"))))
        with (disk / "ballast").open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"x" * 4096)
        ended = place.end(process, 20.0)
        refused(ended, 7, "could not be written", "--resume")
        place.nothing_left()
        (disk / "ballast").unlink()
        run = int(ended.err.split("--resume ")[1].split()[0])
        resumed = place.run("walk", "-q", "--json", "--resume", run, "--state", disk)
        oracle.same_totals(resumed.json, oracle.totals(tree))


def has_commits(journal: Path) -> bool:
    """Its walk is in its middle."""
    return Ledger(journal).commits > 1


@pytest.mark.root
def test_a_disk_that_is_full_from_the_beginning(place: Place, small: Path) -> None:
    with mounts.tmpfs(place.folder / "disk", "size=4k") as disk:
        refused(place.run("walk", "-q", small, "--state", disk), 7, "could not be written")
        assert list(disk.glob("runs/*")) == []


@pytest.mark.root
@pytest.mark.slow
def test_a_full_disk_under_the_names_of_a_wide_directory(place: Place) -> None:
    root = place.folder / "flat"
    root.mkdir()
    trees.touch(root, 60_000)
    with mounts.tmpfs(place.folder / "disk", "size=400k") as disk:
        ended = place.run("walk", "-q", root, "--state", disk, "--part-limit", 5000)
        assert ended.code in {7, 8}, ended.err
        assert "No space left on device" in ended.err or "disk is full" in ended.err
        assert "names can't be kept" in ended.err
        run = int(ended.err.split("--resume ")[1].split()[0])
        mounts.mount(disk, "remount,size=64m")
        resumed = place.run("walk", "-q", "--json", "--resume", run, "--state", disk)
        oracle.same_totals(resumed.json, oracle.totals(root))


def test_a_second_broker_on_the_same_state(site: Site) -> None:
    first = site.start_broker()
    second = site.place.run("broker", "--bind", "tcp://127.0.0.1:*", "--state", site.state)
    refused(second, 6, f"pid {first.pid}", str(site.state))
    assert first.poll() is None


def test_a_port_in_use(place: Place, site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        ended = place.run("broker", "--bind", endpoint, "--state", site.state)
    refused(ended, 2, endpoint, "in use")


def test_a_journal_that_is_none(place: Place) -> None:
    state = place.folder / "broker"
    state.mkdir(mode=0o700)
    (state / "journal.db").write_bytes(b"this is no database, whatever its name" * 100)
    ended = place.run("broker", "--bind", "tcp://127.0.0.1:*", "--state", state)
    refused(ended, 6, "no journal")


def test_a_journal_of_a_newer_release(place: Place) -> None:
    state = place.folder / "broker"
    state.mkdir(mode=0o700)
    db = sqlite3.connect(state / "journal.db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    ended = place.run("broker", "--bind", "tcp://127.0.0.1:*", "--state", state)
    refused(ended, 6, "99", "schema")


def test_a_state_that_is_a_file(place: Place, small: Path) -> None:
    ended = place.run("walk", small, "--state", small / "f000000")
    refused(ended, 6, "state folder")


def test_a_state_that_others_may_write_to(place: Place, small: Path) -> None:
    folder = place.folder / "open"
    folder.mkdir()
    folder.chmod(0o777)
    refused(place.run("walk", small, "--state", folder), 6, "others may write to it")


@pytest.mark.root
def test_a_state_of_another_user(place: Place, small: Path) -> None:
    folder = place.folder / "theirs"
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)
    refused(place.run("walk", small, "--state", folder), 6, "it belongs to uid 65534")


@pytest.mark.root
def test_a_state_that_can_not_be_written(place: Place, small: Path) -> None:
    with mounts.tmpfs(place.folder / "disk", "ro") as disk:
        refused(place.run("walk", small, "--state", disk), 6, "Read-only file system")
        words = ("broker", "--bind", "tcp://127.0.0.1:*", "--http", "none", "--state", disk)
        refused(place.run(*words), 6, "Read-only")


# ------------------------------------------------------------------ the bus


@pytest.mark.parametrize(
    "words",
    [
        ("walk", "/usr/bin", "--timeout", "0.5"),
        ("ctl", "run", "list", "--timeout", "0.5"),
        ("agent", "--role", "walker", "--timeout", "0.5"),
    ],
)
def test_a_broker_that_is_not_there(place: Place, words: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"tcp://127.0.0.1:{server.getsockname()[1]}"
    assert (
        place.run("ctl", "key", "init", "--state", place.state / "b", "--bind", endpoint).code == 0
    )
    ended = place.run(*words, "--broker", endpoint)
    refused(ended, 4, f"No broker answers at {endpoint}", "zfs-broker")
    assert ended.seconds < 8


OTHER_MAJOR = """
import zfs_walk.protocol.codec as codec
codec.MAJOR = 9
codec.BUS._magic = b"ZW\\x09"
"""
OTHER_MINORS = """
import zfs_walk.broker.sessions as sessions
sessions.PROTO_MIN, sessions.PROTO_MAX = 7, 8
"""


@pytest.mark.parametrize(
    ("release", "theirs"), [(OTHER_MAJOR, "9.x"), (OTHER_MINORS, "this broker 7 to 8")]
)
def test_a_broker_of_another_release(
    place: Place, site: Site, small: Path, release: str, theirs: str
) -> None:
    site.start_broker_of_another_release(release)
    for words in (("walk", str(small)), ("ctl", "run", "list"), ("agent", "--role", "walker")):
        ended = place.run(*words, "--broker", site.endpoint)
        refused(ended, 5, site.endpoint, theirs, "Install the same release")


@pytest.mark.parametrize("endpoint", ["nonsense", "tcp://127.0.0.1", "ipc://" + "x" * 200])
def test_an_endpoint_that_is_none(place: Place, endpoint: str) -> None:
    ended = place.run("ctl", "run", "list", "--broker", endpoint, "--timeout", "0.5")
    refused(ended, 2, "is no endpoint")


@pytest.mark.root
def test_root_does_without_insecure(place: Place, site: Site) -> None:
    for words in (
        ("broker", "--bind", "tcp://127.0.0.1:*", "--state", str(site.state)),
        ("agent", "--role", "walker"),
        ("walk", "/usr/share/doc", "--broker", "tcp://127.0.0.1:1"),
        ("ctl", "run", "list"),
    ):
        refused(place.run(*words, "--insecure"), 2, "refused as root")


def test_a_socket_in_a_folder_of_everybody(place: Place, site: Site) -> None:
    ended = place.run("broker", "--bind", "ipc:///tmp/zw-test.sock", "--state", site.state)
    refused(ended, 2, "/tmp is open to other users")


def test_an_agents_name_in_use(site: Site) -> None:
    site.start_broker()
    [first] = site.start_agents(1, "--name", "scarlet")
    same_state = site.place.end(site.start_agent("--name", "scarlet"))
    refused(same_state, 2, "an agent named scarlet is running already", f"pid {first.pid}")
    elsewhere = site.place.folder / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    other = site.place.end(site.start_agent("--name", "scarlet", "--state", str(elsewhere)))
    refused(other, 2, "name-in-use", f"pid {first.pid}")
    assert first.poll() is None


def test_an_agents_name_that_is_a_path(site: Site) -> None:
    site.start_broker()
    refused(site.place.end(site.start_agent("--name", "../x")), 2, "--name")


def test_an_unknown_run(site: Site) -> None:
    site.start_broker()
    for words in (("run", "show", 7), ("run", "pause", 7), ("run", "verify", 7)):
        ended = site.place.run("ctl", *words, "--broker", site.endpoint)
        refused(ended, 2, "no run 7")
    attached = site.place.run("walk", "--attach", 7, "--broker", site.endpoint)
    refused(attached, 2, "no run 7")


# ------------------------------------------------------------------ settings


def test_the_command_line_goes_before_the_environment_before_a_file(
    place: Place, small: Path
) -> None:
    config = place.folder / "walk.yaml"
    config.write_text("max-depth: 0\njson: true\nquiet: true\nexclude: [d2]\n")
    from_file = place.run("walk", small, "--config", config)
    assert from_file.json["entries"] == 1
    from_environment = place.run("walk", small, "--config", config, env={"ZFS_WALK_MAX_DEPTH": "1"})
    expected = len(oracle.paths(small, options=["-maxdepth", "1", "-not", "-name", "d2"]))
    assert from_environment.json["entries"] == expected
    words = ("walk", small, "--config", config, "--max-depth", 2)
    from_line = place.run(*words, env={"ZFS_WALK_MAX_DEPTH": "1"})
    assert from_line.json["entries"] > expected
    by_variable = place.run("walk", small, env={"ZFS_WALK_CONFIG": str(config)})
    assert by_variable.json == from_file.json | {
        key: by_variable.json[key] for key in ("run", "seconds")
    }


def test_a_variable_of_another_command_is_none_of_ours(place: Place, small: Path) -> None:
    assert place.run("walk", small, env={"ZFS_WALK_LEASE_TTL": "3"}).code == 0


def test_every_command_takes_the_broker_from_the_environment(site: Site, tree: Path) -> None:
    site.start_broker()
    site.start_agents(1)
    listed = site.place.run("ctl", "agent", "list", env={"ZFS_WALK_BROKER": site.endpoint})
    assert (listed.code, "walker-1" in listed.out) == (0, True)
    walked = site.place.run("walk", "-q", tree, env={"ZFS_WALK_BROKER": site.endpoint})
    assert walked.code == 0
    assert site.ledger.state == "DONE"
