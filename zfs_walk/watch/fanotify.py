"""The monitor on fanotify: one mark for a whole file system, whatever the number of directories.

The system tells of every change on the file system, each with the handle of its directory. Which
of them are ours is found out once a directory: the handle is opened, and where it leads must be
below the folder and the same directory when it is reached from there. So it does not matter by
which mount, bind mount or symbolic link the folder was named.

The queue of the system has no limit, so nothing is lost between two reads, and no thread has to
hurry. Measured on two busy cores (Linux 6.18, tmpfs): 0.1 s and no memory worth naming for 20,000
directories; 130,000 to 180,000 names a second are read where the directories are known, 54,000
where each one is met for the first time; none of 100,000 files was missed, nor of bursts of 50,000.

Writing is told too (FAN_MODIFY), since the system merges it: 200,000 writes to four files made
13,000 events. It costs whoever writes anywhere on the file system up to 7 us a call while its
events are being read.

The system merges events on one name that were not read yet, into the place of the first:
what it says of a name may be newer than a move that comes after it. After a move both its names are
therefore looked at again, where they were told of since the queue was last empty.
"""

import contextlib
import errno
import os
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from zfs_walk.errors import MonitorError
from zfs_walk.scan.handles import join
from zfs_walk.watch import fanotify_calls as calls
from zfs_walk.watch.burst import Burst
from zfs_walk.watch.directories import Directories
from zfs_walk.watch.fanotify_frames import NEW_NAME, OLD_NAME, Frame, FrameError, Place, frames
from zfs_walk.watch.monitor import Event, Looked, Lost, Moved, RootGone, Writing, Written
from zfs_walk.watch.root import Root, Wakeup

NAME: Final = "fanotify"

_BUFFER: Final = 2**18
"""Bytes of one read of the queue: some 3,000 events."""

_READS: Final = 4
"""Reads of the queue in one `FanotifyMonitor.read`, which so takes a tenth of a second at most."""

_MOST_FOREIGN: Final = 2**16
"""Directories known not to be ours, about 10 MB. When there are more, all are asked for anew."""

_TRIES: Final = 4
"""How often a directory is looked for that is renamed meanwhile. The event of the last renaming is
still to come, so what is not found is not lost."""

_PATIENCE: Final = tuple(0.002 * 2**step for step in range(7))
"""Seconds to wait, a quarter in all, for the system to know whether there is such a directory."""

_READABLE: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

_RIGHTS: Final = "it takes root (CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH), outside of containers"
_HANDLES: Final = "its file system gives no file handles, or not to this mount"
_REASONS: Final[Mapping[int, str]] = MappingProxyType(
    {
        errno.EPERM: _RIGHTS,
        errno.EACCES: _RIGHTS,
        errno.EOPNOTSUPP: _HANDLES,
        errno.EXDEV: _HANDLES,
        errno.ENODEV: _HANDLES,
        errno.ESTALE: _HANDLES,
        errno.ENOSYS: "this system has none",
        errno.EINVAL: "it takes Linux 5.9 or newer",
        errno.EMFILE: "this user has too many already (fs.fanotify.max_user_groups)",
        errno.ENOSPC: "this user has too many marks already (fs.fanotify.max_user_marks)",
    }
)


