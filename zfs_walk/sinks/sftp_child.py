"""OpenSSH's client as a child process that bytes are sent through."""

import contextlib
import socket
import subprocess
from typing import Final

from zfs_walk.sinks.sftp_session import LostError

_BUFFER: Final = 1 << 20
"""Bytes that wait in the kernel each way, so that neither side waits for the other's turn."""

_RECEIVE: Final = 1 << 18

_ENDING: Final = 1.0
"""Seconds in which ssh ends after its input has ended; it is killed then."""

_KEPT: Final = 4096
"""Bytes of what it said last, and..."""

_LINES: Final = 3
"""...lines of it that are told: enough for the reason, even if a server greets with a banner."""

_ALTERED: Final = ("corrupted mac", "message authentication code incorrect")


class Child:
    """A `zfs_walk.sinks.sftp_session.Stream` through a process of OpenSSH's client.

    It ends when we do, even by SIGKILL: its input ends then.

    Args:
        words: its command.
        timeout: seconds without an answer, after which the connection counts as lost.
    """

    def __init__(self, words: list[str], timeout: float) -> None:
        self._said = b""
        self._line, theirs = socket.socketpair()
        self._errors, says = socket.socketpair()
        try:
            for end in (self._line, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            # A Ctrl-C in our terminal is not meant for it.
            self._process = subprocess.Popen(
                words,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=says.fileno(),
                start_new_session=True,
            )
        except BaseException:
            self._line.close()
            self._errors.close()
            raise
        finally:
            theirs.close()
            says.close()
        self._errors.settimeout(0)
        self._wait_for(timeout)

    def greeted(self, timeout: float) -> None:
        """It is connected: from now on an answer may take so long; it says things anew."""
        self._listen()
        self._said = b""
        self._wait_for(timeout)

    def _wait_for(self, timeout: float) -> None:
        self._timeout = timeout
        self._line.settimeout(timeout)

    @property
    def alive(self) -> bool:
        """Whether nothing is known of its end."""
        # What it says is taken away now and then, so that it never waits to say more.
        self._listen()
        return self._process.poll() is None

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while more := self._errors.recv(_KEPT):
                self._said = (self._said + more)[-_KEPT:]

    def send(self, data: bytes) -> None:
        """Have bytes under way, when it takes them.

        Raises:
            LostError: the connection is no more.
        """
        try:
            sent = self._line.send(data)
            if sent < len(data):
                rest = memoryview(data)[sent:]
                while rest:
                    rest = rest[self._line.send(rest) :]
        except OSError as error:
            raise self._lost(error) from error

    def receive(self) -> bytes:
        """At least one byte.

        Raises:
            LostError: none will come.
        """
        try:
            data = self._line.recv(_RECEIVE)
        except OSError as error:
            raise self._lost(error) from error
        if not data:
            raise self._lost(None)
        return data

    def _lost(self, error: OSError | None) -> LostError:
        if isinstance(error, TimeoutError):
            return LostError(f"no answer for {self._timeout:.0f} s")
        # It ends by itself now, and says why before.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING)
        self._listen()
        said = "; ".join(self._said.decode("utf-8", "replace").strip().splitlines()[-_LINES:])
        if any(words in said.lower() for words in _ALTERED):
            return LostError("what came was altered on the way", corrupted=True)
        return LostError(f"the connection was lost: {said}" if said else "the connection was lost")

    def close(self) -> None:
        """End it."""
        self._line.close()
        try:
            self._process.wait(_ENDING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()
