"""The real journal under random schedules, against a plain model of what was promised.

A kill is what it leaves behind: the files as they are at that moment, opened by another journal.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from zfs_walk.mirror.journal import Journal
from zfs_walk.mirror.records import (
    Action,
    Change,
    Done,
    Entry,
    Identity,
    Kind,
    Known,
    Order,
    State,
)

EXAMPLES = int(os.environ.get("ZFS_WALK_MODEL_EXAMPLES", "40"))
NAMES = (b"a", b"a/b", b"a/c", b"b", b"\xff\xfe")
CHANGES = st.builds(
    lambda name, kind, size, wait: (name, kind, size if kind is Kind.SEND else 0, wait),
    st.sampled_from(NAMES),
    st.sampled_from(Kind),
    st.integers(0, 9),
    st.sampled_from((0.0, 0.0, 5.0)),
)


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Row:
    """What is to be done about a name, as a reader of the promises would keep it."""

    kind: Kind
    size: int
    when: float
    state: State = State.READY
    version: int = 1
    unsure: bool = False
    confirmed: bool = False


@dataclass
class Promises:
    """Everything that the journal has said it will keep."""

    queue: dict[bytes, Row] = field(default_factory=dict)
    index: dict[bytes, int] = field(default_factory=dict)
    notes: dict[tuple[bytes, str], dict[str, str]] = field(default_factory=dict)


class Schedules(RuleBasedStateMachine):
    """Changes, transfers that end in every way, kills, and clean ends."""

    @initialize()
    def begin(self) -> None:
        # In memory if possible: what a kill leaves behind is the same there, and syncing is quick.
        memory = Path("/dev/shm")
        parent = memory if memory.is_dir() else None
        self.folder = Path(tempfile.mkdtemp(prefix="zw-test-", dir=parent))
        self.lives = 0
        self.now = 1_000.0
        self.kept = Promises()
        self.in_hand: dict[bytes, Action] = {}
        self.clean = False
        self.open(self.folder / "0")
        self.put([(name, Kind.SEND, size, 0.0) for size, name in enumerate(NAMES)])

    def open(self, home: Path) -> None:
        home.mkdir(exist_ok=True)
        self.home = home
        self.journal = Journal(home / "journal", "here -> there", lambda: self.now)
        assert self.journal.clean == self.clean

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.journal.close()
            shutil.rmtree(self.folder)

    # ------------------------------------------------------------------ ends

    def _die(self, home: Path) -> None:
        """Go on with what was left at ``home`` by a kill."""
        self.journal.close()
        self._end(home, clean=False)

    def _end(self, home: Path, *, clean: bool) -> None:
        for row in self.kept.queue.values():
            if row.state is State.TAKEN:
                row.state, row.unsure = State.READY, True
        self.in_hand.clear()
        self.clean = clean
        self.open(home)

    def _left_behind(self) -> Path:
        self.lives += 1
        home = self.folder / str(self.lives)
        home.mkdir()
        for part in self.home.iterdir():
            shutil.copy(part, home)
        return home

    def kill(self) -> None:
        self._die(self._left_behind())

    def kill_in_the_middle_of_a_put(self, changes: list[tuple[bytes, Kind, int, float]]) -> None:
        home: list[Path] = []

        def until_killed() -> Iterator[Change]:
            yield from self._changes(changes)
            home.append(self._left_behind())
            raise Killed

        try:
            self.journal.put(until_killed())
        except Killed:
            self._die(home[0])

    def close(self) -> None:
        self.journal.close()
        self._end(self.home, clean=True)

    @rule(how=st.sampled_from(("kill", "kill in a put", "close")), changes=st.lists(CHANGES))
    def end(self, how: str, changes: list[tuple[bytes, Kind, int, float]]) -> None:
        match how:
            case "kill":
                self.kill()
            case "kill in a put":
                self.kill_in_the_middle_of_a_put(changes)
            case _:
                self.close()

    # ------------------------------------------------------------------ the queue

    def due(self) -> dict[bytes, Row]:
        return {
            name: row
            for name, row in self.kept.queue.items()
            if row.state is State.READY and row.when <= self.now
        }

    def any_is(self, state: State) -> bool:
        return any(row.state is state for row in self.kept.queue.values())

    def _changes(self, changes: list[tuple[bytes, Kind, int, float]]) -> list[Change]:
        return [Change(name, kind, size, self.now + wait) for name, kind, size, wait in changes]

    @rule(changes=st.lists(CHANGES, max_size=5))
    def put(self, changes: list[tuple[bytes, Kind, int, float]]) -> None:
        self.journal.put(self._changes(changes))
        for name, kind, size, wait in changes:
            row = self.kept.queue.get(name)
            if row is None:
                self.kept.queue[name] = Row(kind, size, self.now + wait)
                continue
            gone_still = row.kind is kind is Kind.DELETE
            if row.state is State.ASIDE or (row.state is State.HELD and not gone_still):
                row.state = State.READY
            row.confirmed &= gone_still
            row.kind, row.size, row.when = kind, size, self.now + wait
            row.version += 1

    @rule(seconds=st.sampled_from((1.0, 5.0, 60.0)))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(limit=st.integers(1, 4), order=st.sampled_from(Order))
    def take(self, limit: int, order: Order) -> None:
        due = self.due()
        taken = self.journal.take(limit, self.now, order)
        assert len(taken) == min(limit, len(due))
        assert {action.path for action in taken} <= due.keys()
        rest = [row for name, row in due.items() if name not in {a.path for a in taken}]
        if any(action.kind is Kind.DELETE for action in taken):
            assert not any(row.kind is Kind.SEND for row in rest)
        if order is Order.SMALLEST:
            sizes = [action.size.bit_length() for action in taken if action.kind is Kind.SEND]
            assert sizes == sorted(sizes)
            assert all(
                row.size.bit_length() >= max(sizes, default=0)
                for row in rest
                if row.kind is Kind.SEND
            )
        for action in taken:
            self.kept.queue[action.path].state = State.TAKEN
            assert action.path not in self.in_hand
            self.in_hand[action.path] = action

    @rule(
        which=st.integers(0, 9),
        changed=st.none() | st.sampled_from(Kind),
        how=st.sampled_from(("finish", "move", "fail", "fail unsure", "aside", "hold")),
    )
    def transfer(self, which: int, changed: Kind | None, how: str) -> None:
        """Something in hand comes to an end, perhaps after a change of it."""
        if not self.in_hand:
            if not self.due():
                self.now += 60.0
                self.put([(NAMES[which % len(NAMES)], Kind.SEND, which, 0.0)])
            self.take(2, Order.OLDEST)
        if not self.in_hand:
            return  # what was put is held or aside
        if changed is not None:
            name = sorted(self.in_hand)[which % len(self.in_hand)]
            self.put([(name, changed, which, 0.0)])
        match how:
            case "finish":
                self.finish(which, 1 + which % 3, None)
            case "move":
                self.finish(which, 1 + which % 3, NAMES[which % len(NAMES)])
            case "aside":
                self.set_aside(which)
            case "hold":
                self.hold(which)
            case _:
                self.fail(which, which % 2 * 5.0, unsure=how == "fail unsure")

    @rule(
        what=st.sampled_from(("confirm", "retry", "forget")),
        names=st.none() | st.sets(st.sampled_from(NAMES)),
    )
    def operate(self, what: str, names: set[bytes] | None) -> None:
        if what == "confirm":
            self.confirm()
        elif what == "retry":
            self.retry(names)
        else:
            self.forget(names or set())

    @rule(name=st.sampled_from(NAMES), ino=st.integers(0, 3))
    def reconcile(self, name: bytes, ino: int) -> None:
        if ino:
            self.record(name, ino)
        else:
            self.drop({name, b"none"})

    def _give_back(self, which: int, say: Callable[[Action], None]) -> tuple[Row, bool]:
        """End a transfer; returns its row, and whether it was not changed meanwhile."""
        action = self.in_hand.pop(sorted(self.in_hand)[which % len(self.in_hand)])
        say(action)
        row = self.kept.queue[action.path]
        row.state = State.READY
        return row, row.version == action.generation

    def finish(self, which: int, ino: int, gone: bytes | None) -> None:
        ended: list[bytes] = []

        def say(action: Action) -> None:
            ended.append(action.path)
            names = () if gone is None or gone == action.path else (gone,)
            self.journal.done([Done(action, made(action.path, ino), names)])
            for name in names:
                self.kept.index.pop(name, None)
                row = self.kept.queue.get(name)
                # What was moved away is not there to be deleted.
                if row and row.kind is Kind.DELETE and row.state in {State.READY, State.HELD}:
                    del self.kept.queue[name]

        row, same = self._give_back(which, say)
        (name,) = ended
        self.kept.index[name] = ino
        for key in [key for key in self.kept.notes if key[0] == name]:
            del self.kept.notes[key]
        row.unsure = False
        if same:
            del self.kept.queue[name]

    def fail(self, which: int, wait: float, *, unsure: bool) -> None:
        when = self.now + wait
        row, same = self._give_back(
            which,
            lambda action: self.journal.again(action, when, "no", count=True, unsure=unsure),
        )
        row.unsure |= unsure
        row.when = when if same else row.when

    def set_aside(self, which: int) -> None:
        row, same = self._give_back(which, lambda action: self.journal.set_aside(action, "no"))
        row.unsure = True
        row.state = State.ASIDE if same else State.READY

    def hold(self, which: int) -> None:
        row, same = self._give_back(which, self.journal.hold)
        row.state = State.HELD if same else State.READY

    def confirm(self) -> None:
        held = [row for row in self.kept.queue.values() if row.state is State.HELD]
        assert self.journal.confirm() == len(held)
        for row in held:
            row.state, row.when, row.confirmed = State.READY, 0.0, True

    def retry(self, names: set[bytes] | None) -> None:
        aside = [
            row
            for name, row in self.kept.queue.items()
            if row.state is State.ASIDE and (names is None or name in names)
        ]
        assert self.journal.retry(names) == len(aside)
        for row in aside:
            row.state, row.when = State.READY, 0.0

    def forget(self, names: set[bytes]) -> None:
        left = [
            name
            for name in names
            if name in self.kept.queue and self.kept.queue[name].state is not State.TAKEN
        ]
        assert self.journal.forget(names) == len(left)
        for name in left:
            if self.kept.queue.pop(name).unsure:
                self.kept.index.pop(name, None)

    # ------------------------------------------------------------------ the rest

    def record(self, name: bytes, ino: int) -> None:
        self.journal.record([made(name, ino)])
        self.kept.index[name] = ino

    def drop(self, names: set[bytes]) -> None:
        self.journal.drop(names)
        for name in names:
            self.kept.index.pop(name, None)

    @rule(name=st.sampled_from(NAMES), fingerprint=st.sampled_from("xy"), value=st.text())
    def note(self, name: bytes, fingerprint: str, value: str) -> None:
        self.journal.memory(name, fingerprint).store("upload", value)
        self.kept.notes[name, fingerprint] = {"upload": value}

    @invariant()
    def everything_is_kept(self) -> None:
        if not hasattr(self, "journal"):
            return
        due = self.journal.next_due(self.now)
        assert (due == self.now) == bool(self.due())
        assert (due is None) == (not self.any_is(State.READY))
        queue, states = self.kept.queue, [row.state for row in self.kept.queue.values()]
        found = self.journal.actions(None, b"", 99)
        assert [action.path for action in found] == sorted(queue)
        for action in found:
            row = queue[action.path]
            assert action.state is row.state
            assert (action.kind, action.size, action.not_before) == (row.kind, row.size, row.when)
            assert (action.unsure, action.confirmed) == (row.unsure, row.confirmed)
        for state in State:
            assert self.journal.actions(state, b"", 99) == [a for a in found if a.state is state]
        to_send = [
            row.size
            for row in queue.values()
            if row.kind is Kind.SEND and row.state is not State.ASIDE
        ]
        assert self.journal.counts() == (*map(states.count, State), sum(to_send))
        index = self.kept.index
        assert self.journal.entries(b"", 99) == [made(name, index[name]) for name in sorted(index)]
        assert self.journal.entry_count() == len(index)
        for ino in range(1, 4):
            a = made(b"", ino)
            identity = Identity(a.dev, a.ino, a.size, a.mtime_ns)
            noted = any(name == b"a" for name, _ in self.kept.notes)
            candidates = tuple(
                made(name, ino)
                for name in sorted(index)
                if index[name] == ino and not (name in queue and queue[name].unsure)
            )
            own = made(b"a", index[b"a"]) if b"a" in index else None
            assert self.journal.known([(b"a", identity)]) == [Known(own, noted, candidates)]
        for (name, fingerprint), notes in self.kept.notes.items():
            assert self.journal.memory(name, fingerprint).load() == notes
        assert self.journal.memories() == {
            value for notes in self.kept.notes.values() for value in notes.values()
        }


def made(name: bytes, ino: int) -> Entry:
    """An entry whose inode is larger than SQLite's integers."""
    return Entry(name, 10, 10**20, 2**64 - 1, 2**63 + ino, 0o644, "")


TestSchedules = Schedules.TestCase
TestSchedules.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
