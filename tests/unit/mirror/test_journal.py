"""The journal: what it keeps, and that it keeps it."""

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from zfs_walk.errors import JournalError, StateError, StateInUseError
from zfs_walk.mirror.journal import Journal
from zfs_walk.mirror.queue import SLICE
from zfs_walk.mirror.records import (
    Action,
    Change,
    Counts,
    Done,
    Entry,
    Identity,
    Kind,
    Known,
    Order,
    State,
)

ME = "/data -> s3://bucket"
NOTHING = Counts(0, 0, 0, 0, 0)
SEND, DELETE = Kind.SEND, Kind.DELETE


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(name="clock")
def clock_of_the_journal() -> Clock:
    return Clock()


@pytest.fixture(name="file")
def file_of_the_journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture(name="journal")
def new_journal(file: Path, clock: Clock) -> Iterator[Journal]:
    journal = Journal(file, ME, clock)
    yield journal
    journal.close()


def change(path: bytes, kind: Kind = SEND, size: int = 1, not_before: float = 0.0) -> Change:
    return Change(path, kind, size, not_before)


def entry(path: bytes, ino: int = 7) -> Entry:
    return Entry(path, 10, 1_700_000_000_123_456_789, 2049, ino, 0o100644, '"etag"')


def paths(found: list[Action] | list[Entry]) -> list[bytes]:
    return [item.path for item in found]


def take(journal: Journal, limit: int = 100, now: float = 1000.0) -> list[Action]:
    return journal.take(limit, now, Order.OLDEST)


def after_a_kill(file: Path, folder: Path) -> Path:
    """What a process that is killed now leaves behind."""
    folder.mkdir()
    for part in file.parent.glob(f"{file.name}*"):
        shutil.copy(part, folder / part.name)
    return folder / file.name


# ------------------------------------------------------------------ taking


def test_what_was_put_is_taken_once(journal: Journal) -> None:
    journal.put([change(b"a"), change(b"b"), change(b"a")])
    assert journal.counts() == Counts(2, 0, 0, 0, 2)
    assert paths(take(journal)) == [b"a", b"b"]
    assert take(journal) == []
    assert journal.counts() == Counts(0, 2, 0, 0, 2)


def test_the_oldest_or_the_smallest_goes_first(journal: Journal, clock: Clock) -> None:
    for path, size in ((b"c", 3), (b"b", 4), (b"a", 1)):
        clock.now += 1
        journal.put([change(path, size=size)])
    copies = take(journal)
    assert paths(copies) == [b"c", b"b", b"a"]
    for action in copies:
        journal.again(action, 0.0, "", count=False)
    assert paths(journal.take(2, clock.now, Order.SMALLEST)) == [b"a", b"c"]


@pytest.mark.parametrize("order", Order)
def test_deletions_go_last(journal: Journal, order: Order) -> None:
    journal.put([change(b"a", DELETE, 0), change(b"b"), change(b"c", DELETE, 0), change(b"d")])
    assert paths(journal.take(3, 1000.0, order)) == [b"b", b"d", b"a"]


def test_nothing_is_taken_before_its_time(journal: Journal) -> None:
    journal.put([change(b"later", not_before=1060.0), change(b"latest", DELETE, not_before=1099.0)])
    assert take(journal) == []
    assert journal.next_due(1000.0) == 1060.0
    assert paths(take(journal, now=1060.0)) == [b"later"]
    assert journal.next_due(1060.0) == 1099.0
    assert paths(take(journal, now=1099.0)) == [b"latest"]
    assert journal.next_due(1099.0) is None


def test_something_is_due_now_if_it_was_due_before(journal: Journal) -> None:
    journal.put([change(b"a")])
    assert journal.next_due(2000.0) == 2000.0
    journal.put([change(b"a", not_before=1500.0)])
    assert journal.next_due(2000.0) == 2000.0


def test_what_becomes_due_in_crowds_still_goes_before_deletions(journal: Journal) -> None:
    journal.put(change(b"d%05d" % i, DELETE, 0, 1001.0) for i in range(SLICE + 1))
    journal.put(change(b"s%05d" % i, SEND, 1, 1002.0) for i in range(SLICE + 1))
    taken = take(journal, SLICE + 1, now=1003.0)
    assert {action.kind for action in taken} == {SEND}
    assert len(taken) == SLICE + 1
    assert len(take(journal, 2 * SLICE, now=1003.0)) == SLICE + 1


# ------------------------------------------------------------------ acknowledging


