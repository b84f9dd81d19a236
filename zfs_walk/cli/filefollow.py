"""``zfs-ctl files --follow``: the list, and then what happens to it."""

import sys
import threading
from collections import deque
from functools import partial

import click

from zfs_walk import __version__
from zfs_walk.bus.client import Client
from zfs_walk.bus.files_follower import FilesFollower
from zfs_walk.bus.sockets import Bus
from zfs_walk.cli.command import host_name
from zfs_walk.cli.connection import find_target
from zfs_walk.cli.fileprinter import FilePrinter
from zfs_walk.cli.tail import Ending
from zfs_walk.lists.events import News
from zfs_walk.lists.replica import Replica, Row

LOOK_UP = 0.2
"""Seconds after which Ctrl-C, and a reader that is gone, are noticed."""


class Following:
    """Prints what a follower says, in the main thread."""

    def __init__(self, printer: FilePrinter, prefix: bytes, host: str) -> None:
        """Print the files whose names begin with ``prefix``, of ``host`` if it is not empty."""
        self._printer, self._prefix, self._host = printer, prefix, host
        self._woken = threading.Event()
        self._news: deque[tuple[News, bool]] = deque()

    def run(self, broker: str, timeout: float, limit: int | None) -> None:
        """Print the first ``limit`` files, and then every change, until it is interrupted.

        Raises:
            NoBrokerError: there was none from the beginning; one that goes away is waited for.
            ZfsWalkError: the broker does not want us.
        """
        target = find_target(broker)
        bus = Bus(target.curve)
        ending = Ending()
        who = (bus, target.endpoints, host_name(None), __version__)
        try:
            first = Client(*who, timeout, ending.check)
            try:
                first.greet()
            finally:
                first.close()
            follower = FilesFollower(*who, _say, self._woken.set)
            follower.start()
            try:
                self._follow(follower, ending, limit)
            finally:
                follower.close()
        finally:
            bus.close()

    def _follow(self, follower: FilesFollower, ending: Ending, limit: int | None) -> None:
        for row in self._begin(follower, ending, limit):
            self._printer.file(row)
        while True:
            self._woken.clear()
            while self._news:
                news, serving = self._news.popleft()
                self._printer.news(news, self._prefix, serving=serving)
            self._wait(follower, ending)

    def _begin(self, follower: FilesFollower, ending: Ending, limit: int | None) -> list[Row]:
        """The list, once it is there; what changes from then on is noted."""
        replica = follower.replica
        while True:
            self._woken.clear()
            with follower.lock:
                if replica.ready:
                    replica.listeners.append(partial(self._note, replica))
                    most = sys.maxsize if limit is None else limit
                    return replica.merged(self._prefix, self._host, limit=most)
            self._wait(follower, ending)

    def _wait(self, follower: FilesFollower, ending: Ending) -> None:
        ending.check()
        if follower.error is not None:
            raise follower.error
        self._woken.wait(LOOK_UP)

    def _note(self, replica: Replica, news: News) -> None:
        """Called in the follower's thread, which holds the replica's lock."""
        if self._host in {"", news.host}:
            copy = replica.copies.get((news.host, news.path))
            self._news.append((news, copy is not None and copy.answers))


def _say(text: str) -> None:
    click.echo(f"zfs-ctl: {text}", err=True)
