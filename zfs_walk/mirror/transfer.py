"""Does one action at a time: looks, decides, and has the sink do it."""

import logging
import random
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Protocol

from zfs_walk import faults
from zfs_walk.errors import ZfsWalkError
from zfs_walk.mirror.birth import birth_ns
from zfs_walk.mirror.folder import Folder, local_of
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
    Unreadable,
    decide,
    is_there,
)
from zfs_walk.mirror.records import Action, Done, Entry, Kind
from zfs_walk.mirror.retry import Again, Aside, consequence, failed
from zfs_walk.sinks.errors import ChangedError, MissingError, SinkError, StoppedError
from zfs_walk.sinks.interface import Remote, Sink
from zfs_walk.sinks.source import Source
from zfs_walk.watch.look import OtherFolderError

_log = logging.getLogger("zfs_walk.mirror")

_CANDIDATES: Final = 16
"""Entries that are looked at to find one that a file may be a move of: a file with more hard links
than these is sent."""


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

    def begun(self, action: Action, size: int) -> Callable[[int], None]:
        """A file is being sent; returns what the sink tells of its bytes."""
        ...


class Trouble(NamedTuple):
    """What keeps all transfers from succeeding.

    Attributes:
        reason: in words.
        again: waiting may help; otherwise somebody must put it right.
    """

    reason: str
    again: bool


