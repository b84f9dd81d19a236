"""The suite of all sinks against the SFTP servers that are there."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar, Literal

import pytest

from tests.process.place import wait_for
from tests.servers.ssh import Server, room
from zfs_walk.sinks.conformance import Content, SinkConformance, TogetherConformance
from zfs_walk.sinks.conformance.naming import ODD_NAMES
from zfs_walk.sinks.conformance.place import Notes, Origin, freely, stop_after
from zfs_walk.sinks.conformance.together import Send
from zfs_walk.sinks.errors import SinkError, StoppedError
from zfs_walk.sinks.interface import Parcel, Remote, Sink
from zfs_walk.sinks.sftp import SftpSink

pytestmark = [pytest.mark.slow, pytest.mark.big]


class Conformance(SinkConformance, TogetherConformance):
    """The suite, with what is there seen on the server's disk."""

    server: ClassVar[str]
    transport: ClassVar[Literal["auto", "paramiko", "openssh"]] = "auto"

    @pytest.fixture
    def served(self, request: pytest.FixtureRequest) -> tuple[Server, Path]:
        server: Server = request.getfixturevalue(self.server)
        return server, room(server)

    @pytest.fixture
    def sink(self, served: tuple[Server, Path]) -> Iterator[Sink]:
        server, folder = served
        options = SftpSink.Options(**server.options(), transport=self.transport)
        sink = SftpSink(server.url(f"/{folder.name}"), options)

        def seen() -> bool:
            with contextlib.suppress(SinkError):
                sink.check()
                return True
            return False

        # rclone remembers for a moment that it was not there.
        wait_for("the server sees the folder", seen)
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
    transport = "openssh"


class TestSshdByParamiko(Conformance):
    """OpenSSH, by the transport that needs no program."""

    server = "sshd"
    transport = "paramiko"
    many = 250


ALTERED = (b"new\nline", b"tab\tbell\x07", b"odd\xff/\n/dir/file")
"""Such a name goes there and comes back as another one: rclone lists other characters."""


class Rclone(Conformance):
    """What rclone can't do, whoever asks it: no file is gone on with."""

    many = 250
    resumes = False
    odd: ClassVar = [name for name in ODD_NAMES if name not in ALTERED]

    @staticmethod
    def goes(sink: Sink, name: bytes) -> bool:
        return name not in ALTERED and Conformance.goes(sink, name)

    @pytest.mark.parametrize("name", odd)
    def test_an_odd_name_comes_back_or_is_refused(
        self, sink: Sink, origin: Origin, content: Content, name: bytes
    ) -> None:
        super().test_an_odd_name_comes_back_or_is_refused(sink, origin, content, name)

    def test_permissions_that_are_told_are_those_that_were_sent(
        self, sink: Sink, origin: Origin
    ) -> None:
        """It tells the same for every file, so one whose end is not known is sent again."""
        told = set()
        for mode in (0o640, 0o755):
            (Path(os.fsdecode(origin.folder)) / "file").write_bytes(b"content")
            (Path(os.fsdecode(origin.folder)) / "file").chmod(mode)
            sink.send(origin.open(b"file"), b"file", Notes(), freely)
            seen = sink.look(b"file")
            assert seen is not None
            told.add(seen.mode)
        assert told == {0o644}

    def test_a_symbolic_link_is_sent_as_one(self, sink: Sink, origin: Origin) -> None:
        """It is refused."""
        (Path(os.fsdecode(origin.folder)) / "link").symlink_to("where")
        with pytest.raises(SinkError):
            sink.send(origin.open(b"link", link=True), b"link", Notes(), freely)
        assert list(sink.list(b"")) == []

    def test_a_symbolic_link_goes_with_files(
        self, sink: Sink, origin: Origin, send: Send, content: Content
    ) -> None:
        """It is refused, and they go."""
        (Path(os.fsdecode(origin.folder)) / "link").symlink_to("where")
        link = Parcel(origin.open(b"link", link=True), b"link", freely)
        refused, _ = send([link, Parcel(origin.made(b"file", b"content"), b"file", freely)])
        assert isinstance(refused, SinkError)
        assert {found.name for found in sink.list(b"")} == {b"file"}
        assert content(b"file") == b"content"

    def test_what_dead_transfers_left_is_taken_away_and_nothing_else(
        self, sink: Sink, origin: Origin, put: Callable[..., Remote], content: Content
    ) -> None:
        """It is there, though it is of no use."""
        put(b"stays")
        for name, memory in ((b"d/alive", alive := Notes()), (b"d/dead", Notes())):
            source = origin.made(name, os.urandom(self.large))
            with pytest.raises(StoppedError):
                sink.send(source, name, memory, stop_after(self.large // 2))
        assert sink.sweep(alive.known) == 1
        sink.send(origin.open(b"d/alive"), b"d/alive", alive, freely)
        assert {found.name for found in sink.list(b"")} == {b"stays", b"d/alive"}
        assert sink.sweep(frozenset()) == 0
        assert content(b"stays") == b"content"


class TestRclone(Rclone):
    """rclone, which writes a file in one go."""

    server = "rclone_sftp"


class TestRcloneCached(Rclone):
    """rclone with a cache of files that are written."""

    server = "rclone_sftp_cached"
