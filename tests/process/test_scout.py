"""Scouts of a bus: what changes below their folders, their deaths, the broker's, and refusals.

The oracle is find. Every change is watched by the poll alone, by events alone, and by both.
"""

import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.process import mounts, trees
from tests.process.lists import Reader, found, reading
from tests.process.place import OBEDIENT, Ended, Place, Process, Site, Word, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.big]

WAYS = {
    "poll": ("--monitor", "poll", "--poll", "0.3"),
    "events": ("--monitor", "auto", "--poll", "0"),
    "both": ("--monitor", "auto", "--poll", "1"),
}


@pytest.fixture
def reader(quick_site: Site) -> Iterator[Reader]:
    with reading(quick_site) as made:
        yield made


@pytest.fixture
def data(place: Place) -> Path:
    """A folder with 85 directories of three files."""
    return trees.bushy(place.folder / "data", width=4, depth=3, files=3)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> tuple[Word, ...]:
    """How folders are watched."""
    return WAYS[request.param]


@pytest.fixture
def watched(quick_site: Site, reader: Reader, data: Path, way: tuple[Word, ...]) -> Path:
    """The folder, watched by a scout."""
    quick_site.start_scout(data, options=way)
    reader.comes_to_agree(data, "the first one")
    return data


# ------------------------------------------------------------------------- what changes


def test_files_that_come_change_and_go_do_so_in_the_list(watched: Path, reader: Reader) -> None:
    file, other = watched / "d1/new", watched / "d1/renamed"
    file.write_bytes(b"12345")
    reader.comes_to_agree(watched, "a new file")
    with file.open("ab") as more:
        more.write(b"678")
    reader.comes_to_agree(watched, "a longer file")
    os.utime(file, ns=(5, 1_700_000_000_123_456_789))
    reader.comes_to_agree(watched, "another time")
    file.rename(other)
    reader.comes_to_agree(watched, "a new name")
    other.unlink()
    reader.comes_to_agree(watched, "no file")


def test_links_are_listed_and_not_followed(watched: Path, reader: Reader) -> None:
    (watched / "loop").symlink_to(watched)
    (watched / "d0/nowhere").symlink_to("nowhere")
    os.mkfifo(watched / "pipe")
    reader.comes_to_agree(watched, "two links")
    (watched / "loop").unlink()
    reader.comes_to_agree(watched, "one link")


def test_names_that_are_not_utf8_survive(watched: Path, reader: Reader) -> None:
    name = os.fsencode(watched) + b"/d0/\xff\n\xe4"
    Path(os.fsdecode(name)).write_bytes(b"x")
    reader.comes_to_agree(watched, "a strange name")
    files = reader.files(watched)
    assert files is not None
    assert b"d0/\xff\n\xe4" in [file.name for file in files]


def test_a_tree_that_moves_in_within_and_out_does_so_in_the_list(
    place: Place, watched: Path, reader: Reader
) -> None:
    tree = trees.bushy(place.folder / "tree", width=3, depth=4, files=5)
    tree.rename(watched / "d2/tree")
    reader.comes_to_agree(watched, "a tree came")
    (watched / "d2/tree").rename(watched / "d3/moved")
    reader.comes_to_agree(watched, "it moved")
    (watched / "d3/moved/d0/late").write_bytes(b"1")
    reader.comes_to_agree(watched, "a file in the moved tree")
    (watched / "d3/moved").rename(tree)
    reader.comes_to_agree(watched, "it left")
    (tree / "f").write_bytes(b"1")
    (watched / "end").write_bytes(b"1")
    reader.comes_to_agree(watched, "what happens elsewhere is not listed")


def test_a_folder_is_removed_and_made_again(watched: Path, reader: Reader) -> None:
    mounts.run("rm", "-rf", watched / "d1")
    reader.comes_to_agree(watched, "a folder left")
    trees.bushy(watched / "d1", width=2, depth=2, files=2)
    reader.comes_to_agree(watched, "a folder came")
    (watched / "d1/d1/late").write_bytes(b"1")
    reader.comes_to_agree(watched, "a file in it")


