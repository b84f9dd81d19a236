"""Files that are sent together arrive as if each was sent by itself."""

import errno
import os
import threading
from collections.abc import Callable, Sequence
from typing import ClassVar

import pytest

from zfs_walk.sinks.conformance.naming import ODD_NAMES
from zfs_walk.sinks.conformance.place import (
    MTIME,
    Content,
    Origin,
    Place,
    counting,
    freely,
    names,
    once,
    stop_after,
)
from zfs_walk.sinks.errors import ChangedError, NameRefusedError, SinkError, StoppedError
from zfs_walk.sinks.interface import Parcel, Remote, Sink, Together

Results = list[Remote | Exception]
Send = Callable[[Sequence[Parcel]], Results]


class TogetherConformance(Place):
    """`Together.send_together`."""

    odd: ClassVar[Sequence[bytes]] = ODD_NAMES
    """Names that go, or are refused; a server may have to be spared some."""

    @pytest.fixture
    def send(self, sink: Sink) -> Send:
        """Send together."""
        return offered(sink).send_together

    def test_none_at_all_is_no_error(self, send: Send) -> None:
        assert send([]) == []

    def test_all_arrive_and_are_told_in_their_order(
        self, sink: Sink, origin: Origin, send: Send, content: Content
    ) -> None:
        wanted = {
            b"new/folder/%d" % number: os.urandom(number * 1000)
            for number in reversed(range(2 * offered(sink).together + 3))
        }
        reported: list[list[int]] = [[] for _ in wanted]
        parcels = [
            Parcel(origin.made(name, data), name, counting(reported[number]))
            for number, (name, data) in enumerate(wanted.items())
        ]
        sent = remotes(send(parcels))
        assert [(each.name, each.size) for each in sent] == [
            (name, len(data)) for name, data in wanted.items()
        ]
        assert [sum(each) for each in reported] == [len(data) for data in wanted.values()]
        assert {name: content(name) for name in wanted} == wanted
        assert names(sink.list(b"")) == {*wanted}
        assert sink.sweep(frozenset()) == 0

    @pytest.mark.parametrize("size", [0, 1, 1 << 20])
    def test_each_is_what_it_had_been_by_itself(
        self, sink: Sink, origin: Origin, send: Send, put: Callable[..., Remote], size: int
    ) -> None:
        data = os.urandom(size)
        alone = put(b"alone.txt", data)
        sent = remotes(
            send([Parcel(origin.made(name, data), name, freely) for name in (b"a.txt", b"b.txt")])
        )
        seen = [sink.look(each.name) for each in (alone, *sent)]
        told = {each and (each.size, each.mtime_ns) for each in seen}
        assert len(told) == 1
        assert {each.mtime_ns for each in sent} == {alone.mtime_ns}
        assert [each and each.tag for each in seen] == [each.tag for each in (alone, *sent)]

    def test_they_take_the_place_of_what_is_there(
        self, sink: Sink, origin: Origin, send: Send, put: Callable[..., Remote], content: Content
    ) -> None:
        for name in (b"a", b"d/b"):
            put(name, b"old")
        send([Parcel(origin.made(name, b"new"), name, freely) for name in (b"a", b"c", b"d/b")])
        assert [content(name) for name in (b"a", b"c", b"d/b")] == [b"new"] * 3
        assert names(sink.list(b"")) == {b"a", b"c", b"d/b"}

    def test_one_that_fails_changes_nothing_of_the_others(
        self, sink: Sink, origin: Origin, send: Send, put: Callable[..., Remote], content: Content
    ) -> None:
        put(b"d/changed", b"old")

        def change() -> None:
            origin.write(b"d/changed", b"longer", MTIME + 1)

        def fail() -> None:
            raise OSError(errno.EIO, "planned")

        reports = {
            b"d/first": freely, b"d/changed": once(change), b"d/stopped": stop_after(0),
            b"d/second": freely, b"d/failed": once(fail), b"d/cut": freely, b"d/third": freely,
        }  # fmt: skip
        parcels = [Parcel(origin.made(name, name), name, each) for name, each in reports.items()]
        parcels.insert(4, Parcel(origin.open(b"d/first"), b"../outside", freely))
        os.truncate(origin.path(b"d/cut"), 1)
        results = send(parcels)
        good = {b"d/first", b"d/second", b"d/third"}
        found = [each.name if isinstance(each, Remote) else type(each) for each in results]
        assert found == [
            b"d/first", ChangedError, StoppedError, b"d/second", NameRefusedError, OSError,
            ChangedError, b"d/third",
        ]  # fmt: skip
        assert all(content(name) == name for name in good)
        assert content(b"d/changed") == b"old"
        assert names(sink.list(b"")) == {*good, b"d/changed"}
        assert sink.sweep(frozenset()) == 0
        remotes(send([Parcel(origin.open(name), name, freely) for name in sorted(reports)]))
        assert content(b"d/changed") == b"longer"

    def test_what_is_in_the_way_of_one_is_in_no_other_ones(
        self, origin: Origin, send: Send, put: Callable[..., Remote], content: Content
    ) -> None:
        put(b"d/file")
        origin.write(b"new", b"new")
        wanted = (b"d/file/below", b"d/new", b"e/new")
        [below, *others] = send([Parcel(origin.open(b"new"), name, freely) for name in wanted])
        assert isinstance(below, Remote | SinkError)
        assert [each.name for each in remotes(others)] == [b"d/new", b"e/new"]
        assert [content(name) for name in (b"d/new", b"e/new")] == [b"new"] * 2
        assert content(b"d/file") == b"content"

    def test_odd_names_go_with_others_or_are_refused(
        self, sink: Sink, origin: Origin, send: Send, content: Content
    ) -> None:
        results = send([Parcel(origin.made(name, name), name, freely) for name in self.odd])
        sent = {each.name for each in results if isinstance(each, Remote)}
        refused = {type(each) for each in results if isinstance(each, Exception)}
        assert sent
        assert refused <= {NameRefusedError}
        assert names(sink.list(b"")) == sent
        assert all(content(name) == name for name in sent)

    def test_a_symbolic_link_goes_with_files(
        self, sink: Sink, origin: Origin, send: Send, content: Content
    ) -> None:
        os.symlink(b"../some\xff/where", origin.path(b"link"))
        link = Parcel(origin.open(b"link", link=True), b"link", freely)
        send([link, Parcel(origin.made(b"file", b"content"), b"file", freely)])
        assert {found.name: found.size for found in sink.list(b"")} == {b"link": 14, b"file": 7}
        assert content(b"file") == b"content"

    def test_forks_send_together_at_the_same_time(
        self, sink: Sink, origin: Origin, content: Content
    ) -> None:
        wanted = [
            [b"d%d/file%d" % (number % 3, number + part) for number in range(20)]
            for part in (0, 100, 200)
        ]
        results: list[Results] = []

        def work(mine: Sink, parcels: list[Parcel]) -> None:
            results.append(offered(mine).send_together(parcels))
            mine.close()

        threads = []
        for part in wanted:
            parcels = [Parcel(origin.made(name, name), name, freely) for name in part]
            threads.append(threading.Thread(target=work, args=(sink.fork(), parcels)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sent = {each.name for result in results for each in remotes(result)}
        assert sent == {name for part in wanted for name in part}
        assert all(content(name) == name for name in sent)


def offered(sink: Sink) -> Together:
    """What the sink offers besides."""
    assert isinstance(sink, Together)
    assert sink.together > 0
    return sink


def remotes(results: Results) -> list[Remote]:
    """What has arrived; nothing went wrong."""
    for each in results:
        if isinstance(each, Exception):
            raise each
    return [each for each in results if isinstance(each, Remote)]