class FanotifyMonitor:
    """Watches a folder with all below it that is on its file system.

    What is mounted below it is another one, and must be polled.
    A hard or symbolic link that is made is told as `Writing` like a file that is created and open:
    fanotify makes no difference.
    """

    name = NAME

    def __init__(self, folder: bytes, *, recursive: bool) -> None:
        """Watch ``folder``.

        Args:
            folder: absolute path.
            recursive: tell what happens below its directories too.

        Raises:
            MonitorError: the system, the file system or this user's rights do not allow it.
        """
        self._recursive = recursive
        self._directories: Directories[bytes] = Directories()
        self._foreign: set[bytes] = set()
        self._dead: set[bytes] = set()
        self._recent: set[bytes] = set()
        self._burst = Burst()
        self._gone = False
        self._opened = -1
        try:
            self._root = Root(folder)
            self._handle = calls.handle_of(folder)
            self._group = calls.open_group()
        except OSError as error:
            raise _refused(folder, error) from error
        try:
            calls.mark_file_system(self._group, folder)
            self._check_handles()
        except OSError as error:
            os.close(self._group)
            raise _refused(folder, error) from error
        self._wakeup = Wakeup(self._group)

    def _check_handles(self) -> None:
        """Handles can be opened, which takes a right of its own, and be asked where they are."""
        mount = os.open(self._root.path, _READABLE)
        try:
            opened = calls.open_handle(mount, self._handle)
            try:
                _where(opened)
            finally:
                os.close(opened)
        finally:
            os.close(mount)
        self._directories.put(b"", self._handle)

    def add(self, directory: bytes) -> bool:
        """Directories need not be added; the answer is whether this one is covered.

        Returns:
            False: it is on another file system, or deeper than the system can name.
        """
        try:
            found = os.lstat(self._root.absolute(directory))
        except OSError as error:
            return error.errno != errno.ENAMETOOLONG
        return found.st_dev == self._root.device

    def forget(self, directory: bytes) -> None:
        """A directory is not below the folder any more."""
        self._directories.remove(directory)

    def fileno(self) -> int:
        """A descriptor that can be read when `read` has something."""
        return self._wakeup.fileno()

    def read(self) -> list[Event]:
        """What happened since the last call; never waits."""
        self._wakeup.acknowledge()
        try:
            for _ in range(_READS):
                try:
                    buffer = os.read(self._group, _BUFFER)
                except BlockingIOError:
                    self._recent.clear()
                    break
                self._take(buffer)
        finally:
            self._dead.clear()
            if self._opened >= 0:
                os.close(self._opened)
                self._opened = -1
        if not self._gone and (why := self._root.gone()) is not None:
            self._gone = True
            self._burst.put(RootGone(why))
        return self._burst.take()

    def _take(self, buffer: bytes) -> None:
        try:
            for frame in frames(buffer):
                self._translate(frame)
        except FrameError as error:
            self._lost(f"fanotify wrote what is not known here: {error}")

    def _translate(self, frame: Frame) -> None:
        if frame.mask & calls.OVERFLOW:
            self._lost("the queue of fanotify was full")
        elif frame.mask & calls.RENAME:
            self._translate_rename(frame)
        else:
            for place in frame.places:
                if (path := self._path(place)) is not None:
                    self._translate_name(frame.mask, path)

    def _translate_name(self, mask: int, path: bytes) -> None:
        """A mask may say several things that happened to one name, in an order that is unknown."""
        if mask & calls.DIRECTORY:
            if mask & (calls.DELETE | calls.MOVED_FROM):
                self._directories.remove(path)
            if mask & calls.MOVED_TO:
                self._foreign.clear()
            self._put(Looked(path))
        elif mask & calls.CLOSE_WRITE:
            self._put(Written(path))
        elif mask & (calls.CREATE | calls.MODIFY):
            self._put(Writing(path))
        else:
            self._put(Looked(path))

    def _translate_rename(self, frame: Frame) -> None:
        paths = {place.kind: self._path(place) for place in frame.places}
        old, new = paths.get(OLD_NAME), paths.get(NEW_NAME)
        directory = bool(frame.mask & calls.DIRECTORY)
        if directory:
            # Where they are now is asked for again: what is known may be older or newer than this.
            for path in (old, new):
                if path is not None:
                    self._directories.remove(path)
            self._dead.clear()
            if old is None:
                self._foreign.clear()
        if old is not None and new is not None:
            self._burst.put(Moved(old, new, directory))
            for path in (old, new):
                if path in self._recent:
                    self._burst.put(Looked(path))
            self._recent.update((old, new))
        elif (path := new if old is None else old) is not None:
            self._put(Looked(path))

    def _put(self, event: Looked | Writing | Written) -> None:
        self._recent.add(event.path)
        self._burst.put(event)

    def _lost(self, why: str) -> None:
        """Renamings may be among what was lost: no path is certain any more."""
        self._directories = Directories()
        self._directories.put(b"", self._handle)
        self._foreign.clear()
        self._burst.put(Lost(why))

    def _path(self, place: Place) -> bytes | None:
        """The path of an event, relative to the folder; None: it is not ours."""
        directory = self._directories.path(place.handle)
        if directory is None:
            if not self._recursive or place.handle in self._foreign or place.handle in self._dead:
                return None
            directory = self._find(place.handle)
            if directory is None:
                return None
        if place.name == b".":
            return directory
        return join(directory, place.name)

    def _find(self, handle: bytes) -> bytes | None:
        """Where a directory is that was not met before.

        One that is deleted can't be found; whatever happened in it, the event of its own deletion,
        or of that of a directory above it, is still to come.
        """
        if (mount := self._mount()) is None:
            return None
        try:
            opened = _open(mount, handle)
        except OSError as error:
            if error.errno == errno.ESTALE:
                self._dead.add(handle)
            else:
                self._lost(f"a directory can't be found: {error.strerror}")
            return None
        try:
            return self._locate(handle, opened, mount)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                self._lost(f"a directory can't be named: {error.strerror}")
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
        """The folder, open for as long as one `read` takes; None: it is gone."""
        if self._opened < 0:
            try:
                opened = os.open(self._root.path, _READABLE)
            except OSError:
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

    def close(self) -> None:
        """Stop watching."""
        self._wakeup.close()
        os.close(self._group)


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


def unavailable() -> str | None:
    """Why this user can't have fanotify, whatever the file system; None: he can."""
    try:
        os.close(calls.open_group())
    except OSError as error:
        return _reason(error)
    return None


def _refused(folder: bytes, error: OSError) -> MonitorError:
    return MonitorError(folder=os.fsdecode(folder), monitor=NAME, reason=_reason(error))


def _reason(error: OSError) -> str:
    return _REASONS.get(error.errno or 0, os.strerror(error.errno or 0))
