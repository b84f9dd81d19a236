"""What goes wrong with real S3 servers: it is noticed, it is told, and nothing wrong arrives."""

import contextlib
import datetime as dt
import logging
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import botocore.auth
import pytest

from tests.process import mounts
from tests.process.place import wait_for
from tests.servers.proxy import Proxy, proxied
from tests.servers.s3 import SECRET, Home, Server
from zfs_walk.mirror.mapping import Mapping
from zfs_walk.mirror.mirror import Mirror
from zfs_walk.sinks.choose import open_sink
from zfs_walk.sinks.conformance.place import Notes, Origin, counting, freely
from zfs_walk.sinks.errors import (
    CorruptedError,
    NameRefusedError,
    SinkRefusedError,
    TransientError,
    UnreachableSinkError,
)

pytestmark = [pytest.mark.slow, pytest.mark.big]

MIB = 1 << 20


@pytest.fixture
def proxy(home: Home) -> Iterator[Proxy]:
    with proxied(home.server.port) as started:
        yield started


def refusal(home: Home, url: str = "", **options: object) -> SinkRefusedError:
    """The refusal that a check and a send end with alike."""
    sink = open_sink(url or home.url, home.options(**options))
    with pytest.raises(SinkRefusedError) as caught:
        sink.check()
    assert (caught.value.whole, caught.value.again) == (True, False)
    assert SECRET not in str(caught.value)
    sink.close()
    return caught.value


# ---------------------------------------------------------------------- what is spoiled


@pytest.mark.parametrize("checksum", ["auto", "sha256", "crc32", "crc32c", "md5"])
def test_a_flipped_bit_in_a_small_file_never_shows(
    home: Home, proxy: Proxy, origin: Origin, checksum: str
) -> None:
    if home.server.kind == "rclone" and checksum in {"sha256", "crc32", "crc32c"}:
        # It verifies none of them, which is why `auto` takes MD5 there.
        return
    data = os.urandom(300_000)
    endpoint = f"http://127.0.0.1:{proxy.port}"
    sink = open_sink(home.url, home.options(endpoint_url=endpoint, checksum=checksum))
    sink.send(origin.made(b"first", b"first"), b"first", Notes(), freely)
    proxy.flip_after(100_000)
    source = origin.made(b"file", data)
    try:
        sink.send(source, b"file", Notes(), freely)
    except CorruptedError:
        assert home.content(b"file") is None
        sink.send(source, b"file", Notes(), freely)
    assert proxy.spoiled == 1
    assert proxy.sent > 2 * len(data)
    assert home.content(b"file") == data
    sink.close()


def test_of_a_large_file_only_the_spoiled_part_is_sent_again(
    home: Home, proxy: Proxy, origin: Origin
) -> None:
    data, memory = os.urandom(20 * MIB), Notes()
    endpoint = f"http://127.0.0.1:{proxy.port}"
    sink = open_sink(home.url, home.options(endpoint_url=endpoint, part_transfers=1))
    sink.check()
    source = origin.made(b"file", data)
    proxy.flip_after(12 * MIB)
    with pytest.raises(CorruptedError):
        sink.send(source, b"file", memory, freely)
    assert home.content(b"file") is None
    sent: list[int] = []
    sink.send(source, b"file", memory, counting(sent))
    # The third of four, and the fourth, which was not begun; rclone has given up the whole.
    assert sum(sent) == (20 if home.server.kind == "rclone" else 10) * MIB
    assert home.content(b"file") == data
    sink.close()


# ---------------------------------------------------------------------- who is refused


def test_a_wrong_secret_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert "SignatureDoesNotMatch" in str(refusal(home))


def test_an_unknown_key_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDUNKNOWN")
    assert "does not know the access key" in str(refusal(home))


