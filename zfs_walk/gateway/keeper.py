"""The broker's hold on its gateway: starts it, starts it again, and ends it.

The broker binds the socket and the gateway inherits it: a gateway that is started again finds the
connections that came meanwhile.
"""

import logging
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from zfs_walk.gateway.address import Address
from zfs_walk.gateway.brief import Brief

LOG = logging.getLogger("zfs_walk.broker")

BACK_OFF: Final = (0.2, 30.0)
"""Seconds until a gateway that ended is started again: at first, and, doubled each time, at most.
"""

STEADY: Final = 30.0
"""Seconds after which a gateway counts as well, and the back-off begins anew."""

BIND_AGAIN: Final = 5.0
"""Seconds between two tries to get a port that another program has."""

LAST_WORDS: Final = 5.0
"""Seconds that a gateway may take to end before it is killed."""


class Keeper:
    """Keeps one gateway alive, from a thread of its own."""

    def __init__(
        self, address: Address, program: Sequence[str], brief: Callable[[int], Brief]
    ) -> None:
        """Bind, or say that it can't be done yet; nothing is started.

        Args:
            address: where to serve.
            program: the gateway's command, without arguments.
            brief: makes what the gateway is told from the listening socket's descriptor.
        """
        self._address = address
        self._program = program
        self._brief = brief
        self._over = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        # Ends with the gateway that it started, as the system takes a parent's thread for the
        # parent: it may end no sooner.
        self._thread = threading.Thread(target=self._keep, name="gateway-keeper", daemon=True)
        self._listener = self._listen()
        if self._listener is None:
            self.url = address.url(address.port)
        else:
            self.url = address.url(self._listener.getsockname()[1])

    def start(self) -> None:
        """Start the gateway, and whenever it ends start it again."""
        self._thread.start()

    def close(self) -> None:
        """End the gateway."""
        self._over.set()
        if self._thread.is_alive():
            self._let_go()
            self._thread.join()
        if self._listener is not None:
            self._listener.close()

    def _listen(self) -> socket.socket | None:
        try:
            return self._address.listen()
        except OSError as error:
            where = f"{self._address.host}:{self._address.port}"
            LOG.error(  # noqa: TRY400 -- where it happened is no news
                "HTTP can't be served at %s: %s; the broker goes on without and tries again every"
                " %.0f s (another address: --http, off: --http none)",
                where, error.strerror, BIND_AGAIN,
            )  # fmt: skip
            return None

    def _keep(self) -> None:
        while self._listener is None and not self._over.wait(BIND_AGAIN):
            with suppress(OSError):
                self._listener = self._address.listen()
                LOG.warning("HTTP is served at %s now", self.url)
        delay, most = BACK_OFF
        while self._listener is not None and not self._over.is_set():
            began = time.monotonic()
            code = self._run_once(self._listener)
            if self._over.is_set():
                return
            if time.monotonic() - began > STEADY:
                delay = BACK_OFF[0]
            LOG.warning("the gateway ended (%d) and is started again in %.1f s", code, delay)
            self._over.wait(delay)
            delay = min(2 * delay, most)

    def _run_once(self, listener: socket.socket) -> int:
        """Start a gateway and wait for its end; returns its exit code."""
        try:
            process = subprocess.Popen(
                self._program,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=[listener.fileno()],
                # A Ctrl-C is the broker's to handle.
                start_new_session=True,
            )
        except OSError as error:
            LOG.warning("the gateway can't be started: %s", error)
            return -1
        with process:
            self._process = process
            if process.stdin is not None:
                with suppress(OSError):
                    process.stdin.write(self._brief(listener.fileno()).encode())
                    process.stdin.flush()
            if self._over.is_set():
                self._let_go()
            return process.wait()

    def _let_go(self) -> None:
        """End the gateway: it goes when its pipe ends, or is killed."""
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
        try:
            process.wait(LAST_WORDS)
        except subprocess.TimeoutExpired:
            process.kill()
