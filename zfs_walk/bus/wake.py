"""Ends another thread's wait, or one's own from a signal handler."""

import contextlib
import os


class Wake:
    """A pipe that a `Waiter` waits for as well; `ring` makes it readable."""

    def __init__(self) -> None:
        """Open the pipe."""
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._closed = False

    def fileno(self) -> int:
        """What to wait for."""
        return self._read

    def ring(self) -> None:
        """Wake whoever waits; harmless when nobody does any more."""
        if not self._closed:
            # A full pipe will wake them, too.
            with contextlib.suppress(OSError):
                os.write(self._write, b"x")

    def clear(self) -> None:
        """Forget all rings so far."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 4096)

    def close(self) -> None:
        """Close the pipe."""
        self._closed = True
        os.close(self._read)
        os.close(self._write)
