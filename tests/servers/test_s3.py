"""Buckets of real servers pass the suite, and what else an S3 sink promises."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers.s3 import BUCKET, Home
from zfs_walk.sinks import s3_copy
from zfs_walk.sinks.choose import open_sink
from zfs_walk.sinks.conformance import Content, SinkConformance, TogetherConformance
from zfs_walk.sinks.conformance.naming import ODD_NAMES
from zfs_walk.sinks.conformance.place import MTIME, Notes, Origin, Place, freely
from zfs_walk.sinks.errors import SinkError, TransientError
from zfs_walk.sinks.interface import Remote, Sink
from zfs_walk.sinks.s3 import S3Sink
from zfs_walk.sinks.s3_keys import key_of
from zfs_walk.sinks.s3_options import S3Options

pytestmark = [pytest.mark.slow, pytest.mark.big]


@pytest.fixture
def sink(home: Home) -> Iterator[Sink]:
    opened = open_sink(home.url, home.options())
    yield opened
    opened.close()


@pytest.fixture
def content(home: Home) -> Content:
    return home.content


class TestS3(SinkConformance, TogetherConformance):
    """The suite."""

    checksums = True

    def test_a_file_moves_below_its_own_name_and_back(  # type: ignore[override]  # a fixture more
        self, sink: Sink, put: Callable[..., Remote], content: Content, home: Home
    ) -> None:
        if home.server.kind != "rclone":
            super().test_a_file_moves_below_its_own_name_and_back(sink, put, content)
            return
        # It keeps objects as files: a name can't be a file's and a folder's at once.
        put(b"d/name")
        with pytest.raises(TransientError):
            sink.move(b"d/name", b"d/name/below/file")
        assert content(b"d/name") == b"content"

    def test_a_move_that_something_is_in_the_way_of_is_made_or_leaves_all_as_it_was(  # type: ignore[override]  # a fixture more
        self, sink: Sink, put: Callable[..., Remote], content: Content, home: Home
    ) -> None:
        if home.server.kind != "rclone":
            super().test_a_move_that_something_is_in_the_way_of_is_made_or_leaves_all_as_it_was(
                sink, put, content
            )
            return
        # Its cache takes the folder for a file from then on, though its disk is as it was.
        put(b"d/name/file")
        put(b"d/name/other", b"in the way")
        with pytest.raises(SinkError):
            sink.move(b"d/name/file", b"d/name")


class TestObjects(Place):
    """What objects look like to others."""

    def test_metadata_is_what_rclone_reads(self, put: Callable[..., Remote], home: Home) -> None:
        put(b"page.html")
        head = home.head(b"page.html")
        metadata = {name.lower(): value for name, value in head["Metadata"].items()}
        assert metadata["mtime"] == "1600000000.123456789"
        assert stat.S_ISREG(int(metadata["mode"], 8))
        assert head["ContentType"] == "text/html"

    def test_a_large_one_has_the_same(
        self, sink: Sink, origin: Origin, put: Callable[..., Remote], home: Home
    ) -> None:
        data = os.urandom(self.large)
        sent = put(b"large.html", data)
        assert home.head(b"large.html")["ContentType"] == "text/html"
        seen = sink.look(b"large.html")
        assert seen is not None
        assert seen == sent
        assert seen.mtime_ns == MTIME
        assert sink.matches(origin.open(b"large.html"), seen)
        other = origin.made(b"other", data[:-1] + bytes([data[-1] ^ 1]))
        assert not sink.matches(other, seen)

    def test_a_small_one_that_boto3_sends_is_the_same(self, origin: Origin, home: Home) -> None:
        for checksum in ("auto", "crc32", "crc32c", "md5"):
            sink = open_sink(home.url, home.options(checksum=checksum))
            name = checksum.encode()
            sent = sink.send(origin.made(name, b"content"), name, Notes(), freely)
            etag = hashlib.md5(b"content", usedforsecurity=False).hexdigest()
            assert sent == Remote(name, 7, MTIME, etag, 0o644)
            assert sink.look(name) == sent
            sink.close()

    def test_a_sink_can_have_a_whole_bucket(self, sink: Sink, origin: Origin, home: Home) -> None:
        whole = open_sink(f"s3://{BUCKET}", home.options())
        name = home.prefix.encode() + b"file"
        whole.send(origin.made(b"file", b"content"), name, Notes(), freely)
        assert [found.name for found in sink.list(b"")] == [b"file"]
        assert name in {found.name for found in whole.list(home.prefix.encode().rstrip(b"/"))}
        whole.close()

    def test_objects_of_others_whose_keys_are_no_names_are_left_out(
        self, sink: Sink, home: Home
    ) -> None:
        for key in ("%41", "plain"):
            home.client.put_object(Bucket=BUCKET, Key=home.prefix + key, Body=b"theirs")
        found = list(sink.list(b""))
        assert [(each.name, each.size) for each in found] == [(b"plain", 6)]
        seen = sink.look(b"plain")
        assert seen is not None
        assert seen.mtime_ns is None


def test_the_fast_way_takes_small_files_of_every_name(weed_home: Home) -> None:
    # It would not be missed otherwise: boto3 sends what it does not.
    sink = S3Sink(weed_home.url, S3Options(**weed_home.options()))
    sink.check()
    fast = sink._client.fast
    assert fast is not None
    for name in ODD_NAMES:
        key = key_of(weed_home.prefix, name)
        etag = hashlib.md5(name, usedforsecurity=False).hexdigest()
        assert fast.put(key, name, {"mtime": "1.5"}) == etag, name
        assert sink.look(name) == Remote(name, len(name), 1_500_000_000, etag)
    assert {*weed_home.keys()} == {*ODD_NAMES}
    sink.close()


def test_what_is_too_large_for_one_copy_is_copied_in_parts(
    weed_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_copy, "PIECE", 5 << 20)
    sink, origin = open_sink(weed_home.url, weed_home.options()), Origin(tmp_path)
    data = os.urandom((12 << 20) + 1)
    sink.send(origin.made(b"old", data), b"old", Notes(), freely)
    moved = sink.move(b"old", b"new")
    assert (weed_home.content(b"old"), weed_home.content(b"new")) == (None, data)
    assert sink.look(b"new") == moved
    assert moved.mtime_ns == MTIME
    assert weed_home.uploads() == []
    origin.close()
    sink.close()


def test_what_was_replaced_since_it_was_looked_at_is_not_copied(
    weed_home: Home, tmp_path: Path
) -> None:
    sink, origin = S3Sink(weed_home.url, S3Options(**weed_home.options())), Origin(tmp_path)
    sink.send(origin.made(b"old", b"one"), b"old", Notes(), freely)
    head = weed_home.head(b"old")
    sink.send(origin.made(b"old", b"two"), b"old", Notes(), freely)
    keys = (weed_home.keys()[b"old"], f"{weed_home.prefix}new")
    with pytest.raises(SinkError, match="PreconditionFailed"):
        s3_copy.copy(sink._client, head, keys, "new")
    assert set(weed_home.keys()) == {b"old"}
    origin.close()
    sink.close()
