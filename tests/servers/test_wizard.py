"""The wizard against real servers: what it writes mirrors, and no secret is kept or shown.

The oracle is find, sha256sum and the server read with other clients.
"""

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.process.dialogue import Dialogue, is_nowhere, wizard
from tests.process.place import Env, Place, places
from tests.servers import ssh
from tests.servers.compare import differences
from tests.servers.s3 import BUCKET, CREDENTIALS, GIVEN, KEY, SECRET, Home
from tests.servers.ssh import needs_sshd

pytestmark = [pytest.mark.slow, pytest.mark.big]

FILES = {b"one": b"1", b"in/two \xc3\xa9": b"22", b"in/deep/#3: 'x'": b"333"}
KEPT_KEYS, KEPT_PASSWORD = "Keyring entry with the keys", "Keyring entry with the password"
HOW = (
    "Delete there what is deleted here (yes or no)", "Transfers at once", "Limit, bytes a second",
    "Hours in which files are sent",
)  # fmt: skip


@pytest.fixture
def place() -> Iterator[Place]:
    yield from places()


@pytest.fixture
def folder(place: Place) -> Path:
    """With some files."""
    made = place.folder / "here"
    for name, content in FILES.items():
        path = made / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return made


def begin(talk: Dialogue, folder: Path) -> None:
    """Up to the other side."""
    talk.answer("Name of the mapping", "test")
    talk.answer("Folder to mirror", str(folder))
    talk.leave_empty("Leave out")


def finish(place: Place, talk: Dialogue) -> str:
    """From the other side on; returns the file's text."""
    talk.leave_empty(*HOW)
    assert talk.ended() == 0, talk.seen
    file = place.home / ".config/zfs_walk/uploader.yaml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    return file.read_text()


def mirror(place: Place, env: Env) -> None:
    """By the file as it is."""
    ended = place.run("agent", "--role", "uploader", "--once", env=env)
    assert (ended.code, ended.err) == (0, "")


def arrived(home: Home, folder: Path) -> bool:
    """What a bucket has is what the folder has."""
    copy = folder.with_name("fetched")
    copy.mkdir()
    home.fetch(copy)
    return not differences(folder, copy)


# ---------------------------------------------------------------------- S3


def to_bucket(talk: Dialogue, home: Home) -> None:
    talk.answer("Bucket", BUCKET)
    talk.answer("Folder in the bucket", home.prefix)
    talk.answer("Endpoint", home.server.endpoint)
    talk.leave_empty("Region", "Profile", KEPT_KEYS, "Addressing (auto, path or virtual)")
    if home.server.endpoint.startswith("https:"):
        talk.leave_empty("File with certificates")


def test_to_s3_it_writes_what_mirrors_a_folder(place: Place, folder: Path, weed_home: Home) -> None:
    with wizard(place, "s3", env=CREDENTIALS) as talk:
        begin(talk, folder)
        to_bucket(talk, weed_home)
        text = finish(place, talk)
    assert "It works" in talk.words
    assert f"one -> {weed_home.url}one" in talk.words
    assert "\n      # region:\n" in text
    assert "\n    # bwlimit: 0\n" in text
    mirror(place, CREDENTIALS)
    assert arrived(weed_home, folder)
    is_nowhere(place, SECRET, talk.seen)


