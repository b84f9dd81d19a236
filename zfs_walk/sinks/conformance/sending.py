"""Files arrive whole, and nothing else shows."""

import os
from collections.abc import Callable

import pytest

from zfs_walk.sinks.conformance.place import (
    MTIME,
    SECOND,
    Content,
    Notes,
    Origin,
    Place,
    counting,
    freely,
    once,
)
from zfs_walk.sinks.interface import Remote, Sink


class Sending(Place):
    """`Sink.send`."""

    def test_a_sink_that_is_there_passes_its_check(self, sink: Sink) -> None:
        sink.check()
        sink.check()
        assert list(sink.list(b"")) == []

    @pytest.mark.parametrize("size", [0, 1, 32_768, 1_000_003])
    def test_a_file_arrives_whole(
        self, sink: Sink, origin: Origin, content: Content, size: int
    ) -> None:
        data = os.urandom(size)
        sent = sink.send(origin.made(b"a/b/file", data), b"a/b/file", Notes(), freely)
        assert content(b"a/b/file") == data
        assert (sent.name, sent.size) == (b"a/b/file", size)

    def test_a_large_file_arrives_whole(self, sink: Sink, origin: Origin, content: Content) -> None:
        data = os.urandom(self.large + 1)
        sent: list[int] = []
        sink.send(origin.made(b"large", data), b"large", Notes(), counting(sent))
        assert content(b"large") == data
        assert sum(sent) == len(data)

    def test_what_was_sent_is_what_is_seen(self, sink: Sink, put: Callable[..., Remote]) -> None:
        sent = put(b"file")
        seen = sink.look(b"file")
        assert seen is not None
        assert (seen.name, seen.size, seen.tag) == (b"file", 7, sent.tag)
        for remote in (sent, seen):
            if remote.mtime_ns is not None:
                assert remote.mtime_ns // sink.granularity_ns == MTIME // sink.granularity_ns

    def test_its_granularity_is_one_that_is_known(self, sink: Sink) -> None:
        assert sink.granularity_ns in {1, SECOND}

    @pytest.mark.parametrize("seconds", [-1, 0, 2**31, 2**32, 2**33])
    def test_a_file_of_an_odd_time_arrives(
        self, put: Callable[..., Remote], content: Content, seconds: int
    ) -> None:
        put(b"file", b"odd", seconds * SECOND)
        assert content(b"file") == b"odd"

    def test_new_content_takes_the_place_of_the_old(
        self, sink: Sink, put: Callable[..., Remote], content: Content
    ) -> None:
        old, new = put(b"file", b"old"), put(b"file", b"new")
        assert content(b"file") == b"new"
        assert old.tag != new.tag or not new.tag
        assert [remote.name for remote in sink.list(b"")] == [b"file"]

    @pytest.mark.parametrize("large", [False, True])
    def test_until_the_end_the_old_content_is_there(
        self,
        sink: Sink,
        origin: Origin,
        put: Callable[..., Remote],
        content: Content,
        large: bool,  # noqa: FBT001 -- a parameter of the test
    ) -> None:
        put(b"file", b"old")
        data = os.urandom(self.large if large else 1000)
        seen: list[bytes | None] = []
        source = origin.made(b"file", data)
        sink.send(source, b"file", Notes(), once(lambda: seen.append(content(b"file"))))
        assert (seen, content(b"file")) == ([b"old"], data)

    def test_nothing_shows_of_a_new_file_until_the_end(
        self, sink: Sink, origin: Origin, content: Content
    ) -> None:
        seen: list[object] = []

        def look() -> None:
            with_another = sink.fork()
            seen.extend([content(b"d/file"), with_another.look(b"d/file")])
            seen.extend(with_another.list(b""))
            with_another.close()

        source = origin.made(b"d/file", os.urandom(self.large))
        sink.send(source, b"d/file", Notes(), once(look))
        assert seen == [None, None]

    def test_a_symbolic_link_is_sent_as_one(self, sink: Sink, origin: Origin) -> None:
        os.symlink(b"../some\xff/where", origin.path(b"link"))
        sent = sink.send(origin.open(b"link", link=True), b"link", Notes(), freely)
        assert (sent.name, sent.size) == (b"link", 14)
        assert [(found.name, found.size) for found in sink.list(b"")] == [(b"link", 14)]
        assert sink.look(b"link") is not None
