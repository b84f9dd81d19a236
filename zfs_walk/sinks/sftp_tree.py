"""Names, folders and renames below the root of an SFTP sink.

Every folder on the way to a name is looked at once, so that no symbolic link on the other side
leads out of the root, and remembered. Whoever else may write there can put a link in a folder's
place afterwards: docs/sftp.md says so.
"""

import hashlib
import os
import secrets
import socket
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from zfs_walk.sinks import sftp_wire as wire
from zfs_walk.sinks.errors import NameRefusedError, TransientError
from zfs_walk.sinks.names import parts
from zfs_walk.sinks.sftp_options import Address
from zfs_walk.sinks.sftp_session import LostError, Session
from zfs_walk.sinks.sftp_wire import Attributes, GarbledError, Status, StatusError

OURS: Final = b".zfs-walk."
"""How the names begin that a sink needs for itself."""

LONGEST_PART: Final = 255
"""Bytes of one part of a name: what every file system of a server takes."""

LONGEST: Final = 4095
"""Bytes of a whole path (PATH_MAX of Linux, without its NUL)."""

_REMEMBERED: Final = 65_536
"""Folders that are known; some 10 MB at most."""

_TRIES: Final = 5
"""Times that a folder is made again which others take away: each time somebody else got on."""

_AHEAD: Final = 64
"""Requests under way while a tree is listed; a reply of OpenSSH has up to 100 names."""


def client_of_this_host() -> str:
    """Tells the unfinished files of one host from those of another."""
    identity = b""
    with suppress(OSError):
        identity = Path("/etc/machine-id").read_bytes()
    identity += b":%d:" % os.getuid() + socket.gethostname().encode()
    return hashlib.sha256(identity).hexdigest()[:8]


def is_folder(found: Attributes) -> bool:
    """Whether these are the attributes of a directory."""
    return stat.S_ISDIR(found.mode or 0)


def is_file(found: Attributes) -> bool:
    """Whether these are the attributes of what a sink sends: a file or a symbolic link."""
    return stat.S_ISREG(found.mode or 0) or stat.S_ISLNK(found.mode or 0)


