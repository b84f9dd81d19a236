"""A watched folder: its list, kept true by a thread of its own."""

import contextlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event as Flag
from threading import Lock, Thread
from time import monotonic
from typing import Final

from zfs_walk.errors import FolderError, InternalError, MonitorError
from zfs_walk.scan.filters import Filter
from zfs_walk.scan.interface import UnreachableError
from zfs_walk.watch.choose import open_monitor
from zfs_walk.watch.clerk import Clerk
from zfs_walk.watch.folder import Folder, look_again, look_at_folder
from zfs_walk.watch.look import Looker, OtherFolderError
from zfs_walk.watch.patrol import Patrol, wait
from zfs_walk.watch.settle import By
from zfs_walk.watch.tree import Row

AGAIN: Final = 1.0
"""Seconds between two looks whether a folder that was gone is back."""

_HIDDEN: Final = ".*"
_INCOMPLETE: Final = "the first list is incomplete"

_log = logging.getLogger("zfs_walk.watch")


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """How a folder is watched.

    Attributes:
        recursive: list what is below its directories too.
        hidden: list what begins with a dot too.
        includes: patterns of exceptions to what is left out (see `zfs_walk.scan.filters.Filter`).
        excludes: patterns of what is left out.
        poll: seconds between two full comparisons; 0: never.
        settle: seconds from an event to looking at its name: what happens in between is one change.
        monitor: auto, fanotify, watchdog or poll.
        modes: permissions count: rows have them, and another mode is a change.
    """

    recursive: bool
    hidden: bool
    includes: tuple[str, ...]
    excludes: tuple[str, ...]
    poll: float
    settle: float
    monitor: str
    modes: bool = False

    def rules(self) -> Filter:
        """What is left out.

        Raises:
            ValueError: a pattern is none; it is named.
        """
        hidden = () if self.hidden else (_HIDDEN,)
        return Filter(excludes=(*self.excludes, *hidden), includes=self.includes)


@dataclass(frozen=True, slots=True)
class WatchState:
    """Whether the list may be shown; if not, why not."""

    serving: bool
    why: str


@dataclass(frozen=True, slots=True)
class WatchStatistics:
    """What a watch knows about itself.

    Attributes:
        monitor: fanotify, watchdog or poll.
        serving: the list may be shown; ``why`` not.
        files: in the list.
        directories: below the folder, itself included.
        unwatched: of them, those that events do not cover; they are polled.
        events: that the system has told since the start.
        events_lost: times that the system has said that it lost some.
        found_by_events: changes of the list that events led to.
        found_by_poll: changes that the poll found and the events had missed.
        polls: whole comparisons that are done; ``poll_ms``: what the last one took.
        writing: files that somebody is writing.
        unsent: changes that `Watch.changes` has yet to give.
    """

    monitor: str
    serving: bool
    why: str
    files: int
    directories: int
    unwatched: int
    events: int
    events_lost: int
    found_by_events: int
    found_by_poll: int
    polls: int
    poll_ms: int
    writing: int
    unsent: int


