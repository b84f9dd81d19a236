"""OpenSSH's client as a child process that bytes are sent through."""

import contextlib
import os
import select
import socket
import subprocess
from typing import Final

from zfs_walk.sinks.sftp_session import LostError, filled
from zfs_walk.sinks.sftp_wire import Bulk, Slice

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
        self._writable = select.poll()
        self._writable.register(self._line, select.POLLOUT)
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

    def send(self, data: bytes, bulk: Bulk = b"") -> None:
        """Have bytes under way, when it takes them: see `Stream.send`.

        Raises:
            LostError: the connection is no more.
            OSError: the file could not be read.
        """
        unread = None
        try:
            if isinstance(bulk, Slice):
                self._send_all(data, b"", socket.MSG_MORE)
                unread = self._send_slice(bulk)
            else:
                self._send_all(data, bulk)
        except OSError as error:
            raise self._lost(error) from error
        if unread is not None:
            raise unread

    def _send_all(self, data: bytes, bulk: bytes, flags: int = 0) -> None:
        sent = self._line.sendmsg((data, bulk), (), flags)
        for piece in (data, bulk):
            rest = memoryview(piece)[sent:]
            sent = max(0, sent - len(piece))
            while rest:
                rest = rest[self._line.send(rest) :]

    def _send_slice(self, piece: Slice) -> OSError | None:
        """Without reading it ourselves, where the system can do that; returns why it was not read.

        It takes a quarter of the time, and a file is cheaper to send than to encrypt.
        """
        offset, end = piece.offset, piece.offset + piece.size
        while offset < end:
            try:
                sent = os.sendfile(self._line.fileno(), piece.descriptor, offset, end - offset)
            except BlockingIOError:
                if not self._writable.poll(self._timeout * 1000):
                    raise TimeoutError from None
                continue
            except ConnectionError:
                raise
            except OSError:
                break  # not of this file, or it can't be read: that shows now
            if not sent:
                break
            offset += sent
        data, failure = filled(Slice(piece.descriptor, offset, end - offset))
        self._line.sendall(data)
        return failure

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
