"""What a mirror must not forget, in one SQLite file: its queue, its index, its transfers' notes.

The queue has one row a name. A change that is seen makes a new generation of its row, and what is
acknowledged is a generation: so a change that comes while its file is being sent is not lost, and
neither is what was in hand when the process was killed. The index says what is on the other side,
as far as we know; it is written in the transaction that acknowledges.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from zfs_walk.mirror import coalesce, index, memories, queue
from zfs_walk.mirror.database import Database
from zfs_walk.mirror.memories import StoredMemory
from zfs_walk.mirror.queue import SLICE
from zfs_walk.mirror.records import (
    Action,
    Change,
    Counts,
    Done,
    Entry,
    Identity,
    Known,
    Order,
    State,
)
from zfs_walk.mirror.schema import to_text
from zfs_walk.mirror.story import NOTHING, Ended, Hear, Tell


class Journal:
    """Several threads may call everything here. What has returned is durable.

    Whatever writes raises `JournalError` if it can't, having written nothing: it can be called
    again when there is room.

    Attributes:
        id: random, made with the journal.
        clean: the last process that had the journal has closed it; False of a new one.
    """

    def __init__(self, path: Path, identity: str, clock: Callable[[], float] = time.time) -> None:
        """Open or make a journal. What was in hand at the last end is taken again, unsure.

        Args:
            path: the file, in a folder that is there, on a local file system.
            identity: of the two places that are kept equal; without a secret.
            clock: seconds since the epoch.

        Raises:
            StateInUseError: another process, or another part of this one, has it open.
            StateError: it is no journal, a damaged one, of a newer schema, or of other places.
            JournalError: it can't be written.
        """
        self._clock = clock
        self._database = Database(path, identity)
        self.id = self._database.id
        self.clean = self._database.clean
        try:
            self._step_all(State.TAKEN, coalesce.recovered)
        except BaseException:
            self._database.abort()
            raise

    def close(self) -> None:
        """Write down that this was a clean end, and close the file.

        Raises:
            JournalError: it can't be written; the file is closed nevertheless.
        """
        self._database.close()

    # ------------------------------------------------------------------ queue

    def put(self, changes: Iterable[Change]) -> None:
        """Queue what was seen, in one transaction; so call it with many at once."""
        with self._database.writing() as db:
            queue.put(db, changes, self._clock())

    def take(self, limit: int, now: float, order: Order) -> list[Action]:
        """Take what is due: what is to be sent, and only if that is all, what is to be deleted.

        If more than 10,000 have become due since the last call, those that waited longest are
        taken first, whatever the order.

        Args:
            limit: so many at most.
            now: seconds since the epoch.
            order: which first.
        """
        with self._database.writing() as db:
            return queue.take(db, limit, now, order)

    def tell(self, tell: Tell) -> None:
        """Tell what becomes of every action, from now on.

        It is told in the transaction that makes it so, and before that is durable: what was told
        and did not come to pass is told again, as what it has become. What ``tell`` raises lets the
        transaction fail.
        """
        self._database.tell(tell)

    def hear(self, hear: Hear | None) -> None:
        """Let somebody hear what becomes of every action, once it is durable; None: nobody.

        It costs as long as somebody does. What happens to an action several times in one
        transaction is heard as what it comes to.
        """
        self._database.hear(hear)

    def done(self, results: Sequence[Done], ended: Mapping[bytes, Ended] = NOTHING) -> None:
        """Acknowledge actions, and keep in the index what is on the other side now.

        An action that has had a change since it was taken becomes ready again. The notes of a
        transfer that has brought an entry are forgotten, and so are deletions of what was moved
        away. No name may be in two of the results.

        Args:
            results: of tries that succeeded.
            ended: how their actions are told to have ended, by name.
        """
        now = self._clock()
        brought = [result.entry for result in results if result.entry is not None]
        gone = [path for result in results for path in result.gone]
        own = {result.action.path for result in results}
        with self._database.writing(ended) as db:
            index.drop(db, gone)
            for path in gone:
                if path not in own:
                    queue.step(db, path, coalesce.moved_away, now)
            index.record(db, brought)
            memories.forget(db, [entry.path for entry in brought])
            queue.finish(db, [result.action for result in results], now)

    def again(
        self,
        action: Action,
        not_before: float,
        error: str,
        count: bool,  # noqa: FBT001 -- the handler's word
        *,
        unsure: bool = False,
    ) -> None:
        """Give an action back.

        Args:
            action: as it was taken.
            not_before: when it may be taken again, seconds since the epoch.
            error: why, for people.
            count: a try has failed.
            unsure: it failed in the middle: the other side may be before or after it.
        """
        outcome = coalesce.put_off(action, not_before, error, count=count, unsure=unsure)
        self._give_back([outcome])

    def hold(self, *actions: Action) -> None:
        """Let deletions wait until somebody confirms them."""
        self._give_back(map(coalesce.held, actions))

    def set_aside(self, action: Action, error: str) -> None:
        """Don't try an action any more until there is a change, or somebody says `retry`."""
        self._give_back([coalesce.put_aside(action, error)])

    def confirm(self) -> int:
        """Let all deletions that are held be done; returns how many."""
        return self._step_all(State.HELD, coalesce.confirmed)

    def retry(self, paths: Iterable[bytes] | None = None) -> int:
        """Try once more what is aside, of these names or all; returns how many."""
        if paths is None:
            return self._step_all(State.ASIDE, coalesce.retried)
        with self._database.writing() as db:
            found = [action for path in paths if (action := queue.find(db, path))]
            chosen = [action.path for action in found if action.state is State.ASIDE]
            for path in chosen:
                queue.step(db, path, coalesce.retried, self._clock())
        return len(chosen)

    def forget(self, paths: Iterable[bytes]) -> int:
        """Take actions out of the queue undone, but for those in hand; returns how many.

        Where an action was unsure, what is on the other side is not known any more.
        """
        with self._database.writing() as db:
            found = [action for path in paths if (action := queue.find(db, path))]
            return _forget(db, found)

    def forget_all(self) -> int:
        """`forget` all actions, in slices: others wait for each, not for all; returns how many."""
        number, after = 0, b""
        while True:
            with self._database.writing() as db:
                slice_ = queue.page(db, None, after, SLICE)
                number += _forget(db, slice_)
            if len(slice_) < SLICE:
                return number
            after = slice_[-1].path

    @property
    def paused(self) -> bool:
        """Somebody wants nothing to be sent; the next process hears it as well."""
        with self._database.reading() as db:
            (value,) = db.execute("SELECT value FROM meta WHERE key = 'paused'").fetchone()
            return bool(value)

    def pause(self, *, paused: bool) -> None:
        """Keep whether somebody wants nothing to be sent."""
        with self._database.writing() as db:
            db.execute("UPDATE meta SET value = ? WHERE key = 'paused'", (int(paused),))

    def counts(self) -> Counts:
        """How many actions are in each state."""
        with self._database.reading() as db:
            return queue.counts(db)

    def deletions(self, most: int) -> int:
        """How many deletions of what the index has are to be done, and were not confirmed.

        Args:
            most: so many are counted at most.
        """
        with self._database.reading() as db:
            return queue.deletions(db, most)

    def next_due(self, now: float) -> float | None:
        """When something can be taken, seconds since the epoch and not before now; None: never."""
        with self._database.reading() as db:
            return queue.next_due(db, now)

    def action(self, path: bytes) -> Action | None:
        """A name's action."""
        with self._database.reading() as db:
            return queue.find(db, path)

    def actions(self, state: State | None, after: bytes, limit: int) -> list[Action]:
        """Actions of a state, or all, past ``after`` in the order of their names."""
        with self._database.reading() as db:
            return queue.page(db, state, after, limit)

    def _give_back(self, outcomes: Iterable[Action]) -> None:
        now = self._clock()
        with self._database.writing() as db:
            for outcome in outcomes:
                rule = partial(coalesce.given_back, outcome=outcome)
                queue.step(db, outcome.path, rule, now)

    def _step_all(self, state: State, rule: queue.Step) -> int:
        """Let a rule change all of a state, in slices: others wait for each, not for all."""
        number, after = 0, b""
        while True:
            with self._database.writing() as db:
                slice_ = queue.page(db, state, after, SLICE)
                for action in slice_:
                    queue.step(db, action.path, rule, self._clock())
            number += len(slice_)
            if len(slice_) < SLICE:
                return number
            after = slice_[-1].path

    # ------------------------------------------------------------------ index

    def entry(self, path: bytes) -> Entry | None:
        """What is on the other side under a name, as far as we know."""
        with self._database.reading() as db:
            return index.find(db, path)

    def known(self, asked: Sequence[tuple[bytes, Identity | None]]) -> list[Known]:
        """What is known of names, in their order.

        Entries whose action is unsure are no candidates. Whether a transfer has one in hand just
        now, the caller must know.

        Args:
            asked: names, each with what its file is known by; None: no candidates are wanted.
        """
        with self._database.snapshot() as db:
            return [
                Known(
                    index.find(db, path),
                    memories.are_there(db, path),
                    () if identity is None else index.known_as(db, identity),
                )
                for path, identity in asked
            ]

    def entries(self, after: bytes, limit: int) -> list[Entry]:
        """Entries in the order of their names, from the first past ``after``."""
        with self._database.reading() as db:
            return index.page(db, after, limit)

    def record(self, entries: Iterable[Entry]) -> None:
        """Keep what was found on the other side, in one transaction."""
        with self._database.writing() as db:
            index.record(db, entries)

    def distrust(self, entries: Iterable[Entry]) -> None:
        """Changes of the other side may have been made, or not: believe these no more.

        What is not there any more, or another one by now, stays as it is.
        """
        with self._database.writing() as db:
            index.distrust(db, entries)

    def drop(self, paths: Iterable[bytes]) -> None:
        """Forget what is not on the other side, in one transaction."""
        with self._database.writing() as db:
            index.drop(db, paths)

    def entry_count(self) -> int:
        """How many entries the index has."""
        with self._database.reading() as db:
            return index.count(db)

    # ------------------------------------------------------------------ transfers

    def memory(self, path: bytes, fingerprint: str) -> StoredMemory:
        """The notes of the transfer of a file's content; empty if none was begun."""
        return StoredMemory(self._database, path, fingerprint)

    def stale(self, path: bytes, fingerprint: str) -> StoredMemory | None:
        """The notes of a transfer of this file that was begun for another content; None: none."""
        with self._database.reading() as db:
            row = db.execute(
                "SELECT fingerprint FROM memory WHERE path = ? AND fingerprint != ? LIMIT 1",
                (path, fingerprint),
            ).fetchone()
        return StoredMemory(self._database, path, row[0]) if row else None

    def forget_memory(self, path: bytes) -> None:
        """Forget the notes of all transfers of a file."""
        with self._database.writing() as db:
            memories.forget(db, [path])

    def memories(self) -> frozenset[str]:
        """All values that are noted."""
        with self._database.reading() as db:
            return frozenset(to_text(value) for (value,) in db.execute("SELECT value FROM memory"))


def _forget(db: sqlite3.Connection, actions: Iterable[Action]) -> int:
    waiting = [action for action in actions if action.state is not State.TAKEN]
    index.drop(db, [action.path for action in waiting if action.unsure])
    return queue.remove(db, [action.path for action in waiting])
