"""Servers for the tests, each started once, when the first test needs it."""

import contextlib
import functools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import ssh
from tests.servers.s3 import CREDENTIALS, GIVEN, KINDS, Home, Server, served
from zfs_walk.sinks.conformance.place import Origin
from zfs_walk.sinks.sftp import SftpSink


@pytest.fixture(scope="session")
def weed() -> Iterator[Server]:
    """SeaweedFS."""
    with served("weed") as started:
        yield started


@pytest.fixture(scope="session")
def rclone_s3() -> Iterator[Server]:
    """``rclone serve s3``."""
    with served("rclone") as started:
        yield started


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Server:
    """Each S3 server in turn."""
    fixture = {"weed": "weed", "rclone": "rclone_s3", "given": "given"}[request.param]
    started: Server = request.getfixturevalue(fixture)
    return started


@pytest.fixture(scope="session")
def given() -> Iterator[Server]:
    """The one that the environment names."""
    with served("given") as started:
        yield started


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the environment have those of the servers, and nothing of the user's."""
    if not GIVEN:
        for name, value in CREDENTIALS.items():
            monkeypatch.setenv(name, value)


@pytest.fixture
def home(server: Server, credentials: None) -> Iterator[Home]:  # noqa: ARG001 -- for the sink
    """A prefix at each server."""
    made = Home(server)
    yield made
    made.close()


@pytest.fixture
def weed_home(weed: Server, credentials: None) -> Iterator[Home]:  # noqa: ARG001 -- for the sink
    """A prefix at SeaweedFS."""
    made = Home(weed)
    yield made
    made.close()


@pytest.fixture(scope="session")
def sshd() -> Iterator[ssh.Server]:
    """OpenSSH's server."""
    if not ssh.SSHD.exists():
        pytest.skip("needs sshd")
    with ssh.serving("sshd") as started:
        yield started


@pytest.fixture(scope="session")
def rclone_sftp() -> Iterator[ssh.Server]:
    """``rclone serve sftp``: files are written in one go only."""
    if ssh.rclone() is None:
        pytest.skip("needs rclone")
    with ssh.serving("rclone") as started:
        yield started


@pytest.fixture(scope="session")
def rclone_sftp_cached() -> Iterator[ssh.Server]:
    """``rclone serve sftp`` with its cache: files can be written anywhere."""
    if ssh.rclone() is None:
        pytest.skip("needs rclone")
    cache = tempfile.mkdtemp(prefix="zw-ssh-")
    words = ("--vfs-cache-mode", "writes", "--vfs-write-back", "0s", "--cache-dir", cache)
    try:
        with ssh.serving("rclone", *words) as started:
            yield started
    finally:
        shutil.rmtree(cache)


@pytest.fixture
def sftp_to() -> Iterator[ssh.Sinks]:
    """Makes SFTP sinks, which are closed at the end."""
    with contextlib.ExitStack() as stack:

        def sftp_to(
            server: ssh.Server, folder: Path, port: int | None = None, **options: object
        ) -> SftpSink:
            below = str(folder).removeprefix(str(server.served))
            given = server.options(port) | options
            sink = SftpSink(server.url(below, port), SftpSink.Options(**given))
            stack.callback(sink.close)
            return sink

        yield sftp_to


@pytest.fixture(params=["openssh", "paramiko"])
def sftp_both_ways(sftp_to: ssh.Sinks, request: pytest.FixtureRequest) -> ssh.Sinks:
    """As `sftp_to`, by each transport in turn."""
    return functools.partial(sftp_to, transport=request.param)


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[Origin]:
    """A folder to send from."""
    folder = tmp_path / "origin"
    folder.mkdir()
    made = Origin(folder)
    yield made
    made.close()
