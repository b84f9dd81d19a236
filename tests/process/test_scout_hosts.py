"""Three scouts on two hosts: what HTTP answers is what find finds, whatever happens.

The hosts are network namespaces, the bus between them has its keys. The oracle is find.
"""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.process import hosts, mounts, trees
from tests.process.hosts import Host
from tests.process.lists import found
from tests.process.place import OBEDIENT, Process, Site, Word, wait_for
from tests.process.web import Listed, listed, status, told

pytestmark = [pytest.mark.slow, pytest.mark.big, pytest.mark.root]

POLL = 0.5

HEARTBEAT = 0.5

SILENT = "suspect"
"""The state of a session that has missed its heartbeats. It is lost only when the lease has run
out, which takes longer than any wait here: so it is not the lease that takes files away."""

SLACK = 15.0
"""Seconds that a busy machine may add; whatever a scout is told to do by the clock takes longer."""

LONG = 120.0
"""Seconds for 200,000 files, some twenty times what they take on an idle machine."""

WAYS = {
    "poll": ("--monitor", "poll", "--poll", str(POLL)),
    "events": ("--monitor", "auto", "--poll", "0"),
    "watchdog": ("--monitor", "watchdog", "--poll", "0"),
    "both": ("--monitor", "auto", "--poll", str(POLL)),
}


class Trio:
    """A broker here, two scouts on one host, one on another.

    Attributes:
        site: its broker and agents.
        hosts: the two.
        folders: of the scouts, with the host of each; the first two scouts' are the first host's.
        scouts: by folder.
    """

    def __init__(self, site: Site, first: Host, second: Host) -> None:
        self.site, self.hosts = site, (first, second)
        self.folders: dict[Path, Host] = {}
        self.scouts: dict[Path, Process] = {}
        site.endpoint = f"tcp://{first.here}:*"
        self.start_broker()
        assert site.connection()["endpoint"].startswith(f"tcp://{first.here}:")

    def start_broker(self) -> None:
        streams = f"tcp://{self.hosts[0].here}:*"
        self.site.start_broker(
            "--publish", streams, "--subscribe", streams, "--http", "127.0.0.1:0",
            "--heartbeat", str(HEARTBEAT), "--lease-ttl", "60",
        )  # fmt: skip
        wait_for("the lists are served", lambda: status(self.site, "/files") == 200)

    def watch(
        self, folder: Path, host: Host, options: Sequence[Word], prefix: Sequence[str] = ()
    ) -> None:
        """Start the scout of a folder."""
        self.folders[folder] = host
        self.scouts[folder] = self.site.start_scout(
            folder, options=("--host", host.name, *options), prefix=(*host.inside, *prefix)
        )

    def expected(self, without: Path | None = None, hidden: Path | None = None) -> list[Listed]:
        """What find finds in all folders but one, and not below a folder that can't be read."""
        return sorted(
            Listed(file.name, host.name, folder, file.size, file.mtime_ns)
            for folder, host in self.folders.items()
            if folder != without
            for file in found(folder)
            if hidden is None or hidden not in (folder / os.fsdecode(file.name)).parents
        )

    def agrees(self, what: str, hidden: Path | None = None) -> None:
        """What is answered becomes what find finds."""
        expected = self.expected(hidden=hidden)
        wait_for(what, lambda: listed(self.site) == expected, POLL + SLACK)

    def shows(self, folder: Path) -> bool:
        """A folder's files are in the answer."""
        return any(file.claim == folder for file in listed(self.site))

    def leaves(self, folder: Path) -> None:
        """A folder's files leave the answers, all of them; the others' are in each answer."""
        self._until(lambda answer, others: answer == others, folder, "its files leave")

    def comes_back(self, folder: Path) -> None:
        """A folder's files come back, and are what find finds; the others' stay."""
        whole = self.expected()
        self._until(lambda answer, _: answer == whole, folder, "its files are back")

    def _until(
        self, over: Callable[[list[Listed], list[Listed]], bool], folder: Path, what: str
    ) -> None:
        others = self.expected(without=folder)
        assert others

        def is_over() -> bool:
            answer = listed(self.site)
            assert [file for file in answer if file.claim != folder] == others
            return over(answer, others)

        wait_for(what, is_over, 3 * HEARTBEAT + SLACK)

    def state(self, folder: Path) -> str:
        """Of the session that holds a folder, as HTTP tells it."""
        claims = told(self.site, "/claims")["claims"]
        [state] = [str(claim["state"]) for claim in claims if claim["claim"] == str(folder)]
        return state


@pytest.fixture
def two_hosts() -> Iterator[tuple[Host, Host]]:
    with ExitStack() as both:
        yield both.enter_context(hosts.host(1)), both.enter_context(hosts.host(2))


