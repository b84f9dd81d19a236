"""The suite of all sinks against the SFTP servers that are there."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from tests.servers.ssh import (  # noqa: F401 -- fixtures
    Server,
    rclone_sftp,
    rclone_sftp_cached,
    room,
    sshd,
)
from zfs_walk.sinks.conformance import Content, SinkConformance
from zfs_walk.sinks.interface import Sink
from zfs_walk.sinks.sftp import SftpSink

pytestmark = [pytest.mark.slow, pytest.mark.big]


class Conformance(SinkConformance):
    """The suite, with what is there seen on the server's disk."""

    server: ClassVar[str]

    @pytest.fixture
    def served(self, request: pytest.FixtureRequest) -> tuple[Server, Path]:
        server: Server = request.getfixturevalue(self.server)
        return server, room(server)

    @pytest.fixture
    def sink(self, served: tuple[Server, Path]) -> Iterator[Sink]:
        server, folder = served
        options = SftpSink.Options(**server.options())
        sink = SftpSink(server.url(f"/{folder.name}"), options)
        yield sink
        sink.close()

    @pytest.fixture
    def content(self, served: tuple[Server, Path]) -> Content:
        def content(name: bytes) -> bytes | None:
            path = served[1] / os.fsdecode(name)
            return path.read_bytes() if path.is_file() else None

        return content


class TestSshd(Conformance):
    """OpenSSH."""

    server = "sshd"


class TestRclone(Conformance):
    """rclone, which writes a file in one go: nothing is gone on with."""

    server = "rclone_sftp"
    resumes = False


class TestRcloneCached(Conformance):
    """rclone with a cache of files that are written."""

    server = "rclone_sftp_cached"
