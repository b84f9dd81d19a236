"""One go at a folder: from opening its monitor, by way of a whole list, until it is gone."""

import logging
import os
import select
from collections.abc import Sequence
from threading import Lock
from time import monotonic
from typing import Final

from zfs_walk.scan.filters import Filter
from zfs_walk.watch.clerk import Clerk
from zfs_walk.watch.limits import WATCHES, how_to_raise, limit
from zfs_walk.watch.look import Looker, OtherFolderError
from zfs_walk.watch.monitor import Monitor
from zfs_walk.watch.poll import Poll
from zfs_walk.watch.quiet import NAME as QUIET
from zfs_walk.watch.seen import Listing
from zfs_walk.watch.settle import By, Due
from zfs_walk.watch.sweep import Sweep
from zfs_walk.watch.tree import is_within

CHECK: Final = 1.0
"""Seconds between two checks that the folder is the same one and can be read: one stat each."""

_LOOKS: Final = 2_000
"""Names looked at between two readings of the events, about 10 ms."""

_log = logging.getLogger("zfs_walk.watch")


class Patrol:
    """Keeps a folder's list true with one monitor. One thread uses it.

    Args:
        folder: absolute path.
        looker: looks at names below it.
        rules: what is left out.
        monitor: of the folder; closed with this.
        clerk: keeps the list; ``lock`` is held while it works.
        recursive: what is below its directories counts.
        poll: seconds between two comparisons; 0: never.
        modes: permissions of files count.

    Attributes:
        complete: a whole list has been read.
        unwatched: directories that events do not cover.

    Raises:
        OSError: the folder is not there.
    """

    def __init__(  # noqa: PLR0913, PLR0917 -- all that makes a watched folder
        self,
        folder: bytes,
        looker: Looker,
        rules: Filter,
        monitor: Monitor,
        clerk: Clerk,
        lock: Lock,
        *,
        recursive: bool,
        poll: float,
        modes: bool = False,
    ) -> None:
        self._folder = folder
        self._looker = looker
        self._rules = rules
        self._recursive = recursive
        self._modes = modes
        self._every = poll
        self._clerk = clerk
        self._lock = lock
        self._sweeps: dict[By, Sweep] = {}
        self._alone = monitor.name == QUIET
        self.poll = Poll(poll, lambda: self._begin(By.POLL, watching=self._alone))
        self.monitor = monitor
        self.complete = False
        self.unwatched: set[bytes] = set()
        self._warned = False
        self._check_at = 0.0
        self._read(Due(b"", By.FRESH))

    def close(self) -> None:
        """Hold nothing open."""
        self.poll.close()
        for sweep in self._sweeps.values():
            sweep.close()
        self.monitor.close()

    def timeout(self, now: float) -> float:
        """Seconds until there is something to do that no descriptor tells."""
        if self._sweeps or self.poll.running:
            return 0.0
        times = (self._check_at, self._clerk.settle.next(), self.poll.next())
        return max(0.0, min(time for time in times if time is not None) - now)

    def turn(self) -> None:
        """Do what is to be done now; no longer than some slices.

        Raises:
            OtherFolderError: the folder is gone, another one, or can't be read.
            UnreachableError: likewise.
            OSError: likewise.
        """
        self._hear()
        self._look()
        for by in tuple(self._sweeps):
            self._sweep(by)
        if self.complete and not self._sweeps:
            self._compare()

    def _hear(self) -> None:
        events = self.monitor.read()
        now = monotonic()
        with self._lock:
            told = self._clerk.tell(events, now)
        if told.gone:
            raise OtherFolderError(told.gone)
        if told.check or now >= self._check_at:
            self._looker.check()
            self._check_at = now + CHECK
        if told.lost and self.poll.hurry(now):
            _log.warning("%s: events were lost (%s); comparing all", self._shown, told.lost)

    def _look(self) -> None:
        now = monotonic()
        with self._lock:
            due = self._clerk.settle.due(now, _LOOKS)
        if due:
            self._look_at(due)

    def _look_at(self, due: Sequence[Due]) -> None:
        looks = self._looker.look(path for path, _ in due)
        with self._lock:
            todo = self._clerk.looked(due, looks, monotonic())
        for directory in todo.forget:
            self.monitor.forget(directory)
        if todo.forget and self.unwatched:
            gone = set(todo.forget)
            self.unwatched = {path for path in self.unwatched if not is_within(path, gone)}
        for each in todo.sweep:
            self._read(each)

    # -- reading

    def _read(self, due: Due) -> None:
        if due.by not in self._sweeps:
            self._sweeps[due.by] = self._begin(due.by, watching=True)
        self._sweeps[due.by].add(due.path)

    def _begin(self, by: By, *, watching: bool) -> Sweep:
        _log.debug("%s: reading (%s)", self._shown, by.name.lower())
        before = self._watch if watching else _leave
        return Sweep(
            *(self._folder, self._rules),
            recursive=self._recursive,
            before=before,
            modes=self._modes,
        )

    def _watch(self, directory: bytes) -> None:
        if self.monitor.add(directory):
            self.unwatched.discard(directory)
        else:
            self.unwatched.add(directory)

    def _sweep(self, by: By) -> None:
        sweep = self._sweeps[by]
        for listing in sweep.step():
            self._take(listing, by)
        self._fail(sweep, by)
        if sweep.done:
            sweep.close()
            del self._sweeps[by]
            self._warn()
            if by is By.FRESH:
                self._finish()

    def _take(self, listing: Listing, by: By) -> None:
        with self._lock:
            missing = self._clerk.swept(listing, by, monotonic())
        if missing:
            self._look_at([Due(path, by) for path in missing])

    def _fail(self, sweep: Sweep, by: By) -> None:
        failed, sweep.failed = sweep.failed, []
        if b"" in failed:
            raise OtherFolderError("it can't be read")  # noqa: EM101, TRY003 -- one place
        if failed:
            _log.warning("%s: %d directories can't be read now", self._shown, len(failed))
        with self._lock:
            for directory in failed:
                self._clerk.settle.failed(directory, by, monotonic())

    def _finish(self) -> None:
        with self._lock:
            self._clerk.tree.recording = True
        self.complete = True
        self.poll.schedule(monotonic())

    def _compare(self) -> None:
        before = self.poll.done
        for listing in self.poll.step(monotonic()):
            if self._alone:
                # Nobody else will tell: what is read here is the news.
                self._take(listing, By.POLL)
            else:
                with self._lock:
                    self._clerk.compared(listing, monotonic())
        if self.poll.done > before and not self._alone:
            self._watch_more()

    def _watch_more(self) -> None:
        """Perhaps the limit was raised: watch what could not be watched, and then read it."""
        for directory in sorted(self.unwatched):
            if not self.monitor.add(directory):
                return
            self.unwatched.discard(directory)
            self._read(Due(directory, By.POLL))

    def _warn(self) -> None:
        """Say once that not every directory can be watched, and what to do."""
        if not self.unwatched or self._alone:
            self._warned = False
            return
        if self._warned:
            return
        self._warned = True
        count = self._clerk.tree.directories
        polled = f"they are polled every {self._every:g} s" if self._every else "nobody polls them"
        if self.monitor.name == "fanotify":
            more = "they are on other file systems, which --monitor watchdog covers"
        else:
            more = how_to_raise(WATCHES, 2 * max(count, limit(WATCHES) or 0))
        _log.warning(
            "%s: %d of %d directories can't be watched: %s (%s)",
            *(self._shown, len(self.unwatched), count, polled, more),
        )

    @property
    def _shown(self) -> str:
        return os.fsdecode(self._folder)


def _leave(directory: bytes) -> None:
    """A poll sets no watches."""


def wait(descriptors: Sequence[int], timeout: float) -> None:
    """Wait until one of the descriptors can be read, or seconds are over."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    poll.poll(timeout * 1000)
