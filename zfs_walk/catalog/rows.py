"""From the scanner's columns to Arrow record batches, without a Python object per entry.

Batches look into the arrays of the columns, which therefore can't grow while a batch lives.
"""

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from zfs_walk import names
from zfs_walk.catalog.extras import require
from zfs_walk.catalog.schema import arrow_schema
from zfs_walk.catalog.totals import BLOCK
from zfs_walk.errors import InternalError
from zfs_walk.scan.columns import NO_TIME, ROWS, Columns

if TYPE_CHECKING:
    from array import array

    from zfs_walk.scan.interface import ScanError

BATCH_ROWS: Final = 128 * 1024
"""At most so many rows a batch; a row group is at least one full batch (`segment`)."""

_TYPES: Final = ("d", "f", "l", "o")

_TYPE_OF_NIBBLE: Final = [{0o04: 0, 0o10: 1, 0o12: 2}.get(nibble, 3) for nibble in range(16)]
"""Index into `_TYPES` by the upper four bits of a mode: S_IFDIR, S_IFREG, S_IFLNK, the rest."""


class Batches:
    """Makes the record batches of segments; holds the modules that are imported on first need."""

    def __init__(self) -> None:
        """Import pyarrow.

        Raises:
            MissingExtraError: it is not installed.
        """
        self.pa = require("pyarrow", "Writing a catalog")
        self.pc = require("pyarrow.compute", "Writing a catalog")

    def of_columns(self, columns: Columns, *, stated: bool) -> Iterator[Any]:
        """Yield ``columns`` as batches of at most `BATCH_ROWS` rows.

        Raises:
            InternalError: the columns were made for totals only.
        """
        if columns.wanted != ROWS:
            raise InternalError(reason=f"a catalog needs every column, not {columns.wanted!r}")
        for start in range(0, len(columns), BATCH_ROWS):
            yield self._batch(columns, start, min(start + BATCH_ROWS, len(columns)), stated=stated)

    def of_errors(self, errors: Sequence["ScanError"]) -> Iterator[Any]:
        """Yield ``errors`` as batches of at most `BATCH_ROWS` rows."""
        pa = self.pa
        for start in range(0, len(errors), BATCH_ROWS):
            part = errors[start : start + BATCH_ROWS]
            paths = [names.split(error.path) for error in part]
            folder, folder_raw = self._text(pa.array([path[0] for path in paths], pa.binary()))
            name, name_raw = self._text(pa.array([path[1] for path in paths], pa.binary()))
            yield pa.RecordBatch.from_arrays(
                [
                    folder,
                    name,
                    folder_raw,
                    name_raw,
                    pa.array([error.errno for error in part], pa.int32()),
                    pa.array([error.kind for error in part], pa.string()),
                    pa.array(
                        [error.reason or os.strerror(error.errno) for error in part], pa.string()
                    ),
                ],
                schema=arrow_schema(pa, "errors"),
            )

    def _batch(self, columns: Columns, start: int, end: int, *, stated: bool) -> Any:
        pa, pc = self.pa, self.pc
        rows = end - start
        error = self._slice(columns.error, pa.int32(), start, end)
        fine = pc.equal(error, 0)
        # The bits of `fine` are the validity of everything that a failed stat did not tell.
        valid = None if pc.all(fine).as_py() else fine.buffers()[1]
        nothing = pa.nulls(rows, pa.int64())

        def told(values: "array[int]", kept: Any) -> Any:
            if not stated:
                return pa.nulls(rows, kept)
            return self._slice(values, kept, start, end, valid)

        def time(values: "array[int]") -> Any:
            times = told(values, pa.int64())
            return pc.if_else(pc.not_equal(times, NO_TIME), times, None)

        folder, folder_raw, depth = self._folders(columns, start, end)
        name, name_raw = self._names(columns, start, end)
        return pa.RecordBatch.from_arrays(
            [
                folder,
                name,
                folder_raw,
                name_raw,
                self._types(self._slice(columns.mode, pa.uint32(), start, end)),
                told(columns.size, pa.int64()),
                pc.multiply(told(columns.blocks, pa.int64()), BLOCK),
                told(columns.nlink, pa.uint64()),
                told(columns.ino, pa.uint64()),
                told(columns.dev, pa.uint64()),
                told(columns.uid, pa.uint64()),
                told(columns.gid, pa.uint64()),
                told(columns.mode, pa.uint32()),
                time(columns.atime),
                time(columns.mtime),
                time(columns.ctime),
                nothing,
                depth,
                pc.if_else(fine, None, error),
            ],
            schema=arrow_schema(pa, "files"),
        )

    def _slice(
        self,
        values: "array[int]",
        kept: Any,
        start: int,
        end: int,
        valid: Any = None,
    ) -> Any:
        """Return rows ``start`` to ``end`` of an array, looked into and not copied."""
        width = values.itemsize
        buffer = self.pa.py_buffer(values).slice(start * width, (end - start) * width)
        return self.pa.Array.from_buffers(kept, end - start, [valid, buffer])

    def _types(self, modes: Any) -> Any:
        pa, pc = self.pa, self.pc
        known = pa.array(_TYPE_OF_NIBBLE, pa.int32())
        nibbles = pc.bit_wise_and(pc.shift_right(modes, 12), 15)
        return pa.DictionaryArray.from_arrays(known.take(nibbles), pa.array(_TYPES))

    def _names(self, columns: Columns, start: int, end: int) -> tuple[Any, Any]:
        pa, pc = self.pa, self.pc
        first = columns.name_ends[start - 1] if start else 0
        ends = self._slice(columns.name_ends, pa.int64(), start, end)
        zero_based = pc.subtract(ends, first).cast(pa.int32())
        offsets = pa.concat_arrays([pa.array([0], pa.int32()), zero_based])
        blob = pa.py_buffer(columns.names).slice(first, columns.name_ends[end - 1] - first)
        raw = pa.Array.from_buffers(
            pa.binary(),
            end - start,
            [None, offsets.buffers()[1], blob],
        )
        return self._text(raw)

    def _folders(self, columns: Columns, start: int, end: int) -> tuple[Any, Any, Any]:
        """Return the columns dir (dictionary-encoded), dir_raw and depth."""
        pa, pc = self.pa, self.pc
        indices = self._slice(columns.directory, pa.int32(), start, end)
        depth = self._slice(columns.depths, pa.int32(), 0, len(columns.depths)).take(indices)
        # Entries follow their directory: a batch of many needs a short stretch of the list only.
        bounds = pc.min_max(indices)
        low, high = bounds["min"].as_py(), bounds["max"].as_py()
        indices = pc.subtract(indices, low)
        known = columns.directories[low : high + 1]
        folders, folders_raw = self._text(pa.array(known, pa.binary()))
        if folders_raw.null_count < len(folders_raw):
            raw = folders_raw.take(indices)
        else:
            raw = pa.nulls(end - start, pa.binary())
        if pc.count_distinct(folders).as_py() == len(folders):
            return pa.DictionaryArray.from_arrays(indices, folders), raw, depth
        # A directory that was entered twice, or two whose texts are the same.
        return folders.take(indices).dictionary_encode(), raw, depth

    def _text(self, raw: Any) -> tuple[Any, Any]:
        """Return bytes as text, and the bytes of those that are not UTF-8 (else null)."""
        pa = self.pa
        decoded = raw.view(pa.string())
        try:
            # Each value on its own: two halves of a character in two names are two bad names.
            decoded.validate(full=True)
        except pa.ArrowInvalid:
            pairs = [names.text(value) for value in raw.to_pylist()]
            return (
                pa.array([pair[0] for pair in pairs], pa.string()),
                pa.array([pair[1] for pair in pairs], pa.binary()),
            )
        return decoded, pa.nulls(len(raw), pa.binary())