def test_what_is_done_is_in_the_index_and_not_in_the_queue(journal: Journal) -> None:
    journal.put([change(b"a")])
    (action,) = take(journal)
    journal.done([Done(action, entry(b"a"))])
    assert journal.counts() == NOTHING
    assert journal.entry(b"a") == entry(b"a")


def test_a_change_of_what_is_in_hand_is_not_lost(journal: Journal, clock: Clock) -> None:
    journal.put([change(b"a")])
    (action,) = take(journal)
    journal.put([change(b"a", size=9)])
    assert take(journal) == []
    clock.now = 1005.0
    journal.done([Done(action, entry(b"a"))])
    (again,) = take(journal, now=1005.0)
    assert (again.generation, again.size, again.added) == (2, 9, 1005.0)
    journal.done([Done(again, entry(b"a"))])
    assert journal.counts() == NOTHING


def test_a_move_is_one_transaction(journal: Journal) -> None:
    journal.record([entry(b"old")])
    journal.put([change(b"new")])
    (action,) = take(journal)
    journal.done([Done(action, entry(b"new"), (b"old",))])
    assert journal.entries(b"", 9) == [entry(b"new")]


def test_what_was_moved_away_is_not_deleted_any_more(journal: Journal) -> None:
    journal.record([entry(b"old"), entry(b"other")])
    journal.put([change(b"new"), change(b"old", DELETE), change(b"other", DELETE)])
    [taken] = journal.take(1, 2000.0, Order.OLDEST)
    journal.done([Done(taken, entry(b"new"), (b"old",))])
    assert paths(journal.actions(None, b"", 10)) == [b"other"]


def test_what_was_moved_away_and_is_there_again_is_sent(journal: Journal) -> None:
    journal.record([entry(b"old")])
    journal.put([change(b"new")])
    [taken] = take(journal)
    journal.put([change(b"old", DELETE), change(b"old")])
    journal.done([Done(taken, entry(b"new"), (b"old",))])
    assert paths(journal.actions(None, b"", 10)) == [b"old"]


def test_deletions_are_counted_that_have_something_to_delete(journal: Journal) -> None:
    names = [b"a", b"b", b"c", b"d"]
    journal.record(entry(name) for name in names)
    journal.put(change(name, DELETE) for name in names[:3])
    journal.put([change(b"d", DELETE, not_before=9e9)])
    journal.put([change(b"unknown", DELETE), change(b"new")])
    assert journal.deletions(10) == 4
    assert journal.deletions(3) == 3
    journal.take(1, 2000.0, Order.OLDEST)
    [taken] = [action for action in journal.take(1, 2000.0, Order.OLDEST) if action.kind is DELETE]
    assert journal.deletions(10) == 4
    journal.hold(taken)
    assert journal.deletions(10) == 3
    journal.confirm()
    assert journal.deletions(10) == 3


def test_an_action_that_was_nothing_leaves_the_index_alone(journal: Journal) -> None:
    journal.record([entry(b"a")])
    journal.put([change(b"a")])
    (action,) = take(journal)
    journal.done([Done(action, None)])
    assert (journal.counts(), journal.entries(b"", 9)) == (NOTHING, [entry(b"a")])


def test_an_action_that_failed_is_taken_again_later(journal: Journal) -> None:
    journal.put([change(b"a")])
    (action,) = take(journal)
    journal.again(action, 1060.0, "cannot read \udcff", count=True, unsure=True)
    assert take(journal, now=1059.0) == []
    (again,) = take(journal, now=1060.0)
    assert (again.tries, again.error, again.unsure) == (1, "cannot read \\udcff", True)


def test_who_acknowledges_what_was_forgotten_does_no_harm(journal: Journal) -> None:
    journal.put([change(b"a")])
    (action,) = journal.actions(None, b"", 9)
    assert journal.forget([b"a", b"b"]) == 1
    journal.again(action, 0.0, "", count=True)
    journal.set_aside(action, "no")
    journal.hold(action)
    journal.done([Done(action, None)])
    assert journal.counts() == NOTHING


def test_what_is_in_hand_is_not_forgotten(journal: Journal) -> None:
    journal.put([change(b"a")])
    take(journal)
    assert journal.forget([b"a"]) == 0
    assert journal.counts().taken == 1


# ------------------------------------------------------------------ held and aside


