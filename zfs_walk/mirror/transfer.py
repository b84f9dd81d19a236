"""Does actions: looks, decides, and has the sink do it; small files together.

One thread does some actions at a time. What needs no content, and large files, are done one after
the other. Small files of which it was decided that they are sent go together, if the sink offers
that.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Protocol

from zfs_walk import faults
from zfs_walk.mirror.birth import await_next_moment, birth_ns
from zfs_walk.mirror.folder import Folder, Opened, local_of
from zfs_walk.mirror.handling import HandlerOptions, What
from zfs_walk.mirror.journal import Journal
from zfs_walk.mirror.plan import (
    Decision,
    Fail,
    Gone,
    Later,
    Local,
    Move,
    Nothing,
    Send,
    decide,
    has_permissions,
    is_there,
)
from zfs_walk.mirror.records import Action, Done, Entry, Kind, Known
from zfs_walk.mirror.result import Result, Try, what_of
from zfs_walk.mirror.retry import Again
from zfs_walk.mirror.setback import Setback
from zfs_walk.sinks.errors import MissingError, SinkError
from zfs_walk.sinks.interface import LARGEST_PARCEL, Parcel, Remote, Report, Sink, Together
from zfs_walk.sinks.source import Source


class Desk(Protocol):
    """Where a transfer gets its leave; see `zfs_walk.mirror.desk.Desk`."""

    def decided(self, path: bytes) -> None:
        """It is known what is done about an action: no move."""
        ...

    def borrow(self, path: bytes, old: Entry) -> bool:
        """Whether a move may take ``old`` away; nobody else changes it until that is settled."""
        ...

    def doubted(self, path: bytes) -> bool:
        """Whether a move that is tried again may have taken away what the index has there."""
        ...

    def begun(self, action: Action, size: int) -> Report:
        """A file is being sent; returns what the sink tells of its bytes, and of its parts."""
        ...


@dataclass(slots=True)
class _Packed:
    """A small file that waits to be sent with others.

    Attributes:
        attempt: to send it.
        local: as it was when it was opened.
        parcel: for the sink.
    """

    attempt: Try
    local: Local
    parcel: Parcel


class Transfer:
    """What one thread does.

    Args:
        journal: of the mapping.
        folder: that is mirrored.
        sink: this thread's own.
        options: how files are sent.
        desk: gives leave.
    """

    def __init__(
        self, journal: Journal, folder: Folder, sink: Sink, options: HandlerOptions, desk: Desk
    ) -> None:
        self._journal = journal
        self._folder = folder
        self._sink = sink
        self._together = sink if isinstance(sink, Together) else None
        self._options = options
        self._desk = desk
        self._setback = Setback(journal, options)

    def run(self, actions: Sequence[Action]) -> Iterator[Result]:
        """Try actions; whatever goes wrong becomes a result. One result each, in any order."""
        with ExitStack() as stack:
            try:
                opened = stack.enter_context(self._folder.opened())
                attempts = self._look(opened, actions)
            except Exception as error:  # noqa: BLE001 -- no bug ends this thread
                for action in actions:
                    yield self._setback.failed(Try(action, Gone(0), Known()), error)
                return
            packed: list[_Packed] = []
            for attempt in attempts:
                try:
                    done = self._do(opened, attempt)
                except Exception as error:  # noqa: BLE001 -- the same
                    done = self._setback.failed(attempt, error)
                if isinstance(done, _Packed):
                    stack.callback(done.parcel.source.close)
                    packed.append(done)
                else:
                    yield done
            yield from self._send_together(packed)

    # -- what is there, and what follows

    def _look(self, opened: Opened, actions: Sequence[Action]) -> list[Try]:
        """What is here, and what is known of the other side; the journal is asked once for all."""
        found = [opened.look(action.path) for action in actions]
        asked = [
            (action.path, look.identity if isinstance(look, Local) else None)
            for action, look in zip(actions, found, strict=True)
        ]
        attempts = []
        for action, look, known in zip(actions, found, self._journal.known(asked), strict=True):
            unsure = action.unsure or self._desk.doubted(action.path)
            attempts.append(Try(replace(action, unsure=True) if unsure else action, look, known))
        return attempts

    def _do(self, opened: Opened, attempt: Try) -> Result | _Packed:
        action, found, known = attempt.action, attempt.found, attempt.known
        if isinstance(found, Local) and action.kind is Kind.DELETE:
            # It is back: to be judged anew, and then to be sent in its turn.
            return Result(action, Again(time.time(), action.error, counts=False))
        candidates = self._candidates(opened, attempt)
        if candidates and isinstance(found, Local):
            found = found._replace(born_ns=opened.born_ns(action.path))
        decision = decide(
            action, found, known.entry, candidates, complete_sync=self._options.complete_sync
        )
        if isinstance(decision, Move) and isinstance(found, Local):
            if result := self._move(opened, attempt, found, decision):
                return result
            decision = Send(look=action.unsure)
        self._desk.decided(action.path)
        if isinstance(decision, Send):
            return self._send(opened, attempt, look=decision.look)
        return self._end(attempt, decision)

    def _candidates(self, opened: Opened, attempt: Try) -> list[Entry]:
        """Entries of this file whose own names are gone: the first, if there is one."""
        if not isinstance(attempt.found, Local):
            return []
        for entry in attempt.known.candidates:
            if entry.path == attempt.path or entry.mode != attempt.found.mode:
                continue
            if isinstance(opened.look(entry.path), Gone):
                return [entry]
        return []

    def _end(self, attempt: Try, decision: Decision) -> Result:
        """Do what needs no file."""
        action = attempt.action
        match decision:
            case Fail(reason):
                outcome = self._setback.after(action, reason)
                return Result(action, outcome, what_of(outcome))
            case Later():
                return Result(action, decision)
            case Nothing(entry):
                self._abandon(attempt, "")
                return Result(action, Done(action, entry))
            case _:
                return self._delete(attempt)

    def _delete(self, attempt: Try) -> Result:
        action = attempt.action
        self._abandon(attempt, "")
        attempt.unsure = True
        self._sink.delete(action.path)
        faults.point("mirror.deleted")
        return Result(action, Done(action, None, (action.path,)), What.DELETED)

    # -- moving

    def _move(self, opened: Opened, attempt: Try, found: Local, move: Move) -> Result | None:
        """Move it; None: it must be sent."""
        action, old = attempt.action, move.old
        if not self._desk.borrow(action.path, old):
            return None
        if self._journal.entry(old.path) != old:
            return None  # another move has taken it away since it was looked up
        if not move.certain and not self._same_content(opened, action.path, old):
            return None
        self._abandon(attempt, "")
        attempt.unsure = True
        try:
            remote = self._sink.move(old.path, action.path)
        except MissingError:
            remote = None
        except SinkError as error:
            return self._setback.obstructed(attempt, error)
        faults.point("mirror.moved")
        if remote is None or not self._is_copy(found, remote):
            self._journal.drop([old.path])
            return None
        done = Done(action, found.entry(action.path, remote.tag), (old.path,))
        return Result(action, done, What.MOVED, old.path)

    def _same_content(self, opened: Opened, path: bytes, old: Entry) -> bool:
        remote = self._sink.look(old.path)
        if remote is None:
            return False
        with closing(opened.source(path)) as source:
            return self._sink.matches(source, remote)

    def _is_copy(self, found: Local, remote: Remote) -> bool:
        unit = self._sink.granularity_ns
        if remote.mtime_ns is not None and remote.mtime_ns // unit != found.mtime_ns // unit:
            return False
        return remote.size == found.size

    # -- sending

    def _send(self, opened: Opened, attempt: Try, *, look: bool) -> Result | _Packed:
        action, path = attempt.action, attempt.path
        with ExitStack() as stack:
            source = stack.enter_context(closing(opened.source(path)))
            await_next_moment(source.stat.st_mtime_ns)
            local = local_of(source.stat, source.size, _birth_ns(source))
            self._abandon(attempt, source.fingerprint)
            if look and (there := self._there(source, local, attempt)):
                return self._sent(attempt, local, there)
            report = self._desk.begun(action, source.size)
            if self._together and source.size <= LARGEST_PARCEL and not attempt.known.noted:
                stack.pop_all()
                return _Packed(attempt, local, Parcel(source, path, report))
            memory = self._journal.memory(path, source.fingerprint)
            attempt.unsure = True
            faults.point("mirror.sending")
            try:
                remote = self._sink.send(source, path, memory, report)
            except SinkError as error:
                return self._setback.obstructed(attempt, error)
        faults.point("mirror.sent")
        return self._sent(attempt, local, remote)

    def _sent(self, attempt: Try, local: Local, remote: Remote) -> Result:
        entry = local.entry(attempt.path, remote.tag)
        return Result(attempt.action, Done(attempt.action, entry), What.SENT)

    def _send_together(self, packed: Sequence[_Packed]) -> Iterator[Result]:
        if self._together is None or not packed:
            return
        for each in packed:
            each.attempt.unsure = True
        faults.point("mirror.sending")
        try:
            ended = self._together.send_together([each.parcel for each in packed])
        except Exception as error:  # noqa: BLE001 -- no bug of a sink ends this thread
            ended = [error] * len(packed)
        faults.point("mirror.sent")
        for each, end in zip(packed, ended, strict=True):
            yield self._parcel_ended(each, end)

    def _parcel_ended(self, packed: _Packed, end: Remote | Exception) -> Result:
        attempt = packed.attempt
        if isinstance(end, Remote):
            return self._sent(attempt, packed.local, end)
        try:
            if isinstance(end, SinkError):
                return self._setback.obstructed(attempt, end)
            return self._setback.failed(attempt, end)
        except Exception as error:  # noqa: BLE001 -- no bug ends this thread
            return self._setback.failed(attempt, error)

    def _there(self, source: Source, local: Local, attempt: Try) -> Remote | None:
        """What the other side has, if that is the file already."""
        entry = attempt.known.entry
        remote = self._sink.look(attempt.path)
        if remote is None or not has_permissions(local, remote, entry):
            return None
        if is_there(local, remote, entry, self._sink.granularity_ns):
            return remote
        return remote if self._sink.matches(source, remote) else None

    def _abandon(self, attempt: Try, fingerprint: str) -> None:
        """Take away what was begun for another content of a file."""
        if not attempt.known.noted:
            return
        if stale := self._journal.stale(attempt.path, fingerprint):
            self._sink.abandon(attempt.path, stale)
            self._journal.forget_memory(attempt.path)


def _birth_ns(source: Source) -> int:
    return 0 if source.target is not None else birth_ns(source.fileno())
