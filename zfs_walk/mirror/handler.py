"""Does what the queue asks for: takes actions, and has them done by several transfers at once.

One thread takes actions, acknowledges what is done, many at once, and judges deletions; the others
transfer. They meet at a `zfs_walk.mirror.desk.Desk`.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from typing import Final

from zfs_walk import faults
from zfs_walk.errors import ZfsWalkError
from zfs_walk.mirror.acknowledge import acknowledge
from zfs_walk.mirror.deletions import Deletions, Verdict
from zfs_walk.mirror.desk import Desk, Probe
from zfs_walk.mirror.folder import Folder
from zfs_walk.mirror.handling import Guard, HandlerOptions, HandlerStatistics, Happening, What
from zfs_walk.mirror.journal import Journal
from zfs_walk.mirror.pace import Pace
from zfs_walk.mirror.records import Action, Entry, Order
from zfs_walk.mirror.result import Result, Trouble
from zfs_walk.mirror.retry import reason_of
from zfs_walk.mirror.transfer import Transfer
from zfs_walk.sinks.errors import SinkError
from zfs_walk.sinks.interface import Sink, Together
from zfs_walk.watch.look import OtherFolderError

_LOOK_UP: Final = 1.0
"""Seconds between two looks at the windows of the pace, and at a journal that can't be written."""

_HOURS: Final = "outside of its hours"

_log = logging.getLogger("zfs_walk.mirror")


@dataclass(frozen=True, slots=True)
class Parts:
    """What a handler works with.

    Attributes:
        journal: of the mapping; whoever puts changes into it calls `Handler.wake` afterwards.
        folder: absolute path of what is mirrored.
        sink: becomes the handler's: it is closed with it.
        options: how files are sent.
        pace: of this mirror; its windows are kept, and it is stopped when transfers are to end.
        guard: is asked before anything is deleted.
        notify: told of what happens, from any of the handler's threads; must not wait.
    """

    journal: Journal
    folder: bytes
    sink: Sink
    options: HandlerOptions
    pace: Pace
    guard: Guard
    notify: Callable[[Happening], None]


