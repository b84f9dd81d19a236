"""Memory that O_DIRECT takes, and how it is compared."""

import ctypes
import mmap

_LIBC = ctypes.CDLL(None)
_LIBC.memcmp.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_LIBC.memcmp.restype = ctypes.c_int


class Buffer:
    """Bytes that begin at a page of memory.

    Attributes:
        view: of all of them, to be read and written.
        address: of the first one.
    """

    def __init__(self, size: int) -> None:
        """Take memory.

        Args:
            size: bytes, at least 1.
        """
        # Private: the children of a fork get their own.
        self._map = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.view = memoryview(self._map)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._map))

    def equals(self, at: int, other: "Buffer", length: int) -> bool:
        """Whether the first bytes of another buffer are those of this one from ``at`` on.

        memcmp: 45 GB/s where they are in the cache; a comparison of memoryviews goes item by item.
        """
        return bool(_LIBC.memcmp(self.address + at, other.address, length) == 0)