def test_what_is_aside_waits_for_a_retry_or_a_change(journal: Journal) -> None:
    journal.put([change(b"a"), change(b"b"), change(b"c"), change(b"d")])
    *most, last = take(journal)
    for action in most:
        journal.set_aside(action, "no such name")
    journal.done([Done(last, None)])
    assert journal.counts() == Counts(0, 0, 0, 3, 0)
    assert {action.error for action in journal.actions(State.ASIDE, b"", 9)} == {"no such name"}
    assert take(journal) == []
    assert journal.retry([b"a", b"d"]) == 1
    journal.put([change(b"b")])
    assert paths(take(journal)) == [b"a", b"b"]
    assert journal.retry() == 1
    assert journal.retry() == 0
    assert paths(take(journal)) == [b"c"]


def test_deletions_that_are_held_wait_for_a_confirmation(journal: Journal) -> None:
    journal.put([change(b"a", DELETE, 0), change(b"b", DELETE, 0)])
    journal.hold(*take(journal))
    assert journal.counts() == Counts(0, 0, 2, 0, 0)
    journal.put([change(b"a", DELETE, 0)])
    assert take(journal) == []
    assert journal.confirm() == 2
    assert [(action.path, action.confirmed) for action in take(journal)] == [
        (b"a", True),
        (b"b", True),
    ]


def test_more_than_a_slice_is_confirmed(journal: Journal) -> None:
    journal.put(change(b"%05d" % i, DELETE, 0) for i in range(SLICE + 2))
    journal.hold(*take(journal, SLICE + 2))
    assert journal.confirm() == SLICE + 2
    assert journal.counts() == Counts(SLICE + 2, 0, 0, 0, 0)


def test_actions_are_paged_in_the_order_of_their_names(journal: Journal) -> None:
    journal.put([change(b"b"), change(b"\xff"), change(b"a", not_before=9e9), change(b"a/b")])
    assert paths(journal.actions(None, b"", 2)) == [b"a", b"a/b"]
    assert paths(journal.actions(State.READY, b"a/b", 9)) == [b"b", b"\xff"]
    assert journal.actions(State.ASIDE, b"", 9) == []
    assert journal.action(b"a/b") == journal.actions(None, b"a", 1)[0]
    assert journal.action(b"none") is None


# ------------------------------------------------------------------ index


def test_entries_are_paged_in_the_order_of_their_names(journal: Journal) -> None:
    journal.record([entry(b"b"), entry(b"\xff"), entry(b"a"), entry(b"a/b"), entry(b"a")])
    assert paths(journal.entries(b"", 2)) == [b"a", b"a/b"]
    assert paths(journal.entries(b"a/b", 9)) == [b"b", b"\xff"]
    assert journal.entry_count() == 4
    journal.drop([b"a", b"none"])
    assert journal.entry_count() == 3
    assert journal.entry(b"a") is None