class Handler:
    """Keeps the other side true. Every method may be called from any thread.

    Raises:
        OSError: the folder is not there.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._journal = parts.journal
        self._order = Order(parts.options.order)
        self._folder = Folder(parts.folder, parts.options.symlinks)
        together = parts.sink.together if isinstance(parts.sink, Together) else 1
        self._desk = Desk(parts.pace, parts.notify, parts.options.transfers, together)
        self._deletions = Deletions(parts.journal, self._folder, parts.options, parts.guard)
        # Entries that may be true no more, and are to be written down as such.
        self._untrue: list[Entry] = []
        self._transfers: list[Thread] = []
        self._taker = Thread(target=self._take_and_acknowledge, name="handler", daemon=True)

    def start(self) -> None:
        """Begin; nothing is sent before the sink's `check` has passed."""
        for number in range(self._parts.options.transfers):
            sink = self._parts.sink.fork()
            thread = Thread(
                target=self._transfer, args=(sink,), name=f"transfer-{number}", daemon=True
            )
            self._transfers.append(thread)
        self._parts.pace.go_on()
        self._taker.start()
        for thread in self._transfers:
            thread.start()

    def close(self, timeout: float) -> bool:
        """Stop, at most so many seconds later; returns whether every transfer has ended.

        What was begun is gone on with after the next start. One that has not ended is cut off with
        the process, as by a kill; its action is unsure then.
        """
        until = time.monotonic() + timeout
        self._desk.stop()
        for thread in self._transfers:
            thread.join(max(0.0, until - time.monotonic()))
        ended = not any(thread.is_alive() for thread in self._transfers)
        self._taker.join()
        try:
            self._finish()
        except ZfsWalkError as error:
            # What was not acknowledged is unsure at the next start, and nothing worse.
            _log.error("the end could not be written down: %s", error)
        if ended:
            self._parts.sink.close()
        return ended

    def _finish(self) -> None:
        self._acknowledge(all_of_them=True)
        now = time.time()
        for action in self._desk.put_back():
            self._journal.again(action, now, action.error, count=False)
        self._untrue += self._desk.end_doubts()
        self._distrust()

    def pause(self, reason: str, *, stop: bool) -> None:
        """Begin nothing until `resume` with the same reason.

        Args:
            reason: shown to people.
            stop: end what is being sent; it is gone on with later. Otherwise it is finished.
        """
        self._desk.pause(reason, stop=stop)

    def resume(self, reason: str) -> None:
        """A reason to pause is over."""
        self._desk.resume(reason)

    def wake(self) -> None:
        """There may be something to take."""
        self._desk.wake()

    def hurry(self) -> None:
        """Look now whether the trouble is over, as somebody has done something about it."""
        self._desk.hurry()

    def statistics(self) -> HandlerStatistics:
        """What it knows about itself."""
        return self._desk.statistics()

    # -- the thread that takes and acknowledges

    def _take_and_acknowledge(self) -> None:
        wait = 0.0
        while self._desk.wait(wait):
            try:
                self._look_at_hours()
                self._acknowledge()
                self._judge()
                wait = self._take()
                self._desk.state_trouble("")
            except ZfsWalkError as error:
                # Nothing is lost: what is not acknowledged stays where it is.
                _log.warning("%s", error)
                self._desk.state_trouble(str(error))
                self._desk.rest(_LOOK_UP)
            except Exception as error:  # noqa: BLE001 -- what is in hand must not be stranded
                _log.exception("the handler goes on after a bug")
                self._desk.state_trouble(reason_of(error))
                self._desk.rest(_LOOK_UP)

    def _look_at_hours(self) -> None:
        if self._parts.pace.is_open():
            self._desk.resume(_HOURS)
        else:
            self._desk.pause(_HOURS, stop=True)

    def _acknowledge(self, *, all_of_them: bool = False) -> None:
        self._distrust()
        results = self._desk.results(all_of_them=all_of_them)
        if not results:
            return
        later = time.time() + self._parts.options.deletion_delay
        durable: set[int] = set()
        try:
            for result in acknowledge(self._journal, results, later):
                durable.add(id(result))
        finally:
            self._settle([result for result in results if id(result) in durable])
        faults.point("mirror.acknowledged")

    def _settle(self, durable: Sequence[Result]) -> None:
        """Let others have what these had, once what follows from them is written, too."""
        try:
            self._untrue += self._desk.doubtful(durable)
            self._distrust()
        finally:
            for result in durable:
                self._desk.settled(result)
                if result.what is not None:
                    self._tell(result.what, result.action, result.told)

    def _distrust(self) -> None:
        """Write down what may be true no more."""
        if self._untrue:
            self._journal.distrust(self._untrue)
            self._untrue = []

    def _tell(self, what: What, action: Action, detail: str) -> None:
        self._parts.notify(Happening(what, action, time.time(), detail))

    def _judge(self) -> None:
        waiting = self._desk.deletions()
        if not waiting:
            return
        try:
            verdict = self._deletions.judge(waiting, self._desk.doubted)
        except OtherFolderError as error:
            self._desk.take(waiting)
            self._desk.in_trouble(Trouble(f"the folder: {error}", again=True))
            return
        except ZfsWalkError:
            self._desk.take(waiting)
            raise
        self._desk.approve(verdict.approved)
        self._desk.take(verdict.back)
        self._let_wait(verdict)

    def _let_wait(self, verdict: Verdict) -> None:
        early, held = verdict.early, verdict.held
        later = time.time() + self._parts.options.deletion_delay
        try:
            while early:
                self._journal.again(early[-1], later, early[-1].error, count=False)
                early.pop()
            self._journal.hold(*(action for action, _ in held))
        except ZfsWalkError:
            self._desk.take([*early, *(action for action, _ in held)])
            raise
        for action, why in held:
            self._tell(What.HELD, action, why)

    def _take(self) -> float:
        """Take more if there is room; returns the seconds until that may be worth while again."""
        now = time.time()
        if not self._desk.room():
            if self._desk.untried and self._journal.next_due(now) == now:
                self._desk.hurry()
            return _LOOK_UP
        due = self._journal.next_due(now)
        if due is None or due > now:
            return _LOOK_UP if due is None else min(_LOOK_UP, due - now)
        # So that a file which was sent, and has another name by now, is known.
        self._acknowledge(all_of_them=True)
        taken = self._journal.take(2 * self._desk.ahead, now, self._order)
        faults.point("mirror.taken")
        self._desk.take(taken)
        return 0.0 if taken else _LOOK_UP

    # -- the threads that transfer

    def _transfer(self, sink: Sink) -> None:
        transfer = Transfer(self._journal, self._folder, sink, self._parts.options, self._desk)
        while (job := self._desk.job()) is not None:
            if isinstance(job, Probe):
                self._desk.probed(self._probe(sink))
            else:
                for result in transfer.run(job):
                    self._desk.settle(result)
        with suppress(SinkError):
            sink.close()

    def _probe(self, sink: Sink) -> Trouble | None:
        try:
            with self._folder.opened():
                sink.check()
        except OtherFolderError as error:
            return Trouble(f"the folder: {error}", again=True)
        except SinkError as error:
            return Trouble(str(error), error.again)
        except Exception as error:  # noqa: BLE001 -- no bug of a sink ends a transfer's thread
            _log.exception("the sink's check failed")
            return Trouble(reason_of(error), again=True)
        return None
