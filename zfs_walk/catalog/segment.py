"""Segments: Parquet files that are durable or not there, and never replaced."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from zfs_walk.catalog.durable import fsync_folder
from zfs_walk.catalog.extras import require
from zfs_walk.catalog.rows import BATCH_ROWS, Batches
from zfs_walk.catalog.schema import Kind, arrow_schema
from zfs_walk.scan.columns import Columns

if TYPE_CHECKING:
    from zfs_walk.scan.interface import ScanError

_DIGEST_BYTES: Final = 16
"""Of BLAKE2b: 128 bits find any damage, and 8,000 segments still make a short manifest."""

_DICTIONARY_BYTES: Final = 64 * 2**20
"""Until here a dictionary stays one; at the usual 1 MiB the column dir would go plain."""

_REPEATING: Final = (
    "dir", "dir_raw", "type", "size", "allocated", "nlink", "dev", "uid", "gid", "mode", "depth",
    "error", "errno", "class", "message",
)  # fmt: skip
"""Columns whose values repeat: the others would fill a dictionary for nothing."""


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """What is known of a segment once it is durable.

    Attributes:
        name: of its file, in the catalog's folder ``segments``.
        kind: what its rows are, ``files`` or ``errors``.
        rows: how many.
        bytes: the size of its file.
        checksum: BLAKE2b (16 bytes) of its file, in hexadecimal.
    """

    name: str
    kind: Kind
    rows: int
    bytes: int
    checksum: str

    def __post_init__(self) -> None:
        """Refuse a name that leads out of the folder: infos also come from files and peers.

        Raises:
            ValueError: it does.
        """
        if self.name in {"", ".", ".."} or "/" in self.name or "\0" in self.name:
            msg = f"{self.name!r} is no name of a segment"
            raise ValueError(msg)


def write_segment(
    path: str | Path,
    columns: Columns | Iterable[Columns],
    *,
    stated: bool = True,
) -> SegmentInfo:
    """Write entries as one durable segment; several ``columns`` become one after the other.

    Where ``stated`` is False (a names-only run), everything that only a stat tells is null. Where
    it is True, it is null in the rows whose stat failed.

    Raises:
        FileExistsError: there is a file of this name; it stays as it is.
        OSError: the segment could not be made durable (a full disk); no file is left.
        InternalError: the columns were made for totals only.
        MissingExtraError: pyarrow is not installed.
    """
    several = [columns] if isinstance(columns, Columns) else columns
    make = Batches()
    parts = (make.of_columns(part, stated=stated) for part in several)
    return write_batches(Path(path), "files", chain.from_iterable(parts))


def write_errors(path: str | Path, errors: Sequence["ScanError"]) -> SegmentInfo:
    """Write the entries that could not be read or listed as one durable segment.

    Raises:
        FileExistsError: there is a file of this name; it stays as it is.
        OSError: the segment could not be made durable (a full disk); no file is left.
        MissingExtraError: pyarrow is not installed.
    """
    return write_batches(Path(path), "errors", Batches().of_errors(errors))


def write_batches(path: Path, kind: Kind, batches: Iterable[Any]) -> SegmentInfo:
    """Write Arrow record batches of a kind's schema as one durable segment.

    At most two batches are held at a time.

    Raises:
        FileExistsError: there is a file of this name; it stays as it is.
        OSError: the segment could not be made durable; no file is left.
        MissingExtraError: pyarrow is not installed.
    """
    require("pyarrow", "Writing a catalog")
    file = path.open("xb")
    try:
        with file:
            hashed = _HashedFile(file)
            rows = _write_parquet(hashed, kind, batches)
            file.flush()
            os.fsync(file.fileno())
        fsync_folder(path.parent)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return SegmentInfo(path.name, kind, rows, hashed.bytes, hashed.digest.hexdigest())


def read_batches(path: Path) -> Iterator[Any]:
    """Yield the rows of a segment as Arrow record batches, holding one row group at a time.

    Raises:
        OSError: the file can't be read.
        pyarrow.ArrowException: it is not Parquet.
        MissingExtraError: pyarrow is not installed.
    """
    parquet = require("pyarrow.parquet", "Reading a catalog")
    with parquet.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield from file.read_row_group(group, use_threads=False).to_batches(BATCH_ROWS)


def checksum(path: Path) -> str:
    """Return the checksum of a file, as `SegmentInfo` has it.

    Raises:
        OSError: the file can't be read.
    """
    digest = blake2b(digest_size=_DIGEST_BYTES)
    with path.open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


class _HashedFile:
    """The little of a file that Arrow needs, which hashes what it writes."""

    def __init__(self, file: BinaryIO) -> None:
        self.digest = blake2b(digest_size=_DIGEST_BYTES)
        self.bytes = 0
        self.closed = False
        self._file = file

    def write(self, piece: Any) -> int:
        self._file.write(piece)
        self.digest.update(piece)
        self.bytes += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self.bytes

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self.closed = True


def _write_parquet(file: _HashedFile, kind: Kind, batches: Iterable[Any]) -> int:
    """Write batches in row groups of one to two times `BATCH_ROWS`; returns the rows."""
    pa = require("pyarrow", "Writing a catalog")
    parquet = require("pyarrow.parquet", "Writing a catalog")
    schema = arrow_schema(pa, kind)
    rows = 0
    with (
        closing(pa.PythonFile(file, mode="w")) as sink,
        parquet.ParquetWriter(
            sink,
            schema,
            compression="zstd" if pa.Codec.is_available("zstd") else "snappy",
            use_dictionary=[name for name in _REPEATING if name in schema.names],
            dictionary_pagesize_limit=_DICTIONARY_BYTES,
        ) as writer,
    ):
        for group in _row_groups(batches):
            rows += sum(len(batch) for batch in group)
            # One dictionary a row group, or Arrow would give up the encoding.
            table = pa.Table.from_batches(group, schema).unify_dictionaries().combine_chunks()
            writer.write_table(table, row_group_size=2 * BATCH_ROWS)
    return rows


def _row_groups(batches: Iterable[Any]) -> Iterator[list[Any]]:
    group: list[Any] = []
    rows = 0
    for batch in batches:
        group.append(batch)
        rows += len(batch)
        if rows >= BATCH_ROWS:
            yield group
            group, rows = [], 0
    if group:
        yield group
