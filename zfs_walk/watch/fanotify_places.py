"""Where the directories are that fanotify names by their handles."""

import contextlib
import errno
import os
import time
from typing import Final

from zfs_walk.scan.handles import join
from zfs_walk.watch import fanotify_calls as calls
from zfs_walk.watch.directories import Directories
from zfs_walk.watch.root import Root

_MOST_FOREIGN: Final = 2**16
"""Directories known not to be ours, about 10 MB. When there are more, all are asked for anew."""

_TRIES: Final = 4
"""How often a directory is looked for that is renamed meanwhile. The event of the last renaming is
still to come, so what is not found is not lost."""

_PATIENCE: Final = tuple(0.002 * 2**step for step in range(7))
"""Seconds to wait, a quarter in all, for the system to know whether there is such a directory."""

_READABLE: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Places:
    """The directories of a folder, and which ones are known not to be among them.

    Handles are asked for once and then remembered, until the directory or one above it is renamed:
    whoever reads the events of renaming calls `renamed`. An answer is as new as the question, so it
    may be ahead of the events; the event of what happened meanwhile is still to come.
    """

    def __init__(self, root: Root, *, recursive: bool) -> None:
        """Know the folder itself.

        Args:
            root: the folder.
            recursive: the directories below it are wanted as well.

        Raises:
            OSError: handles can't be had on its file system, or not by this user.
        """
        self._root = root
        self._recursive = recursive
        self._handle = calls.handle_of(root.path)
        self._directories: Directories[bytes] = Directories()
        self._foreign: set[bytes] = set()
        self._dead: set[bytes] = set()
        self._opened = -1
        self.reset()

    def check(self) -> None:
        """Find the folder itself by its handle.

        Raises:
            OSError: opening handles takes a right that this user has not got.
        """
        mount = os.open(self._root.path, _READABLE)
        try:
            opened = calls.open_handle(mount, self._handle)
            try:
                _where(opened)
            finally:
                os.close(opened)
        finally:
            os.close(mount)

    def path(self, handle: bytes) -> bytes | None:
        """Where a directory is, relative to the folder; None: it is not ours.

        One that is deleted can't be found; whatever happened in it, the event of its own deletion,
        or of that of a directory above it, is still to come.

        Raises:
            OSError: that can't be found out.
        """
        path = self._directories.path(handle)
        if path is not None:
            return path
        if not self._recursive or handle in self._foreign or handle in self._dead:
            return None
        return self._find(handle)

    def forget(self, path: bytes) -> None:
        """There is no directory at ``path`` any more."""
        self._directories.remove(path)

    def renamed(self, old: bytes | None, new: bytes | None) -> None:
        """A directory was renamed; None: it was, or is, not ours.

        Where it is now is asked for again: what is known may be older or newer than this event.
        """
        for path in (old, new):
            if path is not None:
                self._directories.remove(path)
        self._dead.clear()
        if old is None:
            self._foreign.clear()

    def reset(self) -> None:
        """Renamings were lost: no path is certain any more."""
        self._directories = Directories()
        self._directories.put(b"", self._handle)
        self._foreign.clear()

    def rest(self) -> None:
        """Hold nothing open: it would keep the file system from being unmounted."""
        self._dead.clear()
        if self._opened >= 0:
            os.close(self._opened)
            self._opened = -1

    def _find(self, handle: bytes) -> bytes | None:
        if (mount := self._mount()) is None:
            return None
        try:
            opened = _open(mount, handle)
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
            self._dead.add(handle)
            return None
        try:
            return self._locate(handle, opened, mount)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            # It is polled: `FanotifyMonitor.add` said so.
            return None
        finally:
            os.close(opened)

    def _locate(self, handle: bytes, opened: int, mount: int) -> bytes | None:
        mine = os.fstat(opened)
        for _ in range(_TRIES if mine.st_nlink else 0):
            above = _where(mount)
            path = _where(opened)
            if path.startswith(inside := join(above, b"")):
                path = path[len(inside) :]
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    found = os.stat(path, dir_fd=mount, follow_symlinks=False)
                    if os.path.samestat(found, mine):
                        self._directories.put(path, handle)
                        return path
            elif above == _where(mount):
                self._set_foreign(handle)
                return None
        return None

    def _mount(self) -> int | None:
        """The folder, open until `rest`; None: it is gone."""
        if self._opened < 0:
            try:
                opened = os.open(self._root.path, _READABLE)
            except (FileNotFoundError, NotADirectoryError):
                return None
            if not self._root.is_at(os.fstat(opened)):
                os.close(opened)
                return None
            self._opened = opened
        return self._opened

    def _set_foreign(self, handle: bytes) -> None:
        if len(self._foreign) >= _MOST_FOREIGN:
            self._foreign.clear()
        self._foreign.add(handle)


def _open(mount: int, handle: bytes) -> int:
    """Open a directory that may be renamed or deleted meanwhile.

    While it is renamed the system may say that there is none. While its inode is being used for
    another one, ext4 says that it is out of memory.
    """
    refused = []
    for patience in _PATIENCE:
        try:
            return calls.open_handle(mount, handle)
        except OSError as error:
            refused.append(error)
            if error.errno == errno.ENOMEM:
                time.sleep(patience)
            elif len(refused) >= _TRIES:
                break
    # It is gone if that was said once: no handle comes back.
    raise min(refused, key=lambda error: error.errno != errno.ESTALE)


def _where(opened: int) -> bytes:
    return os.readlink(b"/proc/self/fd/%d" % opened)  # noqa: PTH115 -- bytes