def test_a_folder_that_goes_is_in_no_answer_until_it_is_back(
    place: Place, watched: Path, reader: Reader
) -> None:
    away = place.folder / "away"
    watched.rename(away)
    wait_for("it is left out", lambda: not reader.serves(watched))
    (away / "late").write_bytes(b"1")
    away.rename(watched)
    reader.comes_to_agree(watched, "it is back")
    assert reader.claims()[watched].why == ""


@pytest.mark.root
def test_a_folder_that_is_unmounted_is_in_no_answer_until_it_is_mounted(
    quick_site: Site, reader: Reader, way: tuple[Word, ...]
) -> None:
    folder = quick_site.place.folder / "mounted"
    source = trees.bushy(quick_site.place.folder / "source", width=2, depth=1, files=2)
    folder.mkdir()
    mounts.bind(source, folder)
    quick_site.start_scout(folder, options=way)
    reader.comes_to_agree(folder, "the first one")
    mounts.unmount(folder)
    wait_for("it is left out", lambda: not reader.serves(folder))
    mounts.bind(source, folder)
    reader.comes_to_agree(folder, "it is mounted again")
    mounts.unmount(folder)


# ------------------------------------------------------------------------- deaths


def two_scouts(site: Site, reader: Reader, data: Path) -> tuple[Process, Process, Path]:
    """Scouts of two folders, whose lists are there."""
    other = trees.bushy(site.place.folder / "other", width=2, depth=1, files=2)
    first = site.start_scout(data)
    second = site.start_scout(other)
    for folder in (data, other):
        reader.comes_to_agree(folder, "the first one")
    return first, second, other


def test_a_scout_that_ends_takes_its_claims_with_it_at_once(
    quick_site: Site, reader: Reader, data: Path
) -> None:
    first, _, other = two_scouts(quick_site, reader, data)
    first.send_signal(signal.SIGTERM)
    ended = quick_site.place.end(first)
    assert (ended.code, ended.err) == (0, "")
    assert set(reader.claims()) == {other}
    assert reader.agrees(other)


def test_a_killed_scouts_files_leave_and_are_back_with_the_next_one(
    quick_site: Site, reader: Reader, data: Path
) -> None:
    first, _, other = two_scouts(quick_site, reader, data)
    first.kill()
    # The broker is asked a hundred times a second: that must not put off what it does by the clock.
    wait_for("its files leave", lambda: not reader.serves(data))
    assert reader.agrees(other)
    (data / "meanwhile").write_bytes(b"1")
    quick_site.start_scout(data)
    reader.comes_to_agree(data, "the next scout's")
    assert reader.agrees(other)


def test_a_stopped_scouts_files_leave_and_are_back_when_it_goes_on(
    quick_site: Site, reader: Reader, data: Path
) -> None:
    first, _, other = two_scouts(quick_site, reader, data)
    first.send_signal(signal.SIGSTOP)
    wait_for("its files leave", lambda: not reader.serves(data))
    wait_for("its session is lost", lambda: reader.claims()[data].state == "lost")
    (data / "meanwhile").write_bytes(b"1")
    assert reader.agrees(other)
    first.send_signal(signal.SIGCONT)
    reader.comes_to_agree(data, "it goes on")


def test_a_folder_that_was_taken_meanwhile_is_had_again_when_it_is_free(
    quick_site: Site, reader: Reader, data: Path
) -> None:
    first, _, _ = two_scouts(quick_site, reader, data)
    first.send_signal(signal.SIGSTOP)
    wait_for("its session is lost", lambda: reader.claims()[data].state == "lost")
    third = quick_site.start_scout(data)
    reader.comes_to_agree(data, "another scout's")
    assert reader.claims()[data].pid == third.pid
    first.send_signal(signal.SIGCONT)
    wait_for("it is told so", lambda: f"(pid {third.pid})" in reader.health(first))
    third.send_signal(signal.SIGTERM)
    quick_site.place.end(third)
    wait_for("it has it again", lambda: reader.serves(data))
    assert reader.claims()[data].pid == first.pid


