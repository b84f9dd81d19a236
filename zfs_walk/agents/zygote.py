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
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from zfs_walk.agents.signals import HANDLED
from zfs_walk.bus.parent import signal_at_death_of

_ORDER = struct.Struct("=cQI")  # what, worker, slot
_SPAWN, _KILL = b"s", b"k"
_DEATH = struct.Struct("=QQi")  # worker, pid, wait status

STUCK: Final = 5.0
"""Seconds that the end of the workers is waited for: one that is stuck in the kernel over a file
system that does not answer ends when that lets go of it, and nobody else waits so long."""


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

        The signals of `HANDLED` stay blocked in it and in every worker; the caller unblocks them
        for itself when its handlers are in place.

        Args:
            run_worker: what a worker's process does.
            folder: of the agent's ipc sockets; the zygote removes it when the agent is gone.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
        self._link, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        agent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                self._link.close()
                _Zygote(theirs, run_worker, folder, agent).run()
                code = 0
            except BaseException:  # noqa: BLE001 -- the process ends here, whatever it was
                traceback.print_exc()
            finally:
                os._exit(code)
        theirs.close()
        self._link.setblocking(False)  # noqa: FBT003 -- socket's own signature
        self._received = b""

    def fileno(self) -> int:
        """Readable when a worker died, or the zygote did."""
        return self._link.fileno()

    def spawn(self, worker: int, slot: int) -> None:
        """Ask for a worker."""
        self._order(_SPAWN, worker, slot)

    def kill(self, worker: int) -> None:
        """End a worker; one that is dead already stays so.

        Only its parent knows that its process id is not another process's by now.
        """
        self._order(_KILL, worker, 0)

    def _order(self, what: bytes, worker: int, slot: int) -> None:
        # `deaths` is where an agent learns that its zygote has gone.
        with contextlib.suppress(ConnectionError):
            self._link.sendall(_ORDER.pack(what, worker, slot))

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


class _Zygote:
    """What the zygote's own process does."""

    def __init__(self, link: socket.socket, run_worker: RunWorker, folder: str, agent: int) -> None:
        self._link = link
        self._run_worker = run_worker
        self._folder = folder
        self._agent = agent
        self._workers: dict[int, int] = {}
        # Workers hold the read end; nobody but the zygote holds the write end, so it ends with it.
        self._life_read, self._life_write = os.pipe()
        self._wake_read, self._wake_write = os.pipe()
        self._owner = os.getpid()

    def run(self) -> None:
        """Serve until the agent is gone, then leave nothing behind."""
        for descriptor in (self._wake_read, self._wake_write):
            os.set_blocking(descriptor, False)
        # SIGUSR1 tells of the agent's death. A SIGKILL would leave the ipc folder behind.
        for number in (signal.SIGCHLD, signal.SIGUSR1):
            signal.signal(number, lambda _signal, _frame: None)
        signal.set_wakeup_fd(self._wake_write)
        try:
            signal_at_death_of(self._agent, signal.SIGUSR1)
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
                if os.getppid() != self._agent:
                    return
            if link in ready:
                more = self._receive()
                if not more:
                    return
                received += more
                whole = len(received) - len(received) % _ORDER.size
                for what, worker, slot in _ORDER.iter_unpack(received[:whole]):
                    if what == _SPAWN:
                        self._fork(worker, slot)
                    else:
                        self._kill(worker)
                received = received[whole:]

    def _receive(self) -> bytes:
        try:
            return self._link.recv(65536)
        except ConnectionError:
            return b""

    def _kill(self, worker: int) -> None:
        for pid, number in self._workers.items():
            if number == worker:
                os.kill(pid, signal.SIGKILL)

    def _fork(self, worker: int, slot: int) -> None:
        zygote = os.getpid()
        pid = os.fork()
        if pid:
            self._workers[pid] = worker
            return
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGUSR1):
                signal.signal(number, signal.SIG_DFL)
            for descriptor in (self._life_write, self._wake_read, self._wake_write):
                os.close(descriptor)
            self._link.close()
            signal_at_death_of(zygote, signal.SIGKILL)
            self._run_worker(worker, slot, self._life_read)
            code = 0
        except BaseException:  # noqa: BLE001 -- the process ends here, whatever it was
            traceback.print_exc()
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
            os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + STUCK
        while self._workers and time.monotonic() < until:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            self._workers.pop(pid, None)
            if not pid:
                select.select([self._wake_read], [], [], 0.05)
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_read, 4096)
        shutil.rmtree(self._folder, ignore_errors=True)
