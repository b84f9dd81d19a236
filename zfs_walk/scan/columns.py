"""Rows of entries as columns of machine integers: no Python object per entry past the scanner."""

from array import array
from typing import Final

TOTALS: Final = "totals"
"""The columns that the totals need: mode, size and blocks."""

ROWS: Final = "rows"
"""Every column, as a catalog stores them."""

NO_TIME: Final = -(2**63)
"""The time of an entry whose time is not known (its stat failed, or a names-only run)."""


class Columns:
    """Entries as parallel buffers; row ``i`` of every column is the same entry.

    Columns of integers, always filled:

    - ``mode`` (``array('I')``): ``st_mode``; in a names-only run only the bits of the type.
    - ``size`` (``array('q')``): ``st_size`` in bytes; 0 where no stat was made or it failed.
    - ``blocks`` (``array('q')``): ``st_blocks``, in units of 512 bytes; 0 likewise.

    Filled only when ``wanted`` is `ROWS`:

    - ``names`` (``bytearray``): all names after each other, ``name_ends`` (``array('q')``) the end
      of each in it.
    - ``directory`` (``array('I')``): index into ``directories``, the absolute path (bytes) of the
      directory that the entry is in; ``depths`` is parallel to ``directories`` and holds the
      *entry's* depth below its root (a root's own row has depth 0, what is in a root has 1).
    - ``nlink ino dev uid gid`` (``array('Q')``), ``atime mtime ctime`` (``array('q')``, ns since
      the epoch, `NO_TIME` where unknown), ``error`` (``array('i')``, the errno of a failed stat,
      else 0).
    """

    __slots__ = (
        "atime",
        "blocks",
        "ctime",
        "depths",
        "dev",
        "directories",
        "directory",
        "error",
        "gid",
        "ino",
        "mode",
        "mtime",
        "name_ends",
        "names",
        "nlink",
        "size",
        "uid",
        "wanted",
    )

    def __init__(self, wanted: str = TOTALS) -> None:
        self.wanted = wanted
        self.mode = array("I")
        self.size = array("q")
        self.blocks = array("q")
        self.names = bytearray()
        self.name_ends = array("q")
        self.directory = array("I")
        self.directories: list[bytes] = []
        self.depths = array("i")
        self.nlink = array("Q")
        self.ino = array("Q")
        self.dev = array("Q")
        self.uid = array("Q")
        self.gid = array("Q")
        self.atime = array("q")
        self.mtime = array("q")
        self.ctime = array("q")
        self.error = array("i")

    def __len__(self) -> int:
        return len(self.mode)

    def enter(self, directory: bytes, depth: int) -> int:
        """Note a directory whose entries follow; returns its index for ``directory``."""
        self.directories.append(directory)
        self.depths.append(depth)
        return len(self.directories) - 1
