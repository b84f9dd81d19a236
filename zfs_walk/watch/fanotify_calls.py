"""The system calls of fanotify and of file handles, which Python does not have.

All raise `OSError`.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Callable
from typing import Final

MODIFY: Final = 0x2
ATTRIB: Final = 0x4
CLOSE_WRITE: Final = 0x8
MOVED_FROM: Final = 0x40
MOVED_TO: Final = 0x80
CREATE: Final = 0x100
DELETE: Final = 0x200
OVERFLOW: Final = 0x4000
RENAME: Final = 0x1000_0000
DIRECTORY: Final = 0x4000_0000

MASKS: Final = tuple(
    CREATE | DELETE | CLOSE_WRITE | MODIFY | ATTRIB | DIRECTORY | renames
    for renames in (RENAME, MOVED_FROM | MOVED_TO)
)
"""What is told of a file system; the second for Linux before 5.17, which tells no renames."""

_CLOEXEC: Final = 0x1
_NONBLOCK: Final = 0x2
_UNLIMITED_QUEUE: Final = 0x10
_DIRECTORY_AND_NAME: Final = 0xC00
_ADD: Final = 0x1
_WHOLE_FILE_SYSTEM: Final = 0x100
_HERE: Final = -100
_FOLLOW: Final = 0x400
_MOST_HANDLE: Final = 128
_HANDLE: Final = struct.Struct("=Ii")
"""The head of ``struct file_handle``."""

_libc: Final = ctypes.CDLL(None, use_errno=True)


def open_group() -> int:
    """A group that can be read without waiting, whose events name directories and entries."""
    flags = _CLOEXEC | _NONBLOCK | _UNLIMITED_QUEUE | _DIRECTORY_AND_NAME
    return _checked(_function("fanotify_init")(ctypes.c_uint(flags), ctypes.c_uint(os.O_RDONLY)))


def mark_file_system(group: int, path: bytes) -> None:
    """Have all changes told of the file system that ``path`` is on."""
    mark = _function("fanotify_mark")
    flags = ctypes.c_uint(_ADD | _WHOLE_FILE_SYSTEM)
    for mask in MASKS:
        marked = mark(group, flags, ctypes.c_uint64(mask), _HERE, ctypes.c_char_p(path))
        if marked == 0:
            return
        if ctypes.get_errno() != errno.EINVAL:
            break
    raise _error()


def handle_of(path: bytes) -> bytes:
    """The ``struct file_handle`` of what is at ``path``."""
    handle = ctypes.create_string_buffer(_HANDLE.size + _MOST_HANDLE)
    _HANDLE.pack_into(handle, 0, _MOST_HANDLE, 0)
    mount = ctypes.c_int()
    call = _function("name_to_handle_at")
    _checked(call(_HERE, ctypes.c_char_p(path), handle, ctypes.byref(mount), _FOLLOW))
    return handle.raw[: _HANDLE.size + _HANDLE.unpack_from(handle)[0]]


def open_handle(mount: int, handle: bytes) -> int:
    """Open a directory by its handle, for being asked where it is.

    Args:
        mount: a descriptor of anything on the mounted file system.
        handle: as `handle_of` and the events have it.
    """
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    return _checked(_function("open_by_handle_at")(mount, ctypes.c_char_p(handle), flags))


def _function(name: str) -> Callable[..., int]:
    try:
        function: Callable[..., int] = getattr(_libc, name)
    except AttributeError as error:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), name) from error
    return function


def _checked(result: int) -> int:
    if result < 0:
        raise _error()
    return result


def _error() -> OSError:
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code))
