"""What becomes of uploads is in the database, each action once, whatever breaks meanwhile.

The oracle is psql or sqlite3 for the database, find for what was sent.
"""

import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pytest

from tests.process.mirroring import Mirrored, listed, mirroring
from tests.process.place import places, wait_for
from tests.servers.postgres import Postgres, needs_postgres, serving

pytestmark = [pytest.mark.slow, pytest.mark.big, needs_postgres]

FILES = 1_000
SIZE = 10_000
"""Bytes of a file that is sent slowly."""
SOME = 10
"""Of them that are sent from one look to the next."""
AWAY = 60
"""Seconds for which a database is away."""

STAGES = "SELECT stage, count(*), count(DISTINCT path) FROM zfs_walk_action GROUP BY stage"


@pytest.fixture
def mirrored() -> Iterator[Mirrored]:
    for place in places():
        yield from mirroring(place)


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    with serving() as started:
        yield started


def plant(mirrored: Mirrored, name: str, size: int = 0) -> None:
    folder = mirrored.data / name
    folder.mkdir()
    for number in range(FILES):
        (folder / f"f{number}").write_text(f"{name} {number}".ljust(size))


def stages(postgres: Postgres) -> dict[str, tuple[int, int]]:
    """Of each stage, how many rows and how many names."""
    return {stage: (int(rows), int(names)) for stage, rows, names in postgres.rows(STAGES)}


def sent(mirrored: Mirrored) -> int:
    return len(listed(mirrored.copy)) - 1


def more_are_sent(mirrored: Mirrored, count: int) -> bool:
    return sent(mirrored) > count


def test_each_action_is_there_once_with_what_has_become_of_it(
    mirrored: Mirrored, postgres: Postgres
) -> None:
    mirrored.configure({"notify": postgres.url}, complete_sync=True)
    process = mirrored.start()
    files = len(listed(mirrored.data)) - 1
    wait_for("all are told", lambda: stages(postgres).get("sent") == (files, files))
    (mirrored.data / "d0/f000000").rename(mirrored.data / "moved")
    (mirrored.data / "d1/f000000").unlink()
    query = (
        "SELECT stage, path_text, detail FROM zfs_walk_action WHERE stage IN ('moved', 'deleted')"
    )
    wait_for("a move and a deletion are told", lambda: sorted(postgres.rows(query)) == [
        ["deleted", "d1/f000000", ""], ["moved", "moved", "d0/f000000"]
    ])  # fmt: skip
    assert postgres.rows("SELECT number FROM zfs_walk_action WHERE ended_at IS NULL") == []
    wait_for("it is well", lambda: postgres.rows("SELECT name, health FROM zfs_walk_mapping") == [
        ["one", "ok"]
    ])  # fmt: skip
    mirrored.end(process)


def test_what_was_set_aside_is_told_with_the_reason(mirrored: Mirrored, postgres: Postgres) -> None:
    mirrored.configure({"notify": postgres.url}, tries=1)
    (mirrored.copy / "blocked").mkdir()
    (mirrored.copy / "blocked/stays").write_text("in the way")
    (mirrored.data / "blocked").write_text("content")
    mirrored.start()
    query = "SELECT path_text, tries, detail FROM zfs_walk_action WHERE stage = 'aside'"
    wait_for("it is told", lambda: postgres.rows(query))
    [[path, tries, detail]] = postgres.rows(query)
    assert (path, tries) == ("blocked", "1")
    assert "in the way" in detail
    query = "SELECT health FROM zfs_walk_mapping WHERE health LIKE '%set aside%'"
    wait_for("the mapping's health says so", lambda: postgres.rows(query))


def test_names_that_are_not_utf8_are_told(mirrored: Mirrored, postgres: Postgres) -> None:
    mirrored.configure({"notify": postgres.url})
    (mirrored.data / os.fsdecode(b"\xff\n\xe4")).write_text("x")
    mirrored.start()
    query = r"SELECT count(*) FROM zfs_walk_action WHERE path = '\xff0ae4' AND stage = 'sent'"
    wait_for("it is told", lambda: postgres.rows(query) == [["1"]])


def test_what_is_being_sent_is_there(mirrored: Mirrored, postgres: Postgres) -> None:
    (mirrored.data / "large").write_bytes(os.urandom(20_000_000))
    mirrored.configure({"notify": postgres.url}, bwlimit=1_000_000, order="smallest")
    mirrored.start()
    query = "SELECT count(*) FROM zfs_walk_transfer WHERE path_text = 'large' AND sent > 0"
    wait_for("it is told", lambda: postgres.rows(query) == [["1"]])


