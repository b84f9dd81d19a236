"""Where the threads of a handler meet: who may begin what, and what has become of it.

Nothing here waits for anything but its turn: no file, journal or sink is touched.
"""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from threading import Condition, Lock
from typing import Final, NamedTuple

from zfs_walk.mirror.breaker import Breaker
from zfs_walk.mirror.hand import Hand
from zfs_walk.mirror.handling import HandlerStatistics, Happening, What
from zfs_walk.mirror.loans import Loans
from zfs_walk.mirror.meter import Meter
from zfs_walk.mirror.pace import Pace
from zfs_walk.mirror.records import Action, Entry
from zfs_walk.mirror.result import Result, Trouble
from zfs_walk.mirror.tally import Tally
from zfs_walk.sinks.errors import StoppedError
from zfs_walk.sinks.interface import Report

_AHEAD: Final = 16
"""Actions in hand for each transfer, at least."""

_BATCH: Final = 100
"""Results that are acknowledged at once ..."""
_DELAY: Final = 0.05
"""... or as many as there are after so many seconds: a commit waits for the disk."""

_FIRST_PROBE: Final = 1.0
"""Seconds until the other side is probed if there is nothing to do: so that trouble is seen."""


class Probe(NamedTuple):
    """See whether the trouble is over."""


class _Report:
    """What the sink tells of one file; a `zfs_walk.sinks.interface.PartsReport`."""

    def __init__(self, desk: "Desk", path: bytes) -> None:
        self._desk = desk
        self._path = path

    def __call__(self, passing: int) -> None:
        self._desk.passing(self._path, passing)

    def parts(self, done: int, of: int) -> None:
        self._desk.parts(self._path, done, of)


