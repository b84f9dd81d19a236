"""Tests that need the machine for themselves, among others that run four at a time.

Two locks in the run's folder. ``room``: shared by all tests, exclusive for one that is alone.
``door``: whoever waits for the room holds it, so that new tests do not go before one that waits.
"""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def _held(path: Path, how: int) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, how)
        yield


@contextlib.contextmanager
def among_others(folder: Path, *, alone: bool) -> Iterator[None]:
    """Enter the room; leave it at the end.

    Args:
        folder: shared by all processes of the run.
        alone: wait until nobody else is in it, and let nobody in.
    """
    how = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
    with contextlib.ExitStack() as room:
        with _held(folder / "door", fcntl.LOCK_EX):
            room.enter_context(_held(folder / "room", how))
        yield