@pytest.fixture
def options(request: pytest.FixtureRequest) -> tuple[Word, ...]:
    """How the scouts watch: as the test says, or both ways."""
    return WAYS[getattr(request, "param", "both")]


# The hosts come first, and so go last: scouts say goodbye over their cables.
@pytest.fixture
def trio(two_hosts: tuple[Host, Host], site: Site, options: tuple[Word, ...]) -> Trio:
    """Three scouts, whose lists are there."""
    return started(two_hosts, site, options)


def started(two_hosts: tuple[Host, Host], site: Site, options: tuple[Word, ...]) -> Trio:
    """Three scouts, whose lists are there: 255 files, each name three times."""
    first, second = two_hosts
    made = Trio(site, first, second)
    for name, host in (("one", first), ("two", first), ("three", second)):
        made.watch(trees.bushy(site.place.folder / name, 4, 3, 1), host, options)
    made.agrees("the first lists")
    return made


every_way = pytest.mark.parametrize("options", WAYS, indirect=True)


# ------------------------------------------------------------------------- what changes


@every_way
def test_what_happens_to_files_is_in_the_answer(trio: Trio) -> None:
    one, two, three = trio.folders
    file = one / "d1/new"
    file.write_bytes(b"12345")
    trio.agrees("a file that is created")
    with file.open("ab") as more:
        more.write(b"678")
    trio.agrees("a file that is written")
    file.rename(one / "d2/renamed")
    trio.agrees("a file that is renamed")
    (one / "d2/renamed").rename(two / "d3/moved")
    trio.agrees("a file that moves to another scout's folder")
    (two / "d3/moved").rename(three / "moved")
    trio.agrees("a file that moves to another host's folder")
    (three / "moved").replace(three / "d0/f000000")
    trio.agrees("a file that takes the place of another one")
    (three / "d0/f000000").unlink()
    trio.agrees("a file that is deleted")
    (two / "d0").rename(three / "d0/directory")
    trio.agrees("a directory that moves to another host's folder")
    for folder in (one, two):
        (folder / "d1/loop").symlink_to(folder)
    (one / "d1/itself").symlink_to("itself")
    trio.agrees("links that lead in a circle")
    (one / "d1/loop").unlink()
    trio.agrees("a link that is deleted")


@every_way
def test_a_tree_of_10000_files_comes_and_goes(trio: Trio, site: Site) -> None:
    one, _, three = trio.folders
    tree = trees.wide(site.place.folder / "tree", 100, 100)
    tree.rename(one / "d1/tree")
    assert len(trio.expected()) == 3 * 85 + 10_000
    trio.agrees("it came")
    (one / "d1/tree").rename(three / "tree")
    trio.agrees("it moved to another host's folder")
    (three / "tree/d000050/late").write_bytes(b"1")
    trio.agrees("a file in it")
    (three / "tree").rename(tree)
    trio.agrees("it left")
    (tree / "d000050/late").write_bytes(b"22")
    (three / "end").write_bytes(b"1")
    trio.agrees("what happens elsewhere is in no answer")


@every_way
def test_a_subfolder_is_empty_while_it_may_not_be_read(
    trio: Trio, site: Site, options: tuple[Word, ...]
) -> None:
    folder = trees.bushy(site.place.folder / "four", 3, 2, 2)
    trio.watch(folder, trio.hosts[1], options, OBEDIENT)
    trio.agrees("the first list")
    secret = folder / "d2"
    secret.chmod(0)
    assert len(trio.expected(hidden=secret)) < len(trio.expected())
    trio.agrees("it may not be read", hidden=secret)
    secret.chmod(0o755)
    trio.agrees("it may be read again")
    (secret / "d1/late").write_bytes(b"1")
    trio.agrees("a file in it")


@every_way
def test_an_unmounted_folder_is_empty_until_it_is_mounted_again(
    trio: Trio, site: Site, options: tuple[Word, ...]
) -> None:
    folder = site.place.folder / "mounted"
    source = trees.bushy(site.place.folder / "source", 2, 2, 2)
    folder.mkdir()
    mounts.bind(source, folder)
    trio.watch(folder, trio.hosts[1], options)
    trio.agrees("the first list")
    mounts.unmount(folder)
    assert found(folder) == []
    trio.agrees("it is unmounted")
    (source / "d1/meanwhile").write_bytes(b"1")
    mounts.bind(source, folder)
    trio.agrees("it is mounted again")
    (folder / "d0/late").write_bytes(b"1")
    trio.agrees("a file in it")
    mounts.unmount(folder)


# ------------------------------------------------------------------------- events that are lost


