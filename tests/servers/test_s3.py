"""Buckets of real servers pass the suite."""

from collections.abc import Iterator

import pytest

from tests.servers.s3 import CREDENTIALS, GIVEN, KINDS, Home, Server, served
from zfs_walk.sinks.choose import open_sink
from zfs_walk.sinks.conformance import Content, SinkConformance
from zfs_walk.sinks.interface import Sink

pytestmark = [pytest.mark.slow, pytest.mark.big]


@pytest.fixture(scope="session", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with served(request.param) as started:
        yield started


@pytest.fixture
def home(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    if not GIVEN:
        for name, value in CREDENTIALS.items():
            monkeypatch.setenv(name, value)
    made = Home(server)
    yield made
    made.close()


@pytest.fixture
def sink(home: Home) -> Iterator[Sink]:
    opened = open_sink(home.url, home.options())
    yield opened
    opened.close()


class TestS3(SinkConformance):
    """The suite."""

    checksums = True

    @pytest.fixture
    def content(self, home: Home) -> Content:
        return home.content
