"""A folder before it is watched: what it is, and whether it can be."""
# ruff: noqa: PTH120 -- paths are bytes here, which pathlib does not take

import errno
import os
import stat
from dataclasses import dataclass

from zfs_walk.errors import FolderError
from zfs_walk.scan.roots import mount_point
from zfs_walk.watch.look import OtherFolderError, Place, may_search


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that can be watched.

    Attributes:
        path: absolute, without symbolic links.
        place: its device and inode.
        ancestors: those of the directories above it, from its parent up to ``/``.
        mount: where the file system is mounted that it is on; empty where nobody knows.
    """

    path: bytes
    place: Place
    ancestors: tuple[Place, ...]
    mount: bytes


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
    return Folder(real, place, tuple(ancestors), mount_point(real))


def look_again(before: Folder) -> Folder:
    """What is there now, if it may take the place of what was there before.

    A folder that was made anew is the folder. One that shows because a file system is not mounted
    any more, or behind a link, is not: a missing mount must never look like an empty folder.

    Raises:
        FolderError: it can't be watched, as `look_at_folder`.
        OtherFolderError: it must not.
    """
    found = look_at_folder(os.fsdecode(before.path))
    if found.path != before.path:
        raise OtherFolderError(f"it is a link to {os.fsdecode(found.path)} now")  # noqa: EM102, TRY003 -- one place
    if found.mount != before.mount:
        mounts = os.fsdecode(before.mount), os.fsdecode(found.mount)
        raise OtherFolderError("it was on what is mounted at {}, and is on {} now".format(*mounts))  # noqa: EM103 -- one place
    return found


def _place(path: bytes) -> Place:
    found = os.stat(path)  # noqa: PTH116 -- bytes
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    return Place(found.st_dev, found.st_ino)