def test_to_s3_wrong_answers_are_explained_and_asked_again(
    place: Place, folder: Path, weed_home: Home
) -> None:
    with wizard(place, "s3", env=CREDENTIALS) as talk:
        begin(talk, folder)
        talk.refused("Bucket", "s3://somewhere/else", "the bucket's name alone")
        talk.refused("Bucket", SECRET, "No secret belongs into this file")
        talk.answer("Bucket", "not-there")
        talk.refused("Folder in the bucket", "a//b", "none of them empty")
        talk.leave_empty("Folder in the bucket")
        talk.refused("Endpoint", "localhost", "wanted: https://HOST")
        talk.refused("Endpoint", "http://me:word@localhost", "No secret belongs")
        talk.answer("Endpoint", weed_home.server.endpoint)
        talk.refused("Region", "no region", "wanted: letters, digits")
        talk.leave_empty("Region", "Profile")
        talk.refused(KEPT_KEYS, "no-slash", "wanted: SERVICE/USER")
        talk.refused(KEPT_KEYS, f"zfs_walk/{KEY}:{SECRET}", "No secret belongs")
        talk.leave_empty(KEPT_KEYS)
        talk.refused("Addressing (auto, path or virtual)", "both", "'auto', 'path' or 'virtual'")
        talk.leave_empty("Addressing (auto, path or virtual)")
        talk.asked("What now")
        assert "s3://not-there/ refuses" in talk.words
        talk.answer("What now", "again")
        talk.answer("Bucket", BUCKET)
        talk.answer("Folder in the bucket", weed_home.prefix)
        # As before.
        talk.leave_empty(
            "Endpoint", "Region", "Profile", KEPT_KEYS, "Addressing (auto, path or virtual)"
        )
        assert weed_home.url.rstrip("/") in finish(place, talk)
    mirror(place, CREDENTIALS)
    assert arrived(weed_home, folder)


@pytest.mark.skipif(bool(GIVEN), reason="the servers that the tests start have known keys")
def test_a_key_for_the_trial_alone_is_kept_nowhere(
    place: Place, folder: Path, weed_home: Home
) -> None:
    nothing = {name: value for name, value in CREDENTIALS.items() if "ACCESS_KEY" not in name}
    with wizard(place, "s3", env=nothing) as talk:
        begin(talk, folder)
        to_bucket(talk, weed_home)
        talk.answer("What now", "secret")
        talk.answer("AWS_ACCESS_KEY_ID", CREDENTIALS["AWS_ACCESS_KEY_ID"])
        talk.answer("AWS_SECRET_ACCESS_KEY", SECRET)
        text = finish(place, talk)
    assert "It works" in talk.words
    for secret in (SECRET, CREDENTIALS["AWS_ACCESS_KEY_ID"]):
        is_nowhere(place, secret, talk.seen, text)


def test_what_does_not_work_can_be_kept_nevertheless(
    place: Place, folder: Path, weed_home: Home
) -> None:
    with wizard(place, "s3", env=CREDENTIALS | {"AWS_SECRET_ACCESS_KEY": "another one"}) as talk:
        begin(talk, folder)
        to_bucket(talk, weed_home)
        talk.answer("What now", "retry")
        talk.answer("What now", "keep")
        finish(place, talk)
    assert "the secret key is not the access key's" in talk.words
    assert "The connection did not work: look at `to` and `options`" in talk.words


# ---------------------------------------------------------------------- SFTP


def to_host(talk: Dialogue, server: ssh.Server, path: Path, **options: str) -> None:
    talk.answer("Host", "127.0.0.1")
    talk.answer("Port", str(server.port))
    talk.leave_empty("User")
    talk.answer("Folder there", str(path))
    talk.answer("Private key", options.get("key", str(server.key)))
    talk.leave_empty("File with the password")
    talk.answer("Variable with the password", options.get("variable", ""))
    if "variable" not in options:
        talk.answer(KEPT_PASSWORD, options.get("kept", ""))
    talk.answer("File with known host keys", options.get("known_hosts", ""))


@needs_sshd
def test_to_sftp_it_shows_the_fingerprint_and_writes_what_mirrors_a_folder(
    place: Place, folder: Path, sshd: ssh.Server
) -> None:
    there = ssh.room(sshd)
    shown = ssh.run("ssh-keygen", "-l", "-f", sshd.folder / "host-key.pub").split()[1]
    right = "Is it the right one? [y/N]"
    with wizard(place, "sftp") as talk:
        begin(talk, folder)
        to_host(talk, sshd, there)
        talk.asked(right)
        assert shown in talk.words
        talk.leave_empty(right)
        assert "its host key is not believed" not in talk.words
        talk.answer("What now", "retry")
        assert "its host key is not believed" in talk.words
        talk.answer(right, "yes")
        text = finish(place, talk)
    assert f"one -> {sshd.url(f'/{there.name}/one')}" in talk.words
    assert f"\n      fingerprint: ['{shown}']\n" in text
    (folder / os.fsdecode(b"latin \xe9")).write_bytes(b"4")
    mirror(place, {})
    assert differences(folder, there) == []


