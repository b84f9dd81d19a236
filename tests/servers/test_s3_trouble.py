"""What goes wrong with real S3 servers: it is noticed, it is told, and nothing wrong arrives."""

import datetime as dt
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import botocore.auth
import pytest

from tests.process import mounts
from tests.servers.proxy import Proxy, proxied
from tests.servers.s3 import SECRET, Home, Server
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
def origin(tmp_path: Path) -> Iterator[Origin]:
    folder = tmp_path / "origin"
    folder.mkdir()
    made = Origin(folder)
    yield made
    made.close()


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


@pytest.mark.parametrize("checksum", ["auto", "sha256", "crc32", "md5"])
def test_a_flipped_bit_in_a_small_file_never_shows(
    home: Home, proxy: Proxy, origin: Origin, checksum: str
) -> None:
    if home.server.kind == "rclone" and checksum in {"sha256", "crc32"}:
        # It verifies neither, which is why `auto` takes MD5 there.
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
def test_a_full_disk_loses_nothing(
    tmp_path: Path,
    origin: Origin,
    credentials: None,  # noqa: ARG001 -- for the sink
) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    with mounts.tmpfs(folder / "data", "size=16m"):
        server = Server("rclone", folder)
        try:
            server.start()
            check_a_full_disk(server, folder, origin)
        finally:
            server.kill()


def check_a_full_disk(server: Server, folder: Path, origin: Origin) -> None:
    home = Home(server)
    sink = open_sink(home.url, home.options(multipart_above="64MiB"))
    sink.send(origin.made(b"small", b"content"), b"small", Notes(), freely)
    ballast = folder / "data" / "ballast"
    ballast.write_bytes(bytes(12 * MIB))
    data = os.urandom(8 * MIB)
    source = origin.made(b"large", data)
    # It does not say why: this can't be told from other trouble of the server's.
    with pytest.raises(TransientError):
        sink.send(source, b"large", Notes(), freely)
    assert home.content(b"small") == b"content"
    assert home.content(b"large") is None
    ballast.unlink()
    sink.send(source, b"large", Notes(), freely)
    assert home.content(b"large") == data
    sink.close()
    home.close()
