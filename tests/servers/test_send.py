"""Two agents send a tree to real servers, whatever is killed: exact on both sides.

What is there is told by find, sha256sum and rclone.
"""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.process import cargo
from tests.process.place import Place, Process, Site, places, wait_for
from tests.servers import compare
from tests.servers.s3 import CREDENTIALS
from tests.servers.sides import InBucket, OnServer, open_side, rclone_differences

pytestmark = [pytest.mark.slow, pytest.mark.long]

SLOWLY = 0.02
"""Seconds that a proxy holds back each piece of 64 KiB."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is sent."""
    return cargo.load(tmp_path_factory.mktemp("send") / "cargo")


@pytest.fixture
def place() -> Iterator[Place]:
    for made in places():
        made.env |= CREDENTIALS
        yield made


@pytest.fixture
def site(place: Place) -> Iterator[Site]:
    made = Site(place)
    made.start_broker("--heartbeat", "0.3", "--lease-ttl", "2", "--commit-interval", "1")
    yield made
    made.close()


@pytest.fixture(params=["s3", "sftp"])
def side(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[InBucket | OnServer]:
    """A server behind a proxy."""
    with ExitStack() as stack:
        opened = open_side(request.param, tmp_path, stack)
        assert isinstance(opened, InBucket | OnServer)
        os.environ.update(CREDENTIALS)
        yield opened
        for name in CREDENTIALS:
            os.environ.pop(name)


def words(data: Path, side: InBucket | OnServer) -> tuple[str | Path, ...]:
    return (data, "--to", side.url, "--to-options", json.dumps(dict(side.options)))


def is_there(report: Any, data: Path, side: InBucket | OnServer, folder: Path) -> None:
    """Both sides are the same, byte by byte, and so are the totals of the command."""
    here = {name: text for name, text in compare.tree(data).items() if "link" not in text[:4]}
    folder.mkdir()
    there = side.tree(folder)
    assert compare.different(here, there) == []
    assert rclone_differences(data, side, here) == ""
    assert report["sending"]["there"] == cargo.both(data)
    wait_for("nothing that is half sent stays", lambda: not side.unfinished())


def ends_well(site: Site, process: Process) -> Any:
    ended = site.place.end(process)
    assert ended.code == 0, ended.err
    site.verify()
    return ended.json


def test_two_agents_send_a_tree_and_a_second_run_sends_nothing(
    site: Site, data: Path, side: InBucket | OnServer, tmp_path: Path
) -> None:
    site.start_agents(2, "--workers", 1)
    side.proxy.delay = 0.005
    report = ends_well(site, site.walk(*words(data, side)))
    side.proxy.delay = 0.0
    is_there(report, data, side, tmp_path / "fetched")
    assert report["sending"]["sent"] == cargo.both(data)
    assert len(site.ledger.entries()) == 2
    before = side.proxy.sent
    again = ends_well(site, site.walk(*words(data, side)))
    assert again["sending"]["sent"] == {"files": 0, "bytes": 0}
    assert again["sending"]["unchanged"] == cargo.both(data)
    # Not their content, to be sure: looks, logins and what belongs to them.
    assert side.proxy.sent - before < cargo.both(data)["bytes"] // 10


def test_an_agent_that_is_killed_costs_nothing(
    site: Site, data: Path, side: InBucket | OnServer, tmp_path: Path
) -> None:
    first, _ = site.start_agents(2, "--workers", 1)
    side.proxy.delay = SLOWLY
    process = site.walk(*words(data, side))
    wait_for("both work", lambda: len(site.ledger.entries()) == 2)
    first.kill()
    assert site.ledger.state == "RUNNING"
    assert site.ledger.left > 0
    side.proxy.delay = 0.0
    is_there(ends_well(site, process), data, side, tmp_path / "fetched")
    assert site.ledger.regranted > 0


def test_a_large_file_is_gone_on_with_after_a_kill(
    place: Place, side: InBucket | OnServer, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    size = 64 << 20
    (own / "large").write_bytes(os.urandom(size))
    side.proxy.delay = SLOWLY
    process = place.start("walk", "-q", *words(own, side))
    wait_for("half of it is sent", lambda: side.proxy.sent > size // 2)
    process.kill()
    place.end(process)
    place.nothing_left()
    side.proxy.delay = 0.0
    assert side.unfinished()
    before = side.proxy.sent
    report = place.walk(*words(own, side))
    assert side.proxy.sent - before < 3 * size // 4
    assert report["sending"]["sent"] == {"files": 1, "bytes": size}
    is_there(report, own, side, tmp_path / "fetched")


@pytest.mark.parametrize("side", ["s3"], indirect=True)
def test_an_agent_with_wrong_credentials_gives_its_work_back(
    site: Site, data: Path, side: InBucket | OnServer, tmp_path: Path
) -> None:
    [wrong] = site.start_agents(1, "-v", env={"AWS_SECRET_ACCESS_KEY": "of somebody else"})
    ended = site.place.end(site.walk(*words(data, side)))
    assert ended.code == 8
    assert "SignatureDoesNotMatch" in ended.err or "refuses" in ended.err
    assert "of somebody else" not in ended.err
    site.start_agents(1)
    command = ("walk", "--broker", site.endpoint, "--json", "-q", "--resume", 1)
    is_there(ends_well(site, site.place.start(*command)), data, side, tmp_path / "fetched")
    wrong.terminate()
    said = site.place.end(wrong).err
    assert "can't be walked here" in said
    assert "of somebody else" not in said
