"""The files of an SFTP sink, many folders read at a time."""

from collections import deque
from collections.abc import Generator, Iterable
from contextlib import suppress
from typing import Final

from zfs_walk.sinks import sftp_wire as wire
from zfs_walk.sinks.sftp_answers import GarbledError, Status, StatusError
from zfs_walk.sinks.sftp_session import LostError, Session
from zfs_walk.sinks.sftp_tree import OURS, Tree, is_file, is_folder
from zfs_walk.sinks.sftp_wire import Attributes

_AHEAD: Final = 64
"""Requests under way while a tree is listed; a reply of OpenSSH has up to 100 names."""

Found = tuple[bytes, Attributes]
"""A name below the root, and what is there."""


def walk(
    session: Session, tree: Tree, name: bytes, ours: list[bytes], *, deep: bool = True
) -> Generator[Found]:
    """The files below a folder, many folders at a time; unfinished ones are none.

    Args:
        session: can be used for other things between two of them.
        tree: what it is in.
        name: of the folder, below the root; empty: the root.
        ours: takes the unfinished files of this client, and what it has put out of the way.
        deep: also the files in the folders that are in it.

    Raises:
        StatusError: a folder can't be read.
    """
    todo = [name]
    reading = _Walk(session)
    try:
        while todo or reading.busy:
            while todo and reading.busy < _AHEAD:
                folder = todo.pop()
                reading.open(folder, tree.prefix + folder if folder else tree.root)
            folder, names = reading.next()
            for last, found in names:
                whole = folder + b"/" + last if folder else last
                if is_folder(found):
                    if deep:
                        todo.append(whole)
                elif not is_file(found):
                    continue
                elif not last.startswith(OURS):
                    yield whole, found
                elif last.startswith(tree.ours):
                    ours.append(whole)
    finally:
        reading.close()


def sweep(session: Session, tree: Tree, ours: Iterable[bytes], known: frozenset[str]) -> int:
    """Take away unfinished files that nobody knows; returns how many.

    A file that was put out of the way, and whose name nothing has, gets its name back.

    Args:
        session: that is used.
        tree: what they are in.
        ours: of this client.
        known: last parts of the names of those that are needed.
    """
    swept = 0
    kept = tree.ours + b"old."
    for name in ours:
        path, last = tree.prefix + name, name.rpartition(b"/")[2]
        if last.decode("ascii", "replace") in known:
            continue
        origin = tree.beside(path, last.removeprefix(kept)) if last.startswith(kept) else None
        with suppress(StatusError):  # another transfer of ours has ended meanwhile
            if origin is not None and tree.look(session, origin) is None:
                session.do(wire.rename(path, origin)).done()
            else:
                session.do(wire.remove(path)).done()
            swept += 1
    return swept


class _Walk:
    """Folders that are being read, each with one request under way."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._opened: deque[tuple[bytes, int]] = deque()
        self._reading: deque[tuple[bytes, bytes, int]] = deque()

    @property
    def busy(self) -> int:
        """Folders that are being read."""
        return len(self._opened) + len(self._reading)

    def open(self, folder: bytes, path: bytes) -> None:
        """Read one more folder."""
        self._opened.append((folder, self._session.ask(wire.open_folder(path))))

    def _read_on(self, folder: bytes, handle: bytes) -> None:
        self._reading.append((folder, handle, self._session.ask(wire.read_folder(handle))))

    def next(self) -> tuple[bytes, list[Found]]:
        """Some names of one folder, perhaps none."""
        while self._opened:
            folder, number = self._opened.popleft()
            try:
                self._read_on(folder, self._session.answer(number).handle())
            except StatusError as error:
                if error.status != Status.NO_SUCH_FILE or not folder:
                    raise
                return folder, []  # it is gone meanwhile
        folder, handle, number = self._reading.popleft()
        try:
            names = self._session.answer(number).names()
        except StatusError as error:
            self._session.forget(self._session.ask(wire.close(handle)))
            if error.status != Status.EOF:
                raise
            return folder, []
        self._read_on(folder, handle)
        return folder, [found for found in names if found[0] not in {b".", b".."}]

    def close(self) -> None:
        """Have nothing open there, when not all was read."""
        with suppress(LostError, GarbledError, StatusError):
            for _, number in self._opened:
                handle = self._session.answer(number).handle()
                self._session.forget(self._session.ask(wire.close(handle)))
            for _, handle, number in self._reading:
                self._session.forget(number)
                self._session.forget(self._session.ask(wire.close(handle)))
