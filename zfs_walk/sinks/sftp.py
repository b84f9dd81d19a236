"""Files go to a server by SFTP."""

import copy
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import ClassVar, Final, Self

from zfs_walk.sinks import sftp_wire as wire
from zfs_walk.sinks.errors import (
    CorruptedError,
    FileRefusedError,
    FullSinkError,
    MissingError,
    SinkError,
    SinkRefusedError,
    TransientError,
    UnreachableSinkError,
)
from zfs_walk.sinks.interface import Memory, Remote, Report
from zfs_walk.sinks.sftp_connect import Connection, connect
from zfs_walk.sinks.sftp_options import SftpOptions, parse
from zfs_walk.sinks.sftp_send import Sending, abandon
from zfs_walk.sinks.sftp_session import LostError, Session
from zfs_walk.sinks.sftp_tree import Tree, is_file, is_folder
from zfs_walk.sinks.sftp_wire import Access, Attributes, GarbledError, Status, StatusError
from zfs_walk.sinks.source import Source

_SECOND: Final = 1_000_000_000
_PROBE: Final = b"\0" * 4096
"""What is written to see whether anything can be: a block of most file systems."""


class SftpSink:
    """A folder of an SFTP server; each fork has a connection of its own.

    Args:
        url: ``sftp://USER@HOST:PORT/FOLDER``.
        options: how to log in, and how careful to be.

    Raises:
        WrongUseError: it is no such URL.
    """

    Options: ClassVar[type[SftpOptions]] = SftpOptions
    granularity_ns = _SECOND

    def __init__(self, url: str, options: SftpOptions) -> None:
        self._address = parse(url)
        self._options = options
        self._tree = Tree(self._address, options.client)
        # sshd refuses many that have not logged in yet (its MaxStartups).
        self._connecting = threading.Lock()
        self._connection: Connection | None = None
        self._session: Session | None = None

    def fork(self) -> Self:
        """Another one, with a connection of its own when it needs one."""
        twin = copy.copy(self)
        twin._connection = twin._session = None  # noqa: SLF001 -- one of us
        return twin

    def place(self, name: bytes) -> str:
        """Where a name goes, as a URL."""
        self._tree.path(name)
        return self._address.text(name)

    def check(self) -> None:
        """See that the folder is there and takes a file."""
        with self._talking(b"") as session:
            try:
                found = session.do(wire.stat(self._tree.root)).attributes()
            except StatusError as error:
                if error.status != Status.NO_SUCH_FILE:
                    raise
                found = Attributes()
            if not is_folder(found):
                reason = "it is no folder that is there: make it, or mount what has it"
                raise SinkRefusedError(place=self._address.text(), reason=reason)
            self._probe(session)

    def send(self, source: Source, name: bytes, memory: Memory, report: Report) -> Remote:
        """Send a file; a large one is gone on with from where it stopped."""
        path = self._tree.path(name)
        with self._talking(name, source.size) as session:
            sending = Sending(
                session,
                self._tree,
                source,
                path,
                memory=memory,
                report=report,
                options=self._options,
            )
            if source.target is not None:
                self._tree.forget(path)
            return _remote(name, sending.send())

    def abandon(self, name: bytes, memory: Memory) -> None:
        """Take away what was begun."""
        path = self._tree.path(name)
        with self._talking(name) as session:
            abandon(session, self._tree, path, memory)

    def delete(self, name: bytes) -> None:
        """Take a file away, and parents that are empty by that."""
        path = self._tree.path(name)
        above = self._tree.above(path)
        with self._talking(name) as session:
            if not self._tree.enter(session, above):
                return
            removed = session.ask(wire.remove(path))
            pruned = session.ask(wire.remove_folder(above)) if above != self._tree.root else None
            session.flush()
            try:
                session.answer(removed).done()
            except StatusError as error:
                if error.status != Status.NO_SUCH_FILE:
                    there = self._tree.look(session, path)
                    if there is not None and is_file(there):
                        raise
            finally:
                if pruned is not None:
                    with suppress(StatusError):
                        session.answer(pruned).done()
                        self._tree.forget(above)
                        self._tree.prune(session, self._tree.above(above))

    def move(self, old: bytes, new: bytes) -> Remote:
        """Give a file another name, in place of what has it."""
        source, target = self._tree.path(old), self._tree.path(new)
        with self._talking(old) as session:
            there = self._seen(session, source)
            if there is None:
                done = self._seen(session, target)
                if done is None:
                    reason = "there is no file to be moved, and none that was"
                    raise MissingError(place=self._address.text(old), reason=reason)
                return _remote(new, done)
            if target.startswith(source + b"/") or source.startswith(target + b"/"):
                # Each is in the other's way: out of it first.
                nearer = min(source, target, key=len)
                aside = self._tree.unfinished(nearer)
                with self._tree.passing(aside):
                    self._rename(session, source, aside)
                    try:
                        self._rename(session, aside, target)
                    except (StatusError, SinkError):
                        self._rename(session, aside, source)
                        raise
            else:
                self._rename(session, source, target)
            return _remote(new, there)

    def _rename(self, session: Session, old: bytes, new: bytes) -> None:
        self._tree.enter(session, self._tree.above(new), make=True)
        try:
            self._tree.rename(session, old, new)
        except StatusError as error:
            if error.status != Status.NO_SUCH_FILE:
                raise
            # The folder that it goes to went with the last file in it, which another thread moved.
            self._tree.forget(self._tree.above(new))
            self._tree.enter(session, self._tree.above(new), make=True)
            self._tree.rename(session, old, new)
        self._tree.prune(session, self._tree.above(old))

    def look(self, name: bytes) -> Remote | None:
        """What has this name."""
        path = self._tree.path(name)
        with self._talking(name) as session:
            found = self._seen(session, path)
            return None if found is None else _remote(name, found)

    def _seen(self, session: Session, path: bytes) -> Attributes | None:
        if not self._tree.enter(session, self._tree.above(path)):
            return None
        found = self._tree.look(session, path)
        return found if found is not None and is_file(found) else None

    def matches(self, source: Source, remote: Remote) -> bool:  # noqa: ARG002 -- the interface
        """Never known: SFTP keeps no checksum."""
        return False

    def list(self, prefix: bytes) -> Iterator[Remote]:
        """The files at a name or below it."""
        path = self._tree.path(prefix) if prefix else self._tree.root
        with self._talking(prefix) as session:
            if prefix:
                if not self._tree.enter(session, self._tree.above(path)):
                    return
                found = self._tree.look(session, path)
                if found is None:
                    return
                if is_file(found):
                    yield _remote(prefix, found)
                if not is_folder(found):
                    return
            for name, found in self._tree.walk(session, prefix):
                yield _remote(name, found)

    def sweep(self, known: frozenset[str]) -> int:
        """Take away the unfinished files of this client that nobody knows."""
        with self._talking(b"") as session:
            return self._tree.sweep(session, known)

    def close(self) -> None:
        """End the connection."""
        self._session = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> Session:
        if self._connection is not None and not self._connection.alive:
            self.close()
        if self._session is None:
            with self._connecting:
                self._connection = connect(self._address, self._options)
            self._session = Session(self._connection)
        return self._session

    @contextmanager
    def _talking(self, name: bytes, size: int | None = None) -> Iterator[Session]:
        """A session; what goes wrong in it becomes a `SinkError`.

        Args:
            name: what it is about.
            size: bytes that are to be written.
        """
        try:
            session = self._connected()
        except (LostError, GarbledError) as error:
            self.close()
            raise UnreachableSinkError(place=self._address.text(), reason=error) from error
        try:
            yield session
        except StatusError as error:
            why = self._why(session, error, name, size)
            raise why from error
        except LostError as error:
            self.close()
            kind = CorruptedError if error.corrupted else UnreachableSinkError
            raise kind(place=self._address.text(name), reason=error) from error
        except GarbledError as error:
            self.close()
            raise TransientError(place=self._address.text(name), reason=error) from error

    def _why(
        self, session: Session, error: StatusError, name: bytes, size: int | None
    ) -> SinkError:
        """The error that a status means: OpenSSH says no more than "failure" of most."""
        try:
            if size is not None:
                self._probe(session, size)
        except SinkError as whole:
            return whole
        except (StatusError, LostError, GarbledError):
            pass
        return _meant(self._address.text(name), error)

    def _probe(self, session: Session, size: int = len(_PROBE)) -> None:
        """See that a file can be made and written.

        Raises:
            SinkError: none can.
        """
        place = self._address.text()
        free = None
        if session.offers(b"statvfs@openssh.com"):
            room = wire.room_of(session.do(wire.room(self._tree.root)))
            if room.read_only:
                reason = "its file system can only be read"
                raise SinkRefusedError(place=place, reason=reason)
            free = room.free
        path = self._tree.unfinished(self._tree.path(b"x"))
        with self._tree.passing(path):
            written = self._try(session, path, free)
        if not written or (free is not None and free < size):
            reason = f"{size} bytes are needed"
            if free is not None:
                reason += f", and {free} are free"
            raise FullSinkError(place=place, reason=reason)

    def _try(self, session: Session, path: bytes, free: int | None) -> bool:
        """Make a file and take it away; whether there was room for what it has.

        Raises:
            SinkError: no file can be made.
        """
        place = self._address.text()
        access = Access.WRITE + Access.CREATE + Access.EXCLUSIVE
        try:
            handle = session.do(wire.open_file(path, access, 0o600)).handle()
        except StatusError as error:
            reason = f"no file can be made there: {error}"
            if _is_full(error) or free == 0:
                raise FullSinkError(place=place, reason=reason) from error
            raise SinkRefusedError(place=place, reason=reason) from error
        try:
            session.do(wire.write(handle, 0, _PROBE)).done()
        except StatusError as error:
            if not _is_full(error) and free is not None and free >= len(_PROBE):
                raise
            return False
        finally:
            session.do(wire.close(handle))
            session.do(wire.remove(path))
        return True


def _remote(name: bytes, found: Attributes) -> Remote:
    mtime_ns = None if found.mtime is None else found.mtime * _SECOND
    return Remote(name, found.size or 0, mtime_ns, "")


def _is_full(error: StatusError) -> bool:
    words = error.text.lower()
    full = {Status.NO_SPACE_ON_FILESYSTEM, Status.QUOTA_EXCEEDED}
    return error.status in full or "no space" in words or "quota" in words


def _meant(place: str, error: StatusError) -> SinkError:
    if _is_full(error):
        return FullSinkError(place=place, reason=error)
    kinds: dict[int, Callable[..., SinkError]] = {
        Status.NO_SUCH_FILE: MissingError,
        Status.PERMISSION_DENIED: FileRefusedError,
        Status.BAD_MESSAGE: FileRefusedError,
        Status.OP_UNSUPPORTED: FileRefusedError,
    }
    return kinds.get(error.status, TransientError)(place=place, reason=error)