class Desk:
    """Every method may be called from any thread.

    Args:
        pace: of the mirror.
        notify: is told what happens.
        transfers: threads that work.
        together: files that one of them can send at once.

    Attributes:
        ahead: as many actions should be in hand that are not begun.
    """

    def __init__(
        self, pace: Pace, notify: Callable[[Happening], None], transfers: int, together: int
    ) -> None:
        self._transfers = transfers
        self._together = together
        # More than they do while others commit.
        self.ahead = transfers * max(_AHEAD, 2 * together)
        self._pace = pace
        self._notify = notify
        lock = Lock()
        self._work = Condition(lock)
        self._news = Condition(lock)
        self._hand = Hand()
        self._breaker = Breaker(time.monotonic() + _FIRST_PROBE)
        self._tally = Tally(Meter(time.monotonic()))
        self._pauses: dict[str, bool] = {}
        self._results: list[Result] = []
        self._oldest = 0.0
        self._running = 0
        self._loans = Loans()
        self._state_trouble = ""
        self._stopped = False
        self._awake = False

    # -- for transfers

    def job(self) -> list[Action] | Probe | None:
        """Wait for something to do; None: this is the end."""
        with self._work:
            while not self._stopped:
                wait = None
                if not self._pauses:
                    now = time.monotonic()
                    if self._breaker.probe(now):
                        return Probe()
                    if self._breaker.closed and (actions := self._next()):
                        return actions
                    due = self._breaker.next()
                    wait = None if due is None else due - now
                self._work.wait(wait)
            return None

    def _next(self) -> list[Action]:
        before = self._hand.idle
        actions = self._hand.next(self._together, self._transfers)
        self._running += len(actions)
        if self._hand.idle < self.ahead <= before:
            self._wake()
        return actions

    def probed(self, trouble: Trouble | None) -> None:
        """What a probe has found; None: everything is well."""
        with self._work:
            if trouble is None:
                self._breaker.passed()
            else:
                self._fail(trouble, probe=True)
            self._wake_all()

    def decided(self, path: bytes) -> None:
        """It is known what is done about an action: no move."""
        with self._work:
            self._hand.decided(path)
            if self._hand.deletable:
                self._work.notify_all()
            if self._hand.judgeable:
                self._wake()

    def borrow(self, path: bytes, old: Entry) -> bool:
        """Whether a move may take ``old`` away; nobody else changes it until that is settled."""
        with self._work:
            if not self._hand.borrow(path, old.path):
                return False
            self._loans.lend(path, old)
            return True

    def doubted(self, path: bytes) -> bool:
        """Whether a move that is tried again may have taken away what the index has there."""
        with self._work:
            return self._loans.doubted(path)

    def begun(self, action: Action, size: int) -> Report:
        """A file is being sent; returns what the sink tells of its bytes, and of its parts."""
        with self._work:
            self._tally.begin(action.path, size, time.time())
        self._notify(Happening(What.SENDING, action, time.time(), ""))
        return _Report(self, action.path)

    def passing(self, path: bytes, size: int) -> None:
        """So many bytes of a file are about to be sent; waits until they may be.

        Raises:
            StoppedError: this is the end.
        """
        if self._stopped:
            raise StoppedError
        self._pace.spend(size)
        with self._work:
            self._tally.passing(path, size, time.monotonic())

    def parts(self, path: bytes, done: int, of: int) -> None:
        """So many of a file's parts are there."""
        with self._work:
            self._tally.parts(path, done, of)

    def settle(self, result: Result) -> None:
        """A try has ended."""
        with self._work:
            self._tally.end(result)
            self._running -= 1
            if not self._results:
                self._oldest = time.monotonic()
            self._results.append(result)
            if result.trouble is not None:
                self._fail(result.trouble, probe=False)
            if self._due() or len(self._results) == 1:
                self._wake()

    def _fail(self, trouble: Trouble, *, probe: bool) -> None:
        self._breaker.failed(
            trouble.reason, time.monotonic(), chance(), again=trouble.again, probe=probe
        )
        self._work.notify_all()

    # -- for who acknowledges

    def wait(self, seconds: float) -> bool:
        """Until there is something to do, or so many seconds are over; False: this is the end."""
        with self._news:
            if self._results:
                seconds = min(seconds, max(0.0, self._oldest + _DELAY - time.monotonic()))
            if not (self._awake or self._due()):
                self._news.wait(seconds)
            self._awake = False
            return not self._stopped

    def rest(self, seconds: float) -> None:
        """Do nothing for so long, unless this is the end."""
        with self._news:
            self._news.wait_for(lambda: self._stopped, seconds)

    def results(self, *, all_of_them: bool = False) -> list[Result]:
        """What is to be acknowledged now; `doubtful` and `settled` once that is durable."""
        with self._news:
            return list(self._results) if all_of_them or self._due() else []

    def _due(self) -> bool:
        """So many, or so old, or nobody would bring more."""
        if not self._results:
            return False
        late = time.monotonic() >= self._oldest + _DELAY
        return late or len(self._results) >= _BATCH or not self._running

    def doubtful(self, results: Sequence[Result]) -> list[Entry]:
        """Entries that may be true no more, now that these are durable; call it once for each."""
        with self._work:
            return self._loans.settle(results)

    def settled(self, result: Result) -> None:
        """It is durable, and all that follows from it."""
        with self._work:
            self._results.remove(result)
            self._oldest = time.monotonic()
            if self._hand.done(result.action.path) or self._hand.deletable:
                self._work.notify_all()

    def end_doubts(self) -> list[Entry]:
        """Entries that may be true no more, as nobody will try their moves again."""
        with self._work:
            return self._loans.end()

    def room(self) -> bool:
        """Whether more is to be taken."""
        with self._work:
            return self._goes() and self._hand.idle < self.ahead

    @property
    def untried(self) -> bool:
        """Nobody knows yet whether anything can be done, or is finding it out."""
        with self._work:
            waits = self._breaker.next() is not None
            return waits and not self._breaker.trouble and not self._pauses

    def _goes(self) -> bool:
        return self._breaker.closed and not self._pauses and not self._stopped

    def take(self, actions: Iterable[Action]) -> None:
        """They were taken from the queue."""
        with self._work:
            self._hand.take(actions)
            self._work.notify_all()

    def deletions(self) -> list[Action]:
        """Those that are to be judged now."""
        with self._work:
            return self._hand.deletions() if self._goes() else []

    def approve(self, actions: Iterable[Action]) -> None:
        """These deletions may be done."""
        with self._work:
            self._hand.approve(actions)
            self._work.notify_all()

    def put_back(self) -> list[Action]:
        """What is in hand and was not begun; it is in hand no more."""
        with self._work:
            return self._hand.put_back()

    def in_trouble(self, trouble: Trouble) -> None:
        """Something that concerns all was found."""
        with self._work:
            self._fail(trouble, probe=False)

    def state_trouble(self, reason: str) -> None:
        """The journal can't be written; empty: it can."""
        with self._work:
            self._state_trouble = reason

    # -- for the owner

    def wake(self) -> None:
        """There is something to take."""
        with self._work:
            self._wake()

    def hurry(self) -> None:
        """The trouble may be over."""
        with self._work:
            self._breaker.hurry(time.monotonic())
            self._wake_all()

    def _wake(self) -> None:
        self._awake = True
        self._news.notify()

    def _wake_all(self) -> None:
        self._work.notify_all()
        self._wake()

    def pause(self, reason: str, *, stop: bool) -> None:
        """See `Handler.pause`."""
        with self._work:
            self._pauses[reason] = stop
        if stop:
            self._pace.stop()

    def resume(self, reason: str) -> None:
        """See `Handler.resume`."""
        with self._work:
            if self._pauses.pop(reason, None) is None:
                return
            if not any(self._pauses.values()) and not self._stopped:
                self._pace.go_on()
            self._wake_all()

    def stop(self) -> None:
        """The end: nothing is begun, and what goes on is to end."""
        with self._work:
            self._stopped = True
            self._wake_all()
        self._pace.stop()

    def statistics(self) -> HandlerStatistics:
        """What is known."""
        with self._work:
            breaker, ended, now = self._breaker, self._tally.ended, time.monotonic()
            epoch = time.time() - now
            due = breaker.next()
            trouble = breaker.trouble or self._state_trouble
            return HandlerStatistics(
                active=tuple(self._tally.active.values()),
                sent=ended[What.SENT],
                bytes=self._tally.meter.total,
                moved=ended[What.MOVED],
                deleted=ended[What.DELETED],
                unchanged=self._tally.unchanged,
                failed=self._tally.failed,
                rate=self._tally.meter.rate(now),
                paused=tuple(self._pauses),
                trouble=trouble,
                since=breaker.since + epoch if breaker.trouble else 0.0,
                look_at=due + epoch if breaker.trouble and due is not None else 0.0,
            )


def chance() -> float:
    """At least 0, less than 1."""
    return random.random()  # noqa: S311 -- spreads tries, no secret
