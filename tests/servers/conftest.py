"""Servers for the tests, each started once, when the first test needs it."""

from collections.abc import Iterator

import pytest

from tests.servers.s3 import CREDENTIALS, GIVEN, KINDS, Home, Server, served


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