def test_after_a_brokers_death_the_lists_are_whole_again_without_new_scouts(
    quick_site: Site, reader: Reader, watched: Path
) -> None:
    broker = quick_site.place.started[0]
    broker.kill()
    quick_site.place.end(broker)
    (watched / "d0/meanwhile").write_bytes(b"1")
    mounts.run("rm", "-rf", watched / "d1")
    quick_site.start_broker("--heartbeat", "0.3", "--lease-ttl", "2")
    reader.comes_to_agree(watched, "a new term")
    (watched / "d0/later").write_bytes(b"1")
    reader.comes_to_agree(watched, "a change of the new term")


def test_a_scout_finds_its_broker_at_the_next_one_of_its_endpoints(
    quick_site: Site, data: Path
) -> None:
    first, second = quick_site.endpoint, quick_site.another_endpoint()
    environment = {"ZFS_WALK_BROKER": f"{first},{second}"}
    scout = quick_site.place.start("agent", "--role", "scout", "--watch", data, env=environment)
    quick_site.agents.append(scout)
    with reading(quick_site) as reader:
        reader.comes_to_agree(data, "at the first one")
    for endpoint in (second, first):
        (data / "d0/meanwhile").write_bytes(os.fsencode(endpoint))
        mounts.run("rm", "-rf", data / "d1")
        quick_site.move_broker(endpoint, "--heartbeat", "0.3", "--lease-ttl", "2")
        with reading(quick_site) as reader:
            reader.comes_to_agree(data, f"at {endpoint}")
            trees.bushy(data / "d1", width=2, depth=1, files=2)
            reader.comes_to_agree(data, f"a change at {endpoint}")
            wait_for("it publishes there", lambda: reader.health(scout) == "ok")
    assert scout.poll() is None


def test_a_scout_without_a_broker_names_all_its_endpoints(site: Site, data: Path) -> None:
    site.start_broker()
    assert site.broker is not None
    site.broker.kill()
    site.place.end(site.broker)
    both = (site.endpoint, site.another_endpoint())
    ended = site.place.run(
        "agent", "--role", "scout", "--watch", data, "--broker", ",".join(both), "--timeout", "0.5"
    )
    assert (ended.code, ended.out) == (4, "")
    assert f"No broker answers at {', '.join(both)} (waited" in ended.err


def test_a_scout_may_wait_for_its_broker(place: Place, site: Site, data: Path) -> None:
    site.start_broker()
    broker = place.started[0]
    broker.kill()
    place.end(broker)
    scout = site.start_scout(data, options=("--wait",))
    ended = place.run(
        "agent", "--role", "scout", "--watch", data, "--broker", site.endpoint, "--timeout", "0.5"
    )
    assert ended.code == 4
    site.start_broker()
    with reading(site) as reader:
        reader.comes_to_agree(data, "the broker came")
    assert scout.poll() is None


# ------------------------------------------------------------------------- refusals


def refused(site: Site, *words: Word, prefix: Sequence[str] = ()) -> Ended:
    """A scout that is refused at its start."""
    scout = ("agent", "--role", "scout", "--broker", site.endpoint)
    ended = site.place.run(*scout, *words, prefix=prefix)
    assert (ended.code, ended.out) == (2, "")
    return ended


@pytest.mark.parametrize("below", [".", "..", "d1"])
def test_a_folder_that_another_scout_has_is_refused_with_its_name(
    quick_site: Site, reader: Reader, data: Path, below: str
) -> None:
    first = quick_site.start_scout(data)
    reader.comes_to_agree(data, "the first one")
    ended = refused(quick_site, "--watch", data / below)
    for word in (str((data / below).resolve()), str(data), "scout-1", f"pid {first.pid}"):
        assert word in ended.err
    assert set(reader.claims()) == {data}
    assert reader.agrees(data)


def test_what_can_not_be_watched_is_refused_with_the_reason(quick_site: Site, data: Path) -> None:
    file = data / "f000000"
    for path, reason in (
        (file, "Not a directory"),
        (data / "missing", "No such file or directory"),
    ):
        ended = refused(quick_site, "--watch", path)
        assert str(path) in ended.err
        assert reason in ended.err


def test_a_folder_that_may_not_be_read_is_refused(quick_site: Site, data: Path) -> None:
    (data / "d0").chmod(0)
    try:
        ended = refused(quick_site, "--watch", data / "d0", prefix=OBEDIENT)
    finally:
        (data / "d0").chmod(0o755)
    assert f"{data / 'd0'} can't be watched: Permission denied" in ended.err


