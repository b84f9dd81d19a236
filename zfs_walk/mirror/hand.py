"""The actions in hand: which may be begun, and which must wait for another. A core.

Two rules. What the other side has under a name is changed by one action at a time, be it the name's
own or a move that takes it away. And a deletion begins only when nothing is in hand that might turn
out to be a move of what it deletes: a file to be sent might, until it is decided what is done.
"""

from collections import deque
from collections.abc import Iterable

from zfs_walk.mirror.records import Action, Kind
from zfs_walk.sinks.interface import LARGEST_PARCEL


class Hand:
    """What was taken and is not acknowledged yet."""

    def __init__(self) -> None:
        self._sends: deque[Action] = deque()
        self._deletions: deque[Action] = deque()
        self._approved: deque[Action] = deque()
        # Of those that were given out: the names that they change.
        self._changing: dict[bytes, frozenset[bytes]] = {}
        self._borrowed: set[bytes] = set()
        self._waiting: dict[bytes, Action] = {}
        # Given out, and not decided yet.
        self._open: set[bytes] = set()

    def __len__(self) -> int:
        """All of them."""
        return self.idle + len(self._changing)

    @property
    def idle(self) -> int:
        """Those that are not given out."""
        return len(self._sends) + len(self._deletions) + len(self._approved) + len(self._waiting)

    def take(self, actions: Iterable[Action]) -> None:
        """They were taken from the queue."""
        for action in actions:
            (self._sends if action.kind is Kind.SEND else self._deletions).append(action)

    def next(self, together: int, transfers: int) -> list[Action]:
        """Give out what can be begun; empty: there is nothing at the moment.

        It is one action, or several files that are small, as far as it was seen.

        Args:
            together: files at most.
            transfers: who shares what is there.
        """
        if given := self._next_sends(together, transfers):
            return given
        while self.deletable:
            if action := self._give_out(self._approved.popleft()):
                return [action]
        return []

    def _next_sends(self, together: int, transfers: int) -> list[Action]:
        together = min(together, -(-len(self._sends) // transfers))
        room = LARGEST_PARCEL
        given: list[Action] = []
        while self._sends and len(given) < max(1, together):
            if given and self._sends[0].size > room:
                break
            if action := self._give_out(self._sends.popleft()):
                self._open.add(action.path)
                given.append(action)
                room -= action.size
        return given

    def _give_out(self, action: Action) -> Action | None:
        if action.path in self._borrowed:
            self._waiting[action.path] = action
            return None
        self._changing[action.path] = frozenset({action.path})
        return action

    @property
    def judgeable(self) -> bool:
        """There are deletions that nothing stands against any more."""
        return bool(self._deletions) and self._quiet()

    @property
    def deletable(self) -> bool:
        """There are deletions that may be done, and nothing stands against them."""
        return bool(self._approved) and self._quiet()

    def deletions(self) -> list[Action]:
        """Those that nothing stands against any more, to be judged; `approve` what may be done."""
        if not self.judgeable:
            return []
        ready = list(self._deletions)
        self._deletions.clear()
        return ready

    def approve(self, actions: Iterable[Action]) -> None:
        """These deletions may be done."""
        self._approved.extend(actions)

    def _quiet(self) -> bool:
        """Nothing is in hand that might turn out to be a move."""
        return not (self._open or self._sends)

    def decided(self, path: bytes) -> None:
        """About one that was given out: it is known what is done."""
        self._open.discard(path)

    def borrow(self, path: bytes, old: bytes) -> bool:
        """One that was given out would move ``old`` away; False: another one changes that."""
        if old in self._changing or old in self._borrowed:
            return False
        self._changing[path] |= {old}
        self._borrowed.add(old)
        return True

    def done(self, path: bytes) -> bool:
        """One that was given out is settled, durably; returns whether that lets another begin."""
        freed = False
        borrowed = self._changing.pop(path) - {path}
        self._open.discard(path)
        self._borrowed -= borrowed
        for old in borrowed:
            if action := self._waiting.pop(old, None):
                line = self._sends if action.kind is Kind.SEND else self._approved
                line.appendleft(action)
                freed = True
        return freed

    def put_back(self) -> list[Action]:
        """Those that are not given out; they are in hand no more."""
        back = [*self._sends, *self._deletions, *self._approved, *self._waiting.values()]
        for some in (self._sends, self._deletions, self._approved, self._waiting):
            some.clear()
        return back
