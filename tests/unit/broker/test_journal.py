"""What every implementation of the journal must do, whoever wrote it (docs/protocol.md section 5).

To test another one, add it to `JOURNALS`.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import msgpack
import pytest

from tests.unit.broker.making import OPTIONS, commit, directory, journal_in_memory, root
from zfs_walk.broker.journal import (
    MOST_COUNT,
    UNKNOWN,
    Applied,
    Fenced,
    Gap,
    Granted,
    Journal,
    Repeat,
    RunOver,
    StoredClaim,
    StoredMember,
    StoredSession,
    StoredUnit,
    Unbalanced,
    Verdict,
)
from zfs_walk.broker.sqlite import SqliteJournal
from zfs_walk.broker.tables import MIGRATIONS
from zfs_walk.errors import InternalError, JournalError, StateError
from zfs_walk.protocol.files import Place
from zfs_walk.protocol.loads import LoadSnapshot, Report
from zfs_walk.protocol.records import DIR, PART, Item, Problem, Quarantined, Segment, Suspect

JOURNALS: dict[str, Callable[[Path], Journal]] = {
    "sqlite in memory": lambda _: SqliteJournal(":memory:"),
    "sqlite in a file": lambda folder: SqliteJournal(folder / "journal"),
}

ME, OTHER = 11, 12
EPOCH = 100


@pytest.fixture(params=JOURNALS, name="journal")
def journal_of_each_kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    journal = JOURNALS[request.param](tmp_path)
    journal.take_term(7)
    yield journal
    journal.close()


@pytest.fixture(name="uid")
def unit_of_three_roots_held_by_me(journal: Journal) -> int:
    """Items 1, 2 and 3."""
    roots = (root(b"/a"), root(b"/b"), root(b"/c"))
    _, unit = journal.add_run("r1", roots, OPTIONS, 1)
    journal.grant(unit.uid, EPOCH, ME, 10_000, 2**20)
    journal.commit()
    return unit.uid


def stored(journal: Journal, uid: int) -> StoredUnit | None:
    return next((unit for unit in journal.load().units if unit.uid == uid), None)


def everything(journal: Journal) -> tuple[Any, ...]:
    """All that a refused message must leave as it was."""
    return (
        journal.load(), journal.books(1), journal.problems(1), journal.quarantined(1),
        journal.segments(1, "", 100),
    )  # fmt: skip


def item_numbers(journal: Journal, uid: int) -> list[int]:
    journal.free(uid)
    granted = journal.grant(uid, EPOCH + 99, ME, 10_000, 2**20)
    return [item.n for item in granted.items]


# ------------------------------------------------------------------------- verdicts


def test_a_commit_changes_frontier_books_and_totals_at_once(journal: Journal, uid: int) -> None:
    segment = Segment("s1", "rows", 5, 100, "sum")
    problem = Problem(b"/a/x", 13, "denied", "the server said so")
    lost = Quarantined(directory(9, b"bad"), "3 workers died over it")
    verdict = journal.apply(
        ME,
        commit(
            uid, EPOCH, 1, removed=(1,), added=(directory(4, b"p"), directory(5, b"q")), found=3,
            done=1, counters={"entries": 5}, errors=(problem,), segments=(segment,),
            quarantined=(lost,), attempts=(Suspect(2, 1),),
        ),
    )  # fmt: skip
    assert verdict == Applied(items=4, run_items=4, split=())
    unit = stored(journal, uid)
    assert unit == StoredUnit(uid, 1, EPOCH, 1, ME, 4, 1)
    books = journal.books(1)
    assert (books.roots, books.found, books.done, books.quarantined, books.left) == (3, 3, 1, 1, 4)
    assert books.counters == books.ledger_counters == journal.counters(1) == {"entries": 5}
    assert journal.problems(1) == (problem,)
    assert [q.item.path for q in journal.quarantined(1)] == [b"bad"]
    assert journal.segments(1, "", 10) == (segment,)
    journal.free(uid)
    items = journal.grant(uid, EPOCH + 1, OTHER, 10, 2**20).items
    assert [(item.n, item.deaths) for item in items] == [(2, 1), (3, 0), (4, 0), (5, 0)]


def test_the_last_item_takes_the_unit_along(journal: Journal, uid: int) -> None:
    verdict = journal.apply(ME, commit(uid, EPOCH, 1, removed=(1, 2, 3), done=3))
    assert verdict == Applied(0, 0, ())
    assert stored(journal, uid) is None


def test_split_groups_become_units_that_nobody_holds(journal: Journal, uid: int) -> None:
    verdict = journal.apply(
        ME, commit(uid, EPOCH, 1, added=(directory(4),), found=1, split=((1, 4), (2,)))
    )
    assert isinstance(verdict, Applied)
    (first, two), (second, one) = verdict.split
    assert (verdict.items, verdict.run_items, two, one) == (1, 4, 2, 1)
    assert stored(journal, first) == StoredUnit(first, 1, 0, 0, 0, 2, 0)
    assert item_numbers(journal, first) == [1, 4]
    assert item_numbers(journal, second) == [2]
    assert item_numbers(journal, uid) == [3]


def test_a_release_leaves_the_rest_to_anybody(journal: Journal, uid: int) -> None:
    journal.apply(ME, commit(uid, EPOCH, 1, removed=(1,), done=1, release=True))
    assert stored(journal, uid) == StoredUnit(uid, 1, 0, 0, 0, 2, 1)


def test_what_was_applied_is_a_repeat_and_changes_nothing(journal: Journal, uid: int) -> None:
    sent = commit(uid, EPOCH, 1, removed=(1,), done=1, counters={"entries": 1})
    journal.apply(ME, sent)
    before = everything(journal)
    assert journal.apply(ME, sent) == Repeat(1)
    assert everything(journal) == before


def test_what_was_applied_is_a_repeat_whatever_became_of_the_unit(
    journal: Journal, uid: int
) -> None:
    sent = commit(uid, EPOCH, 1, removed=(1,), done=1)
    journal.apply(ME, sent)
    journal.free(uid)
    journal.grant(uid, EPOCH + 1, OTHER, 10, 2**20)
    assert journal.apply(ME, sent) == Repeat(1)
    journal.apply(OTHER, commit(uid, EPOCH + 1, 1, removed=(2, 3), done=2))
    journal.set_run(1, "DONE", "", 5)
    assert journal.apply(ME, sent) == Repeat(1)


def test_a_commit_after_a_missing_one_is_a_gap(journal: Journal, uid: int) -> None:
    journal.apply(ME, commit(uid, EPOCH, 1, removed=(1,), done=1))
    before = everything(journal)
    assert journal.apply(ME, commit(uid, EPOCH, 3, removed=(2,), done=1)) == Gap(1)
    assert everything(journal) == before


@pytest.mark.parametrize("session", [ME, OTHER])
def test_an_epoch_that_is_over_is_fenced_and_its_last_commit_told(
    journal: Journal, uid: int, session: int
) -> None:
    journal.apply(ME, commit(uid, EPOCH, 1, removed=(1,), done=1))
    journal.free(uid)
    journal.grant(uid, EPOCH + 1, session, 10, 2**20)
    before = everything(journal)
    assert journal.apply(ME, commit(uid, EPOCH, 2, removed=(2,), done=1)) == Fenced(1)
    assert everything(journal) == before


def test_an_epoch_of_somebody_else_is_fenced(journal: Journal, uid: int) -> None:
    assert journal.apply(OTHER, commit(uid, EPOCH, 1, removed=(1,), done=1)) == Fenced(UNKNOWN)
    assert journal.apply(ME, commit(uid, EPOCH + 5, 1)) == Fenced(UNKNOWN)
    assert journal.apply(ME, commit(uid + 5, EPOCH, 1)) == Fenced(UNKNOWN)


@pytest.mark.parametrize("state", ["ABORTED", "DONE", "DONE_WITH_ERRORS"])
def test_a_run_that_is_over_takes_nothing_more(journal: Journal, uid: int, state: str) -> None:
    journal.set_run(1, state, "", 5)
    before = everything(journal)
    assert journal.apply(ME, commit(uid, EPOCH, 1, removed=(1,), done=1)) == RunOver(0)
    assert everything(journal) == before


@pytest.mark.parametrize("state", ["DRAINING", "PAUSED"])
def test_a_run_that_pauses_takes_what_its_holders_did(
    journal: Journal, uid: int, state: str
) -> None:
    journal.set_run(1, state, "", 5)
    assert isinstance(journal.apply(ME, commit(uid, EPOCH, 1, removed=(1,), done=1)), Applied)


UNBALANCED: dict[str, dict[str, object]] = {
    "a lost directory": {"removed": (1,), "found": 1, "done": 1},
    "an item of nowhere removed": {"removed": (1, 99), "done": 2},
    "an item removed twice": {"removed": (1, 1), "done": 2},
    "a known item added": {"added": (directory(2),), "found": 1},
    "an item added twice": {"added": (directory(4), directory(4)), "found": 2},
    "done without an item": {"done": 1},
    "quarantined without an item": {"quarantined": (Quarantined(directory(1), "x"),)},
    "an item of nowhere given": {"split": ((99,),)},
    "an item given twice": {"split": ((1,), (1, 2))},
    "a removed item given": {"removed": (1,), "done": 1, "split": ((1,),)},
    "an empty group": {"split": ((),)},
}


@pytest.mark.parametrize("wrong", UNBALANCED)
def test_books_that_do_not_balance_change_nothing(journal: Journal, uid: int, wrong: str) -> None:
    before = everything(journal)
    sent = commit(
        uid, EPOCH, 1, counters={"entries": 7}, segments=(Segment("s", "rows", 1, 1, ""),)
    )
    fields = {name: getattr(sent, name) for name in sent.__dataclass_fields__}
    verdict = journal.apply(ME, type(sent)(**(fields | UNBALANCED[wrong])))
    assert isinstance(verdict, Unbalanced)
    assert verdict.applied == 0
    assert everything(journal) == before
    assert isinstance(journal.apply(ME, commit(uid, EPOCH, 1, removed=(1,), done=1)), Applied)


def test_a_segment_that_is_listed_cannot_be_listed_again(journal: Journal, uid: int) -> None:
    segment = Segment("s", "rows", 1, 1, "")
    journal.apply(ME, commit(uid, EPOCH, 1, segments=(segment,)))
    assert isinstance(journal.apply(ME, commit(uid, EPOCH, 2, segments=(segment,))), Unbalanced)


def test_a_refused_message_undoes_only_itself(journal: Journal, uid: int) -> None:
    verdicts: list[Verdict] = [
        journal.apply(ME, commit(uid, EPOCH, 1, removed=(1,), done=1)),
        journal.apply(ME, commit(uid, EPOCH, 2, removed=(2,), done=5)),
        journal.apply(ME, commit(uid, EPOCH, 2, removed=(2,), done=1)),
    ]
    journal.commit()
    assert [type(verdict) for verdict in verdicts] == [Applied, Unbalanced, Applied]
    assert item_numbers(journal, uid) == [3]


def test_applied_tells_only_the_session_that_it_was(journal: Journal, uid: int) -> None:
    journal.apply(ME, commit(uid, EPOCH, 1, removed=(1,), done=1))
    journal.free(uid)
    assert journal.applied(ME, uid, EPOCH) == 1
    assert journal.applied(OTHER, uid, EPOCH) == UNKNOWN
    assert journal.applied(ME, uid, EPOCH + 1) == UNKNOWN


# ------------------------------------------------------------------------- grants


def with_items(journal: Journal, count: int, size: int = 1) -> int:
    _, unit = journal.add_run("many", (root(),), OPTIONS, 1)
    journal.grant(unit.uid, EPOCH, ME, 10_000, 2**20)
    added = tuple(Item(n, DIR, 0, b"p" * size) for n in range(2, count + 1))
    journal.apply(ME, commit(unit.uid, EPOCH, 1, added=added, found=count - 1, release=True))
    return unit.uid


def test_a_grant_carries_at_most_so_many_items_and_the_rest_is_a_unit(journal: Journal) -> None:
    uid = with_items(journal, 10)
    granted = journal.grant(uid, EPOCH + 1, OTHER, 4, 2**20)
    assert [item.n for item in granted.items] == [1, 2, 3, 4]
    assert granted.carved_items == 6
    assert stored(journal, granted.carved) == StoredUnit(granted.carved, 1, 0, 0, 0, 6, 0)
    assert item_numbers(journal, granted.carved) == [5, 6, 7, 8, 9, 10]
    assert journal.books(1).left == 10


def test_a_grant_carries_at_most_so_many_bytes_but_always_an_item(journal: Journal) -> None:
    uid = with_items(journal, 6, size=1000)
    granted = journal.grant(uid, EPOCH + 1, OTHER, 100, 3000)
    assert [item.n for item in granted.items] == [1, 2, 3]
    single = journal.grant(granted.carved, EPOCH + 2, OTHER, 100, 10)
    assert len(single.items) == 1
    assert single.carved_items == 2


def test_a_unit_that_fits_is_not_carved(journal: Journal) -> None:
    uid = with_items(journal, 3)
    assert journal.grant(uid, EPOCH + 1, ME, 3, 2**20) == Granted(
        (Item(1, DIR, 0, b""), Item(2, DIR, 0, b"p"), Item(3, DIR, 0, b"p")), 0, 0
    )


def test_parts_keep_their_numbers(journal: Journal, uid: int) -> None:
    part = Item(4, PART, 0, b"wide", 3, 64, 2)
    journal.apply(ME, commit(uid, EPOCH, 1, added=(part,), found=1, release=True))
    assert part in journal.grant(uid, EPOCH + 1, ME, 10, 2**20).items


# ------------------------------------------------------------------------- the rest


def test_a_repeated_submit_finds_the_first_ones_run(journal: Journal) -> None:
    run, _ = journal.add_run("abc", (root(),), OPTIONS, 1)
    assert journal.answer("abc") == run.run
    assert journal.answer("xyz") == 0


def test_terms_only_grow(journal: Journal) -> None:
    assert journal.take_term(3) == 8
    assert journal.take_term(1_000) == 1_000
    assert journal.term == 1_000


def test_numbers_of_another_term_are_never_issued_again(journal: Journal) -> None:
    seen = {journal.next_id() for _ in range(100)}
    journal.take_term(0)
    assert not seen & {journal.next_id() for _ in range(100)}
    assert all(number >> 28 == 7 for number in seen)


def test_numbers_never_run_into_those_of_the_next_term() -> None:
    journal = SqliteJournal(":memory:", first_id=lambda: 2**28 - 2)
    journal.take_term(7)
    assert journal.next_id() == (8 << 28) - 1
    with pytest.raises(InternalError, match="a restart begins a new one"):
        journal.next_id()
    journal.close()


def test_two_brokers_that_come_to_the_same_term_issue_different_numbers() -> None:
    """One with a journal, one with a copy of it, and a clock that was set back between them."""
    one, two = SqliteJournal(":memory:"), SqliteJournal(":memory:")
    assert one.take_term(7) == two.take_term(7)
    assert not {one.next_id() for _ in range(3)} & {two.next_id() for _ in range(3)}
    one.close()
    two.close()


def test_an_inode_of_64_bits_comes_back(journal: Journal) -> None:
    record = replace(root(), ino=2**64 - 1)
    journal.add_run("r", (record,), OPTIONS, 1)
    assert journal.load().runs[0].roots == (record,)


def test_counters_stop_at_the_end_of_their_range(journal: Journal, uid: int) -> None:
    most = MOST_COUNT
    journal.apply(ME, commit(uid, EPOCH, 1, counters={"size": most - 5, "low": -most}))
    journal.apply(ME, commit(uid, EPOCH, 2, counters={"size": 100, "low": -100}))
    journal.apply(ME, commit(uid, EPOCH, 3, counters={"size": 0, "low": 7}))
    assert journal.counters(1)["size"] == most
    assert journal.counters(1)["low"] == -most - 1 + 7
    assert journal.books(1).ledger_counters["size"] == most


def test_at_most_a_hundred_examples_of_problems_are_kept(journal: Journal, uid: int) -> None:
    problems = tuple(Problem(b"/a/%d" % i, 13, "denied") for i in range(70))
    for seq in (1, 2, 3):
        journal.apply(ME, commit(uid, EPOCH, seq, errors=problems))
    assert len(journal.problems(1)) == 100


def test_segments_are_listed_by_name_page_by_page(journal: Journal, uid: int) -> None:
    segments = tuple(Segment(f"s{i}", "rows", i, i, "") for i in (3, 1, 2))
    journal.apply(ME, commit(uid, EPOCH, 1, segments=segments))
    first = journal.segments(1, "", 2)
    assert [segment.name for segment in first] == ["s1", "s2"]
    assert [segment.name for segment in journal.segments(1, "s2", 2)] == ["s3"]


def test_an_aborted_runs_items_go_in_slices(journal: Journal) -> None:
    uid = with_items(journal, 10)
    journal.set_run(1, "ABORTED", "", 0)
    assert [journal.drop_items(1, 4) for _ in range(4)] == [4, 4, 2, 0]
    assert journal.books(1).left == 0
    assert stored(journal, uid) is None


# ------------------------------------------------------------------------- retry


def given_up(*numbers: int) -> tuple[Quarantined, ...]:
    return tuple(
        Quarantined(Item(n, PART, 0, b"d%d" % n, 1, 4, deaths=3), "3 workers died over it")
        for n in numbers
    )


def test_quarantined_items_become_a_unit_and_the_books_balance(journal: Journal, uid: int) -> None:
    journal.apply(ME, commit(uid, EPOCH, 1, removed=(1, 2), quarantined=given_up(1, 2)))
    journal.apply(ME, commit(uid, EPOCH, 2, removed=(3,), done=1))
    unit = journal.retry("q", 1)
    assert unit is not None
    assert stored(journal, unit.uid) == StoredUnit(unit.uid, 1, 0, 0, 0, 2, 0)
    books = journal.books(1)
    assert (books.roots, books.done, books.quarantined, books.left) == (3, 1, 0, 2)
    assert journal.load().runs[0].items == 2
    assert (journal.quarantined(1), journal.answer("q")) == ((), 1)
    granted = journal.grant(unit.uid, EPOCH + 1, ME, 10, 2**20)
    # Nobody has died over them in this attempt.
    assert granted.items == (Item(1, PART, 0, b"d1", 1, 4), Item(2, PART, 0, b"d2", 1, 4))


def test_items_that_are_given_up_again_are_retried_again(journal: Journal, uid: int) -> None:
    journal.apply(ME, commit(uid, EPOCH, 1, removed=(1, 2, 3), quarantined=given_up(1, 2, 3)))
    for attempt in range(1, 4):
        unit = journal.retry(f"q{attempt}", 1)
        assert unit is not None
        assert unit.items == 3
        epoch = EPOCH + attempt
        journal.grant(unit.uid, epoch, ME, 10, 2**20)
        again = commit(unit.uid, epoch, 1, removed=(1, 2, 3), quarantined=given_up(1, 2, 3))
        assert isinstance(journal.apply(ME, again), Applied)
        books = journal.books(1)
        assert (books.roots, books.quarantined, books.left) == (3, 3, 0)


def test_a_run_with_nothing_quarantined_has_nothing_to_retry(journal: Journal, uid: int) -> None:
    before = everything(journal)
    assert journal.retry("q", 1) is None
    assert everything(journal) == before
    assert journal.answer("q") == 0
    assert stored(journal, uid) is not None


# ------------------------------------------------------------------------- pruning

TABLES_OF_A_RUN = (
    "run", "root", "unit", "lease", "item", "ledger", "counter", "problem", "quarantine", "segment",
    "request",
)  # fmt: skip


def rows_of(journal: Journal, run: int) -> dict[str, int]:
    """Rows that SQLite still has of a run, items by their unit."""
    assert isinstance(journal, SqliteJournal)
    found = {}
    for table in TABLES_OF_A_RUN:
        where = "uid IN (SELECT uid FROM unit WHERE run = ?)" if table == "item" else "run = ?"
        query = f"SELECT count(*) FROM {table} WHERE {where}"  # noqa: S608 -- our own names
        (found[table],) = journal._db.execute(query, (run,)).fetchone()
    return {table: count for table, count in found.items() if count}


def test_a_forgotten_run_goes_in_slices_and_takes_nothing_else_along(
    journal: Journal, uid: int
) -> None:
    full = {
        "removed": (1,), "done": 0, "quarantined": given_up(1), "counters": {"entries": 3},
        "errors": (Problem(b"/x", 13, "denied"),), "segments": (Segment("s", "files", 1, 1, "c"),),
    }  # fmt: skip
    assert isinstance(journal.apply(ME, commit(uid, EPOCH, 1, **full)), Applied)
    _, other = journal.add_run("r2", (root(),), OPTIONS, 1)
    journal.grant(other.uid, EPOCH + 1, ME, 10, 2**20)
    there = rows_of(journal, 2)
    assert set(rows_of(journal, 1)) == set(TABLES_OF_A_RUN)
    journal.set_run(1, "ABORTED", "", 0)
    journal.forget(1)
    stored_now = journal.load()
    assert [run.run for run in stored_now.runs] == [2]
    assert [unit.run for unit in stored_now.units] == [2]
    assert stored_now.forgotten == (1,)
    slices = 0
    while journal.prune(1, 2) == 2:
        slices += 1
    assert slices >= 5
    assert (rows_of(journal, 1), rows_of(journal, 2)) == ({}, there)
    assert journal.load().forgotten == ()


def test_a_forgotten_run_fences_so_that_no_file_is_deleted(journal: Journal, uid: int) -> None:
    journal.apply(ME, commit(uid, EPOCH, 1, removed=(1, 2, 3), done=3))
    journal.set_run(1, "DONE", "", 0)
    journal.forget(1)
    journal.prune(1, 1000)
    assert journal.apply(ME, commit(uid, EPOCH, 1, removed=(1, 2, 3), done=3)) == Fenced(UNKNOWN)


def test_a_pruned_journal_gives_its_space_back(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = SqliteJournal(path)
    journal.take_term(1)
    with_items(journal, 20_000)
    journal.set_run(1, "ABORTED", "", 0)
    journal.commit()
    journal.forget(1)
    while journal.prune(1, 5000):
        journal.commit()
    full = journal.size()
    given = 0
    while pages := journal.shrink(100):
        assert pages <= 100
        given += pages
        journal.commit()
    assert journal.size() == full - given * 4096
    journal.close()
    assert given > 100
    assert path.stat().st_size < given * 4096


def test_how_long_ago_a_run_ended_is_kept(tmp_path: Path) -> None:
    now = 1_700_000_000.0
    first = SqliteJournal(tmp_path / "journal", clock=lambda: now)
    first.take_term(1)
    for request in ("r1", "r2"):
        first.add_run(request, (root(),), OPTIONS, 1)
    first.set_run(1, "DONE", "", 5)
    first.commit()
    first.close()
    second = SqliteJournal(tmp_path / "journal", clock=lambda: now + 3600)
    assert [run.ended_s for run in second.load().runs] == [3600, 0]
    second.set_run(1, "RUNNING", "", 5)
    assert second.load().runs[0].ended_s == 0
    second.close()


def test_a_run_counts_as_started_from_its_first_grant_on(journal: Journal, uid: int) -> None:
    journal.add_run("r2", (root(),), OPTIONS, 2)
    journal.apply(ME, commit(uid, EPOCH, 1, split=((1, 2),)))
    journal.apply(ME, commit(uid, EPOCH, 2, removed=(3,), done=1))
    assert [run.started for run in journal.load().runs] == [True, False]


def test_a_restart_finds_everything_as_it_was(tmp_path: Path) -> None:
    first = SqliteJournal(tmp_path / "journal", first_run=41)
    first.take_term(5)
    first.add_session(StoredSession(ME, "walker", "h0", "walker-0", "boot", "key"))
    _, unit = first.add_run("r1", (root(b"/\xff"),), OPTIONS, 2)
    first.grant(unit.uid, EPOCH, ME, 10, 2**20)
    first.apply(ME, commit(unit.uid, EPOCH, 1, added=(directory(2),), found=1))
    first.set_run(41, "PAUSED", "by request", 1234)
    before = first.load()
    first.commit()
    first.close()
    second = SqliteJournal(tmp_path / "journal")
    assert second.load() == before
    assert second.take_term(0) == 6
    second.close()


def test_what_was_not_committed_is_gone(tmp_path: Path) -> None:
    first = SqliteJournal(tmp_path / "journal")
    first.take_term(5)
    first.add_run("r1", (root(),), OPTIONS, 1)
    first.close()
    second = SqliteJournal(tmp_path / "journal")
    assert second.load().runs == ()
    second.close()


SCHEMA_1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('term', 7), ('next_run', 3);
CREATE TABLE run (
    run INTEGER PRIMARY KEY, state TEXT NOT NULL, reason TEXT NOT NULL, options BLOB NOT NULL,
    min_agents INTEGER NOT NULL, roots INTEGER NOT NULL, items INTEGER NOT NULL,
    elapsed_ms INTEGER NOT NULL, submitted INTEGER NOT NULL);
CREATE TABLE lease (
    uid INTEGER NOT NULL, epoch INTEGER NOT NULL, session INTEGER NOT NULL,
    seq INTEGER NOT NULL, run INTEGER NOT NULL, PRIMARY KEY (uid, epoch)) WITHOUT ROWID;
CREATE TABLE unit (
    uid INTEGER PRIMARY KEY, run INTEGER NOT NULL, epoch INTEGER NOT NULL,
    session INTEGER NOT NULL, items INTEGER NOT NULL, attempt INTEGER NOT NULL);
CREATE TABLE root (
    run INTEGER NOT NULL, idx INTEGER NOT NULL, path BLOB NOT NULL, host TEXT NOT NULL,
    fstype TEXT NOT NULL, ino INTEGER NOT NULL, network INTEGER NOT NULL,
    PRIMARY KEY (run, idx)) WITHOUT ROWID;
CREATE TABLE counter (
    run INTEGER NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL,
    PRIMARY KEY (run, name)) WITHOUT ROWID;
CREATE TABLE session (
    session INTEGER PRIMARY KEY, role TEXT NOT NULL, host TEXT NOT NULL, name TEXT NOT NULL,
    boot TEXT NOT NULL);
CREATE TABLE problem (
    run INTEGER NOT NULL, path BLOB NOT NULL, errno INTEGER NOT NULL, kind TEXT NOT NULL);
INSERT INTO session VALUES (7, 'walker', 'h0', 'walker-0', 'boot');
INSERT INTO problem VALUES (2, CAST('/x' AS BLOB), 13, 'denied');
PRAGMA user_version = 1;
"""
"""What the release before wrote, as far as `load` reads it."""


