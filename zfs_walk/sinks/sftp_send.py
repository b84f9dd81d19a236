"""One file on its way: under an unfinished name first, many requests at a time.

A small file needs three round trips: open; write, attributes, fsync, close and stat in one go;
rename. A large one is noted, so that what is there of it is gone on with. All up to the last fsync
that was answered is believed, as the server had it on its disk; what came later is read back and
compared, as a server that lost its power may have kept any part of it.
"""

import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Final

from zfs_walk import faults
from zfs_walk.sinks import sftp_wire as wire
from zfs_walk.sinks.errors import ChangedError, CorruptedError, SinkError
from zfs_walk.sinks.interface import Memory, Report
from zfs_walk.sinks.sftp_answers import GarbledError, Status, StatusError
from zfs_walk.sinks.sftp_options import SftpOptions
from zfs_walk.sinks.sftp_resume import AHEAD, PART, equal_up_to
from zfs_walk.sinks.sftp_session import LostError, Session, Talk
from zfs_walk.sinks.sftp_tree import Tree
from zfs_walk.sinks.sftp_wire import Access, Attributes, Bulk, Slice
from zfs_walk.sinks.source import Source

SMALL: Final = 4 << 20
"""Bytes up to which a file is not noted, but sent again: cheaper than two durable notes."""

CHECKPOINT: Final = 64 << 20
"""Bytes after which the server is asked for an fsync: what may have to be read back."""

LOOKED_AT: Final = 1 << 16
"""Bytes before the last fsync that are compared too: that it is the right file at all."""

_SLICED: Final = 1 << 16
"""Bytes that are not read, but left to the system to send."""

_NEW: Final = Access.WRITE + Access.CREATE + Access.EXCLUSIVE
_LAST_SECOND: Final = 2**32 - 1
_TRIES: Final = 5
_FSYNC: Final = b"fsync@openssh.com"
_SYNCED: Final = "synced"


