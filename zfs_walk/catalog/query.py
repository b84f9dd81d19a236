"""SQL over a catalog, by DuckDB: the views ``files`` and ``errors``, and nothing but reading."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from zfs_walk.catalog.extras import require
from zfs_walk.catalog.manifest import SEGMENTS, Manifest, check_size, load
from zfs_walk.catalog.schema import COLUMNS, Kind
from zfs_walk.catalog.segment import checksum
from zfs_walk.errors import CatalogError, WrongUseError, ZfsWalkError

_FEATURE: Final = "Querying a catalog"

_FETCH_ROWS: Final = 10_000
"""Rows fetched at a time: few calls, little memory."""

_PATH: Final = "(CASE WHEN dir = '/' THEN '' ELSE dir END || '/' || name) AS path"


@contextmanager
def opened(folder: str | Path) -> Iterator[Any]:
    """Open a catalog: a DuckDB connection with the views ``files`` and ``errors``, then closed.

    It reads the segments that the manifest names, and no other file; its settings are locked.
    What does not fit in memory goes to a temporary folder.

    Raises:
        CatalogError: not a catalog, or one of its segments is missing or can't be read.
        MissingExtraError: duckdb is not installed.
    """
    duckdb = require("duckdb", _FEATURE)
    folder = Path(folder)
    manifest = load(folder)
    for segment in manifest.segments:
        check_size(folder, segment)
    with TemporaryDirectory(prefix="zfs_walk-query-") as temporary:
        # DuckDB takes paths as UTF-8 patterns; through a link, any folder's name will do.
        link = Path(temporary) / SEGMENTS
        link.symlink_to(folder.absolute() / SEGMENTS)
        spill = str(Path(temporary) / "spill")
        connection = duckdb.connect(
            config={"temp_directory": spill, "autoload_known_extensions": "false"},
        )
        try:
            _restrict(connection, [str(link / segment.name) for segment in manifest.segments])
            for kind in COLUMNS:
                connection.execute(_view(kind, link, manifest))
            connection.execute("SET lock_configuration = true")
            yield connection
        except duckdb.Error as error:
            raise _ours(error, folder, link) from error
        finally:
            connection.close()


def query(folder: str | Path, sql: str) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
    """Run one statement that only reads; returns the names of its columns, and its rows.

    Rows come as they are made, so that a result may be larger than memory. Times with a time zone
    come as text. The catalog is open until the iterator is exhausted, closed or forgotten.

    Raises:
        WrongUseError: the statement is wrong (DuckDB's words), or does more than read. The
            iterator raises it too, where a value is what is wrong.
        CatalogError: not a catalog, or one of its segments is missing or can't be read.
        MissingExtraError: duckdb is not installed.
    """
    rows = _rows(folder, sql)
    columns = next(rows)
    return list(columns), rows


def damaged(folder: str | Path, manifest: Manifest) -> Iterator[str]:
    """Read every segment and yield what is wrong with those that are not as they were written.

    A disk that fails to read is such a thing, too: the other segments are read nevertheless.
    """
    for segment in manifest.segments:
        try:
            if checksum(Path(folder) / SEGMENTS / segment.name) != segment.checksum:
                yield f"{segment.name}: its checksum is not the recorded one"
        except OSError as error:
            yield f"{segment.name}: {error.strerror}"


def _rows(folder: str | Path, sql: str) -> Iterator[tuple[Any, ...]]:
    """Yield the names of the columns, then the rows."""
    duckdb = require("duckdb", _FEATURE)
    with opened(folder) as connection:
        statements = duckdb.extract_statements(sql)
        if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
            raise WrongUseError(reason="a catalog takes one SQL statement that reads (SELECT)")
        connection.execute(_plain(connection, statements[0].query.rstrip().rstrip(";")))
        yield tuple(column[0] for column in connection.description)
        while rows := connection.fetchmany(_FETCH_ROWS):
            yield from rows


def _plain(connection: Any, sql: str) -> str:
    """Return ``sql`` with times with a time zone as text: DuckDB needs pytz to hand them out."""
    relation = connection.sql(sql)
    zoned = [str(kept) == "TIMESTAMP WITH TIME ZONE" for kept in relation.types]
    if not any(zoned):
        return sql
    names = [f"c{number}" for number in range(len(zoned))]
    chosen = ", ".join(
        f"{name}{'::VARCHAR' if is_zoned else ''} AS {_identifier(column)}"
        for name, is_zoned, column in zip(names, zoned, relation.columns, strict=True)
    )
    return f"SELECT {chosen} FROM (\n{sql}\n) AS t({', '.join(names)})"  # noqa: S608 -- the user's


def _restrict(connection: Any, paths: list[str]) -> None:
    """Let the connection read ``paths`` and nothing else."""
    connection.execute("SET allowed_paths = ?", [paths])
    connection.execute("SET enable_external_access = false")


def _view(kind: Kind, link: Path, manifest: Manifest) -> str:
    """Return the statement that makes the view ``kind`` over the manifest's segments."""
    columns = COLUMNS[kind]
    paths = [str(link / segment.name) for segment in manifest.segments if segment.kind == kind]
    if paths:
        listed = ", ".join(_literal(path) for path in paths)
        chosen = ", ".join(columns)
        source = f"SELECT {chosen} FROM read_parquet([{listed}], hive_partitioning = false)"  # noqa: S608
    else:
        chosen = ", ".join(f"NULL::{column.duckdb} AS {name}" for name, column in columns.items())
        source = f"SELECT {chosen} WHERE false"
    return f"CREATE VIEW {kind} AS SELECT *, {_PATH} FROM ({source})"  # noqa: S608 -- ours


def _identifier(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _ours(error: Exception, folder: Path, link: Path) -> ZfsWalkError:
    """Return the error of ours for one of DuckDB: the statement's fault, or the catalog's."""
    duckdb = require("duckdb", _FEATURE)
    # The rest of the text shows where in the line, with spaces that a message does not keep.
    words = str(error).partition("\nLINE ")[0].strip().rstrip(".")
    of_a_segment = str(link) in words and not isinstance(error, duckdb.PermissionException)
    faults = (duckdb.OperationalError, duckdb.InternalError, duckdb.FatalException)
    # What the Parquet reader stumbles over in damaged bytes has no class of its own.
    if of_a_segment or isinstance(error, faults) or type(error) is duckdb.Error:
        return CatalogError(path=folder, reason=words.replace(str(link), str(folder / SEGMENTS)))
    return WrongUseError(reason=words)