@needs_sshd
def test_to_sftp_wrong_answers_are_explained_and_asked_again(
    place: Place, folder: Path, sshd: ssh.Server
) -> None:
    there = ssh.room(sshd)
    known = str(sshd.known_hosts)
    with wizard(place, "sftp") as talk:
        begin(talk, folder)
        talk.refused("Host", "me@host", "wanted: the name or the number")
        talk.refused("Host", sshd.url(), "wanted: the name or the number")
        talk.answer("Host", "127.0.0.1")
        talk.refused("Port", "65536", "at most 65535")
        talk.answer("Port", str(ssh.free_port()))
        talk.refused("User", "me:word", "without '@'")
        talk.leave_empty("User")
        talk.refused("Folder there", "../up", "a path without '..'")
        talk.leave_empty("Folder there")
        talk.refused("Private key", "/no/key", "can't be read: No such file")
        talk.leave_empty("Private key", "File with the password")
        talk.refused("Variable with the password", "hunter2", "the password itself never")
        talk.leave_empty("Variable with the password")
        talk.refused(KEPT_PASSWORD, "hunter2", "the secret itself never")
        talk.leave_empty(KEPT_PASSWORD, "File with known host keys")
        talk.asked("What now")
        assert "can't be reached: " in talk.words
        assert "Connection refused" in talk.words
        talk.answer("What now", "again")
        to_host(talk, sshd, there / "missing", known_hosts=known)
        talk.asked("What now")
        assert "no folder that is there" in talk.words
        talk.answer("What now", "again")
        to_host(talk, sshd, there, known_hosts=known)
        text = finish(place, talk)
    options = yaml.safe_load(text)["mappings"][0]["options"]
    assert options == {"key_file": [str(sshd.key)], "known_hosts": [known]}
    mirror(place, {})
    assert differences(folder, there) == []


@needs_sshd
def test_a_password_for_the_trial_alone_is_kept_nowhere(
    place: Place, folder: Path, sshd: ssh.Server
) -> None:
    there, secret, variable = ssh.room(sshd), "the long secret", "KEY_PASSWORD"
    key = ssh.make_key(place.home / "key", secret)
    with (sshd.folder / "authorized_keys").open("a") as keys:
        keys.write(key.with_suffix(".pub").read_text())
    with wizard(place, "sftp") as talk:
        begin(talk, folder)
        options = {"key": str(key), "variable": variable, "known_hosts": str(sshd.known_hosts)}
        to_host(talk, sshd, there, **options)
        talk.answer(variable, "a wrong one")
        talk.answer("What now", "secret")
        talk.answer(variable, secret)
        text = finish(place, talk)
    assert "It works" in talk.words
    is_nowhere(place, secret, talk.seen, text)
    is_nowhere(place, "a wrong one", talk.seen, text)
    mirror(place, {variable: secret})
    assert differences(folder, there) == []
    is_nowhere(place, secret)


# ---------------------------------------------------------------------- keyring


def keyring(place: Place, service: str, user: str, secret: str) -> Env:
    """Put a secret into a keyring of the place, by keyring's own command; how it is found."""
    env = {
        "PYTHON_KEYRING_BACKEND": "keyrings.alt.file.PlaintextKeyring",
        "XDG_DATA_HOME": str(place.folder / "keyring"),
    }
    words = [sys.executable, "-m", "keyring", "set", service, user]
    subprocess.run(words, input=secret, text=True, check=True, env={**place.env, **env})
    return env