@dataclass(frozen=True, slots=True)
class Result:
    """How a try went.

    Attributes:
        action: as it was taken.
        outcome: what becomes of the action.
        what: happened; None: nothing that anybody is told of.
        old: the name of what was moved.
        unsure: it failed in the middle.
        obstructed: on the other side something is in the way that is to be deleted.
        trouble: it concerns all; None: it does not.
    """

    action: Action
    outcome: Done | Later | Again | Aside
    what: What | None = None
    old: bytes = b""
    unsure: bool = False
    obstructed: bool = False
    trouble: Trouble | None = None

    @property
    def told(self) -> str:
        """What people are told beside `what`."""
        if isinstance(self.outcome, Again | Aside):
            return self.outcome.reason
        return self.old.decode(errors="backslashreplace")


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
        self._options = options
        self._desk = desk
        # The other side may have been changed by the try that is going on.
        self._unsure = False

    def run(self, action: Action) -> Result:
        """Try an action; whatever goes wrong becomes a result."""
        self._unsure = False
        if self._desk.doubted(action.path):
            action = replace(action, unsure=True)
        try:
            with self._folder.opened() as root:
                return self._do(root, action)
        except StoppedError as error:
            # Of a file that was being sent nothing shows yet.
            return Result(action, self._after(action, error))
        except OtherFolderError as error:
            again = Again(time.time(), action.error, counts=False)
            trouble = Trouble(f"the folder: {error}", again=True)
            return Result(action, again, unsure=self._unsure, trouble=trouble)
        except Exception as error:  # noqa: BLE001 -- no bug of a sink ends this thread
            if not isinstance(error, ZfsWalkError | ChangedError | OSError):
                _log.exception("a transfer failed")
            trouble = None
            if isinstance(error, SinkError) and error.whole:
                trouble = Trouble(str(error), error.again)
            outcome = self._after(action, error)
            what = _what(outcome)
            return Result(action, outcome, what, unsure=self._unsure, trouble=trouble)

    def _after(self, action: Action, error: Exception | str) -> Again | Aside:
        tries, now = self._options.tries, time.time()
        chance = random.random()  # noqa: S311 -- spreads tries, no secret
        if isinstance(error, str):
            return failed(action, error, tries=tries, chance=chance, now=now)
        return consequence(action, error, tries=tries, chance=chance, now=now)

    def _do(self, root: int, action: Action) -> Result:
        found = self._folder.look(root, action.path)
        if isinstance(found, Local) and action.kind is Kind.DELETE:
            # It is back: to be judged anew, and then to be sent in its turn.
            return Result(action, Again(time.time(), action.error, counts=False))
        entry = self._journal.entry(action.path)
        candidates = self._candidates(root, action.path, found)
        if candidates and isinstance(found, Local):
            found = found._replace(born_ns=self._folder.born_ns(root, action.path))
        decision = decide(
            action, found, entry, candidates, complete_sync=self._options.complete_sync
        )
        if isinstance(decision, Move) and isinstance(found, Local):
            if result := self._move(root, action, found, decision):
                return result
            decision = Send(look=action.unsure)
        self._desk.decided(action.path)
        if isinstance(decision, Send):
            return self._send(root, action, entry, look=decision.look)
        return self._end(action, decision)

    def _end(self, action: Action, decision: Decision) -> Result:
        """Do what needs no file."""
        match decision:
            case Fail(reason):
                outcome = self._after(action, reason)
                return Result(action, outcome, _what(outcome))
            case Later():
                return Result(action, decision)
            case Nothing(entry):
                self._abandon(action.path, "")
                return Result(action, Done(action, entry))
            case _:
                return self._delete(action)

    def _candidates(self, root: int, path: bytes, found: Local | Gone | Unreadable) -> list[Entry]:
        """Entries of this file whose own names are gone: the first, if there is one."""
        if not isinstance(found, Local):
            return []
        known = self._journal.known_as(found.dev, found.ino, found.size, found.mtime_ns)
        for entry in known[:_CANDIDATES]:
            if entry.path == path or entry.mode != found.mode:
                continue
            if isinstance(self._folder.look(root, entry.path), Gone):
                return [entry]
        return []

    # -- what is done

    def _move(self, root: int, action: Action, found: Local, move: Move) -> Result | None:
        """Move it; None: it must be sent."""
        old = move.old
        if not self._desk.borrow(action.path, old):
            return None
        if not move.certain and not self._same_content(root, action.path, old):
            return None
        self._abandon(action.path, "")
        self._unsure = True
        try:
            remote = self._sink.move(old.path, action.path)
        except MissingError:
            remote = None
        except SinkError as error:
            return self._obstructed(action, error)
        faults.point("mirror.moved")
        if remote is None or not self._is_copy(found, remote):
            self._journal.drop([old.path])
            return None
        done = Done(action, found.entry(action.path, remote.tag), (old.path,))
        return Result(action, done, What.MOVED, old.path)

    def _same_content(self, root: int, path: bytes, old: Entry) -> bool:
        remote = self._sink.look(old.path)
        if remote is None:
            return False
        with closing(self._folder.source(root, path)) as source:
            return self._sink.matches(source, remote)

    def _is_copy(self, found: Local, remote: Remote) -> bool:
        unit = self._sink.granularity_ns
        if remote.mtime_ns is not None and remote.mtime_ns // unit != found.mtime_ns // unit:
            return False
        return remote.size == found.size

    def _send(self, root: int, action: Action, entry: Entry | None, *, look: bool) -> Result:
        path = action.path
        with closing(self._folder.source(root, path)) as source:
            born = 0 if source.target is not None else birth_ns(source.fileno())
            local = local_of(source.stat, source.size, born)
            self._abandon(path, source.fingerprint)
            if look and (there := self._there(source, local, path, entry)):
                done = Done(action, local.entry(path, there.tag))
                return Result(action, done, What.SENT)
            report = self._desk.begun(action, source.size)
            memory = self._journal.memory(path, source.fingerprint)
            self._unsure = True
            faults.point("mirror.sending")
            try:
                remote = self._sink.send(source, path, memory, report)
            except StoppedError:
                self._unsure = False
                raise
            except SinkError as error:
                return self._obstructed(action, error)
        faults.point("mirror.sent")
        return Result(action, Done(action, local.entry(path, remote.tag)), What.SENT)

    def _there(
        self, source: Source, local: Local, path: bytes, entry: Entry | None
    ) -> Remote | None:
        """What the other side has, if that is the file already."""
        if entry is not None and entry.mode != local.mode:
            return None  # no look tells whether the permissions have been sent
        remote = self._sink.look(path)
        if remote is None:
            return None
        if is_there(local, remote, entry, self._sink.granularity_ns):
            return remote
        return remote if self._sink.matches(source, remote) else None

    def _in_the_way(self, path: bytes) -> bytes:
        """A name, of a file on the other side, that must go before this one can be; or empty."""
        above = path.rpartition(b"/")[0]
        while above:
            if self._journal.entry(above):
                return above
            above = above.rpartition(b"/")[0]
        below = path + b"/"
        return next(
            (
                entry.path
                for entry in self._journal.entries(below, 1)
                if entry.path.startswith(below)
            ),
            b"",
        )

    def _obstructed(self, action: Action, error: SinkError) -> Result:
        """Another name's deletion comes first; if there will be none, say so.

        Raises:
            SinkError: the same, if nothing is in the way.
        """
        way = b"" if error.whole else self._in_the_way(action.path)
        if not way:
            raise error
        outcome: Again | Aside
        if self._options.complete_sync:
            later = time.time() + self._options.deletion_delay
            outcome = Again(later, str(error), counts=False)
        else:
            shown = way.decode(errors="backslashreplace")
            reason = f"{error} On the other side {shown} is in the way, and nothing is deleted"
            outcome = Aside(f"{reason} there without complete_sync.")
        return Result(action, outcome, _what(outcome), unsure=True, obstructed=True)

    def _delete(self, action: Action) -> Result:
        self._abandon(action.path, "")
        self._unsure = True
        self._sink.delete(action.path)
        faults.point("mirror.deleted")
        return Result(action, Done(action, None, (action.path,)), What.DELETED)

    def _abandon(self, path: bytes, fingerprint: str) -> None:
        """Take away what was begun for another content of a file."""
        if stale := self._journal.stale(path, fingerprint):
            self._sink.abandon(path, stale)
            self._journal.forget_memory(path)


def _what(outcome: Again | Aside) -> What | None:
    if isinstance(outcome, Aside):
        return What.ASIDE
    return What.FAILED if outcome.reason else None
