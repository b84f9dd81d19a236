"""When both sides are compared: at the start, from time to time, when asked, and after failures."""

import logging
import os
from collections.abc import Callable
from threading import Event as Flag
from threading import Thread
from time import monotonic, time
from typing import Final

from zfs_walk.errors import InternalError, ZfsWalkError
from zfs_walk.mirror.reconcile import Found, Reconcile
from zfs_walk.mirror.statistics import ReconcileStatistics
from zfs_walk.sinks.errors import StoppedError
from zfs_walk.watch.look import OtherFolderError

FIRST_AGAIN: Final = 1.0
"""Seconds until a comparison that failed is tried again; each time twice as many ..."""

LAST_AGAIN: Final = 60.0
"""... and at most so many: the other side's list may cost money."""

_log = logging.getLogger("zfs_walk.mirror")


class Reconciler:
    """Has comparisons done, one at a time, each in a thread of its own.

    One thread calls its methods, but for `statistics`, which any thread may.

    Args:
        name: of the mapping, for logs.
        make: a new comparison that ends when the flag is set.
        every: seconds between two; 0: only when it is asked for.
        wake: called from the thread of a comparison at its end; must not wait.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[Flag], Reconcile],
        every: float,
        wake: Callable[[], None],
    ) -> None:
        self._name = name
        self._make = make
        self._every = every
        self._wake = wake
        self._stopped = Flag()
        self._thread: Thread | None = None
        self._at: float | None = None
        self._again = FIRST_AGAIN
        self._found = Found()
        self._result: Found | None = None
        self._failed = ""
        self._done = 0
        self._ended = 0.0

    @property
    def running(self) -> bool:
        """A comparison is being made."""
        return self._thread is not None

    @property
    def busy(self) -> bool:
        """One is being made, or has failed and will be made again."""
        return self.running or bool(self._failed)

    @property
    def due(self) -> float | None:
        """When the next one is to begin, monotonic seconds; None: not before it is asked for."""
        return None if self.running else self._at

    def request(self) -> None:
        """Make one now, or another one once this one has ended."""
        self._at = monotonic()

    def begin(self) -> None:
        """Begin if it is time."""
        if self.running or self._at is None or monotonic() < self._at:
            return
        self._at = None
        self._result = None
        self._thread = Thread(target=self._run, name="reconcile", daemon=True)
        self._thread.start()

    def end(self) -> Found | None:
        """Take the result of a comparison that has ended well.

        None: none has, or another one was asked for since it began: that one is to be believed.
        """
        if self._thread is None or self._thread.is_alive():
            return None
        self._thread.join()
        self._thread = None
        if self._result is None:
            self._at = monotonic() + self._again if self._at is None else self._at
            self._again = min(2 * self._again, LAST_AGAIN)
            return None
        self._again = FIRST_AGAIN
        if self._at is not None:
            return None
        if self._every:
            self._at = monotonic() + self._every
        return self._result

    def close(self, timeout: float) -> None:
        """End a comparison; what it has found so far is kept."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def statistics(self) -> ReconcileStatistics:
        """What it knows about itself."""
        found = self._found
        return ReconcileStatistics(
            done=self._done,
            ended=self._ended,
            failed=self._failed,
            checked=found.checked,
            equal=found.equal,
            send=found.send,
            delete=found.delete,
        )

    # -- the thread of a comparison

    def _run(self) -> None:
        try:
            self._compare()
        except StoppedError:
            pass
        except ZfsWalkError as error:
            self._fail(str(error))
        except (OSError, OtherFolderError) as error:
            self._fail(getattr(error, "strerror", None) or str(error))
        except Exception as error:  # noqa: BLE001 -- it must be tried again, and be seen
            _log.exception("%s: the comparison failed", self._name)
            self._fail(str(InternalError(reason=repr(error))))
        self._wake()

    def _compare(self) -> None:
        reconcile = self._make(self._stopped)
        self._found = reconcile.found
        reconcile.run()
        found = reconcile.found
        self._failed = ""
        self._ended = time()
        self._done += 1
        self._result = found
        _log.info(
            "%s: compared %d names: %d are equal, %d to send, %d to delete",
            *(self._name, found.checked, found.equal, found.send, found.delete),
        )

        for name, listed in reconcile.twins:
            _log.warning(
                "%s: on the other side %r and %r are one file: the last one sent; rename one",
                *(self._name, os.fsdecode(name), os.fsdecode(listed)),
            )

    def _fail(self, why: str) -> None:
        if why != self._failed:
            _log.warning("%s: both sides can't be compared: %s", self._name, why)
        self._failed = why