class Tree:
    """What is below the root; shared by all forks of a sink."""

    def __init__(self, address: Address, client: str | None) -> None:
        self._address = address
        self._prefix = address.folder.rstrip(b"/") + b"/" if address.folder else b""
        self.root = address.folder or b"."
        self._ours = OURS + (client or client_of_this_host()).encode() + b"."
        self._known = {self.root}
        self._left: deque[bytes] = deque()

    def path(self, name: bytes) -> bytes:
        """Where a name goes.

        Raises:
            NameRefusedError: it can't be there.
        """
        place = self._address.text()
        for part in parts(name, place):
            if len(part) > LONGEST_PART:
                reason = f"a part of it has {len(part)} bytes, not at most {LONGEST_PART}"
                raise NameRefusedError(place=place, reason=reason)
            if part.startswith(OURS):
                reason = f"{OURS.decode()} begins names of unfinished files"
                raise NameRefusedError(place=place, reason=reason)
        path = self._prefix + name
        if len(path) > LONGEST:
            reason = f"its path has {len(path)} bytes, not at most {LONGEST}"
            raise NameRefusedError(place=place, reason=reason)
        return path

    def above(self, path: bytes) -> bytes:
        """The folder of a path below the root."""
        folder, _, _ = path.rpartition(b"/")
        return folder if len(folder) > len(self._prefix.rstrip(b"/")) else self.root

    def beside(self, path: bytes, name: bytes) -> bytes:
        """A name in the folder of a path."""
        head, slash, _ = path.rpartition(b"/")
        return head + slash + name

    def unfinished(self, path: bytes) -> bytes:
        """A new name for what is to become a path."""
        return self.beside(path, self._ours + secrets.token_hex(8).encode() + b".part")

    @contextmanager
    def passing(self, path: bytes) -> Iterator[None]:
        """Something has an unfinished name; if the connection is lost, `tidy` takes it away."""
        try:
            yield
        except (LostError, GarbledError):
            self._left.append(path)
            raise

    def tidy(self, session: Session) -> None:
        """Take away what has an unfinished name since a connection was lost."""
        while self._left:
            try:
                path = self._left.popleft()
            except IndexError:
                return  # another thread was faster
            with self.passing(path), suppress(StatusError, TransientError):
                folder = self.above(path)
                if self.enter(session, folder):
                    session.do(wire.remove(path)).done()
                    self.prune(session, folder)

    def look(self, session: Session, path: bytes) -> Attributes | None:
        """What has a name; None: nothing."""
        try:
            return session.do(wire.stat_link(path)).attributes()
        except StatusError as error:
            if error.status == Status.NO_SUCH_FILE:
                return None
            raise

    def enter(self, session: Session, folder: bytes, *, make: bool = False) -> bool:
        """See that a folder is there, and that no link leads to it; whether it is.

        Raises:
            TransientError: something else is in its place.
            StatusError: it can't be made.
        """
        for _ in range(_TRIES):
            try:
                return self._enter(session, folder, make=make)
            except StatusError as error:
                if error.status != Status.NO_SUCH_FILE:
                    raise
            # One above it went with the last file in it, which another thread has taken away.
            above = folder
            while above != self.root:
                self._known.discard(above)
                above = self.above(above)
        return self._enter(session, folder, make=make)

    def _enter(self, session: Session, folder: bytes, *, make: bool) -> bool:
        if folder in self._known:
            return True
        if not self._enter(session, self.above(folder), make=make):
            return False
        made = session.ask(wire.make_folder(folder)) if make else None
        looked = session.ask(wire.stat_link(folder))
        refused = None
        if made is not None:
            try:
                session.answer(made).done()
            except StatusError as error:  # mostly because it is there
                refused = error
        try:
            found = session.answer(looked).attributes()
        except StatusError as error:
            if error.status == Status.NO_SUCH_FILE and not make:
                return False
            raise refused or error from None
        if not is_folder(found):
            if not make:
                return False
            reason = "what is there is no folder, and a file is to go below it"
            raise TransientError(place=self.shown(folder), reason=reason)
        if len(self._known) >= _REMEMBERED:
            self._known.intersection_update({self.root})
        self._known.add(folder)
        return True

    def forget(self, folder: bytes) -> None:
        """A folder may be gone, and with it what is below it."""
        below = folder + b"/"
        for known in self._known.copy():
            if known == folder or known.startswith(below):
                self._known.discard(known)
        self._known.add(self.root)

    def prune(self, session: Session, folder: bytes) -> None:
        """Take a folder away if it is empty, and those above that are empty by that."""
        while folder != self.root:
            try:
                session.do(wire.remove_folder(folder)).done()
            except StatusError:
                return
            self.forget(folder)
            folder = self.above(folder)

    def rename(self, session: Session, old: bytes, new: bytes) -> None:
        """Give another name, in place of what has it.

        Raises:
            TransientError: a folder that is not empty has the name.
            StatusError: the server did not do it.
        """
        at_once = session.offers(b"posix-rename@openssh.com")
        request = wire.replace(old, new) if at_once else wire.rename(old, new)
        try:
            session.do(request).done()
        except StatusError:
            there = self.look(session, new)
            if there is None:
                raise
            if is_folder(there):
                self._make_way(session, new)
                session.do(request).done()
            elif at_once:
                raise
            else:
                self._exchange(session, old, new)

    def _make_way(self, session: Session, folder: bytes) -> None:
        self.forget(folder)
        try:
            session.do(wire.remove_folder(folder)).done()
        except StatusError as error:
            reason = "a folder that is not empty has the name of a file that is to go there"
            raise TransientError(place=self.shown(folder), reason=reason) from error

    def _exchange(self, session: Session, old: bytes, new: bytes) -> None:
        """Two renames, where the server has none that replaces; `sweep` puts right a crash."""
        kept = self.beside(new, self._ours + b"old." + new.rpartition(b"/")[2])
        if len(kept.rpartition(b"/")[2]) > LONGEST_PART:
            session.do(wire.remove(new)).done()
            session.do(wire.rename(old, new)).done()
            return
        session.do(wire.rename(new, kept)).done()
        try:
            session.do(wire.rename(old, new)).done()
        except StatusError:
            session.do(wire.rename(kept, new)).done()
            raise
        session.do(wire.remove(kept)).done()

    def walk(self, session: Session, name: bytes, *, ours: bool = False) -> Iterator["Found"]:
        """The files below a folder, many folders at a time.

        Args:
            session: can be used for other things between two of them.
            name: of the folder, below the root; empty: the root.
            ours: the unfinished files of this client instead, and what it has put out of the way.

        Raises:
            StatusError: a folder can't be read.
        """
        todo = [name]
        walk = _Walk(session)
        try:
            while todo or walk.busy:
                while todo and walk.busy < _AHEAD:
                    folder = todo.pop()
                    walk.open(folder, self._prefix + folder if folder else self.root)
                folder, names = walk.next()
                for last, found in names:
                    whole = folder + b"/" + last if folder else last
                    if is_folder(found):
                        todo.append(whole)
                    elif last.startswith(self._ours if ours else OURS) == ours and is_file(found):
                        yield whole, found
        finally:
            walk.close()

    def sweep(self, session: Session, known: frozenset[str]) -> int:
        """Take away unfinished files of this client that nobody knows; returns how many.

        A file that was put out of the way, and whose name nothing has, gets its name back.
        """
        swept = 0
        kept = self._ours + b"old."
        for name, _ in list(self.walk(session, b"", ours=True)):
            path, last = self._prefix + name, name.rpartition(b"/")[2]
            if last.decode("ascii", "replace") in known:
                continue
            origin = self.beside(path, last.removeprefix(kept)) if last.startswith(kept) else None
            with suppress(StatusError):  # another transfer of ours has ended meanwhile
                if origin is not None and self.look(session, origin) is None:
                    session.do(wire.rename(path, origin)).done()
                else:
                    session.do(wire.remove(path)).done()
                swept += 1
        return swept

    def shown(self, path: bytes) -> str:
        """A path as people of this place write it."""
        return self._address.text(path[len(self._prefix) :])


Found = tuple[bytes, Attributes]
"""A name below the root, and what is there."""


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
