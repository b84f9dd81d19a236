"""What --broker means: endpoints to be tried in turn, the stored connection to them, a file."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import pytest

from zfs_walk.cli.command import INSECURE
from zfs_walk.cli.connection import find_target
from zfs_walk.config import connection
from zfs_walk.config.connection import Connection, file_for
from zfs_walk.errors import NoKeyError, WrongUseError

ONE, TWO, THREE = "tcp://127.0.0.1:5570", "tcp://127.0.0.1:5580", "tcp://node1:5570"
KNOWN = Connection(ONE, "S" * 40, "P" * 40, "x" * 40, "me", ("operator",))


@pytest.fixture(autouse=True)
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[click.Context]:
    """A command's; the user's and the system's files are in places of the test's."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(connection, "SYSTEM", tmp_path / "etc/connection.json")
    with click.Context(click.Command("test")) as made:
        yield made


def endpoints(broker: str) -> list[str]:
    return list(find_target(broker).endpoints)


def test_endpoints_are_tried_in_the_order_in_which_they_are_named() -> None:
    KNOWN.write(file_for(ONE))
    assert endpoints(f"{ONE},{TWO}") == [ONE, TWO]
    assert endpoints(f"{TWO}, {ONE},{TWO}") == [TWO, ONE]
    assert endpoints("127.0.0.1:5580,localhost:5570") == [TWO, ONE]


def test_the_stored_connections_endpoints_follow_those_that_are_named() -> None:
    replace(KNOWN, further=(TWO, THREE)).write(file_for(ONE))
    assert endpoints("") == endpoints(ONE) == [ONE, TWO, THREE]
    assert endpoints(THREE) == [THREE, ONE, TWO]
    assert endpoints("tcp://localhost:5580,tcp://node2:1") == [TWO, "tcp://node2:1", ONE, THREE]


def test_the_key_is_that_of_the_stored_connection() -> None:
    KNOWN.write(file_for(ONE))
    curve = find_target(f"{THREE},{ONE}").curve
    assert curve is not None
    assert (curve.public, curve.server) == (KNOWN.public, KNOWN.server)
    with pytest.raises(NoKeyError, match=f"at {THREE},{TWO}"):
        find_target(f"{THREE},{TWO}")


def test_two_brokers_are_not_taken_for_one() -> None:
    KNOWN.write(file_for(ONE))
    replace(KNOWN, endpoint=TWO, public="Q" * 40).write(file_for(TWO))
    assert endpoints(f"{ONE},{TWO}") == [ONE, TWO]  # two keys of one broker's
    replace(KNOWN, endpoint=THREE, server="T" * 40).write(file_for(THREE))
    with pytest.raises(WrongUseError, match=f"{ONE}, {THREE} are different brokers"):
        find_target(f"{ONE},{THREE}")


def test_without_keys_a_file_says_where_the_broker_is(
    context: click.Context, tmp_path: Path
) -> None:
    context.meta[INSECURE] = True
    file = tmp_path / "some,where.json"
    replace(KNOWN, further=(TWO,)).write(file)
    for broker, wanted in ((str(file), [ONE, TWO]), ("", [ONE]), (f"{TWO},{THREE}", [TWO, THREE])):
        assert endpoints(broker) == wanted
        assert find_target(broker).curve is None


def test_what_needs_no_key_has_none() -> None:
    assert find_target("ipc:///run/b,ipc:///run/c").curve is None
    with pytest.raises(NoKeyError):
        find_target(f"ipc:///run/b,{THREE}")


@pytest.mark.parametrize("broker", [f"{ONE},", f"{ONE},node1", "tcp://node1", f"{ONE},tcp://node1"])
def test_a_list_with_something_else_in_it_is_wrong_use(broker: str) -> None:
    with pytest.raises(WrongUseError, match="is no endpoint; they look like"):
        find_target(broker)
