"""Looking at files below a folder, with no link followed on the way."""

import errno
import os
import stat
from typing import Final

_ENTER: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_NOWHERE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""Nothing can have that name: what is above is gone, or no directory."""


def look_at(root: int, name: bytes) -> os.stat_result:
    """Lstat a name below an open folder, however long it is.

    Raises:
        OSError: it is not there, or can't be looked at.
    """
    *above, last = name.split(b"/")
    at = os.dup(root)
    try:
        for part in above:
            deeper = os.open(part, _ENTER, dir_fd=at)
            os.close(at)
            at = deeper
        return os.stat(last, dir_fd=at, follow_symlinks=False)
    finally:
        os.close(at)


def is_gone(root: int, name: bytes) -> bool:
    """Whether there is surely no file or symbolic link of that name.

    What can't be looked at is not gone.
    """
    try:
        found = look_at(root, name)
    except OSError as error:
        return error.errno in _NOWHERE
    return not (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode))
