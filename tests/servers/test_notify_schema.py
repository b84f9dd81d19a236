"""A database of an older release becomes one of this release: its rows are kept, new ones come.

The oracle is psql or sqlite3.
"""

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import pytest

from tests.process.mirroring import Mirrored, listed, mirroring
from tests.process.place import Process, places, wait_for
from tests.servers.postgres import Postgres, needs_postgres, serving

pytestmark = [pytest.mark.slow, pytest.mark.big]

SCHEMA_1 = """
CREATE TABLE zfs_walk_action (
    mapping_id VARCHAR(64) NOT NULL, number BIGINT NOT NULL, path {bytes} NOT NULL,
    path_text TEXT NOT NULL, kind VARCHAR(64) NOT NULL, stage VARCHAR(64) NOT NULL,
    size BIGINT NOT NULL, tries INTEGER NOT NULL, detail TEXT NOT NULL, queued_at {time} NOT NULL,
    changed_at {time} NOT NULL, ended_at {time}, PRIMARY KEY (mapping_id, number)
);
CREATE INDEX zfs_walk_action_stage ON zfs_walk_action (mapping_id, stage);
CREATE INDEX zfs_walk_action_ended ON zfs_walk_action (ended_at);
CREATE TABLE zfs_walk_mapping (
    mapping_id VARCHAR(64) NOT NULL, host TEXT NOT NULL, agent TEXT NOT NULL, name TEXT NOT NULL,
    path {bytes} NOT NULL, path_text TEXT NOT NULL, url TEXT NOT NULL, phase VARCHAR(64) NOT NULL,
    health TEXT NOT NULL, files BIGINT NOT NULL, "indexed" BIGINT NOT NULL, ready BIGINT NOT NULL,
    taken BIGINT NOT NULL, held BIGINT NOT NULL, aside BIGINT NOT NULL, bytes BIGINT NOT NULL,
    active BIGINT NOT NULL, sent BIGINT NOT NULL, sent_bytes BIGINT NOT NULL,
    moved BIGINT NOT NULL, deleted BIGINT NOT NULL, unchanged BIGINT NOT NULL,
    failed BIGINT NOT NULL, bytes_per_s BIGINT NOT NULL, told_at {time} NOT NULL,
    PRIMARY KEY (mapping_id)
);
CREATE TABLE zfs_walk_schema (version {version} NOT NULL, PRIMARY KEY (version));
CREATE TABLE zfs_walk_transfer (
    mapping_id VARCHAR(64) NOT NULL, path {bytes} NOT NULL, path_text TEXT NOT NULL,
    size BIGINT NOT NULL, sent BIGINT NOT NULL, since {time} NOT NULL,
    PRIMARY KEY (mapping_id, path)
);
INSERT INTO zfs_walk_schema VALUES (1);
INSERT INTO zfs_walk_action VALUES ('old', 7, {one}, 'a', 'send', 'sent', 10, 2, 'why',
    '2026-01-02 03:04:05', '2026-01-02 03:04:06', '2026-01-02 03:04:06');
INSERT INTO zfs_walk_mapping VALUES ('old', 'h', 'a', 'n', {one}, 'a', 'u', 'mirroring', 'ok',
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, '2026-01-02 03:04:05');
INSERT INTO zfs_walk_transfer VALUES ('old', {one}, 'a', 10, 5, '2026-01-02 03:04:05');
"""
"""As the release that had schema 1 made it, word for word but for the types' names; and rows."""

KEPT = (
    "SELECT number, path_text, stage, tries, detail FROM zfs_walk_action WHERE mapping_id = 'old'"
)
TRANSFER = "SELECT size, sent, parts, parts_done FROM zfs_walk_transfer WHERE mapping_id = 'old'"
MAPPING = "SELECT bytes_per_s, health FROM zfs_walk_mapping WHERE mapping_id = 'old'"
SENT = "SELECT count(*) FROM zfs_walk_action WHERE mapping_id != 'old' AND stage = 'sent'"
MAPPINGS = "SELECT count(*) FROM zfs_walk_mapping WHERE mapping_id != 'old'"
VERSION = "SELECT version FROM zfs_walk_schema"


class Store(ABC):
    """A database, and what is asked of it without our code."""

    url: str

    @abstractmethod
    def run(self, script: str) -> None:
        """Carry out statements."""

    @abstractmethod
    def rows(self, query: str) -> list[list[str]]:
        """What it answers."""


class File(Store):
    """SQLite's."""

    words: ClassVar = {"bytes": "BLOB", "time": "DATETIME", "version": "INTEGER", "one": "x'61'"}

    def __init__(self, file: Path) -> None:
        self._file = file
        self.url = f"sqlite:///{file}"

    def run(self, script: str) -> None:
        with closing(sqlite3.connect(self._file)) as db:
            db.executescript(script.format(**self.words))

    def rows(self, query: str) -> list[list[str]]:
        with closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True)) as db:
            try:
                return [[str(value) for value in row] for row in db.execute(query)]
            except sqlite3.OperationalError:
                return []


