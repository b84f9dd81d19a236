"""Files go to a server by SFTP."""

import copy
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import islice
from typing import ClassVar, Final, Self

from zfs_walk.errors import ZfsWalkError
from zfs_walk.sinks import sftp_wire as wire
from zfs_walk.sinks.errors import (
    CorruptedError,
    MissingError,
    NameRefusedError,
    SinkError,
    SinkRefusedError,
    TransientError,
    UnreachableSinkError,
)
from zfs_walk.sinks.interface import Memory, Parcel, Remote, Report, permissions
from zfs_walk.sinks.kept_secret import need_keyring
from zfs_walk.sinks.sftp_answers import GarbledError, Status, StatusError
from zfs_walk.sinks.sftp_connect import Connector
from zfs_walk.sinks.sftp_options import SftpOptions, parse
from zfs_walk.sinks.sftp_resume import abandon
from zfs_walk.sinks.sftp_send import Sending
from zfs_walk.sinks.sftp_session import LostError, Session, Talk, alone, together
from zfs_walk.sinks.sftp_tree import Tree, is_file, is_folder
from zfs_walk.sinks.sftp_trouble import probe, why
from zfs_walk.sinks.sftp_walk import sweep, walk
from zfs_walk.sinks.sftp_wire import Attributes
from zfs_walk.sinks.source import Source

_SECOND: Final = 1_000_000_000


class SftpSink:
    """A folder of an SFTP server; each fork has a connection of its own.

    Args:
        url: ``sftp://USER@HOST:PORT/FOLDER``.
        options: how to log in, and how careful to be.

    Raises:
        WrongUseError: it is no such URL.
        MissingExtraError: a password is in a keyring, and what reads it is not installed.
    """

    Options: ClassVar[type[SftpOptions]] = SftpOptions
    granularity_ns = _SECOND
    together = 32

    def __init__(self, url: str, options: SftpOptions) -> None:
        self._address = parse(url)
        self._options = options
        if options.password_keyring is not None:
            need_keyring("password_keyring")
        self._tree = Tree(self._address, options.client)
        self._connector = Connector(self._address, options)
        self._session: Session | None = None
        # Unfinished files of ours, as the last whole list has shown them.
        self._ours: list[bytes] | None = None

    def fork(self) -> Self:
        """Another one, with a connection of its own when it needs one."""
        twin = copy.copy(self)
        twin._session = None  # noqa: SLF001 -- one of us
        return twin

    def dial(self) -> None:
        """Begin to connect, without waiting."""
        self._connector.dial()

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
            probe(session, self._tree)

    def send(self, source: Source, name: bytes, memory: Memory, report: Report) -> Remote:
        """Send a file; a large one is gone on with from where it stopped."""
        return alone(self._sending(self._connected(), Parcel(source, name, report), memory))

    def send_together(self, parcels: Sequence[Parcel]) -> list[Remote | Exception]:
        """Send small files, each of the three round trips for all of them at once."""
        try:
            session = self._connected()
        except ZfsWalkError as error:
            return [error] * len(parcels)
        folders = set()
        for parcel in parcels:
            with suppress(NameRefusedError):  # told below
                folders.add(self._tree.above(self._tree.path(parcel.name)))
        # Each once, not by each file in it. What goes wrong is found and told below.
        together(self._tree.entering(session, folder, make=True) for folder in folders)
        return together(self._sending(session, parcel, None) for parcel in parcels)

    def _sending(self, session: Session, parcel: Parcel, memory: Memory | None) -> Talk[Remote]:
        source, name, report = parcel
        path = self._tree.path(name)
        if source.target is not None:
            self._tree.forget(path)
        sending = Sending(
            session, self._tree, source, path, memory=memory, report=report, options=self._options
        )
        with self._meaning(session, name, source.size):
            return _remote(name, (yield from sending.send()))

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
            ours: list[bytes] = []
            for name, found in walk(session, self._tree, prefix, ours):
                yield _remote(name, found)
            if not prefix:
                self._ours = ours

    def files_in(self, folder: bytes, most: int) -> Generator[Remote]:
        """The files right in a folder: see `zfs_walk.sinks.interface.Folders`."""
        path = self._tree.path(folder) if folder else self._tree.root
        with self._talking(folder) as session:
            if folder and not self._tree.enter(session, path):
                return
            with closing(walk(session, self._tree, folder, [], deep=False)) as walking:
                for name, found in islice(walking, most):
                    yield _remote(name, found)

    def sweep(self, known: frozenset[str]) -> int:
        """Take away the unfinished files of this client that nobody knows."""
        with self._talking(b"") as session:
            ours, self._ours = self._ours, None
            if ours is None:
                ours = []
                for _ in walk(session, self._tree, b"", ours):
                    pass
            return sweep(session, self._tree, ours, known)

    def close(self) -> None:
        """End the connection."""
        self._connector.hang_up()
        if self._session is not None:
            self._session.close()
            self._session = None

    def _connected(self) -> Session:
        """A session.

        Raises:
            SinkError: there can be none.
        """
        if self._session is not None and not self._session.alive:
            self.close()
        if self._session is None:
            self._session = self._connector.connect()
        return self._session

    @contextmanager
    def _talking(self, name: bytes) -> Iterator[Session]:
        """A session; what goes wrong in it becomes a `SinkError`."""
        session = self._connected()
        with self._meaning(session, name):
            yield session

    @contextmanager
    def _meaning(self, session: Session, name: bytes, size: int | None = None) -> Iterator[None]:
        """What goes wrong in a session becomes a `SinkError`.

        Args:
            session: that is used.
            name: what it is about.
            size: bytes that are to be written; None: none.
        """
        try:
            yield
        except StatusError as error:
            raise why(session, self._tree, error, name, size) from error
        except LostError as error:
            self.close()
            kind = CorruptedError if error.corrupted else UnreachableSinkError
            raise kind(place=self._address.text(name), reason=error) from error
        except GarbledError as error:
            self.close()
            raise TransientError(place=self._address.text(name), reason=error) from error


def _remote(name: bytes, found: Attributes) -> Remote:
    mtime_ns = None if found.mtime is None else found.mtime * _SECOND
    mode = None if found.mode is None else permissions(found.mode)
    return Remote(name, found.size or 0, mtime_ns, "", mode)
