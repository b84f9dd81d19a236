"""A comparison of both sides, and of what is known: what it finds is queued, or recorded.

It holds the other side's list in memory. Everything else may change meanwhile: what the lists say
of a name that is not equal is asked of the other side once more, and what is queued is decided by
the handler, by what is there then.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Event as Flag
from time import time
from typing import Final

from zfs_walk.mirror.compare import (
    Rules,
    Trio,
    Verdict,
    has_mode,
    is_known,
    is_sent,
    judge,
    merge,
)
from zfs_walk.mirror.folder import Folder, Opened
from zfs_walk.mirror.journal import Journal
from zfs_walk.mirror.lookers import Look, Lookers
from zfs_walk.mirror.origin import Device
from zfs_walk.mirror.plan import Gone, Local
from zfs_walk.mirror.records import Change, Entry, Kind
from zfs_walk.mirror.twins import Twins
from zfs_walk.sinks.errors import StoppedError
from zfs_walk.sinks.interface import Remote, Sink
from zfs_walk.watch.tree import Row

BATCH: Final = 1_000
"""Names that are written to the journal at once."""


@dataclass(slots=True)
class Found:
    """What a comparison has found so far; numbers of names.

    Attributes:
        checked: compared.
        known: of them, those that were known to be on the other side ...
        intact: ... and are here as they were when they were sent.
        equal: on the other side as they are here.
        send: queued to be sent.
        delete: queued to be deleted.
    """

    checked: int = 0
    known: int = 0
    intact: int = 0
    equal: int = 0
    send: int = 0
    delete: int = 0


@dataclass(slots=True)
class _Batch:
    """What is to be written to the journal."""

    record: list[Entry] = field(default_factory=list)
    drop: list[bytes] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.record) + len(self.drop) + len(self.changes)


class Reconcile:
    """One comparison, in the thread that calls `run`.

    Args:
        folder: that is mirrored; it is held open while this runs.
        rows: of the folder's list, sorted, as they are sent.
        journal: holds what is known, and takes what is found.
        sink: of the other side; used by this thread only.
        remotes: what the other side has, sorted by name.
        rules: how both sides are compared.
        lookers: looks at the other side at once.
        device: of the folder, if its number is another one than what is known has; inodes are then
            looked at as well.
        stopped: ends it when it is set.

    Attributes:
        found: so far.
    """

    def __init__(  # noqa: PLR0913, PLR0917 -- all that is compared
        self,
        folder: Folder,
        rows: Callable[[], Iterator[Row]],
        journal: Journal,
        sink: Sink,
        remotes: list[Remote],
        rules: Rules,
        lookers: int,
        device: Device | None,
        stopped: Flag,
    ) -> None:
        self.found = Found()
        self._twins = Twins(remotes)
        self._remotes = remotes
        self._folder = folder
        self._rows = rows
        self._journal = journal
        self._sink = sink
        self._rules = rules
        self._lookers = lookers
        self._device = device
        self._stopped = stopped
        self._batch = _Batch()
        self._opened: Opened

    def run(self) -> None:
        """Compare everything.

        Raises:
            SinkError: the other side can't be looked at.
            StoppedError: it was stopped.
            OtherFolderError: another folder is there now, or none.
            JournalError: the journal can't be written.
        """
        with self._folder.opened() as opened:
            self._opened = opened
            self._merge()

    @property
    def twins(self) -> list[tuple[bytes, bytes]]:
        """Pairs of names that are one on the other side, so far."""
        return self._twins.found

    def _merge(self) -> None:
        trios = merge(self._rows(), self._entries(), self._remotes)
        with Lookers(self._folder, self._sink, self._rules, self._lookers) as lookers:
            looking: deque[tuple[Trio, Future[Look]]] = deque()
            for trio in trios:
                self._count(trio)
                verdict = judge(trio, self._rules)
                if verdict is Verdict.LOOK and trio.row is not None:
                    looking.append((trio, lookers.look(trio.row)))
                    if len(looking) > self._lookers * 4:
                        self._looked(*looking.popleft())
                else:
                    self._take(trio, verdict)
                self._go_on()
            while looking:
                self._looked(*looking.popleft())
                self._go_on()
        self._flush()

    def _entries(self) -> Iterator[Entry]:
        after = b""
        while page := self._journal.entries(after, BATCH):
            yield from page
            after = page[-1].path

    def _go_on(self) -> None:
        if self._stopped.is_set():
            raise StoppedError
        if len(self._batch) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        batch, self._batch = self._batch, _Batch()
        # What is known first: the queue is worked on by what is known.
        if batch.drop:
            self._journal.drop(batch.drop)
        if batch.record:
            self._journal.record(batch.record)
        if batch.changes:
            self._journal.put(batch.changes)

    # -- one name

    def _count(self, trio: Trio) -> None:
        found = self.found
        found.checked += 1
        if trio.entry is not None:
            found.known += 1
            found.intact += trio.row is not None and is_sent(trio.row, trio.entry)

    def _take(self, trio: Trio, verdict: Verdict) -> None:
        match verdict:
            case Verdict.EQUAL if self._device is not None:
                self._record(trio)
            case Verdict.EQUAL:
                self.found.equal += 1
            case Verdict.RECORD:
                self._record(trio)
            case Verdict.SEND:
                self._send(trio)
            case Verdict.EXTRA | Verdict.DELETE:
                self._delete(trio)
            case Verdict.LEAVE | Verdict.LOOK:
                pass

    def _send(self, trio: Trio) -> None:
        if trio.row is not None:
            self.found.send += 1
            self._batch.changes.append(Change(trio.name, Kind.SEND, trio.row.size, time()))

    def _delete(self, trio: Trio) -> None:
        if not isinstance(self._opened.look(trio.name), Gone):
            return  # it is left out, or can't be looked at
        self.found.delete += 1
        entry = trio.entry
        if entry is not None and self._device is not None and entry.dev == self._device.before:
            self._batch.record.append(entry._replace(dev=self._device.now))
        if entry is None and trio.remote is not None:
            # It counts as what is there; no device and no inode: no file is a move of it.
            size, tag = trio.remote.size, trio.remote.tag
            self._batch.record.append(Entry(trio.name, size, 0, 0, 0, 0, tag))
        not_before = time() + self._rules.deletion_delay
        self._batch.changes.append(Change(trio.name, Kind.DELETE, 0, not_before))

    def _record(self, trio: Trio) -> None:
        """Remember that the other side has what is here."""
        row, remote = trio.row, trio.remote
        if row is None or remote is None:
            return
        found = self._opened.look(trio.name)
        if not isinstance(found, Local):
            return
        if (found.size, found.mtime_ns) != (row.size, row.mtime_ns):
            return  # that is a change, which is told
        self.found.equal += 1
        found = found._replace(born_ns=self._opened.born_ns(trio.name))
        self._batch.record.append(found.entry(trio.name, remote.tag))

    def _looked(self, trio: Trio, look: Future[Look]) -> None:
        """Take what a look at the other side has found, now that the lists left it open."""
        remote, same = look.result()
        entry = self._journal.entry(trio.name)
        now = trio._replace(entry=entry, remote=remote)
        if entry is not None and remote is not None and is_known(remote, entry, self._rules):
            # It was sent since it was listed.
            self._take(now, judge(now, self._rules))
        elif same and (entry is None or trio.row is None or has_mode(trio.row, entry)):
            self._take(now, Verdict.RECORD)
        else:
            if remote is not None and trio.remote is None:
                self._twins.unlisted(remote)
            if entry is not None and entry == trio.entry:
                self._batch.drop.append(trio.name)
            self._take(now, Verdict.SEND)
