"""Whatever becomes of an action is told, exactly, in the transaction that makes it so."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from zfs_walk.errors import JournalError
from zfs_walk.mirror.journal import Journal
from zfs_walk.mirror.records import Action, Change, Done, Entry, Kind, Order
from zfs_walk.mirror.story import Ended, Event, Stage

NOW = 1_000_000.0

Told = list[list[tuple[int, bytes, str]]]
"""Of each transaction, what was told: numbers, names, stages."""


class Listener:
    """Hears, or refuses to."""

    def __init__(self) -> None:
        self.told: Told = []
        self.events: list[Event] = []
        self.refuses = False

    def __call__(self, events: Sequence[Event]) -> None:
        if self.refuses:
            import sqlite3

            message = "database or disk is full"
            raise sqlite3.OperationalError(message)
        self.told.append([(each.number, each.path, each.stage.value) for each in events])
        self.events += events


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def journal(tmp_path: Path, listener: Listener) -> Iterator[Journal]:
    opened = Journal(tmp_path / "journal.db", "a test", lambda: NOW)
    opened.tell(listener)
    yield opened
    opened.close()


def put(journal: Journal, *names: bytes, kind: Kind = Kind.SEND) -> None:
    journal.put(Change(name, kind, 10, 0.0) for name in names)


def take(journal: Journal) -> list[Action]:
    return journal.take(100, NOW, Order.OLDEST)


def entry(path: bytes) -> Entry:
    return Entry(path, 10, 1, 2, 3, 0o100644, "tag")


def finish(journal: Journal, action: Action, stage: Stage, *gone: bytes) -> None:
    done = Done(action, entry(action.path) if stage is not Stage.DELETED else None, gone)
    journal.done([done], {action.path: Ended(stage, "a detail")})


def test_an_action_is_told_from_its_beginning_to_its_end(
    journal: Journal, listener: Listener
) -> None:
    put(journal, b"a")
    [action] = take(journal)
    finish(journal, action, Stage.SENT)
    assert listener.told == [[(1, b"a", "queued")], [(1, b"a", "taken")], [(1, b"a", "sent")]]
    first, _, last = listener.events
    assert first == Event(1, b"a", Kind.SEND, Stage.QUEUED, 10, 0, "", NOW, first.time)
    assert (last.detail, last.queued) == ("a detail", NOW)


def test_a_change_while_it_is_in_hand_makes_another_action(
    journal: Journal, listener: Listener
) -> None:
    put(journal, b"a")
    [action] = take(journal)
    put(journal, b"a")
    finish(journal, action, Stage.SENT)
    assert listener.told[-1] == [(1, b"a", "sent"), (2, b"a", "queued")]
    [again] = take(journal)
    finish(journal, again, Stage.UNCHANGED)
    assert listener.told[-1] == [(2, b"a", "unchanged")]


def test_changes_before_it_is_in_hand_are_one_action(journal: Journal, listener: Listener) -> None:
    put(journal, b"a")
    put(journal, b"a", kind=Kind.DELETE)
    assert [(each.number, each.kind) for each in listener.events] == [
        (1, Kind.SEND), (1, Kind.DELETE)
    ]  # fmt: skip


def test_no_number_is_used_twice(journal: Journal, listener: Listener) -> None:
    for _ in range(3):
        put(journal, b"a")
        [action] = take(journal)
        finish(journal, action, Stage.SENT)
    assert [each.number for each in listener.events] == [1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_a_deletion_that_a_move_has_made_needless_is_dropped(
    journal: Journal, listener: Listener
) -> None:
    put(journal, b"old", kind=Kind.DELETE)
    put(journal, b"new")
    [new, _] = take(journal)
    journal.again(
        Action(b"old", Kind.DELETE, new.state, 1, 10, NOW, 0.0, 0, "", unsure=False),
        0.0, "", count=False,
    )  # fmt: skip
    finish(journal, new, Stage.MOVED, b"old")
    assert listener.told[-1] == [(1, b"old", "dropped"), (2, b"new", "moved")]


def test_a_failure_and_what_is_set_aside_are_told_with_their_reason(
    journal: Journal, listener: Listener
) -> None:
    put(journal, b"a")
    [action] = take(journal)
    journal.again(action, NOW, "it is away", count=True)
    assert listener.told[-1] == [(1, b"a", "failed")]
    [action] = take(journal)
    journal.set_aside(action, "it can't be")
    assert listener.told[-1] == [(1, b"a", "aside")]
    assert [each.detail for each in listener.events if each.tries] == [
        "it is away", "it is away", "it can't be"
    ]  # fmt: skip
    journal.retry()
    assert listener.told[-1] == [(1, b"a", "queued")]


def test_what_is_forgotten_is_dropped(journal: Journal, listener: Listener) -> None:
    put(journal, b"a", b"b", b"c")
    journal.forget([b"b"])
    assert listener.told[-1] == [(2, b"b", "dropped")]
    journal.forget_all()
    assert listener.told[-1] == [(1, b"a", "dropped"), (3, b"c", "dropped")]


def test_what_can_not_be_told_does_not_happen(journal: Journal, listener: Listener) -> None:
    put(journal, b"a")
    listener.refuses = True
    with pytest.raises(JournalError, match="full"):
        put(journal, b"b")
    with pytest.raises(JournalError):
        take(journal)
    listener.refuses = False
    assert {action.path for action in journal.actions(None, b"", 9)} == {b"a"}
    assert [action.path for action in take(journal)] == [b"a"]
    assert listener.told == [[(1, b"a", "queued")], [(1, b"a", "taken")]]


def test_what_concerns_no_action_is_not_told(journal: Journal, listener: Listener) -> None:
    journal.record([entry(b"a")])
    journal.pause(paused=True)
    assert listener.told == []


def test_what_was_in_hand_of_a_process_that_was_killed_is_told_anew(tmp_path: Path) -> None:
    first, second = Listener(), Listener()
    journal = Journal(tmp_path / "journal.db", "a test", lambda: NOW)
    journal.tell(first)
    put(journal, b"a")
    take(journal)
    journal.close()  # no more is written of what was in hand
    journal = Journal(tmp_path / "journal.db", "a test", lambda: NOW)
    journal.tell(second)
    [action] = take(journal)
    finish(journal, action, Stage.SENT)
    journal.close()
    assert second.told == [[(1, b"a", "taken")], [(1, b"a", "sent")]]


def test_who_hears_is_told_what_is_durable_and_only_while_it_wants_to(
    tmp_path: Path, listener: Listener
) -> None:
    journal = Journal(tmp_path / "journal.db", "a test", lambda: NOW)
    put(journal, b"before")
    heard: list[Event] = []
    journal.hear(heard.extend)
    put(journal, b"a")
    take(journal)
    journal.hear(None)
    put(journal, b"between")
    journal.hear(heard.extend)
    journal.hear(heard.extend)
    put(journal, b"after")
    stages = [(each.path, each.stage.value) for each in heard]
    assert stages[0] == (b"a", "queued")
    assert sorted(stages[1:3]) == [(b"a", "taken"), (b"before", "taken")]
    assert stages[3:] == [(b"after", "queued")]
    journal.tell(listener)
    journal.hear(None)
    put(journal, b"told")
    assert [told[0][1:] for told in listener.told] == [(b"told", "queued")]
    assert len(heard) == 4
    journal.close()


def test_who_hears_is_told_nothing_of_what_was_rolled_back(
    journal: Journal, listener: Listener
) -> None:
    heard: list[Event] = []
    journal.hear(heard.extend)
    listener.refuses = True
    with pytest.raises(JournalError):
        put(journal, b"a")
    assert heard == []
