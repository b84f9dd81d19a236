"""Connection files: found where they should be, refused when they are not safe."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from zfs_walk.config import connection
from zfs_walk.config.connection import (
    Connection,
    file_for,
    read_connection,
    stored_default,
    stored_for,
)
from zfs_walk.errors import KeyFileError

HERE = Connection("tcp://127.0.0.1:5570", "S" * 40, "P" * 40, "x" * 40, "me", ("operator",))
THERE = replace(HERE, endpoint="tcp://node1:5570", name="there")
DEFAULT = HERE.endpoint

Edit = Callable[[Path], object]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder; the system's file is in a place of the test's, too."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(connection, "SYSTEM", tmp_path / "etc/connection.json")
    return tmp_path / "zfs_walk"


def test_what_was_written_is_read(folder: Path) -> None:
    HERE.write(folder / "connection.json")
    assert read_connection(folder / "connection.json") == HERE
    assert (folder / "connection.json").stat().st_mode & 0o777 == 0o600


def test_further_endpoints_are_kept_beside_the_one_that_older_releases_read(folder: Path) -> None:
    several = replace(HERE, further=("tcp://node1:5570", "tcp://node2:5580"))
    several.write(folder / "connection.json")
    assert read_connection(folder / "connection.json") == several
    assert several.endpoints == (HERE.endpoint, "tcp://node1:5570", "tcp://node2:5580")
    content = json.loads((folder / "connection.json").read_text())
    assert (content["schema"], content["endpoint"]) == (1, HERE.endpoint)
    assert content["further"] == ["tcp://node1:5570", "tcp://node2:5580"]
    HERE.write(folder / "connection.json", replace=True)
    assert "further" not in json.loads((folder / "connection.json").read_text())


def test_each_of_a_files_endpoints_stands_for_it() -> None:
    several = replace(HERE, further=("tcp://node1:5570", "tcp://localhost:5580"))
    several.write(file_for(HERE.endpoint))
    for endpoint in (*several.endpoints, "tcp://127.0.0.1:5580"):
        assert stored_for(endpoint) == several
    assert stored_for("tcp://node1:5571") is None


def test_nothing_of_a_secret_is_shown() -> None:
    assert HERE.secret not in repr(HERE)


def test_a_file_that_is_there_is_not_overwritten(folder: Path) -> None:
    HERE.write(folder / "connection.json")
    with pytest.raises(KeyFileError, match="is there already and is not overwritten"):
        THERE.write(folder / "connection.json")
    assert read_connection(folder / "connection.json") == HERE
    THERE.write(folder / "connection.json", replace=True)
    assert read_connection(folder / "connection.json") == THERE
    assert [file.name for file in folder.iterdir()] == ["connection.json"]


def edited(**changes: object) -> Edit:
    return lambda file: file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def in_its_place(make: Callable[[Path, int], None]) -> Edit:
    def edit(file: Path) -> None:
        file.unlink()
        make(file, 0o700)

    return edit


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda file: file.chmod(0o640), "others may read it; run: chmod 600 "),
        (lambda file: file.chmod(0o602), "others may read it; run: chmod 600 "),
        (lambda file: file.write_text("{"), "it is broken"),
        (lambda file: file.write_text("[]"), "it holds no keys"),
        (lambda file: file.write_bytes(b"\xff"), "it is broken"),
        (edited(schema=7), "it has schema 7, this release knows 1"),
        (edited(public="short"), "it is no connection file"),
        (edited(endpoint=None), "it is no connection file"),
        (edited(further="tcp://node1:5570"), "it is no connection file"),
        (edited(further=[5570]), "it is no connection file"),
        (edited(roles="operator"), "it is no connection file"),
        (in_its_place(os.mkdir), "it is no file"),
        (in_its_place(os.mkfifo), "it is no file"),
    ],
)
def test_a_file_that_is_no_good_is_refused(folder: Path, edit: Edit, reason: str) -> None:
    file = folder / "connection.json"
    HERE.write(file)
    edit(file)
    with pytest.raises(KeyFileError, match=reason):
        read_connection(file)


def test_an_endpoint_stands_for_the_connection_to_it() -> None:
    for each in (HERE, THERE):
        each.write(file_for(each.endpoint))
    assert stored_for("tcp://127.0.0.1:5570") == stored_for("tcp://localhost:5570") == HERE
    assert stored_for("tcp://node1:5570") == THERE
    assert stored_for("tcp://node2:5570") is None


def test_a_file_that_was_handed_out_stands_for_its_endpoint(folder: Path) -> None:
    THERE.write(folder / "connection.json")
    assert stored_for("tcp://node1:5570") == THERE
    assert stored_for("tcp://127.0.0.1:5570") is None


def test_without_a_name_the_users_own_file_is_first(folder: Path) -> None:
    assert stored_default(DEFAULT) is None
    THERE.write(connection.SYSTEM)
    assert stored_default(DEFAULT) == THERE
    one = replace(HERE, endpoint="tcp://127.0.0.1:7000")
    one.write(file_for(one.endpoint))
    assert stored_default(DEFAULT) == one
    two = replace(HERE, endpoint="tcp://127.0.0.1:7001")
    two.write(file_for(two.endpoint))
    assert stored_default(DEFAULT) == THERE
    HERE.write(file_for(HERE.endpoint))
    assert stored_default(DEFAULT) == HERE
    own = replace(HERE, name="own")
    own.write(folder / "connection.json")
    assert stored_default(DEFAULT) == own