def test_an_older_schema_is_migrated_after_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    older = sqlite3.connect(path)
    older.executescript(SCHEMA_1)
    options = msgpack.packb(astuple(OPTIONS)[:9])
    rows = [(1, "DONE", "", options, 1, 1, 0, 9, 5), (2, "RUNNING", "", options, 1, 1, 1, 9, 5)]
    older.executemany("INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    older.commit()
    older.close()
    (tmp_path / "journal.schema-1").write_text("of a migration that was killed")
    journal = SqliteJournal(path)
    now = time.time()
    assert [run.state for run in journal.load().runs] == ["DONE", "RUNNING"]
    # A run of an older release sends nothing, and its problems have no reasons.
    assert [run.options for run in journal.load().runs] == [OPTIONS, OPTIONS]
    assert journal.problems(2) == (Problem(b"/x", 13, "denied", ""),)
    assert journal.load().sessions == (StoredSession(7, "walker", "h0", "walker-0", "boot", ""),)
    journal.close()
    later = SqliteJournal(path, clock=lambda: now + 1000)
    ended = [run.ended_s for run in later.load().runs]
    later.close()
    assert 900 < ended[0] < 1100
    assert ended[1] == 0
    copy = sqlite3.connect(tmp_path / "journal.schema-1")
    assert copy.execute("PRAGMA user_version").fetchone() == (1,)
    assert copy.execute("SELECT count(*) FROM run").fetchone() == (2,)
    copy.close()


def test_a_journal_without_claims_gets_room_for_them_after_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    older = sqlite3.connect(path)
    older.executescript(SCHEMA_1 + MIGRATIONS[1])
    older.execute("INSERT INTO session VALUES (8, 'scout', 'h0', 'scout-0', 'boot', 'key')")
    older.execute("PRAGMA user_version = 2")
    older.commit()
    older.close()
    journal = SqliteJournal(path)
    journal.set_claim(CLAIM)
    journal.commit()
    journal.close()
    later = SqliteJournal(path)
    assert [each.key for each in later.load().sessions] == ["", "key"]
    assert later.load().claims[0].path == CLAIM.path
    later.close()
    copy = sqlite3.connect(tmp_path / "journal.schema-2")
    assert copy.execute("PRAGMA user_version").fetchone() == (2,)
    assert copy.execute("SELECT count(*) FROM session").fetchone() == (2,)
    copy.close()


CLAIM = StoredClaim(8, 1, b"/\xff", Place(2**64 - 1, 2**63), (Place(1, 2), Place(2**63, 0)))


def test_claims_are_kept_until_they_or_their_session_end() -> None:
    now = 1_000.0
    journal = journal_in_memory(clock=lambda: now)
    journal.add_session(StoredSession(8, "scout", "h0", "scout-0", "boot", ""))
    journal.add_session(StoredSession(9, "scout", "h0", "scout-1", "boot", ""))
    others = [replace(CLAIM, claim=2, path=b"/b"), replace(CLAIM, session=9)]
    for claim in (CLAIM, replace(CLAIM, path=b"/later"), CLAIM, *others):
        journal.set_claim(claim)
    now = 1_007.0
    assert set(journal.load().claims) == {replace(each, age_s=7) for each in (CLAIM, *others)}
    journal.end_claim(8, 2)
    assert [(each.session, each.claim) for each in journal.load().claims] == [(8, 1), (9, 1)]
    journal.end_session(8)
    assert [each.session for each in journal.load().claims] == [9]


def test_a_journal_without_load_runs_gets_room_for_them_after_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    older = sqlite3.connect(path)
    older.executescript(SCHEMA_1 + MIGRATIONS[1] + MIGRATIONS[2] + MIGRATIONS[3])
    older.execute("CREATE TABLE request (request TEXT PRIMARY KEY, run INTEGER NOT NULL)")
    older.execute("PRAGMA user_version = 4")
    older.commit()
    older.close()
    journal = SqliteJournal(path)
    number = journal.add_load("q", 2, 10_000, 5_000, b"config")
    journal.commit()
    journal.close()
    later = SqliteJournal(path)
    assert [each.run for each in later.load().loads] == [number]
    assert later.load_config(number) == b"config"
    later.close()
    assert (tmp_path / "journal.schema-4").exists()


def test_load_runs_are_kept_with_their_members_reports_and_times() -> None:
    now = 1_000.0
    journal = journal_in_memory(clock=lambda: now)
    number = journal.add_load("q", 2, 10_000, 5_000, b"config")
    assert journal.answer("q") == number
    assert journal.add_load("other", 1, 1, 1, b"") == number + 1
    members = [StoredMember(number, s, "h0", f"lg{s}", "RUNNING", "") for s in (7, 8)]
    for member in members:
        journal.set_member(member)
    for seq, last in ((1, False), (2, True)):
        journal.set_report(7, Report(number, "load", seq, last, b"%d" % seq))
    now = 1_002.0
    [load, _] = journal.load().loads
    assert (load.state, load.agents, load.deadline_s, load.began_s) == ("WAITING", 2, 3.0, None)
    journal.begin_load(number, 0.5)
    journal.set_load(number, "DONE", "why", stopped=True)
    now = 1_012.0
    [load, _] = journal.load().loads
    assert (load.state, load.reason, load.stopped) == ("DONE", "why", True)
    assert (load.began_s, load.ended_s) == (9.5, 10.0)
    # A member that is set anew keeps its report.
    journal.set_member(replace(members[0], state="DONE"))
    assert [(each.state, each.seq) for each in journal.load().members] == [
        ("DONE", 2), ("RUNNING", 0),
    ]  # fmt: skip
    assert journal.reports(number, 0, 100) == ((LoadSnapshot(7, 2, True, b"2"),), False)
    journal.forget(number)
    assert [each.run for each in journal.load().loads] == [number + 1]
    assert journal.load().members == ()
    assert journal.load().forgotten == (number,)
    while journal.prune(number, 1):
        pass
    assert journal.load().forgotten == ()
    assert journal.reports(number, 0, 100) == ((), False)


def test_a_newer_schema_is_refused_with_both_numbers(tmp_path: Path) -> None:
    SqliteJournal(tmp_path / "journal").close()
    database = sqlite3.connect(tmp_path / "journal")
    database.execute("PRAGMA user_version = 9")
    database.close()
    with pytest.raises(StateError, match="schema 9, this release knows 5"):
        SqliteJournal(tmp_path / "journal")


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(b"something else " * 1000)
    with pytest.raises(StateError, match="no journal"):
        SqliteJournal(tmp_path / "journal")


def test_a_journal_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal")
    journal.take_term(1)
    journal._db.execute("PRAGMA query_only = ON")
    with pytest.raises(JournalError, match="readonly"):
        journal.add_run("r1", (root(),), OPTIONS, 1)
    journal.close()


def test_a_journal_is_its_owners_only_whatever_its_folder_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    old = tmp_path / "journal.db"
    old.touch(0o644)
    journal = SqliteJournal(old)
    journal.take_term(7)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    journal.close()