@contextmanager
def queue_of(events: int) -> Iterator[None]:
    """Queues of inotify that are made meanwhile hold no more events."""
    limit = Path("/proc/sys/fs/inotify/max_queued_events")
    before = limit.read_text()
    limit.write_text(str(events))
    try:
        yield
    finally:
        limit.write_text(before)


def known(site: Site, folder: Path) -> dict[str, Any]:
    """What a folder's scout has published last; nothing if it has not yet."""
    agents = site.ctl("status")["agents"]
    claims = [claim for agent in agents for claim in (agent["status"] or {"claims": ()})["claims"]]
    found: dict[str, Any] = next((each for each in claims if each["claim"] == str(folder)), {})
    return found


NEW = 200_000


def burst(folder: Path) -> None:
    """Make so many files at once, in four directories that are there; each has one already."""
    for number in range(4):
        trees.touch(folder / f"d{number}", NEW // 4 + 1)


def all_are_told(site: Site, folder: Path) -> bool:
    """The scout has found and sent as many files as there are."""
    claim = known(site, folder)
    return claim["files"] == 85 + NEW and not claim["unsent"]


@pytest.mark.alone
def test_the_list_is_whole_after_a_burst_of_which_events_were_lost(
    two_hosts: tuple[Host, Host], site: Site
) -> None:
    with queue_of(500):
        trio = started(two_hosts, site, WAYS["watchdog"])
    one, *_ = trio.folders
    wait_for("its status", lambda: known(site, one))
    assert (known(site, one)["monitor"], known(site, one)["events_lost"]) == ("watchdog", 0)
    burst(one)
    wait_for("it is told that events were lost", lambda: known(site, one)["events_lost"] > 0)
    wait_for("all files are found", lambda: all_are_told(site, one), LONG)
    # Without --poll: it is the loss that has led to a comparison.
    assert known(site, one)["polls"] > 0
    trio.agrees("all are there")
    (one / "d1/late").write_bytes(b"1")
    trio.agrees("a change after that")


@pytest.mark.alone
@pytest.mark.parametrize("options", ["poll"], indirect=True)
def test_the_list_is_whole_after_a_burst_that_no_event_tells(trio: Trio, site: Site) -> None:
    one, *_ = trio.folders
    wait_for("its status", lambda: known(site, one))
    assert known(site, one)["monitor"] == "poll"
    burst(one)
    wait_for("all files are found", lambda: all_are_told(site, one), LONG)
    claim = known(site, one)
    assert (claim["events"], claim["found_by_poll"]) == (0, NEW)
    trio.agrees("all are there")


# ------------------------------------------------------------------------- deaths

# Alone: a scout that gets no processor for three heartbeats leaves the answers, and rightly so.


@pytest.mark.alone
def test_a_killed_scouts_files_leave_and_are_back_with_the_next_one(
    trio: Trio, options: tuple[Word, ...]
) -> None:
    for folder, host in list(trio.folders.items()):
        assert trio.shows(folder)
        trio.scouts[folder].kill()
        trio.leaves(folder)
        assert trio.state(folder) == SILENT
        (folder / "meanwhile").write_bytes(b"1")
        trio.watch(folder, host, options)
        trio.comes_back(folder)


@pytest.mark.alone
def test_a_stopped_scouts_files_leave_and_are_back_when_it_goes_on(trio: Trio) -> None:
    for folder, scout in trio.scouts.items():
        assert trio.shows(folder)
        scout.send_signal(signal.SIGSTOP)
        trio.leaves(folder)
        assert trio.state(folder) == SILENT
        (folder / "meanwhile").write_bytes(b"1")
        scout.send_signal(signal.SIGCONT)
        trio.comes_back(folder)


@pytest.mark.alone
def test_the_files_of_a_host_without_network_leave_and_are_back_with_it(trio: Trio) -> None:
    *_, three = trio.folders
    host = trio.folders[three]
    assert trio.shows(three)
    host.cut()
    trio.leaves(three)
    assert trio.state(three) == SILENT
    (three / "meanwhile").write_bytes(b"1")
    (three / "f000000").unlink()
    host.mend()
    trio.comes_back(three)
    (three / "late").write_bytes(b"1")
    trio.agrees("a change after that")


@every_way
def test_after_a_brokers_death_all_files_are_back_without_a_new_scout(
    trio: Trio, site: Site
) -> None:
    one, two, _ = trio.folders
    assert all(trio.shows(folder) for folder in trio.folders)
    broker = site.place.started[0]
    broker.kill()
    site.place.end(broker)
    (one / "meanwhile").write_bytes(b"1")
    (two / "f000000").unlink()
    trio.start_broker()
    trio.agrees("the next broker")
    (two / "late").write_bytes(b"1")
    trio.agrees("a change after that")
    assert all(scout.poll() is None for scout in trio.scouts.values())