@pytest.mark.long
@pytest.mark.parametrize("killed", [False, True], ids=["running", "killed"])
def test_a_database_that_is_away_stops_nothing_and_misses_nothing(
    mirrored: Mirrored, postgres: Postgres, *, killed: bool
) -> None:
    mirrored.configure({"notify": postgres.url}, complete_sync=True)
    process = mirrored.start()
    mirrored.becomes_equal("the first ones")
    before = sent(mirrored)
    wait_for("they are told", lambda: stages(postgres).get("sent") == (before, before))
    postgres.stop()
    plant(mirrored, "while it is away")
    if killed:
        wait_for("some are sent", lambda: before < sent(mirrored))
        process.kill()
        assert mirrored.place.end(process).code == -signal.SIGKILL
        assert mirrored.actions(), "the kill has left something to do"
        process = mirrored.start()
    mirrored.becomes_equal("the database is still away")
    wait_for("nothing is left to do", lambda: not mirrored.actions())
    wait_for("it says so", lambda: mirrored.says("the database can't be told"))
    postgres.start()
    everything = before + FILES
    wait_for("all of it is told", lambda: stages(postgres).get("sent") == (everything, everything))
    left = Counter({stage: rows for stage, (rows, _) in stages(postgres).items()})
    assert set(left) <= {"sent", "unchanged", "dropped"}
    mirrored.end(process)


@pytest.mark.long
@pytest.mark.parametrize("killed", [False, True], ids=["running", "killed"])
def test_a_minute_without_the_database_is_made_up_for(
    mirrored: Mirrored, postgres: Postgres, *, killed: bool
) -> None:
    # All of that minute files are sent, because no more may be sent.
    mirrored.configure({"notify": postgres.url}, bwlimit=FILES * SIZE // (AWAY + 10))
    process = mirrored.start()
    mirrored.becomes_equal("the first ones")
    before = sent(mirrored)
    wait_for("they are told", lambda: stages(postgres).get("sent") == (before, before))
    plant(mirrored, "slowly", SIZE)
    wait_for("some are sent", lambda: before < sent(mirrored))
    postgres.stop()
    back = time.monotonic() + AWAY
    while time.monotonic() < back:
        wait_for("it goes on", partial(more_are_sent, mirrored, sent(mirrored) + SOME))
        if killed and time.monotonic() > back - AWAY / 2:
            killed = False
            process.kill()
            assert mirrored.place.end(process).code == -signal.SIGKILL
            assert mirrored.actions(), "the kill has left something to do"
            process = mirrored.start()
    everything = before + FILES
    assert sent(mirrored) < everything
    assert mirrored.says("the database can't be told")
    postgres.start()
    mirrored.becomes_equal("the rest of it")
    wait_for("all of it is told", lambda: stages(postgres).get("sent") == (everything, everything))
    assert set(stages(postgres)) <= {"sent", "unchanged", "dropped"}
    mirrored.end(process)


def test_it_is_a_file_of_its_own_if_nobody_names_another(mirrored: Mirrored) -> None:
    mirrored.configure({"notify": "file"})
    mirrored.start()
    mirrored.becomes_equal("the first ones")
    files = len(listed(mirrored.data)) - 1
    file = mirrored.state / "notifications.db"

    def told() -> int:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
            query = "SELECT count(*) FROM zfs_walk_action WHERE stage = 'sent'"
            [[number]] = db.execute(query).fetchall()
            return int(number)

    wait_for("all are told", lambda: file.exists() and told() == files)
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_password_is_told_to_nobody(mirrored: Mirrored, postgres: Postgres) -> None:
    secret = "hunter2-hunter2"  # noqa: S105 -- that is what must not be told
    url = postgres.url.replace("zw@", f"zw:{secret}@")
    code, said = mirrored.run("--notify", url)
    assert (code, secret in said, "DATABASE_URL" in said) == (2, False, True)
    mirrored.place.env["DATABASE_URL"] = url
    process = mirrored.start()
    mirrored.becomes_equal("the first ones")
    postgres.stop()
    (mirrored.data / "late").write_text("x")
    wait_for("it is away", lambda: mirrored.says("the database can't be told"))
    mirrored.end(process)
    kept = b"".join(path.read_bytes() for path in mirrored.state.rglob("*") if path.is_file())
    assert secret.encode() not in kept