class Sending:
    """A file that is to be sent.

    Args:
        session: to the server.
        tree: what is below the sink's root.
        source: the local file.
        path: where it goes.
        memory: of a large file's transfer; None: nothing is noted.
        report: is told of bytes.
        options: ``fsync`` and ``verify`` are heeded.
    """

    def __init__(  # noqa: PLR0913 -- what one transfer is about
        self,
        session: Session,
        tree: Tree,
        source: Source,
        path: bytes,
        *,
        memory: Memory | None,
        report: Report,
        options: SftpOptions,
    ) -> None:
        self._session = session
        self._tree = tree
        self._source = source
        self._path = path
        self._report = report
        self._fsync = options.fsync and session.offers(_FSYNC)
        self._verify = options.verify
        large = source.target is None and source.size > SMALL
        self._memory = memory if large else None
        self._pending: deque[int] = deque()
        self._handle: bytes | None = None

    def send(self) -> Talk[Attributes]:
        """Do it; returns what is there then.

        What is rare is done without letting others go on meanwhile.

        Raises:
            ChangedError: the file has changed meanwhile.
            CorruptedError: what is there is not what was sent.
            StatusError: the server did not do something.
            LostError: the connection is no more.
        """
        self._tree.tidy(self._session)
        yield from self._tree.entering(self._session, self._tree.above(self._path), make=True)
        part = self._part()
        noted = self._memory is not None
        with self._cleaning(part), nullcontext() if noted else self._tree.passing(part):
            if self._source.target is not None:
                found = self._link(part)
            else:
                found = yield from self._content(part)
                if self._verify:
                    self._read_back(part)
            self._source.check()
            faults.point("sftp.sent")
            yield from self._tree.renaming(self._session, part, self._path)
        faults.point("sftp.renamed")
        return found

    def _part(self) -> bytes:
        if self._memory is None:
            return self._tree.unfinished(self._path)
        noted = self._memory.load().get(PART)
        if noted is not None:
            return self._tree.beside(self._path, noted.encode())
        part = self._tree.unfinished(self._path)
        self._memory.store(PART, part.rpartition(b"/")[2].decode())
        return part

    @contextmanager
    def _cleaning(self, part: bytes) -> Iterator[None]:
        """Leave nothing there but what can be gone on with."""
        try:
            yield
        except (LostError, GarbledError):
            raise
        except BaseException as error:
            ended = isinstance(error, ChangedError | StatusError | SinkError)
            with suppress(LostError, GarbledError, StatusError):
                self._close()
                if ended or self._memory is None:
                    self._session.do(wire.remove(part)).done()
            raise

    def _close(self) -> None:
        for number in self._pending:
            self._session.forget(number)
        self._pending.clear()
        if self._handle is not None:
            handle, self._handle = self._handle, None
            self._session.do(wire.close(handle)).done()

    def _link(self, part: bytes) -> Attributes:
        self._report(self._source.size)
        self._session.do(wire.make_link(self._source.target or b"", part)).done()
        wanted = Attributes(mtime=self._seconds)
        if self._session.offers(b"lsetstat@openssh.com"):
            self._session.do(wire.set_link(part, wanted)).done()
        return self._session.do(wire.stat_link(part)).attributes()

    @property
    def _seconds(self) -> int:
        return max(0, min(self._source.stat.st_mtime_ns // 1_000_000_000, _LAST_SECOND))

    def _content(self, part: bytes) -> Talk[Attributes]:
        start = None if self._memory is None else self._resume(part, self._memory)
        if start is not None:
            try:
                return (yield from self._rest(part, start))
            except StatusError:
                if not start:
                    raise
            # Some servers let nobody write in the middle of a file that is there.
            self._close()
            self._session.do(wire.remove(part)).done()
        self._handle = yield from self._create(part)
        faults.point("sftp.begun")
        return (yield from self._rest(part, 0))

    def _create(self, part: bytes) -> Talk[bytes]:
        request = wire.open_file(part, _NEW, 0o600)
        for _ in range(_TRIES):
            asked = self._session.ask(request)
            yield
            try:
                return self._session.answer(asked).handle()
            except StatusError as error:
                if error.status != Status.NO_SUCH_FILE:
                    raise
            # Another thread has taken the last file out of the folder, and the folder with it.
            self._tree.forget(self._tree.above(self._path))
            self._tree.enter(self._session, self._tree.above(self._path), make=True)
        return self._session.do(request).handle()

    def _resume(self, part: bytes, memory: Memory) -> int | None:
        """Open what is there and compare it; returns where to go on. None: nothing is there."""
        there = self._tree.look(self._session, part)
        if there is None:
            return None
        if not stat.S_ISREG(there.mode or 0):
            self._session.do(wire.remove(part)).done()
            return None
        # Some servers let nobody read what is open for writing, or write in the middle.
        try:
            request = wire.open_file(part, Access.READ + Access.WRITE)
            self._handle = self._session.do(request).handle()
        except StatusError:
            self._session.do(wire.remove(part)).done()
            return None
        try:
            size = self._session.do(wire.stat_handle(self._handle)).attributes().size or 0
            end = min(size, self._source.size)
            synced = min(int(memory.load().get(_SYNCED, 0)), end)
            start = self._equal(max(0, synced - LOOKED_AT), end)
            if start < synced:
                start = 0
            if size > start:
                self._session.do(wire.set_handle(self._handle, Attributes(size=start))).done()
        except StatusError:
            self._close()
            self._session.do(wire.remove(part)).done()
            return None
        return start

    def _equal(self, start: int, end: int) -> int:
        handle = self._handle or b""
        return equal_up_to(self._session, handle, self._source, (start, end), self._report)

    def _rest(self, part: bytes, start: int) -> Talk[Attributes]:
        """Write from there on, and see that all is there."""
        handle = self._handle or b""
        offset = start
        checkpoint = start
        synced: tuple[int, int] | None = None
        block = self._session.block
        while offset < self._source.size:
            size = min(block, self._source.size - offset)
            self._report(size)
            data = self._data(offset, size)
            self._pending.append(self._session.ask(wire.write(handle, offset, data)))
            offset += size
            if self._memory is not None and self._fsync and offset - checkpoint >= CHECKPOINT:
                # It is answered after all writes before it, and those have succeeded by then.
                self._pending.append(self._session.ask(wire.synchronise(handle)))
                checkpoint = offset
                synced = self._pending[-1], offset
            while len(self._pending) * block > AHEAD:
                number = self._pending.popleft()
                self._session.answer(number).done()
                if self._memory is not None and synced is not None and number == synced[0]:
                    self._memory.store(_SYNCED, str(synced[1]))
                    faults.point("sftp.synced")
        return (yield from self._finish(part))

    def _data(self, offset: int, size: int) -> Bulk:
        if size < _SLICED:
            return self._source.read(size, offset)
        # What it has lost meanwhile is found by `Source.check`.
        return Slice(self._source.fileno(), offset, size)

    def _finish(self, part: bytes) -> Talk[Attributes]:
        """Set time and permissions, close, and see that all is there."""
        session, handle = self._session, self._handle or b""
        wanted = Attributes(mode=self._source.stat.st_mode & 0o777, mtime=self._seconds)
        # Whether it was done is seen below: a server that does several requests at once may do
        # this before the writes, and some refuse it then.
        session.forget(session.ask(wire.set_handle(handle, wanted)))
        if self._fsync:
            self._pending.append(session.ask(wire.synchronise(handle)))
        self._pending.append(session.ask(wire.close(handle)))
        # Not by the handle: that could be answered before the writes are done.
        looked = session.ask(wire.stat_link(part))
        self._pending.append(looked)
        self._handle = None
        yield
        while self._pending[0] != looked:
            session.answer(self._pending.popleft()).done()
        found = session.answer(self._pending.popleft()).attributes()
        if found.mtime != self._seconds:
            session.do(wire.set_path(part, wanted)).done()
            found = session.do(wire.stat_link(part)).attributes()
        if found.size != self._source.size:
            reason = f"{found.size} bytes are there, not {self._source.size}"
            raise CorruptedError(place=self._tree.shown(self._path), reason=reason)
        return found

    def _read_back(self, part: bytes) -> None:
        self._handle = self._session.do(wire.open_file(part, Access.READ)).handle()
        equal = self._equal(0, self._source.size)
        self._close()
        if equal != self._source.size:
            reason = f"what is read back differs from byte {equal} on"
            raise CorruptedError(place=self._tree.shown(self._path), reason=reason)