@pytest.mark.parametrize("number", [0, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_file_is_known_by_its_numbers(journal: Journal, number: int) -> None:
    known = entry(b"a")._replace(dev=number, ino=number)
    journal.record([known, entry(b"b"), entry(b"c", ino=8)])
    assert candidates(journal, _identity(known)) == [known]
    assert candidates(journal, Identity(number, number, known.size, known.mtime_ns + 1)) == []
    assert candidates(journal, Identity(number, number, known.size + 1, known.mtime_ns)) == []
    assert candidates(journal, Identity(number, 8, known.size, known.mtime_ns)) == []


@pytest.mark.parametrize("mtime_ns", [-(2**63) - 1, -1, 10**20, 10**20 + 1])
def test_a_time_of_any_year_comes_back_to_the_nanosecond(journal: Journal, mtime_ns: int) -> None:
    odd = entry(b"a")._replace(mtime_ns=mtime_ns, tag="\udcff\0")
    journal.record([odd])
    assert journal.entry(b"a") == odd
    assert candidates(journal, _identity(odd)) == [odd]
    assert candidates(journal, Identity(odd.dev, odd.ino, odd.size, mtime_ns + 1)) == []


def test_what_may_be_there_or_not_is_no_source_of_a_move(journal: Journal) -> None:
    journal.record([entry(b"a"), entry(b"b")])
    journal.put([change(b"a"), change(b"b")])
    first, second = take(journal)
    journal.again(first, 0.0, "cut off", count=True, unsure=True)
    journal.again(second, 0.0, "not now", count=False)
    assert paths(candidates(journal, _identity(entry(b"a")))) == [b"b"]


def test_what_is_known_of_names_comes_in_their_order(journal: Journal) -> None:
    journal.record([entry(b"a", ino=7), entry(b"b", ino=7), entry(b"c", ino=8)])
    journal.memory(b"b", "content").store("upload", "1")
    asked = [(b"c", None), (b"none", _identity(entry(b"a", ino=7))), (b"b", None)]
    assert journal.known(asked) == [
        Known(entry(b"c", ino=8)),
        Known(None, candidates=(entry(b"a", ino=7), entry(b"b", ino=7))),
        Known(entry(b"b", ino=7), noted=True),
    ]


def test_of_a_file_with_many_names_some_are_candidates(journal: Journal) -> None:
    journal.record(entry(b"%03d" % number) for number in range(100))
    assert len(candidates(journal, _identity(entry(b"000")))) == 16


def candidates(journal: Journal, identity: Identity) -> list[Entry]:
    [known] = journal.known([(b"another name", identity)])
    return list(known.candidates)


def _identity(known: Entry) -> Identity:
    return Identity(known.dev, known.ino, known.size, known.mtime_ns)


# ------------------------------------------------------------------ transfers


def test_notes_belong_to_one_content_of_one_file(journal: Journal) -> None:
    notes = journal.memory(b"\xff", "1:2")
    assert notes.load() == {}
    notes.store("upload", "x")
    notes.store("upload", "y")
    notes.store("part 1", "\udcff")
    assert journal.memory(b"\xff", "1:2").load() == {"upload": "y", "part 1": "\udcff"}
    assert journal.memory(b"\xff", "1:3").load() == {}
    assert journal.stale(b"\xff", "1:2") is None
    stale = journal.stale(b"\xff", "1:3")
    assert stale is not None
    assert (stale.fingerprint, stale.load()) == ("1:2", {"upload": "y", "part 1": "\udcff"})
    assert journal.memories() == {"y", "\udcff"}
    journal.forget_memory(b"\xff")
    assert journal.memories() == frozenset()


def test_notes_end_with_their_transfer(journal: Journal) -> None:
    journal.memory(b"a", "1").store("upload", "x")
    journal.memory(b"b", "1").store("upload", "z")
    journal.put([change(b"a"), change(b"b")])
    first, second = take(journal)
    journal.done([Done(first, entry(b"a")), Done(second, None)])
    assert journal.memories() == {"z"}


# ------------------------------------------------------------------ the file


def test_everything_is_there_after_a_clean_end(file: Path) -> None:
    with closing(Journal(file, ME)) as journal:
        assert not journal.clean
        journal.put([change(b"a"), change(b"b", not_before=9e9)])
        journal.record([entry(b"c")])
        journal.memory(b"a", "1").store("upload", "x")
        before = journal.actions(None, b"", 9)
    with closing(Journal(file, ME)) as journal:
        assert journal.clean
        assert journal.actions(None, b"", 9) == before
        assert journal.entries(b"", 9) == [entry(b"c")]
        assert journal.memory(b"a", "1").load() == {"upload": "x"}


def test_what_was_in_hand_at_a_kill_is_taken_again_unsure(
    journal: Journal, file: Path, tmp_path: Path, clock: Clock
) -> None:
    journal.put([change(b"a"), change(b"b"), change(b"c", not_before=9e9)])
    taken = take(journal, 1)
    journal.put([change(b"a")])
    with closing(Journal(after_a_kill(file, tmp_path / "killed"), ME, clock)) as found:
        assert not found.clean
        assert found.counts().taken == 0
        assert [(action.path, action.generation, action.unsure) for action in take(found)] == [
            (b"a", 2, True),
            (b"b", 1, False),
        ]
    assert paths(taken) == [b"a"]


def test_a_kill_in_the_middle_of_a_call_leaves_nothing_of_it(
    journal: Journal, file: Path, tmp_path: Path
) -> None:
    journal.put([change(b"before")])

    def changes() -> Iterator[Change]:
        # More than SQLite keeps in memory, so that some of it is in the file already.
        yield from (change(b"%0200d" % i) for i in range(30_000))
        after_a_kill(file, tmp_path / "killed")

    journal.put(changes())
    assert journal.counts().ready == 30_001
    assert (tmp_path / "killed" / f"{file.name}-wal").stat().st_size > 1_000_000
    with closing(Journal(tmp_path / "killed" / file.name, ME)) as found:
        assert paths(found.actions(None, b"", 9)) == [b"before"]


def test_what_fails_in_its_middle_has_done_nothing(journal: Journal) -> None:
    def changes() -> Iterator[Change]:
        yield change(b"a")
        raise LookupError

    with pytest.raises(LookupError):
        journal.put(changes())
    assert journal.counts() == NOTHING
    journal.put([change(b"b")])
    assert paths(take(journal)) == [b"b"]


def test_a_second_one_of_the_same_file_is_refused(journal: Journal, file: Path) -> None:
    journal.put([change(b"a")])
    with pytest.raises(StateInUseError, match=r"already uses"):
        Journal(file, ME)
    assert journal.counts().ready == 1


def test_a_journal_of_other_places_is_refused(file: Path) -> None:
    Journal(file, ME).close()
    with pytest.raises(StateError, match=r"it is of /data -> s3://bucket, not of /other -> .*name"):
        Journal(file, "/other -> s3://bucket")
    with closing(Journal(file, ME)) as journal:
        assert journal.clean


def test_a_journal_of_a_newer_release_is_refused(file: Path) -> None:
    Journal(file, ME).close()
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StateError, match=r"schema 99.*newer one"):
        Journal(file, ME)


def test_another_programs_database_is_refused_and_left_alone(file: Path) -> None:
    with closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE theirs (a)")
    with pytest.raises(StateError, match=r"another program"):
        Journal(file, ME)
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]