class Server(Store):
    """PostgreSQL."""

    words: ClassVar = {
        "bytes": "BYTEA",
        "time": "TIMESTAMP WITH TIME ZONE",
        "version": "SERIAL",
        "one": "'\\x61'",
    }

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self.url = postgres.url

    def run(self, script: str) -> None:
        self._postgres.rows(script.format(**self.words))

    def rows(self, query: str) -> list[list[str]]:
        return self._postgres.rows(query)


@pytest.fixture
def mirrored() -> Iterator[Mirrored]:
    for place in places():
        yield from mirroring(place)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=needs_postgres)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "sqlite":
        yield File(tmp_path / "told.db")
    else:
        with serving() as started:
            yield Server(started)


def is_whole(store: Store) -> None:
    """It has this release's schema, and what it had before."""
    assert store.rows(VERSION) == [["2"]]
    assert store.rows(KEPT) == [["7", "a", "sent", "2", "why"]]
    assert store.rows(TRANSFER) == [["10", "5", "0", "0"]]
    assert store.rows(MAPPING) == [["15", "ok"]]


def another(mirrored: Mirrored, number: int) -> Process:
    """One more uploader of the same folder, to another one, with a state of its own."""
    content = json.loads(mirrored.file.read_text())
    content["state"] = f"{mirrored.state}-{number}"
    copy = Path(f"{mirrored.copy}-{number}")
    copy.mkdir()
    content["mappings"][0]["to"] = f"file://{copy}"
    file = mirrored.place.folder / f"uploader-{number}.yaml"
    file.write_text(json.dumps(content))
    return mirrored.place.start("agent", "--config", file, "--name", f"uploader-{number}")


def test_rows_of_an_older_schema_are_kept_and_new_ones_come(
    mirrored: Mirrored, store: Store
) -> None:
    store.run(SCHEMA_1)
    mirrored.configure({"notify": store.url})
    process = mirrored.start()
    files = len(listed(mirrored.data)) - 1
    wait_for("all are told", lambda: store.rows(SENT) == [[str(files)]])
    is_whole(store)
    wait_for("so is the mapping", lambda: store.rows(MAPPINGS) == [["1"]])
    mirrored.end(process)
    # Once more, on what it is now.
    (mirrored.data / "late").write_text("x")
    process = mirrored.start()
    wait_for("it is told", lambda: store.rows(SENT) == [[str(files + 1)]])
    is_whole(store)
    mirrored.end(process)


def test_several_that_start_at_once_make_one_change(mirrored: Mirrored, store: Store) -> None:
    store.run(SCHEMA_1)
    mirrored.configure({"notify": store.url})
    processes = [another(mirrored, number) for number in range(4)]
    files = len(listed(mirrored.data)) - 1
    wait_for("all are told", lambda: store.rows(SENT) == [[str(4 * files)]])
    is_whole(store)
    wait_for("so are the mappings", lambda: store.rows(MAPPINGS) == [["4"]])
    for process in processes:
        mirrored.end(process)
    logs = [path.read_text() for path in mirrored.place.folder.glob("uploader-state-*/log/*.jsonl")]
    assert sum(text.count("had schema 1, they have 2 now") for text in logs) == 1


def test_a_change_that_fails_leaves_the_older_schema_as_it_was(
    mirrored: Mirrored, store: Store
) -> None:
    store.run(SCHEMA_1)
    # The second statement can't be done.
    store.run("ALTER TABLE zfs_walk_transfer ADD COLUMN parts_done INTEGER DEFAULT 3 NOT NULL")
    mirrored.configure({"notify": store.url})
    process = mirrored.start()
    mirrored.becomes_equal("it mirrors nevertheless")
    wait_for("it says so", lambda: mirrored.says("the database can't be told"))
    assert store.rows(VERSION) == [["1"]]
    assert store.rows(TRANSFER) == [], "there is no such column: all or nothing"
    assert store.rows(SENT) == [["0"]]
    store.run("ALTER TABLE zfs_walk_transfer DROP COLUMN parts_done")
    files = len(listed(mirrored.data)) - 1
    wait_for("then it is told", lambda: store.rows(SENT) == [[str(files)]])
    is_whole(store)
    mirrored.end(process)


def test_tables_of_a_newer_release_are_left_alone(mirrored: Mirrored, store: Store) -> None:
    store.run("CREATE TABLE zfs_walk_schema (version INTEGER PRIMARY KEY)")
    store.run("INSERT INTO zfs_walk_schema VALUES (99)")
    mirrored.configure({"notify": store.url})
    process = mirrored.start()
    mirrored.becomes_equal("it mirrors nevertheless")
    wait_for("it says why", lambda: mirrored.says("schema 99"))
    assert store.rows(VERSION) == [["99"]]
    assert store.rows(SENT) == [], "no table was made"
    mirrored.end(process)
