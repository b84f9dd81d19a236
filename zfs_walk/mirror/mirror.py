"""One mapping, whole: its folder, its queue, its sink and what brings them together."""

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from time import monotonic, time
from typing import Final

from zfs_walk import faults
from zfs_walk.errors import FolderError, InternalError, JournalError, StateError, ZfsWalkError
from zfs_walk.mirror.anchor import is_it
from zfs_walk.mirror.compare import Rules
from zfs_walk.mirror.feed import Feed
from zfs_walk.mirror.folder import Folder
from zfs_walk.mirror.gate import Gate
from zfs_walk.mirror.guard import Guard
from zfs_walk.mirror.handler import Handler, Parts
from zfs_walk.mirror.handling import Happening, Transferring
from zfs_walk.mirror.journal import Journal
from zfs_walk.mirror.listing import Listing
from zfs_walk.mirror.mapper import Mapper
from zfs_walk.mirror.mapping import Mapping
from zfs_walk.mirror.origin import Origin
from zfs_walk.mirror.pace import Limit, Pace
from zfs_walk.mirror.reconcile import BATCH, Found, Reconcile
from zfs_walk.mirror.reconciler import Reconciler
from zfs_walk.mirror.sending import Sending
from zfs_walk.mirror.statistics import MirrorStatistics, Phase
from zfs_walk.mirror.story import Hear, Tell
from zfs_walk.mirror.terms import handler_options, keep_apart, watch_options, windows
from zfs_walk.mirror.wishes import Calls, Wishes
from zfs_walk.sinks.choose import open_sink
from zfs_walk.sinks.interface import Sink
from zfs_walk.watch.watch import Watch

AGAIN: Final = 1.0
"""Seconds between two tries at what is not there: the folder, or room for the queue."""

NOT_WATCHED: Final = "its folder is not watched"
DOUBTFUL: Final = "both sides are compared: its folder may be another one than before"
SWEEPING: Final = "what dead transfers have left is taken away"
"""Reasons to pause."""

_log = logging.getLogger("zfs_walk.mirror")


def _ignore(happening: Happening) -> None:
    """Nobody wants to be told."""