class Watch:
    """One folder. An own thread reads events, looks, reads directories and polls.

    Every method may be called from any thread. Whoever reads all pages once `state` says that it
    is serving, and then applies every change, has the list, whatever happens meanwhile: a change
    is a state. That stays so when the folder is gone for a while: the list is kept, and what is
    different afterwards comes as changes, before `state` is serving again.

    Args:
        folder: absolute path without links, as `look_at_folder` gives it.
        options: how it is watched.
        wake: called, from the thread, when there are changes, or another state; must not wait.

    Raises:
        FolderError: there is no such folder, or it can't be read.
        ValueError: a pattern of the options is none.
    """

    def __init__(self, folder: bytes, options: WatchOptions, wake: Callable[[], None]) -> None:
        self._folder = look_at_folder(os.fsdecode(folder))
        self._options = options
        self._rules = options.rules()
        self._wake = wake
        self._lock = Lock()
        self._clerk = Clerk(options.settle)
        self._state = WatchState(serving=False, why=_INCOMPLETE)
        self._patrol: Patrol | None = None
        self._monitor = options.monitor
        self._polls = 0
        self._closing = Flag()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to watch.

        Raises:
            MonitorError: the monitor that the options name can't be had.
        """
        # A folder that has gone since it was looked at is waited for, as at any later time.
        with contextlib.suppress(FolderError, OtherFolderError, OSError):
            self._patrol = self._begin()
        self._thread.start()

    def close(self) -> None:
        """Stop watching; waits for the thread. The list can still be read."""
        if self._closing.is_set():
            return
        self._closing.set()
        os.eventfd_write(self._bell, 1)
        if self._thread.ident is not None:
            self._thread.join()
        os.close(self._bell)

    # -- what it knows

    @property
    def folder(self) -> Folder:
        """What is watched: another one once the folder was made anew, or mounted again."""
        return self._folder

    @property
    def state(self) -> WatchState:
        """Whether the list may be shown."""
        return self._state

    def page(self, after: bytes, limit: int) -> list[Row]:
        """The first rows, at most ``limit``, whose names sort after ``after``, as they are now."""
        with self._lock:
            return self._clerk.tree.page(after, limit)

    def changes(self, limit: int) -> tuple[list[bytes], list[Row]]:
        """Names that left and rows as they are now, of what changed since it was last fetched.

        Each name once, at most ``limit`` names; none as long as the first list is incomplete.
        """
        with self._lock:
            return self._clerk.tree.changes(limit)

    def statistics(self) -> WatchStatistics:
        """What it knows about itself."""
        state, patrol = self._state, self._patrol
        with self._lock:
            clerk = self._clerk
            return WatchStatistics(
                monitor=self._monitor,
                serving=state.serving,
                why=state.why,
                files=len(clerk.tree),
                directories=clerk.tree.directories,
                unwatched=len(patrol.unwatched) if patrol else 0,
                events=clerk.events,
                events_lost=clerk.lost,
                found_by_events=clerk.found[By.EVENT],
                found_by_poll=clerk.found[By.POLL],
                polls=self._polls + (patrol.poll.done if patrol else 0),
                poll_ms=int(patrol.poll.took * 1000) if patrol else 0,
                writing=clerk.settle.writing,
                unsent=clerk.tree.unsent,
            )

    # -- the thread

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._patrol = self._patrol or self._begin()
                self._follow(self._patrol)
            except FolderError as error:
                self._stop(str(error.fields["reason"]))
            except (OtherFolderError, UnreachableError, OSError, MonitorError) as error:
                self._stop(getattr(error, "strerror", None) or str(error))
            except Exception as error:  # noqa: BLE001 -- see below
                # A watch must not die unseen: its list would look true for ever.
                _log.exception("%s: watching failed", self._shown)
                self._stop(str(InternalError(reason=repr(error))))
            wait([self._bell], AGAIN)
        self._end()

    def _begin(self) -> Patrol:
        """Open a monitor, and begin a whole, fresh list.

        Raises:
            FolderError: the folder is gone, or can't be read.
            OtherFolderError: it is one that must not take the other's place.
            MonitorError: it can't be watched as the options say.
        """
        options, path = self._options, self._folder.path
        self._folder = look_again(self._folder)
        looker = Looker(
            *(path, self._folder.place, self._rules),
            recursive=options.recursive,
            modes=options.modes,
        )
        looker.check()
        monitor, why = open_monitor(options.monitor, path, recursive=options.recursive)
        try:
            patrol = Patrol(
                *(path, looker, self._rules, monitor, self._clerk, self._lock),
                recursive=options.recursive,
                poll=options.poll,
                modes=options.modes,
            )
        except BaseException:
            monitor.close()
            raise
        if monitor.name != self._monitor or why:
            _log.info("%s: watched by %s%s", self._shown, monitor.name, why and f" ({why})")
        self._monitor = monitor.name
        return patrol

    def _follow(self, patrol: Patrol) -> None:
        """Keep the list true until the end, or until something is wrong with the folder."""
        descriptors = [patrol.monitor.fileno(), self._bell]
        stamp = self._clerk.tree.stamp
        while not self._closing.is_set():
            wait(descriptors, patrol.timeout(monotonic()))
            patrol.turn()
            if patrol.complete and not self._state.serving:
                self._say(WatchState(serving=True, why=""))
            if stamp != self._clerk.tree.stamp:
                stamp = self._clerk.tree.stamp
                self._wake()

    def _stop(self, why: str) -> None:
        """Something is wrong: the list stays as it is, and is not shown until that is over."""
        self._end()
        with self._lock:
            self._clerk.settle.clear()
        self._say(WatchState(serving=False, why=why))

    def _end(self) -> None:
        if self._patrol is not None:
            self._polls += self._patrol.poll.done
            self._patrol.close()
            self._patrol = None

    def _say(self, state: WatchState) -> None:
        if state == self._state:
            return
        self._state = state
        if state.serving:
            _log.info("%s: %d files", self._shown, len(self._clerk.tree))
        else:
            _log.warning("%s: not served: %s", self._shown, state.why)
        self._wake()

    @property
    def _shown(self) -> str:
        return os.fsdecode(self._folder.path)
