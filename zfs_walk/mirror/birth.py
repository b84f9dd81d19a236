"""When an inode was made, which Python does not tell; and how long a moment lasts."""

import ctypes
import struct
import time
from contextlib import suppress
from typing import Final

_EMPTY_PATH: Final = 0x1000
_BIRTH: Final = 0x800
_STATX: Final = struct.Struct("=I76xqI")
"""The mask, and the time of birth, in ``struct statx``; it is the same on every machine."""
_STATX_SIZE: Final = 256

_MOMENT_NS: Final = 20_000_000
"""The clock of file systems goes by the ticks of the kernel, of which none is longer than 10 ms."""

_libc: Final = ctypes.CDLL(None, use_errno=True)


def born_ns(descriptor: int) -> int:
    """When what is open was made, ns since the epoch; 0: the file system does not tell."""
    buffer = ctypes.create_string_buffer(_STATX_SIZE)
    with suppress(AttributeError):  # a C library from before 2018
        failed = _libc.statx(
            ctypes.c_int(descriptor), b"", ctypes.c_int(_EMPTY_PATH), ctypes.c_uint(_BIRTH), buffer
        )
        if not failed:
            mask, seconds, nanoseconds = _STATX.unpack_from(buffer)
            if mask & _BIRTH:
                return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return 0


def birth_ns(descriptor: int) -> int:
    """As `born_ns`, but 0 of what was made just now.

    What takes its inode in the same moment would have the same time of birth; so what this tells
    belongs to one file and no other.
    """
    now = time.time_ns()
    born = born_ns(descriptor)
    return born if born + _MOMENT_NS <= now else 0


def await_next_moment(time_ns: int) -> None:
    """Wait until whatever is changed has another time than ``time_ns``, for 20 ms at most.

    What is read in the very moment of its last change may be changed once more, and look the same.
    """
    young_for = time_ns + _MOMENT_NS - time.time_ns()
    if 0 < young_for <= _MOMENT_NS:
        time.sleep(young_for / 1e9)


def awaited_birth_ns(descriptor: int) -> int:
    """As `birth_ns`, but of what was made just now it waits, for 20 ms at most."""
    await_next_moment(born_ns(descriptor))
    return birth_ns(descriptor)