class Mirror:
    """Keeps the other side true. Every method may be called from any thread.

    Args:
        mapping: what is mirrored.
        state: folder of its own, made if it is not there; outside the mirrored folder.
        limits: of bytes a second that it shares with others, besides its own.
        notify: told of what happens to actions, from any thread; must not wait.
        sink: of the mapping's URL, if it is open already; it is closed with this.

    Raises:
        WrongUseError: the URL, the sink's options, a pattern or a window is wrong; or the folder
            and the state, or the folder and the other side, lie in each other.
        MissingExtraError: the sink's library is not installed.
        StateError: the state can't be used, or is another mapping's.
        StateInUseError: another process uses it.
        JournalError: the state can't be written.

    Attributes:
        wishes: takes what people want of it.
    """

    def __init__(
        self,
        mapping: Mapping,
        state: Path,
        limits: Sequence[Limit] = (),
        notify: Callable[[Happening], None] = _ignore,
        sink: Sink | None = None,
    ) -> None:
        folder = os.path.realpath(mapping.local)
        keep_apart(mapping, folder, state)
        options = watch_options(mapping)
        self._mapping = mapping
        hours = windows(mapping)
        self._mapper = Mapper(folder, mapping.symlinks)
        self._feed = Feed(
            self._mapper,
            complete_sync=mapping.complete_sync,
            deletion_delay=mapping.deletion_delay,
        )
        self._reconciler = Reconciler(mapping.name, self._compare, mapping.rescan, self._wake)
        self._unqueued = self._feed.changes((), (), 0.0)
        self._serving = False
        self._accepted = Flag()
        self._phase, self._why = Phase.STARTING, ""
        self._bell = Flag()
        self._closing = Flag()
        self._sink = sink or open_sink(mapping.url, mapping.options)
        self._journal = _open_journal(state, f"{folder!r} to {mapping.url}")
        guard = Guard(mapping.guard_files, mapping.guard_percent)
        self._gate = Gate(mapping.name, self._journal, guard)
        self._origin = Origin(folder, options, state / "folder.json", self._wake)
        self._sending = Sending(
            lambda: Handler(
                Parts(
                    *(self._journal, folder, self._sink.fork(), handler_options(mapping)),
                    *(Pace((self.wishes.limit, *limits), hours), self._gate, notify),
                )
            )
        )
        self._sending.pause(NOT_WATCHED, stop=True)
        self._sending.pause(SWEEPING, stop=True)
        self.wishes = Wishes(
            mapping,
            self._journal,
            self._sending,
            self._gate,
            Calls(self._rescan, self._accepted.set, self._wake),
        )
        self._listing = Listing(self._sink, self._sweep)
        self._thread = Thread(target=self._run, name=f"mirror {mapping.name}", daemon=True)

    def tell(self, tell: Tell) -> None:
        """Tell what becomes of every action, before it begins; see `Journal.tell`."""
        self._journal.tell(tell)

    def hear(self, hear: Hear | None) -> None:
        """Let somebody hear what becomes of every action; see `Journal.hear`.

        Not to be called after `close`.
        """
        self._journal.hear(hear)

    def transferring(self) -> tuple[Transferring, ...]:
        """The files that are being sent, the one that began first."""
        known = self._sending.statistics()
        return known.active if known else ()

    def start(self) -> None:
        """Begin; what is not there yet, the folder or the other side, is waited for."""
        self._thread.start()

    def close(self, timeout: float = 10.0) -> None:
        """Stop, and wait for so many seconds for transfers to stop; they are gone on with later."""
        if self._closing.is_set():
            return
        until = monotonic() + timeout
        self._closing.set()
        if self._thread.ident is not None:
            self._wake()
            self._thread.join()
        self._sending.close(timeout)
        self._reconciler.close(max(0.0, until - monotonic()))
        self._origin.close()
        try:
            self._journal.close()
        except JournalError as error:
            # To the next start it is an end by a kill, and nothing worse.
            _log.error("%s: the end could not be written down: %s", self._mapping.name, error)
        self._sink.close()

    @property
    def name(self) -> str:
        """The mapping's."""
        return self._mapping.name

    @property
    def id(self) -> str:
        """Of its journal; random."""
        return self._journal.id

    def statistics(self) -> MirrorStatistics:
        """What it knows about itself; not to be called after `close`."""
        watch = self._origin.watch
        counts = self._journal.counts()
        return MirrorStatistics(
            name=self._mapping.name,
            local=self._mapping.local,
            url=self._mapping.url,
            phase=self._phase,
            why=self._why,
            counts=counts,
            indexed=self._journal.entry_count(),
            held_why=self._gate.why if counts.held else "",
            skipped=self._mapper.skipped,
            watch=watch.statistics() if watch else None,
            handler=self._sending.statistics(),
            reconcile=self._reconciler.statistics(),
        )

    @property
    def even(self) -> bool:
        """Both sides were compared, and nothing waits for its turn to be done."""
        watch = self._origin.watch
        if watch is None or watch.statistics().unsent or self._unqueued:
            return False
        if self._phase is not Phase.MIRRORING or not self._reconciler.statistics().done:
            return False
        counts = self._journal.counts()
        return not counts.ready and not counts.taken

    # -- its thread

    def _wake(self) -> None:
        self._bell.set()

    def _rescan(self) -> None:
        self._reconciler.request()
        self._wake()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._turn()
            except FolderError as error:
                self._leave(str(error.fields["reason"]))
            except ZfsWalkError as error:
                self._tell(Phase.WAITING, str(error))
            except OSError as error:
                self._tell(Phase.WAITING, error.strerror or str(error))
            except Exception as error:  # noqa: BLE001 -- it must go on, and be seen
                _log.exception("%s: mirroring failed", self._mapping.name)
                self._tell(Phase.WAITING, str(InternalError(reason=repr(error))))
            self._bell.wait(self._timeout())
            self._bell.clear()

    def _timeout(self) -> float:
        due = self._reconciler.due if self._serving else None
        return AGAIN if due is None else max(0.0, min(AGAIN, due - monotonic()))

    def _turn(self) -> None:
        if self._accepted.is_set():
            self._accepted.clear()
            self._origin.accept()
            self._gate.doubt("")
            self._sending.resume(DOUBTFUL)
        watch = self._origin.open()
        if self._listing.begins():
            # The other side is listed while the folder is read.
            self._reconciler.request()
            self._reconciler.begin()
        state = watch.state
        if not state.serving:
            self._leave(state.why)
            return
        if not self._serving:
            self._enter(watch)
        self._queue(watch)
        found = self._reconciler.end()
        if found is not None:
            self._compared(found)
        self._reconciler.begin()
        self._gate.relax()
        self._tell(Phase.RECONCILING if self._reconciler.busy else Phase.MIRRORING, "")

    def _leave(self, why: str) -> None:
        """The folder is not watched: what is there can't be believed."""
        self._serving = False
        self._listing.leave()
        self._sending.pause(NOT_WATCHED, stop=True)
        fresh = self._origin.watch is not None and self._phase is Phase.STARTING
        self._tell(Phase.STARTING if fresh else Phase.WAITING, why)

    def _enter(self, watch: Watch) -> None:
        """The folder is watched, or is so again."""
        origin, folder = self._origin, watch.folder
        origin.recognize(folder, self._journal.entry_count())
        self._gate.doubt(origin.doubt)
        if origin.doubt or origin.device:
            # Until it is clear, by its files, nothing of the queue is believed.
            self._sending.pause(DOUBTFUL, stop=True)
        else:
            origin.accept()
        self._sending.serve(folder.place)
        if not (self._listing.enter() and self._reconciler.running):
            self._reconciler.request()
        self._serving = True
        self._sending.resume(NOT_WATCHED)

    def _queue(self, watch: Watch) -> None:
        """Queue what has changed. What can't be queued now, for want of room, is kept."""
        while not self._closing.is_set():
            if not self._unqueued:
                removed, rows = watch.changes(BATCH)
                if not removed and not rows:
                    return
                self._unqueued = self._feed.changes(removed, rows, time())
                faults.point("mirror.noticed")
            if self._unqueued:
                self._journal.put(self._unqueued)
                faults.point("mirror.queued")
                self._unqueued = []
                self._sending.wake()

    def _compare(self, stopped: Flag) -> Reconcile:
        """A new comparison; called from its thread."""
        mapping = self._mapping
        remotes = self._listing.read(stopped)
        watch = self._origin.open()
        rules = Rules(mapping.complete_sync, mapping.deletion_delay, self._sink.granularity_ns)
        folder = Folder(watch.folder.path, mapping.symlinks)
        if folder.identity != watch.folder.place:
            raise FolderError(path=os.fsdecode(watch.folder.path), reason="it is another one now")
        return Reconcile(
            *(folder, lambda: self._mapper.rows(watch), self._journal, self._sink, remotes),
            *(rules, mapping.transfers, self._origin.device, stopped),
        )

    def _sweep(self, *, whole: bool) -> None:
        """Take away what dead transfers have left, before there are any that live.

        Where the other side can't be listed, nothing is swept, and sending begins nevertheless.
        """
        try:
            count = whole and self._sink.sweep(self._journal.memories())
            if count:
                _log.info("%s: %d dead transfers were swept", self._mapping.name, count)
        finally:
            self._sending.resume(SWEEPING)

    def _compared(self, found: Found) -> None:
        """Both sides were compared."""
        origin = self._origin
        if origin.doubt and not is_it(found.known, found.intact):
            self._gate.doubt(
                f"{origin.doubt}: {found.intact} of {found.known} files are as they were"
            )
        else:
            origin.accept()
            self._gate.doubt("")
        self._sending.resume(DOUBTFUL)
        self._sending.wake()

    def _tell(self, phase: Phase, why: str) -> None:
        if phase is Phase.WAITING and why != self._why:
            _log.warning("%s: waiting: %s", self._mapping.name, why)
        self._phase, self._why = phase, why


def _open_journal(state: Path, identity: str) -> Journal:
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(path=state, reason=error.strerror) from error
    return Journal(state / "journal.db", identity)
