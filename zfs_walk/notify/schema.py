"""The tables of the database, and how they come to be what this release writes (docs/notify.md)."""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from zfs_walk.errors import StateError

if TYPE_CHECKING:
    from sqlalchemy import Engine, MetaData, Table

VERSION: Final = 1
"""Of the schema that this release writes."""

_LOCK: Final = 0x7A66776D
"""Held in PostgreSQL while tables are made, as several uploaders may begin at once."""

_KEY: Final = 64
"""Characters of a mapping's id, and of a word."""


@dataclass(frozen=True, slots=True)
class Tables:
    """What is written.

    Attributes:
        metadata: all of them.
        schema: one row: the version.
        mapping: one row a mapping: how it is.
        action: one row an action: where it stands, or how it has ended.
        transfer: one row a file that is being sent.
    """

    metadata: "MetaData"
    schema: "Table"
    mapping: "Table"
    action: "Table"
    transfer: "Table"


@cache
def tables() -> Tables:
    """The tables of `VERSION`."""
    from sqlalchemy import (  # noqa: PLC0415 -- an extra
        BigInteger,
        Column,
        DateTime,
        Index,
        Integer,
        LargeBinary,
        MetaData,
        String,
        Table,
        Text,
    )

    metadata = MetaData()
    time = DateTime(timezone=True)
    mapping = Table(
        "zfs_walk_mapping", metadata,
        Column("mapping_id", String(_KEY), primary_key=True),
        Column("host", Text, nullable=False),
        Column("agent", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("path", LargeBinary, nullable=False),
        Column("path_text", Text, nullable=False),
        Column("url", Text, nullable=False),
        Column("phase", String(_KEY), nullable=False),
        Column("health", Text, nullable=False),
        *(Column(name, BigInteger, nullable=False) for name in COUNTS),
        Column("told_at", time, nullable=False),
    )  # fmt: skip
    action = Table(
        "zfs_walk_action", metadata,
        Column("mapping_id", String(_KEY), primary_key=True),
        Column("number", BigInteger, primary_key=True),
        Column("path", LargeBinary, nullable=False),
        Column("path_text", Text, nullable=False),
        Column("kind", String(_KEY), nullable=False),
        Column("stage", String(_KEY), nullable=False),
        Column("size", BigInteger, nullable=False),
        Column("tries", Integer, nullable=False),
        Column("detail", Text, nullable=False),
        Column("queued_at", time, nullable=False),
        Column("changed_at", time, nullable=False),
        Column("ended_at", time),
    )  # fmt: skip
    Index("zfs_walk_action_stage", action.c.mapping_id, action.c.stage)
    Index("zfs_walk_action_ended", action.c.ended_at)
    transfer = Table(
        "zfs_walk_transfer", metadata,
        Column("mapping_id", String(_KEY), primary_key=True),
        Column("path", LargeBinary, primary_key=True),
        Column("path_text", Text, nullable=False),
        Column("size", BigInteger, nullable=False),
        Column("sent", BigInteger, nullable=False),
        Column("since", time, nullable=False),
    )  # fmt: skip
    schema = Table(
        "zfs_walk_schema", metadata, Column("version", Integer, primary_key=True)
    )  # fmt: skip
    return Tables(metadata, schema, mapping, action, transfer)


COUNTS: Final = (
    "files", "indexed", "ready", "taken", "held", "aside", "bytes", "active", "sent", "sent_bytes",
    "moved", "deleted", "unchanged", "failed", "bytes_per_s",
)  # fmt: skip
"""Columns of a mapping that are its statistics' fields of the same names."""


def prepare(engine: "Engine") -> None:
    """Make the tables, or see that they are those of this release.

    Raises:
        StateError: they are a newer release's.
        sqlalchemy.exc.SQLAlchemyError: the database can't be used now.
    """
    from sqlalchemy import select, text  # noqa: PLC0415 -- an extra

    known = tables()
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        known.metadata.create_all(connection)
        version = connection.execute(select(known.schema.c.version)).scalar()
        if version is None:
            connection.execute(known.schema.insert().values(version=VERSION))
        elif version != VERSION:
            raise StateError(
                path=engine.url.render_as_string(),
                reason=f"its tables have schema {version}, this release knows {VERSION};"
                " use the release that made them, or a newer one",
            )
