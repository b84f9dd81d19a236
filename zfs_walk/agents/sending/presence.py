"""Who is sending to a sink with this state folder, so that only what dead ones left is swept.

Each worker has a file of its own, locked as long as it lives, whose one byte says whether it is in
the middle of something. One that nobody has locked is a dead worker's; what it left at the sink is
swept when nobody else is sending there: at the end of a run, or when the next one begins.
"""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

_AT_REST: Final = b"0"
_SENDING: Final = b"1"
_SUFFIX: Final = ".sending"


class Presence:
    """Of one worker.

    Args:
        folder: of one sink, shared by all that send to it with this state folder.

    Raises:
        OSError: it can't be used.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / f"{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"
        with _alone(folder):
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.pwrite(self._descriptor, _AT_REST, 0)

    @contextlib.contextmanager
    def sending(self) -> Iterator[None]:
        """While this lasts, a death leaves something behind, and so does an exception."""
        broken_off = os.pread(self._descriptor, 1, 0) == _SENDING
        os.pwrite(self._descriptor, _SENDING, 0)
        yield
        if not broken_off:
            os.pwrite(self._descriptor, _AT_REST, 0)

    def close(self) -> None:
        """Leave; whether anything is to be swept the next one sees who asks."""
        with contextlib.suppress(OSError):
            if os.pread(self._descriptor, 1, 0) == _AT_REST:
                self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def sweep_after_the_dead(folder: Path, sweep: Callable[[], None]) -> bool:
    """Have what dead workers have left taken away, if there are any and nobody is sending.

    Nobody begins to send meanwhile.

    Args:
        folder: as `Presence` has it.
        sweep: takes it away; if it raises, it will be asked for again.

    Returns:
        Whether it was swept.
    """
    with _alone(folder):
        dead: list[Path] = []
        to_sweep = False
        for path in folder.glob(f"*{_SUFFIX}"):
            left = _left_by_dead(path)
            if left is None:
                return False
            dead.append(path)
            to_sweep = to_sweep or left != _AT_REST
        if to_sweep:
            sweep()
        for path in dead:
            path.unlink(missing_ok=True)
        return to_sweep


def _left_by_dead(path: Path) -> bytes | None:
    """What a file's byte says; None: its worker lives."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return _AT_REST
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.pread(descriptor, 1, 0)
    except BlockingIOError:
        return None
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else comes, goes or sweeps meanwhile."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
