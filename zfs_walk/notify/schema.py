"""The tables of the database, and how they come to be what this release writes (docs/notify.md)."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from zfs_walk.errors import StateError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, MetaData, Table

VERSION: Final = 2
"""Of the schema that this release writes."""

MIGRATIONS: Final = {
    1: (
        "ALTER TABLE zfs_walk_transfer ADD COLUMN parts INTEGER DEFAULT 0 NOT NULL",
        "ALTER TABLE zfs_walk_transfer ADD COLUMN parts_done INTEGER DEFAULT 0 NOT NULL",
    ),
}
"""What makes of a schema the next one; both databases understand it."""

_LOCK: Final = 0x7A66776D
"""Held in PostgreSQL while tables are made or changed, as several uploaders may begin at once."""

_KEY: Final = 64
"""Characters of a mapping's id, and of a word."""

_log = logging.getLogger("zfs_walk.notify")


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
        # With defaults: uploaders of the release before still write here.
        Column("parts", Integer, server_default="0", nullable=False),
        Column("parts_done", Integer, server_default="0", nullable=False),
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
    """Make the tables, or make of an older release's what this one writes, rows and all.

    All of it in one transaction, while nobody else does the same.

    Raises:
        StateError: they are a newer release's; nothing is changed.
        sqlalchemy.exc.SQLAlchemyError: the database can't be used now.
    """
    from sqlalchemy import inspect, select, text  # noqa: PLC0415 -- an extra

    known = tables()
    with _alone(engine) as connection:
        version = None
        if inspect(connection).has_table(known.schema.name):
            version = connection.execute(select(known.schema.c.version)).scalar()
        if version is None:
            known.metadata.create_all(connection)
            connection.execute(known.schema.insert().values(version=VERSION))
            return
        if version != VERSION and version not in MIGRATIONS:
            raise StateError(
                path=engine.url.render_as_string(),
                reason=f"its tables have schema {version}, this release knows {VERSION};"
                " use the release that made them, or a newer one",
            )
        for old in range(version, VERSION):
            for statement in MIGRATIONS[old]:
                connection.execute(text(statement))
        if version != VERSION:
            connection.execute(known.schema.update().values(version=VERSION))
            _log.info("the database's tables had schema %d, they have %d now", version, VERSION)


@contextmanager
def _alone(engine: "Engine") -> Iterator["Connection"]:
    """One transaction, of tables too; whoever else prepares waits until it is over."""
    from sqlalchemy import text  # noqa: PLC0415 -- an extra

    if engine.dialect.name == "postgresql":
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            yield connection
        return
    # Python's sqlite3 begins no transaction for tables by itself.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        connection.exec_driver_sql("COMMIT")
