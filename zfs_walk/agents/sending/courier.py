"""Brings packs of files to a sink, by one thread: looks, judges, sends, tries again."""

import errno
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Final, Protocol

from zfs_walk.agents.sending.notes import Notes
from zfs_walk.agents.sending.pieces import Fate, Outcome, Piece
from zfs_walk.agents.sending.there import There, folder_of, list_folder
from zfs_walk.errors import ZfsWalkError
from zfs_walk.mirror.birth import await_next_moment
from zfs_walk.mirror.compare import Rules, Trio, Verdict, judge
from zfs_walk.mirror.retry import reason_of
from zfs_walk.sinks.errors import ChangedError, NameRefusedError, SinkError, StoppedError
from zfs_walk.sinks.interface import (
    LARGEST_PARCEL,
    Folders,
    Parcel,
    Remote,
    Report,
    Sink,
    Together,
)
from zfs_walk.sinks.source import Source
from zfs_walk.watch.tree import Row

_log = logging.getLogger("zfs_walk.worker")

PAUSES: Final = (0.2, 1.0, 3.0)
"""Seconds before a second, a third and a fourth try: what passes passes within them, and what does
not is soon told."""

_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL})
"""Opening a file: there is none, or something else, which `Source` says with EINVAL."""


class Watch(Protocol):
    """Sees to it that nothing is begun that is to end, and that who works is seen to."""

    def report(self, piece: Piece) -> Report:
        """What a sink tells of a file's bytes."""
        ...

    def pause(self, seconds: float) -> None:
        """Wait.

        Raises:
            StoppedError: everything is to end now.
        """
        ...


@dataclass(slots=True)
class _Trouble:
    """Why a file is not there yet."""

    piece: Piece
    error: Exception