def test_keys_of_a_keyring_mirror_and_stand_nowhere_else(
    place: Place, folder: Path, weed_home: Home
) -> None:
    nothing = {name: value for name, value in CREDENTIALS.items() if "ACCESS_KEY" not in name}
    env = {**nothing, **keyring(place, "zfs_walk/test", "photos", f"{KEY}:{SECRET}")}
    with wizard(place, "s3", env=env) as talk:
        begin(talk, folder)
        talk.answer("Bucket", BUCKET)
        talk.answer("Folder in the bucket", weed_home.prefix)
        talk.answer("Endpoint", weed_home.server.endpoint)
        talk.leave_empty("Region", "Profile")
        talk.answer(KEPT_KEYS, "zfs_walk/test/nobody")
        talk.leave_empty("Addressing (auto, path or virtual)")
        talk.asked("What now")
        assert "the keyring has no zfs_walk/test/nobody" in talk.words
        assert "`keyring set zfs_walk/test nobody` adds it" in talk.words
        talk.answer("What now", "again")
        talk.leave_empty("Bucket", "Folder in the bucket", "Endpoint", "Region", "Profile")
        talk.answer(KEPT_KEYS, "zfs_walk/test/photos")
        talk.leave_empty("Addressing (auto, path or virtual)")
        text = finish(place, talk)
    assert "It works" in talk.words
    options = yaml.safe_load(text)["mappings"][0]["options"]
    assert options["credentials_keyring"] == "zfs_walk/test/photos"
    mirror(place, env)
    assert arrived(weed_home, folder)
    shutil.rmtree(place.folder / "keyring")
    is_nowhere(place, SECRET, talk.seen, text)
    is_nowhere(place, KEY, talk.seen, text)


@needs_sshd
def test_a_password_of_a_keyring_mirrors_and_stands_nowhere_else(
    place: Place, folder: Path, sshd: ssh.Server
) -> None:
    there, secret = ssh.room(sshd), "the long secret"
    key = ssh.make_key(place.home / "key", secret)
    with (sshd.folder / "authorized_keys").open("a") as keys:
        keys.write(key.with_suffix(".pub").read_text())
    env = keyring(place, "vault", "me", secret)
    with wizard(place, "sftp", env=env) as talk:
        begin(talk, folder)
        options = {"key": str(key), "kept": "vault/me", "known_hosts": str(sshd.known_hosts)}
        to_host(talk, sshd, there, **options)
        text = finish(place, talk)
    assert "It works" in talk.words
    assert "password_keyring: vault/me" in text
    mirror(place, env)
    assert differences(folder, there) == []
    shutil.rmtree(place.folder / "keyring")
    is_nowhere(place, secret, talk.seen, text)


@pytest.mark.parametrize(
    ("backend", "said"),
    [("keyring.backends.fail.Keyring", "the keyring can't be read (NoKeyringError)"),
     ("keyrings.alt.file.PlaintextKeyring", "the keyring has no vault/me")],
)  # fmt: skip
def test_a_keyring_that_does_not_have_it_is_explained(
    place: Place, folder: Path, weed_home: Home, backend: str, said: str
) -> None:
    options = weed_home.options(credentials_keyring="vault/me")
    file = place.folder / "uploader.yaml"
    mapping = {"name": "test", "local": str(folder), "to": weed_home.url, "options": options}
    file.write_text(json.dumps({"role": "uploader", "mappings": [mapping]}))
    env = {"PYTHON_KEYRING_BACKEND": backend, "XDG_DATA_HOME": str(place.folder / "empty")}
    ended = place.run("agent", "--config", file, "--once", "--timeout", "2", env=env)
    assert ended.code == 15
    assert said in ended.err


def test_without_the_library_it_is_said_what_to_install(
    place: Place, folder: Path, weed_home: Home
) -> None:
    options = weed_home.options(credentials_keyring="vault/me")
    mapping = {"name": "test", "local": str(folder), "to": weed_home.url, "options": options}
    # It is not there for a Python that is told so.
    hides = "import sys; sys.modules['keyring'] = None; from zfs_walk.cli.agent import run; run()"
    words = ("--role", "uploader", "--once", "--mappings", json.dumps([mapping]))
    process = place.start_python(hides, *words)
    ended = place.end(process)
    assert ended.code == 10
    assert "pip install 'zfs_walk[keyring]'" in ended.err


def test_keys_come_from_one_place(place: Place, folder: Path, weed_home: Home) -> None:
    options = weed_home.options(credentials_keyring="vault/me", profile="mine")
    mapping = {"name": "test", "local": str(folder), "to": weed_home.url, "options": options}
    words = ("--role", "uploader", "--once", "--mappings", json.dumps([mapping]))
    ended = place.run("agent", *words)
    assert ended.code == 2
    assert "credentials come from it or from the `profile`, not from both" in ended.err
