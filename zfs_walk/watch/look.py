"""Looking at single names: what an event was about, as it is now."""

import errno
import os
import stat
from collections.abc import Iterable
from typing import Final, NamedTuple

from zfs_walk.scan.filters import Filter, Verdict, matcher
from zfs_walk.watch.seen import Looks, Seen
from zfs_walk.watch.tree import LINK, PERMISSIONS, above, pack

_ENTER: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LIST: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_ABSENT: Final = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG}
)
"""Opening a directory, or looking at a name in it: nothing that a list may show. What can't be
looked at is not listed, as find shows nothing of a directory that it can't read."""


class OtherFolderError(Exception):
    """The folder is not the one that it was at the start; the text says what is there now."""


class Place(NamedTuple):
    """A directory's identity."""

    dev: int
    ino: int


def may_search(path: bytes) -> bool:
    """Whether this process may look at what is in a directory."""
    return os.access(path, os.X_OK, effective_ids=os.access in os.supports_effective_ids)


def identity(found: os.stat_result) -> int:
    """(device, inode) of a directory as one integer."""
    return found.st_dev << 64 | found.st_ino


class Looker:
    """Looks at names below a folder; holds nothing open between two calls.

    Args:
        folder: absolute path.
        place: its identity: no other folder is looked at.
        rules: what is left out.
        recursive: directories count.
        modes: permissions of files count.
    """

    def __init__(
        self, folder: bytes, place: Place, rules: Filter, *, recursive: bool, modes: bool = False
    ) -> None:
        self._folder = folder
        self._place = place
        self._matcher = matcher(rules)
        self._recursive = recursive
        self._modes = PERMISSIONS if modes else 0

    def check(self) -> None:
        """Make sure that the folder is there, is the same one and can be read.

        Raises:
            OtherFolderError: it is not.
        """
        os.close(self._open_folder(_LIST))
        if not may_search(self._folder):
            raise OtherFolderError(os.strerror(errno.EACCES))

    def look(self, paths: Iterable[bytes]) -> Looks:
        """Lstat names, given by their paths below the folder.

        Raises:
            OtherFolderError: the folder is not the same one any more.
        """
        groups: dict[bytes, list[bytes]] = {}
        for path in sorted(paths):
            groups.setdefault(above(path), []).append(path)
        looks = Looks()
        base = self._open_folder(_ENTER)
        try:
            for parent, group in groups.items():
                self._look_in(base, parent, group, looks)
        finally:
            os.close(base)
        return looks

    def _look_in(self, base: int, parent: bytes, group: list[bytes], looks: Looks) -> None:
        try:
            opened = self._open(base, parent)
        except OSError as error:
            if error.errno in _ABSENT:
                looks.seen += [Seen(path, None, directory=False) for path in group]
            else:
                looks.failed += group
            return
        try:
            for path in group:
                self._look_at(opened, parent, path, looks)
        finally:
            os.close(opened)

    def _look_at(self, opened: int, parent: bytes, path: bytes, looks: Looks) -> None:
        name = path[len(parent) + 1 :] if parent else path
        try:
            found = os.stat(name, dir_fd=opened, follow_symlinks=False)
        except OSError as error:
            if error.errno in _ABSENT:
                looks.seen.append(Seen(path, None, directory=False))
            else:
                looks.failed.append(path)
            return
        looks.seen.append(self._seen(parent, path, name, found))

    def _seen(self, parent: bytes, path: bytes, name: bytes, found: os.stat_result) -> Seen:
        kind = stat.S_IFMT(found.st_mode)
        directory = kind == stat.S_IFDIR
        listed = kind in {stat.S_IFREG, stat.S_IFLNK} or (directory and self._recursive)
        if not listed or not self._kept(parent, name, directory=directory):
            return Seen(path, None, directory)
        if directory:
            return Seen(path, identity(found), directory)
        flags = LINK if kind == stat.S_IFLNK else 0
        mode = found.st_mode & self._modes
        return Seen(path, pack(found.st_size, found.st_mtime_ns, flags, mode), directory)

    def _kept(self, parent: bytes, name: bytes, *, directory: bool) -> bool:
        if not self._matcher.every and not directory:
            return True
        within, shown = os.fsdecode(parent), os.fsdecode(name)
        holder = os.fsdecode((parent or self._folder).rpartition(b"/")[2])
        verdict = self._matcher.judge(shown, within, holder, is_directory=directory)
        return verdict is Verdict.KEEP

    def _open_folder(self, flags: int) -> int:
        try:
            opened = os.open(self._folder, flags)
        except OSError as error:
            raise OtherFolderError(error.strerror) from error
        found = os.fstat(opened)
        if (found.st_dev, found.st_ino) != self._place:
            os.close(opened)
            raise OtherFolderError("it is another folder than before")  # noqa: EM101, TRY003 -- one place
        return opened

    @staticmethod
    def _open(base: int, path: bytes) -> int:
        """Open a directory for reading, one component at a time, so that no link is followed."""
        at = os.dup(base)
        names = path.split(b"/") if path else []
        for depth, name in enumerate(names, 1):
            try:
                following = os.open(name, _ENTER if depth < len(names) else _LIST, dir_fd=at)
            finally:
                os.close(at)
            at = following
        return at
