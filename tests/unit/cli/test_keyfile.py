"""A broker's files of keys: durable, private, made once."""

import json
from pathlib import Path

import pytest

from zfs_walk.broker.keys import Keyring
from zfs_walk.cli.first_keys import give_operator, open_keyring, reachable_at
from zfs_walk.cli.keyfile import KeyFile, server_curve
from zfs_walk.config.connection import file_for, read_connection
from zfs_walk.errors import KeyFileError

ENDPOINT = "tcp://127.0.0.1:5570"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder


def test_keys_are_there_after_a_restart(state: Path) -> None:
    keys = Keyring(KeyFile(state))
    keys.add("a", "A" * 40, ("walker",))
    keys.add("b", "B" * 40, ("reader", "walker"))
    keys.revoke("a")
    again = Keyring(KeyFile(state))
    assert again.all() == keys.all()
    assert [(key.name, key.roles, key.revoked_ns > key.created_ns) for key in again.all()] == [
        ("a", ("walker",), True),
        ("b", ("reader", "walker"), False),
    ]
    assert (again.holder("A" * 40), again.named("b")) == (None, again.holder("B" * 40))


def test_a_brokers_own_keys_are_made_once(state: Path) -> None:
    assert server_curve(state) == server_curve(state)


@pytest.mark.parametrize("secret", [None, 7, "", "too short", "ü" * 40])
def test_a_broken_file_of_the_brokers_own_keys_is_refused(state: Path, secret: object) -> None:
    public = server_curve(state).public
    content = {"schema": 1, "public": public, "secret": secret}
    (state / "server.json").write_text(json.dumps(content))
    with pytest.raises(KeyFileError, match="it is no file of a broker's keys"):
        server_curve(state)


@pytest.mark.parametrize("name", ["server.json", "keys.json"])
def test_a_file_that_others_may_write_to_is_refused(state: Path, name: str) -> None:
    curve, keys = open_keyring(state)
    give_operator(keys, curve.public, ENDPOINT, state)
    (state / name).chmod(0o666)
    with pytest.raises(KeyFileError, match="chmod 600"):
        open_keyring(state)


def test_a_key_that_was_taken_out_of_the_file_by_hand_can_not_be_revoked(state: Path) -> None:
    keys = Keyring(KeyFile(state))
    keys.add("a", "A" * 40, ("walker",))
    (state / "keys.json").write_text(json.dumps({"schema": 1, "keys": []}))
    with pytest.raises(KeyFileError, match="holds no valid key a any more"):
        keys.revoke("a")


@pytest.mark.parametrize("content", [{"keys": [{}]}, {"keys": 7}, {}])
def test_a_broken_list_of_keys_is_refused(state: Path, content: dict[str, object]) -> None:
    open_keyring(state)[1].add("a", "A" * 40, ("walker",))
    (state / "keys.json").write_text(json.dumps({"schema": 1, **content}))
    with pytest.raises(KeyFileError, match="it is no list of keys"):
        open_keyring(state)


def test_an_operator_is_made_once_and_anew_when_lost_or_revoked(state: Path) -> None:
    curve, keys = open_keyring(state)
    file = give_operator(keys, curve.public, ENDPOINT, state)
    first = read_connection(file)
    assert first is not None
    assert (file, first.endpoint, first.server) == (file_for(ENDPOINT), ENDPOINT, curve.public)
    assert give_operator(keys, curve.public, ENDPOINT, state) == file
    assert read_connection(file) == first
    keys.revoke(first.name)
    give_operator(keys, curve.public, ENDPOINT, state)
    second = read_connection(file)
    assert second is not None
    assert (second.name, second.public == first.public) == (first.name, False)
    file.unlink()
    give_operator(keys, curve.public, ENDPOINT, state)
    assert [key.name for key in keys.all() if not key.revoked_ns] == [
        first.name,
        f"{first.name}-2",
    ]


def test_who_has_no_home_finds_the_file_in_the_state(
    state: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/proc/nowhere")
    curve, keys = open_keyring(state)
    assert give_operator(keys, curve.public, ENDPOINT, state) == state / "connection.json"
    assert f"the connection file is {state}/connection.json" in caplog.text


@pytest.mark.parametrize(
    ("bound", "reachable"),
    [
        ("tcp://0.0.0.0:7", "tcp://127.0.0.1:7"),
        ("tcp://*:7", "tcp://127.0.0.1:7"),
        ("tcp://[::]:7", "tcp://[::1]:7"),
        ("tcp://192.0.2.1:7", "tcp://192.0.2.1:7"),
    ],
)
def test_a_broker_on_every_address_is_found_on_the_loopback(bound: str, reachable: str) -> None:
    assert reachable_at(bound) == reachable
