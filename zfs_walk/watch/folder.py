"""A folder before it is watched: what it is, and whether it can be."""
# ruff: noqa: PTH120 -- paths are bytes here, which pathlib does not take

import errno
import os
import stat
from dataclasses import dataclass

from zfs_walk.errors import FolderError
from zfs_walk.watch.look import Place, may_search


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that can be watched.

    Attributes:
        path: absolute, without symbolic links.
        place: its device and inode.
        ancestors: those of the directories above it, from its parent up to ``/``.
    """

    path: bytes
    place: Place
    ancestors: tuple[Place, ...]


def look_at_folder(path: str) -> Folder:
    """Resolve a path, links and all, and make sure that what is there can be watched.

    Raises:
        FolderError: it is missing, no directory, or may not be listed or searched.
    """
    if not path or "\0" in path:
        raise FolderError(path=repr(path), reason="that is no path")
    try:
        real = os.path.realpath(os.fsencode(path), strict=True)
        place = _place(real)
        ancestors = []
        above = real
        while above != b"/":
            above = os.path.dirname(above)
            ancestors.append(_place(above))
        os.close(os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        if not may_search(real):
            raise PermissionError(errno.EACCES, "its files may not be looked at")
    except OSError as error:
        raise FolderError(path=path, reason=error.strerror) from error
    return Folder(real, place, tuple(ancestors))


def _place(path: bytes) -> Place:
    found = os.stat(path)  # noqa: PTH116 -- bytes
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    return Place(found.st_dev, found.st_ino)