class Courier:
    """What one thread does.

    Args:
        sink: this thread's own.
        notes: of transfers to it.
        watch: is told of progress.
        dry_run: nothing is sent.
    """

    def __init__(self, sink: Sink, notes: Notes, watch: Watch, *, dry_run: bool) -> None:
        self._sink = sink
        self._together = sink if isinstance(sink, Together) else None
        self._notes = notes
        self._watch = watch
        self._dry_run = dry_run
        self._rules = Rules(
            complete_sync=False, deletion_delay=0.0, granularity_ns=sink.granularity_ns
        )

    def listed(self, folder: bytes, most: int) -> dict[bytes, Remote] | None:
        """What is right in a folder, by name; None: it is not known, or more than ``most``."""
        if not isinstance(self._sink, Folders):
            return None
        try:
            return list_folder(self._sink, folder, most)
        except Exception as error:  # noqa: BLE001 -- the looks at its files will tell
            _log.debug("%s: could not be listed: %s", folder, error)
            return None

    def carry(self, root: int, pieces: Sequence[Piece], there: There) -> list[Outcome]:
        """Bring files there; whatever is wrong with one of them becomes its outcome.

        Args:
            root: descriptor of the folder that their names are relative to.
            pieces: one of any size, or small ones.
            there: what was there a moment ago.

        Raises:
            StoppedError: everything is to end now.
            SinkError: nothing can be sent at all.
        """
        outcomes: list[Outcome] = []
        pauses = iter(PAUSES)
        while True:
            troubles = self._try(root, pieces, there, outcomes)
            again = [each for each in troubles if _passes(each.error)]
            outcomes += [_given_up(each) for each in troubles if not _passes(each.error)]
            if not again:
                return outcomes
            pause = next(pauses, None)
            if pause is None:
                for each in again:
                    if _concerns_all(each.error):
                        raise each.error
                return [*outcomes, *map(_given_up, again)]
            pieces = [each.piece for each in again]
            # What was tried may have arrived nevertheless.
            there = {}
            self._watch.pause(pause)

    def _try(
        self, root: int, pieces: Sequence[Piece], there: There, outcomes: list[Outcome]
    ) -> list[_Trouble]:
        """Try each once; adds what became of those that are done with, returns the others."""
        troubles: list[_Trouble] = []
        with ExitStack() as stack:
            waiting = self._begin_all(root, (pieces, there), outcomes, troubles, stack)
            for piece, end in self._send_together(waiting):
                if isinstance(end, StoppedError):
                    raise end
                if isinstance(end, Exception):
                    troubles.append(_Trouble(piece, end))
                else:
                    outcomes.append(Outcome(piece, Fate.SENT, end.size))
        for each in troubles:
            if _concerns_all(each.error) and not _passes(each.error):
                raise each.error
        return troubles

    def _begin_all(
        self,
        root: int,
        given: tuple[Sequence[Piece], There],
        outcomes: list[Outcome],
        troubles: list[_Trouble],
        stack: ExitStack,
    ) -> list[tuple[Piece, Parcel]]:
        """Begin with each; returns those that are to be sent together."""
        pieces, there = given
        waiting: list[tuple[Piece, Parcel]] = []
        for number, piece in enumerate(pieces):
            try:
                done = self._begin(root, piece, there, stack)
            except StoppedError:
                raise
            except Exception as error:  # noqa: BLE001 -- one file's trouble is not another's
                if _concerns_all(error):
                    # Not found out for each anew: that may take a minute each time.
                    troubles += [_Trouble(each, error) for each in pieces[number:]]
                    break
                troubles.append(_Trouble(piece, error))
                continue
            if isinstance(done, Parcel):
                waiting.append((piece, done))
            else:
                outcomes.append(done)
        return waiting

    def _begin(self, root: int, piece: Piece, there: There, stack: ExitStack) -> Outcome | Parcel:
        """Judge a file, and send it; or say how it is to be sent with others."""
        self._watch.report(piece)(0)
        self._sink.place(piece.name)
        remote = self._seen(piece, there)
        # As what is listed: no index says what was sent before.
        row = Row(piece.name, piece.size, piece.mtime_ns, 0, piece.mode)
        verdict = judge(Trio(piece.name, row, None, remote), self._rules)
        if verdict is Verdict.RECORD:
            return Outcome(piece, Fate.UNCHANGED, piece.size)
        if self._dry_run and verdict is Verdict.SEND:
            return Outcome(piece, Fate.PLANNED, piece.size)
        source = stack.enter_context(closing(Source(root, piece.name)))
        if remote is not None and verdict is Verdict.LOOK and self._sink.matches(source, remote):
            return Outcome(piece, Fate.UNCHANGED, source.size)
        if self._dry_run:
            return Outcome(piece, Fate.PLANNED, source.size)
        await_next_moment(source.stat.st_mtime_ns)
        return self._send(piece, source)

    def _seen(self, piece: Piece, there: There) -> Remote | None:
        """What is there under a file's name, as far as it matters."""
        listed = there.get(folder_of(piece.name))
        if listed is None:
            return self._sink.look(piece.name)
        remote = listed.get(piece.name)
        if remote is None or remote.size != piece.size or remote.mtime_ns is not None:
            return remote
        # It is of the same size, and a list does not tell its time.
        return self._sink.look(piece.name)

    def _send(self, piece: Piece, source: Source) -> Outcome | Parcel:
        note = self._notes.of(piece.name)
        if note.exists and not note.is_of(source.fingerprint):
            self._sink.abandon(piece.name, note)
            note.forget()
        note.fingerprint = source.fingerprint
        report = self._watch.report(piece)
        if self._together and source.size <= LARGEST_PARCEL and not note.exists:
            return Parcel(source, piece.name, report)
        remote = self._sink.send(source, piece.name, note, report)
        note.forget()
        return Outcome(piece, Fate.SENT, remote.size)

    def _send_together(
        self, waiting: Sequence[tuple[Piece, Parcel]]
    ) -> list[tuple[Piece, Remote | Exception]]:
        if self._together is None or not waiting:
            return []
        try:
            ends = self._together.send_together([parcel for _, parcel in waiting])
        except Exception as error:  # noqa: BLE001 -- as of each
            ends = [error] * len(waiting)
        return [(piece, end) for (piece, _), end in zip(waiting, ends, strict=True)]


def _concerns_all(error: Exception) -> bool:
    """Whether it is the sink's trouble, and no file's."""
    return isinstance(error, SinkError) and error.whole


def _passes(error: Exception) -> bool:
    """Whether trying again may help."""
    if isinstance(error, SinkError):
        return error.again
    return isinstance(error, ChangedError)


def _given_up(trouble: _Trouble) -> Outcome:
    piece, error = trouble.piece, trouble.error
    number = error.errno or 0 if isinstance(error, OSError) else 0
    if number in _GONE:
        return Outcome(piece, Fate.GONE, piece.size)
    if not isinstance(error, ZfsWalkError | ChangedError | OSError):
        _log.error("sending failed", exc_info=error)
    refused = isinstance(error, NameRefusedError) or (
        isinstance(error, SinkError) and not error.again
    )
    fate = Fate.REFUSED if refused else Fate.UNSENT
    return Outcome(piece, fate, piece.size, number, reason_of(error))


Stop = Callable[[], bool]
"""Whether everything is to end now."""


def wait(seconds: float, stop: Stop) -> None:
    """Wait, unless everything is to end.

    Raises:
        StoppedError: it is.
    """
    until = time.monotonic() + seconds
    while not stop():
        left = until - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(0.05, left))
    raise StoppedError
