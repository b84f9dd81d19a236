"""The columns of segments: the one table that writers, views and documentation agree on."""

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["files", "errors"]
"""What a segment holds: entries, or entries that could not be read or listed."""


class Column(NamedTuple):
    """One column: its type for Arrow and for DuckDB, and whether it has a dictionary in memory.

    Keys into a dictionary are int32: some versions of pyarrow read them so, whatever was written.
    """

    arrow: str
    duckdb: str
    dictionary: bool = False


_INT = Column("int64", "BIGINT")
_UNSIGNED = Column("uint64", "UBIGINT")
_TEXT = Column("string", "VARCHAR")
_BYTES = Column("binary", "BLOB")

FILES: Final["Mapping[str, Column]"] = {
    "dir": Column("string", "VARCHAR", dictionary=True),
    "name": _TEXT,
    "dir_raw": _BYTES,
    "name_raw": _BYTES,
    "type": Column("string", "VARCHAR", dictionary=True),
    "size": _INT,
    "allocated": _INT,
    "nlink": _UNSIGNED,
    "ino": _UNSIGNED,
    "dev": _UNSIGNED,
    "uid": _UNSIGNED,
    "gid": _UNSIGNED,
    "mode": Column("uint32", "UINTEGER"),
    "atime": _INT,
    "mtime": _INT,
    "ctime": _INT,
    "btime": _INT,
    "depth": Column("int32", "INTEGER"),
    "error": Column("int32", "INTEGER"),
}
"""One row an entry; `docs/catalog.md` has the meaning and unit of each column."""

ERRORS: Final["Mapping[str, Column]"] = {
    "dir": _TEXT,
    "name": _TEXT,
    "dir_raw": _BYTES,
    "name_raw": _BYTES,
    "errno": Column("int32", "INTEGER"),
    "class": _TEXT,
    "message": _TEXT,
}
"""One row an entry that could not be read or listed."""

COLUMNS: Final["Mapping[Kind, Mapping[str, Column]]"] = {"files": FILES, "errors": ERRORS}


def arrow_schema(pa: Any, kind: Kind) -> Any:
    """Return the Arrow schema of a kind of segment, given the module pyarrow."""
    fields = []
    for name, column in COLUMNS[kind].items():
        kept = pa.type_for_alias(column.arrow)
        if column.dictionary:
            kept = pa.dictionary(pa.int32(), kept)
        fields.append((name, kept))
    return pa.schema(fields)
