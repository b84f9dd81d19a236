"""Looks at many names on the other side at once."""

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from queue import SimpleQueue
from typing import NamedTuple, Self

from zfs_walk.mirror.compare import Rules, is_copy
from zfs_walk.mirror.folder import Folder
from zfs_walk.sinks.errors import ChangedError, FileRefusedError
from zfs_walk.sinks.interface import Remote, Sink
from zfs_walk.watch.tree import Row


class Look(NamedTuple):
    """What is on the other side, and whether it is a copy of what is here."""

    remote: Remote | None
    same: bool


class Lookers:
    """Threads, each with a sink of its own.

    Args:
        folder: that is mirrored.
        sink: of the other side; forks of it are used.
        rules: how both sides are compared.
        number: of threads.
    """

    def __init__(self, folder: Folder, sink: Sink, rules: Rules, number: int) -> None:
        self._folder = folder
        self._rules = rules
        self._free: SimpleQueue[Sink] = SimpleQueue()
        self._sinks = [sink.fork() for _ in range(number)]
        for each in self._sinks:
            self._free.put(each)
        self._pool = ThreadPoolExecutor(number, "look")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        for each in self._sinks:
            each.close()

    def look(self, row: Row) -> Future[Look]:
        """Begin to look at what has the name of something that is here."""
        return self._pool.submit(self._look, row)

    def _look(self, row: Row) -> Look:
        sink = self._free.get()
        try:
            remote = sink.look(row.name)
            if remote is None or remote.size != row.size:
                return Look(remote, same=False)
            return Look(
                remote, is_copy(row, remote, self._rules) or self._matches(sink, row, remote)
            )
        except FileRefusedError:
            return Look(None, same=False)  # who sends it is told why
        finally:
            self._free.put(sink)

    def _matches(self, sink: Sink, row: Row, remote: Remote) -> bool:
        try:
            with self._folder.opened() as opened, closing(opened.source(row.name)) as source:
                return sink.matches(source, remote)
        except (OSError, ChangedError):
            return False
