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
from zfs_walk.sinks.sftp_answers import GarbledError, Status, StatusError
from zfs_walk.sinks.sftp_options import Address
from zfs_walk.sinks.sftp_session import LostError, Session, Talk, alone
from zfs_walk.sinks.sftp_wire import Attributes

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
    """What is below the root; shared by all forks of a sink.

    Attributes:
        root: its path.
        prefix: what a name below it is put behind.
        ours: how the names of this client's unfinished files begin.
    """

    def __init__(self, address: Address, client: str | None) -> None:
        self._address = address
        self._place = address.text()
        self.prefix = address.folder.rstrip(b"/") + b"/" if address.folder else b""
        self.root = address.folder or b"."
        self.ours = OURS + (client or client_of_this_host()).encode() + b"."
        self._known = {self.root}
        self._left: deque[bytes] = deque()

    def path(self, name: bytes) -> bytes:
        """Where a name goes.

        Raises:
            NameRefusedError: it can't be there.
        """
        place = self._place
        for part in parts(name, place):
            if len(part) > LONGEST_PART:
                reason = f"a part of it has {len(part)} bytes, not at most {LONGEST_PART}"
                raise NameRefusedError(place=place, reason=reason)
            if part.startswith(OURS):
                reason = f"{OURS.decode()} begins names of unfinished files"
                raise NameRefusedError(place=place, reason=reason)
        path = self.prefix + name
        if len(path) > LONGEST:
            reason = f"its path has {len(path)} bytes, not at most {LONGEST}"
            raise NameRefusedError(place=place, reason=reason)
        return path

    def above(self, path: bytes) -> bytes:
        """The folder of a path below the root."""
        folder, _, _ = path.rpartition(b"/")
        return folder if len(folder) > len(self.prefix.rstrip(b"/")) else self.root

    def beside(self, path: bytes, name: bytes) -> bytes:
        """A name in the folder of a path."""
        head, slash, _ = path.rpartition(b"/")
        return head + slash + name

    def unfinished(self, path: bytes) -> bytes:
        """A new name for what is to become a path."""
        return self.beside(path, self.ours + secrets.token_hex(8).encode() + b".part")

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
        return alone(self.entering(session, folder, make=make))

    def entering(self, session: Session, folder: bytes, *, make: bool) -> Talk[bool]:
        """As `enter`."""
        for _ in range(_TRIES):
            try:
                return (yield from self._enter(session, folder, make=make))
            except StatusError as error:
                if error.status != Status.NO_SUCH_FILE:
                    raise
            # One above it went with the last file in it, which another thread has taken away.
            above = folder
            while above != self.root:
                self._known.discard(above)
                above = self.above(above)
        return (yield from self._enter(session, folder, make=make))

    def _enter(self, session: Session, folder: bytes, *, make: bool) -> Talk[bool]:
        if folder in self._known:
            return True
        if not (yield from self._enter(session, self.above(folder), make=make)):
            return False
        made = session.ask(wire.make_folder(folder)) if make else None
        looked = session.ask(wire.stat_link(folder))
        yield
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
        alone(self.renaming(session, old, new))

    def renaming(self, session: Session, old: bytes, new: bytes) -> Talk[None]:
        """As `rename`."""
        at_once = session.offers(b"posix-rename@openssh.com")
        request = wire.replace(old, new) if at_once else wire.rename(old, new)
        asked = session.ask(request)
        yield
        try:
            session.answer(asked).done()
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
        kept = self.beside(new, self.ours + b"old." + new.rpartition(b"/")[2])
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

    def place(self, name: bytes = b"") -> str:
        """Where a name goes, as people of this place write it."""
        return self._address.text(name)

    def shown(self, path: bytes) -> str:
        """A path as people of this place write it."""
        return self._address.text(path[len(self.prefix) :])