def test_folders_that_overlap_are_refused(quick_site: Site, data: Path) -> None:
    ended = refused(quick_site, "--watch", data, "--watch", data / "d0/d1")
    assert f"{data} and {data}/d0/d1 overlap" in ended.err


def test_a_scout_watches_only_what_it_is_allowed_to(quick_site: Site, data: Path) -> None:
    ended = refused(quick_site, "--watch", data, "--allow", data / "d0")
    assert f"only {data}/d0 may be watched" in ended.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--role", "scout"), "a scout needs a folder: --watch DIR (or MONITOR_DIR)"),
        (("--role", "scout", "--watch", ".", "--exclude", ""), "pattern"),
        (
            ("--role", "scout", "--watch", ".", "--workers", "2"),
            "--workers is an option of a walker, not of a scout",
        ),
        (("--role", "walker", "--poll", "2"), "--poll is an option of a scout, not of a walker"),
    ],
)
def test_a_wrong_use_is_told(quick_site: Site, words: tuple[str, ...], message: str) -> None:
    ended = quick_site.place.run("agent", "--broker", quick_site.endpoint, *words)
    assert ended.code == 2
    assert message in ended.err


# ------------------------------------------------------------------------- options


def test_an_old_deployments_environment_works(
    place: Place, quick_site: Site, reader: Reader, data: Path
) -> None:
    environment = {
        "MONITOR_DIR": f"{data / 'd0'}:{data / 'd1'}",
        "SCOUT_MASTER_ADDRESS": quick_site.endpoint.removeprefix("tcp://"),
    }
    quick_site.agents.append(place.start("agent", "--role", "scout", env=environment))
    for folder in (data / "d0", data / "d1"):
        reader.comes_to_agree(folder, "the first one")


def test_hidden_names_subfolders_and_patterns_are_as_the_options_say(
    quick_site: Site, reader: Reader, data: Path
) -> None:
    for name in (".hidden", "a.tmp", "b.tmp", "d0/a.tmp"):
        (data / name).write_bytes(b"1")
    options = ("--hidden", "--no-recursive", "--exclude", "*.tmp", "--include", "b.*")
    quick_site.start_scout(data, options=options)
    wait_for("it serves", lambda: reader.serves(data))
    files = reader.files(data)
    assert files is not None
    expected = sorted(
        os.fsencode(entry.name) for entry in data.iterdir()
        if entry.is_file() and entry.name != "a.tmp"
    )  # fmt: skip
    assert [file.name for file in files] == expected
    assert b".hidden" in expected


def test_a_scout_publishes_what_it_knows_of_its_folders(
    quick_site: Site, reader: Reader, data: Path
) -> None:
    scout = quick_site.start_scout(data, options=("--monitor", "poll", "--poll", "0.2"))
    reader.comes_to_agree(data, "the first one")
    (data / "late").write_bytes(b"1")
    reader.comes_to_agree(data, "one that events did not tell")

    def told() -> bool:
        statistics = reader.statistics(scout)
        return statistics is not None and statistics.claims[0].found_by_poll > 0

    wait_for("it is told", told)
    statistics = reader.statistics(scout)
    assert statistics is not None
    assert (statistics.health, statistics.rss > 0) == ("ok", True)
    [claim] = statistics.claims
    assert (claim.path, claim.monitor, claim.serving, claim.why) == (
        os.fsencode(data), "poll", True, "",
    )  # fmt: skip
    assert (claim.files, claim.directories, claim.unsent) == (len(found(data)), 85, 0)


def test_orders_reach_a_scout(quick_site: Site, reader: Reader, data: Path) -> None:
    scout = quick_site.start_scout(data)
    reader.comes_to_agree(data, "the first one")
    quick_site.ctl("log", "level", "debug", "--role", "scout")
    ended = quick_site.place.run(
        "ctl", "agent", "resize", "scout-1", "3", "--broker", quick_site.endpoint
    )
    assert ended.code == 2
    assert "a scout has no workers" in ended.err
    quick_site.ctl("agent", "drain", "scout-1")
    assert quick_site.place.end(scout).code == 0
    assert reader.claims() == {}
