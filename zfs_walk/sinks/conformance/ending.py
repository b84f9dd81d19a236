"""Transfers that end early, or together with others."""

import errno
import os
import threading
from collections.abc import Callable

import pytest

from zfs_walk.sinks.conformance.place import (
    Content,
    Notes,
    Origin,
    Place,
    counting,
    freely,
    once,
    stop_after,
)
from zfs_walk.sinks.errors import ChangedError, StoppedError
from zfs_walk.sinks.interface import Remote, Sink


class Ending(Place):
    """`Sink.send`, `Sink.abandon`, `Sink.sweep`, `Sink.fork`."""

    @pytest.mark.parametrize("size", [1000, None])
    def test_a_file_that_changes_meanwhile_is_not_taken(
        self,
        sink: Sink,
        origin: Origin,
        put: Callable[..., Remote],
        content: Content,
        size: int | None,
    ) -> None:
        put(b"file", b"old")
        data = os.urandom(size or self.large)

        def grow() -> None:
            with open(origin.path(b"file"), "ab") as file:
                file.write(b"more")

        def shrink() -> None:
            os.truncate(origin.path(b"file"), 10)

        def touch() -> None:
            os.utime(origin.path(b"file"))

        def replace() -> None:
            origin.write(b"other", data)
            os.rename(origin.path(b"other"), origin.path(b"file"))

        def remove() -> None:
            os.unlink(origin.path(b"file"))

        for change in (grow, shrink, touch, replace, remove):
            source = origin.made(b"file", data)
            memory = Notes()
            with pytest.raises(ChangedError):
                sink.send(source, b"file", memory, once(change))
            sink.abandon(b"file", memory)
            assert content(b"file") == b"old", change
        assert sink.sweep(frozenset()) == 0

    def test_a_transfer_that_was_ended_shows_nothing_and_is_gone_on_with(
        self, sink: Sink, origin: Origin, content: Content
    ) -> None:
        data = os.urandom(self.large)
        source, memory = origin.made(b"d/file", data), Notes()
        with pytest.raises(StoppedError):
            sink.send(source, b"d/file", memory, stop_after(self.large * 3 // 4))
        assert content(b"d/file") is None
        assert sink.look(b"d/file") is None
        assert list(sink.list(b"")) == []
        assert sink.sweep(memory.known) == 0

        another, sent = sink.fork(), list[int]()
        another.send(source, b"d/file", memory, counting(sent))
        another.close()
        assert content(b"d/file") == data
        assert not self.resumes or sum(sent) < len(data)
        assert sink.sweep(frozenset()) == 0

    def test_what_was_begun_for_an_older_state_is_not_gone_on_with(
        self, sink: Sink, origin: Origin, content: Content
    ) -> None:
        memory = Notes()
        source = origin.made(b"file", os.urandom(self.large))
        with pytest.raises(StoppedError):
            sink.send(source, b"file", memory, stop_after(self.large // 2))
        data = os.urandom(self.large)
        newer = origin.made(b"file", data)
        sink.abandon(b"file", memory)
        sink.send(newer, b"file", Notes(), freely)
        assert content(b"file") == data
        assert sink.sweep(frozenset()) == 0

    def test_what_dead_transfers_left_is_taken_away_and_nothing_else(
        self, sink: Sink, origin: Origin, put: Callable[..., Remote], content: Content
    ) -> None:
        put(b"stays")
        data = os.urandom(self.large)
        alive, dead = Notes(), Notes()
        for name, memory in ((b"d/alive", alive), (b"d/dead", dead)):
            with pytest.raises(StoppedError):
                sink.send(origin.made(name, data), name, memory, stop_after(self.large * 3 // 4))
        assert sink.sweep(alive.known) == (1 if self.resumes else 0)
        sent: list[int] = []
        sink.send(origin.open(b"d/alive"), b"d/alive", alive, counting(sent))
        assert not self.resumes or sum(sent) < len(data)
        # Its rest is away: the memory tells of something that is no more.
        sink.send(origin.open(b"d/dead"), b"d/dead", dead, freely)
        assert content(b"d/alive") == content(b"d/dead") == data
        assert content(b"stays") == b"content"

    def test_an_abandoned_transfer_leaves_nothing(
        self, sink: Sink, origin: Origin, content: Content
    ) -> None:
        source, memory = origin.made(b"d/file", os.urandom(self.large)), Notes()
        with pytest.raises(StoppedError):
            sink.send(source, b"d/file", memory, stop_after(self.large // 2))
        sink.abandon(b"d/file", memory)
        sink.abandon(b"d/file", memory)
        sink.abandon(b"never", Notes())
        assert sink.sweep(frozenset()) == 0
        assert content(b"d/file") is None

    def test_an_error_of_the_report_is_not_swallowed(self, sink: Sink, origin: Origin) -> None:
        def fail() -> None:
            raise OSError(errno.EIO, "planned")

        with pytest.raises(OSError, match="planned"):
            sink.send(origin.made(b"file", b"content"), b"file", Notes(), once(fail))
        assert sink.look(b"file") is None

    def test_forks_send_at_the_same_time(
        self, sink: Sink, origin: Origin, content: Content
    ) -> None:
        names = [b"d%d/file%d" % (number % 3, number) for number in range(40)]
        for name in names:
            origin.write(name, name * 1000)
        waiting, failed = iter(names), list[BaseException]()
        lock = threading.Lock()

        def work() -> None:
            mine = sink.fork()
            try:
                while True:
                    with lock:
                        name = next(waiting, None)
                        if name is None:
                            return
                        source = origin.open(name)
                    mine.send(source, name, Notes(), freely)
            except BaseException as error:  # noqa: BLE001 -- the test tells it
                failed.append(error)
            finally:
                mine.close()

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert all(content(name) == name * 1000 for name in names)
