"""Rows that a worker holds back until its agent cuts a unit; written by the worker's own thread.

Shared by the scanning thread, which stages, and the writing thread, which flushes: so a directory
that hangs in the kernel delays no commit.
"""

import errno
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from zfs_walk.catalog.segment import SegmentInfo, write_errors, write_segment
from zfs_walk.protocol.records import Segment
from zfs_walk.scan.columns import Columns
from zfs_walk.scan.handles import is_within, outside
from zfs_walk.scan.interface import ScanError

REMEMBERED = 10_000
"""Units whose forgotten rolls are remembered; a result of an older one can't come any more."""


@dataclass(slots=True)
class Staged:
    """The rows of one result."""

    roll: int
    result: int
    columns: Columns
    errors: list[ScanError]


class Staging:
    """Rows by (uid, epoch)."""

    def __init__(self) -> None:
        """Hold nothing."""
        self._lock = threading.Lock()
        self._rows: dict[tuple[int, int], list[Staged]] = {}
        self._forgotten: OrderedDict[tuple[int, int], int] = OrderedDict()

    def stage(self, unit: tuple[int, int], staged: Staged) -> None:
        """Hold the rows of a result, unless its roll is forgotten already."""
        with self._lock:
            if staged.roll > self._forgotten.get(unit, -1):
                self._rows.setdefault(unit, []).append(staged)

    def forget(self, unit: tuple[int, int], roll: int) -> None:
        """Drop the rows of rolls up to this one, those to come too."""
        with self._lock:
            self._forgotten[unit] = roll
            while len(self._forgotten) > REMEMBERED:
                self._forgotten.popitem(last=False)
            rows = [row for row in self._rows.pop(unit, []) if row.roll > roll]
            if rows:
                self._rows[unit] = rows

    def take(self, unit: tuple[int, int], roll: int, upto: int) -> list[Staged]:
        """The rows of results up to a number; they are not held any more."""
        with self._lock:
            rows = self._rows.pop(unit, [])
            taken = [row for row in rows if row.roll == roll and row.result <= upto]
            rest = [row for row in rows if row.roll > roll or row.result > upto]
            if rest:
                self._rows[unit] = rest
            return taken


@contextmanager
def held(folder: Path, allow: Sequence[bytes]) -> Iterator[Path]:
    """A folder that is really within the allowed ones, whatever is exchanged for it meanwhile.

    Args:
        folder: to write to.
        allow: real paths of the only folders that may be touched; empty: any.

    Raises:
        OSError: it can't be opened, or is outside.
    """
    if not allow:
        yield folder
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        by_descriptor = Path(f"/proc/self/fd/{descriptor}")
        if not is_within(os.fsencode(by_descriptor.readlink()), allow):
            raise PermissionError(errno.EACCES, outside(os.fsencode(folder)))
        yield by_descriptor
    finally:
        os.close(descriptor)


def write(folder: Path, name: str, rows: list[Staged], *, stated: bool) -> list[Segment]:
    """Write rows as durable segments.

    Raises:
        OSError: a segment could not be written; those of this call are removed again.
    """
    written: list[SegmentInfo] = []
    columns = [row.columns for row in rows if len(row.columns)]
    errors = [error for row in rows for error in row.errors]
    try:
        if columns:
            written.append(write_segment(folder / f"{name}.parquet", columns, stated=stated))
        if errors:
            written.append(write_errors(folder / f"{name}-errors.parquet", errors))
    except OSError:
        for info in written:
            (folder / info.name).unlink(missing_ok=True)
        raise
    return [Segment(i.name, i.kind, i.rows, i.bytes, i.checksum) for i in written]
