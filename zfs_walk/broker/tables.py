"""The journal's tables, their schema number, and how an older one becomes this one.

And how values are kept that SQLite has no type for.
"""

from dataclasses import astuple, replace
from typing import Final

import msgpack

from zfs_walk.protocol.files import Place
from zfs_walk.protocol.records import WalkOptions

SCHEMA: Final = 5
"""2: sessions have the name of their key, and runs the time of their end. 3: there are claims.
4: problems have a reason in words. 5: there are load runs and reports."""

LOAD_TABLES: Final = """
CREATE TABLE load (
    run INTEGER PRIMARY KEY, state TEXT NOT NULL, reason TEXT NOT NULL, agents INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL, wait_ms INTEGER NOT NULL, stopped INTEGER NOT NULL,
    submitted REAL NOT NULL, began REAL NOT NULL, ended REAL NOT NULL, config BLOB NOT NULL);
CREATE TABLE load_member (
    run INTEGER NOT NULL, session INTEGER NOT NULL, host TEXT NOT NULL, name TEXT NOT NULL,
    state TEXT NOT NULL, detail TEXT NOT NULL, PRIMARY KEY (run, session)) WITHOUT ROWID;
CREATE TABLE report (
    run INTEGER NOT NULL, session INTEGER NOT NULL, kind TEXT NOT NULL, seq INTEGER NOT NULL,
    last INTEGER NOT NULL, snapshot BLOB NOT NULL);
CREATE UNIQUE INDEX report_key ON report (run, session, kind);
"""

CLAIM_TABLE: Final = """
CREATE TABLE claim (
    session INTEGER NOT NULL, claim INTEGER NOT NULL, path BLOB NOT NULL, dev INTEGER NOT NULL,
    ino INTEGER NOT NULL, ancestors BLOB NOT NULL, claimed INTEGER NOT NULL,
    PRIMARY KEY (session, claim)) WITHOUT ROWID;
"""

MIGRATIONS: Final = {
    # When a run ended was not kept; it is as if all had ended at the migration.
    1: """
ALTER TABLE session ADD COLUMN key TEXT NOT NULL DEFAULT '';
ALTER TABLE run ADD COLUMN ended INTEGER NOT NULL DEFAULT 0;
UPDATE run SET ended = unixepoch() WHERE state IN ('DONE', 'DONE_WITH_ERRORS', 'ABORTED');
CREATE INDEX lease_run ON lease (run);
""",
    2: CLAIM_TABLE,
    3: "ALTER TABLE problem ADD COLUMN reason TEXT NOT NULL DEFAULT ''",
    4: LOAD_TABLES,
}
"""Schema -> the statements that make the next one of it."""

TABLES: Final = (
    """
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE run (
    run INTEGER PRIMARY KEY, state TEXT NOT NULL, reason TEXT NOT NULL, options BLOB NOT NULL,
    min_agents INTEGER NOT NULL, roots INTEGER NOT NULL, items INTEGER NOT NULL,
    elapsed_ms INTEGER NOT NULL, submitted INTEGER NOT NULL,
    ended INTEGER NOT NULL DEFAULT 0);
CREATE TABLE root (
    run INTEGER NOT NULL, idx INTEGER NOT NULL, path BLOB NOT NULL, host TEXT NOT NULL,
    fstype TEXT NOT NULL, ino INTEGER NOT NULL, network INTEGER NOT NULL,
    PRIMARY KEY (run, idx)) WITHOUT ROWID;
CREATE TABLE unit (
    uid INTEGER PRIMARY KEY, run INTEGER NOT NULL, epoch INTEGER NOT NULL,
    session INTEGER NOT NULL, items INTEGER NOT NULL, attempt INTEGER NOT NULL);
CREATE TABLE lease (
    uid INTEGER NOT NULL, epoch INTEGER NOT NULL, session INTEGER NOT NULL,
    seq INTEGER NOT NULL, run INTEGER NOT NULL, PRIMARY KEY (uid, epoch)) WITHOUT ROWID;
CREATE INDEX lease_run ON lease (run);
CREATE TABLE item (
    uid INTEGER NOT NULL, n INTEGER NOT NULL, kind INTEGER NOT NULL, root INTEGER NOT NULL,
    path BLOB NOT NULL, part INTEGER NOT NULL, parts INTEGER NOT NULL, deaths INTEGER NOT NULL,
    PRIMARY KEY (uid, n)) WITHOUT ROWID;
CREATE TABLE ledger (
    run INTEGER NOT NULL, uid INTEGER NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
    found INTEGER NOT NULL, done INTEGER NOT NULL, quarantined INTEGER NOT NULL,
    counters BLOB NOT NULL, PRIMARY KEY (run, uid, epoch, seq)) WITHOUT ROWID;
CREATE TABLE counter (
    run INTEGER NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL,
    PRIMARY KEY (run, name)) WITHOUT ROWID;
CREATE TABLE problem (
    run INTEGER NOT NULL, path BLOB NOT NULL, errno INTEGER NOT NULL, kind TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '');
CREATE INDEX problem_run ON problem (run);
CREATE TABLE quarantine (
    run INTEGER NOT NULL, kind INTEGER NOT NULL, root INTEGER NOT NULL, path BLOB NOT NULL,
    part INTEGER NOT NULL, parts INTEGER NOT NULL, deaths INTEGER NOT NULL, reason TEXT NOT NULL);
CREATE INDEX quarantine_run ON quarantine (run);
CREATE TABLE segment (
    run INTEGER NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, rows INTEGER NOT NULL,
    size INTEGER NOT NULL, checksum TEXT NOT NULL, PRIMARY KEY (run, name)) WITHOUT ROWID;
CREATE TABLE session (
    session INTEGER PRIMARY KEY, role TEXT NOT NULL, host TEXT NOT NULL, name TEXT NOT NULL,
    boot TEXT NOT NULL, key TEXT NOT NULL DEFAULT '');
CREATE TABLE request (request TEXT PRIMARY KEY, run INTEGER NOT NULL) WITHOUT ROWID;
"""
    + CLAIM_TABLE
    + LOAD_TABLES
)


def pack_options(options: WalkOptions) -> bytes:
    """A run's options, for their column."""
    packed: bytes = msgpack.packb(astuple(options))
    return packed


def unpack_options(packed: bytes) -> WalkOptions:
    """A run's options, from their column."""
    options = WalkOptions(*msgpack.unpackb(packed))
    return replace(options, excludes=tuple(options.excludes), includes=tuple(options.includes))


def pack_places(places: tuple[Place, ...]) -> bytes:
    """Directories' identities, for a column."""
    packed: bytes = msgpack.packb([(place.dev, place.ino) for place in places])
    return packed


def unpack_places(packed: bytes) -> tuple[Place, ...]:
    """Directories' identities, from a column."""
    return tuple(Place(dev, ino) for dev, ino in msgpack.unpackb(packed))


def signed(number: int) -> int:
    """An inode's number for its column: SQLite's integers have a sign; inodes have none."""
    return number - 2**64 if number >= 2**63 else number


def unsigned(number: int) -> int:
    """An inode's number, from its column."""
    return number % 2**64