def test_missing_credentials_are_told(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "credentials" in str(refusal(home))


def test_a_missing_profile_is_told(home: Home) -> None:
    assert "nobody" in str(refusal(home, profile="nobody"))


def test_a_missing_bucket_is_told(home: Home) -> None:
    found = refusal(home, "s3://no-such-bucket-anywhere/prefix")
    assert "no such bucket" in str(found)


def test_credentials_that_stop_working_stop_all_and_not_one_file(
    home: Home, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    sink = open_sink(home.url, home.options())
    uses: list[Callable[[], object]] = [
        lambda: sink.send(origin.made(b"file", b"content"), b"file", Notes(), freely),
        lambda: sink.look(b"file"),
        lambda: sink.delete(b"file"),
        lambda: list(sink.list(b"")),
    ]
    for use in uses:
        with pytest.raises(SinkRefusedError):
            use()
    sink.close()


def test_a_clock_that_is_wrong_is_told(weed_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    right = botocore.auth.get_current_datetime
    late = dt.timedelta(hours=1)
    with monkeypatch.context() as wrong:
        wrong.setattr(botocore.auth, "get_current_datetime", lambda: right() + late)
        assert "clock" in str(refusal(weed_home))


def test_an_address_where_nobody_listens_is_told(home: Home, proxy: Proxy) -> None:
    proxy.down()
    endpoint = f"http://127.0.0.1:{proxy.port}"
    sink = open_sink(home.url, home.options(endpoint_url=endpoint))
    with pytest.raises(UnreachableSinkError) as caught:
        sink.check()
    assert caught.value.again
    proxy.up()
    sink.check()
    sink.close()


def test_a_name_that_is_too_long_for_the_server_is_told_as_such(
    weed_home: Home, origin: Origin
) -> None:
    # Its folders and files have names of up to 255 bytes, like those of a file system.
    sink = open_sink(weed_home.url, weed_home.options())
    with pytest.raises(NameRefusedError):
        sink.send(origin.made(b"file", b"content"), b"x" * 900, Notes(), freely)
    sink.close()


# ---------------------------------------------------------------------- no room


@pytest.mark.root
def test_a_full_disk_that_a_server_keeps_silent_about_stops_all_and_not_one_file(
    tmp_path: Path,
    origin: Origin,
    credentials: None,  # noqa: ARG001 -- for the sink
) -> None:
    with small_server("weed", tmp_path / "server", "size=96m") as home:
        sink = open_sink(home.url, home.options())
        data = os.urandom(12 * MIB)
        sent: list[bytes] = []

        def fill() -> None:
            for number in range(12):
                name = b"file%d" % number
                sink.send(origin.made(name, data), name, Notes(), freely)
                sent.append(name)

        with pytest.raises(UnreachableSinkError) as caught:
            fill()
        assert caught.value.whole
        assert {*home.keys()} == {*sent}
        assert home.content(b"file0") == data
        sink.close()


@pytest.mark.root
def test_a_file_for_which_there_is_no_room_is_sent_when_there_is(
    tmp_path: Path,
    origin: Origin,
    credentials: None,  # noqa: ARG001 -- for the sink
) -> None:
    with small_server("rclone", tmp_path / "server", "size=16m") as home:
        sink = open_sink(home.url, home.options(multipart_above="64MiB"))
        sink.send(origin.made(b"small", b"content"), b"small", Notes(), freely)
        ballast = home.server.data / "ballast"
        ballast.write_bytes(bytes(12 * MIB))
        data = os.urandom(8 * MIB)
        source = origin.made(b"large", data)
        # There is room for a small one, so it is this file's trouble alone.
        with pytest.raises(TransientError):
            sink.send(source, b"large", Notes(), freely)
        assert (home.content(b"small"), home.content(b"large")) == (b"content", None)
        ballast.unlink()
        sink.send(source, b"large", Notes(), freely)
        assert home.content(b"large") == data
        sink.close()


@contextlib.contextmanager
def small_server(kind: str, folder: Path, size: str) -> Iterator[Home]:
    """A server whose disk is small."""
    folder.mkdir()
    with mounts.tmpfs(folder / "data", size):
        server = Server(kind, folder)
        try:
            server.start()
            home = Home(server)
            yield home
            home.client.close()
        finally:
            server.kill()


def test_a_server_that_falls_silent_is_given_up(
    credentials: None,  # noqa: ARG001 -- for the sink
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        options = {"endpoint_url": f"http://127.0.0.1:{silent.getsockname()[1]}", "timeout": 0.5}
        sink = open_sink("s3://bucket/prefix", options)
        with pytest.raises(UnreachableSinkError) as caught:
            sink.check()
        assert (caught.value.whole, caught.value.again) == (True, True)
        sink.close()


def test_no_secret_is_kept_or_told(
    weed_home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    wrong = "a-secret-that-is-wrong"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", wrong)
    here = tmp_path / "here"
    here.mkdir()
    (here / "file").write_text("content")
    mapping = Mapping("test", bytes(here), weed_home.url, options=weed_home.options())
    mirror = Mirror(mapping, tmp_path / "state")
    with caplog.at_level(logging.DEBUG, "zfs_walk"):
        mirror.start()
        try:
            wait_for("it says so", lambda: "Signature" in mirror.statistics().reconcile.failed)
            told = repr(mirror.statistics())
        finally:
            mirror.close()
    kept = b"".join(path.read_bytes() for path in (tmp_path / "state").iterdir())
    assert b"file" in kept
    assert wrong.encode() not in kept
    assert wrong not in told + caplog.text
