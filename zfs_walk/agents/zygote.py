"""The process that workers are forked from.

It is forked before its agent has a ZeroMQ context or a second thread, makes every worker (the
replacements of dead ones too), tells of their deaths, and ends them all when the agent is gone.
"""

import contextlib
import os
import select
import shutil
import signal
import socket
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass

_SPAWN = struct.Struct("=QI")  # worker, slot
_DEATH = struct.Struct("=QQi")  # worker, pid, wait status
BLOCKED = {signal.SIGINT, signal.SIGTERM}
"""Signals that only the agent's main thread handles."""

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Death:
    """A worker's end: its number, process id and wait status."""

    worker: int
    pid: int
    status: int


RunWorker = Callable[[int, int, int], None]
"""Runs a worker in its own process: its number, its slot, and a pipe that ends with the zygote."""


class Zygote:
    """The agent's handle of its zygote."""

    def __init__(self, run_worker: RunWorker, folder: str) -> None:
        """Fork the zygote.

        SIGINT and SIGTERM stay blocked in it and in every worker; the caller unblocks them for
        itself when its handlers are in place.

        Args:
            run_worker: what a worker's process does.
            folder: of the agent's ipc sockets; the zygote removes it when the agent is gone.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)
        self._link, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._link.close()
            try:
                _Zygote(theirs, run_worker, folder).run()
            finally:
                os._exit(0)
        theirs.close()
        self._link.setblocking(False)  # noqa: FBT003 -- socket's own signature
        self._received = b""

    def fileno(self) -> int:
        """Readable when a worker died, or the zygote did."""
        return self._link.fileno()

    def spawn(self, worker: int, slot: int) -> None:
        """Ask for a worker."""
        self._link.sendall(_SPAWN.pack(worker, slot))

    def deaths(self) -> list[Death] | None:
        """Deaths since the last call; None if the zygote itself is gone."""
        try:
            while True:
                received = self._link.recv(65536)
                if not received:
                    return None
                self._received += received
        except BlockingIOError:
            pass
        except ConnectionError:
            return None
        whole = len(self._received) - len(self._received) % _DEATH.size
        rows, self._received = self._received[:whole], self._received[whole:]
        return [Death(*row) for row in _DEATH.iter_unpack(rows)]

    def close(self) -> None:
        """End every worker and the zygote, and wait until they are gone."""
        self._link.close()
        if self.pid:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
            self.pid = 0


def die_with_parent(parent: int) -> None:
    """Be killed when the parent dies (Linux); elsewhere the pipe's end is noticed instead."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes  # noqa: PLC0415 -- only here; it would cost every start 5 ms

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


class _Zygote:
    """What the zygote's own process does."""

    def __init__(self, link: socket.socket, run_worker: RunWorker, folder: str) -> None:
        self._link = link
        self._run_worker = run_worker
        self._folder = folder
        self._workers: dict[int, int] = {}
        # Workers hold the read end; nobody but the zygote holds the write end, so it ends with it.
        self._life_read, self._life_write = os.pipe()
        self._wake_read, self._wake_write = os.pipe()
        self._owner = os.getpid()

    def run(self) -> None:
        """Serve until the agent is gone, then leave nothing behind."""
        os.set_blocking(self._wake_write, False)
        signal.signal(signal.SIGCHLD, lambda _signal, _frame: None)
        signal.set_wakeup_fd(self._wake_write)
        try:
            die_watch = os.getppid()
            die_with_parent(die_watch)
            self._serve()
        finally:
            if os.getpid() == self._owner:
                self._clean()

    def _serve(self) -> None:
        received = b""
        while True:
            link = self._link.fileno()
            ready, _, _ = select.select([link, self._wake_read], [], [])
            if self._wake_read in ready:
                os.read(self._wake_read, 4096)
                self._reap()
            if link in ready:
                more = self._link.recv(65536)
                if not more:
                    return
                received += more
                whole = len(received) - len(received) % _SPAWN.size
                for worker, slot in _SPAWN.iter_unpack(received[:whole]):
                    self._fork(worker, slot)
                received = received[whole:]

    def _fork(self, worker: int, slot: int) -> None:
        zygote = os.getpid()
        pid = os.fork()
        if pid:
            self._workers[pid] = worker
            return
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor in (self._life_write, self._wake_read, self._wake_write):
                os.close(descriptor)
            self._link.close()
            die_with_parent(zygote)
            self._run_worker(worker, slot, self._life_read)
            code = 0
        except BaseException:  # noqa: BLE001 -- the process ends here, whatever it was
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)

    def _reap(self) -> None:
        while self._workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            worker = self._workers.pop(pid, 0)
            with contextlib.suppress(ConnectionError):
                self._link.sendall(_DEATH.pack(worker, pid, status))

    def _clean(self) -> None:
        for pid in self._workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in self._workers:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        shutil.rmtree(self._folder, ignore_errors=True)