def test_a_file_that_is_no_database_is_refused(file: Path) -> None:
    file.write_bytes(b"not a database, but text " * 1000)
    with pytest.raises(StateError, match=r"no journal"):
        Journal(file, ME)


@pytest.mark.parametrize("cut", ["short", "overwritten"])
def test_a_damaged_file_is_refused_with_a_way_out(file: Path, cut: str) -> None:
    with closing(Journal(file, ME)) as journal:
        journal.put(change(b"%0100d" % i) for i in range(10_000))
    size = file.stat().st_size
    with file.open("r+b") as damaged:
        if cut == "short":
            damaged.truncate(size // 8192 * 4096)
        else:
            damaged.seek(size // 8192 * 4096)
            damaged.write(b"\xaa" * 40960)
    with pytest.raises(StateError, match=r"damaged.*move it away"):
        Journal(file, ME)
    file.rename(file.with_suffix(".damaged"))
    Journal(file, ME).close()


def test_only_its_owner_can_read_it(journal: Journal, file: Path) -> None:
    journal.put([change(b"a")])
    assert {part.stat().st_mode & 0o777 for part in file.parent.glob(f"{file.name}*")} == {0o600}


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"none.*No such file"):
        Journal(tmp_path / "none" / "journal.db", ME)


def test_a_disk_that_can_take_no_more_is_told_and_nothing_is_lost(
    journal: Journal, file: Path
) -> None:
    journal.put([change(b"a"), change(b"b")])
    (first, second) = take(journal)
    with journal._database.reading() as db:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(JournalError, match=rf"{file}.*full"):
        journal.put(change(b"%0100d" % i) for i in range(1000))
    assert journal.counts() == Counts(0, 2, 0, 0, 2)
    journal.done([Done(first, None)])
    with journal._database.reading() as db:
        db.execute("PRAGMA max_page_count = 1000000")
    journal.put(change(b"%0100d" % i) for i in range(1000))
    journal.done([Done(second, None)])
    assert journal.counts() == Counts(1000, 0, 0, 0, 1000)


# ------------------------------------------------------------------ threads


def test_several_threads_take_every_action_once(journal: Journal) -> None:
    names = [b"%04d" % i for i in range(2000)]
    taken: list[list[bytes]] = [[] for _ in range(4)]
    putting = threading.Event()

    def put() -> None:
        left = iter(names)
        while batch := list(islice(left, 50)):
            journal.put(map(change, batch))
        putting.set()

    def work(mine: list[bytes]) -> None:
        over = False
        while True:
            actions = take(journal, 7)
            if not actions and over:
                return
            over = putting.is_set()
            journal.done([Done(action, entry(action.path)) for action in actions])
            mine += paths(actions)

    threads = [threading.Thread(target=put)]
    threads += [threading.Thread(target=work, args=(mine,)) for mine in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(name for mine in taken for name in mine) == names
    assert (journal.counts(), journal.entry_count()) == (NOTHING, 2000)


def test_an_action_that_is_given_back_is_as_it_was_taken(journal: Journal) -> None:
    journal.put([change(b"a", size=5)])
    (action,) = take(journal)
    journal.again(action, 0.0, "", count=False)
    assert take(journal) == [replace(action, not_before=0.0)]


def test_only_what_is_still_there_as_it_was_is_distrusted(journal: Journal) -> None:
    journal.record([entry(b"as it was"), entry(b"sent anew", ino=8)])
    journal.distrust([entry(b"as it was"), entry(b"sent anew"), entry(b"deleted")])
    assert journal.entry(b"as it was") == entry(b"as it was", ino=0)._replace(dev=0)
    assert journal.entry(b"sent anew") == entry(b"sent anew", ino=8)
    assert journal.entry(b"deleted") is None
