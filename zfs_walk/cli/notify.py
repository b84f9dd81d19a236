"""Tells the service manager (systemd) that this process is ready, alive, or about to end.

Without one, as on a command line, nothing is sent.
"""

import os
import socket
import sys
from contextlib import suppress
from typing import Final

NEVER: Final = float("inf")


class ServiceManager:
    """The datagram socket that systemd names in ``NOTIFY_SOCKET``; see sd_notify(3)."""

    def __init__(self, address: str, watchdog_usec: int) -> None:
        """Nothing is sent yet.

        Args:
            address: of the socket: a path, or ``@`` and an abstract name; empty: there is none.
            watchdog_usec: microseconds without a sign of life after which systemd ends this
                process; 0: it does not watch.
        """
        known = address.startswith(("/", "@"))
        self._address = address.replace("@", "\0", 1) if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if known else None
        # Half of the time, as systemd advises: one late turn of the loop is no death.
        self._every = watchdog_usec / 2e6 if known and watchdog_usec else NEVER
        self._due = 0.0 if self._every < NEVER else NEVER
        self._status = ""
        self._over = False

    @classmethod
    def of_this_process(cls) -> "ServiceManager":
        """What the environment says; taken out of it, as it is not for our children."""
        address = os.environ.pop("NOTIFY_SOCKET", "")
        usec = os.environ.pop("WATCHDOG_USEC", "")
        pid = os.environ.pop("WATCHDOG_PID", "")
        watched = usec.isdecimal() and pid in {"", str(os.getpid())}
        return cls(address if sys.platform.startswith("linux") else "", int(usec) if watched else 0)

    def ready(self, status: str) -> None:
        """The process does what it is for; sent when that, or the status, is news."""
        if status != self._status and not self._over:
            self._status = status
            self._send(f"READY=1\nSTATUS={status}")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``; sent when it changes."""
        if text != self._status and not self._over:
            self._status = text
            self._send(f"STATUS={text}")

    def stopping(self) -> None:
        """The process is about to end; nothing else is said from now on."""
        self._send("STOPPING=1\nSTATUS=ending")
        self._over = True

    def pulse(self, now: float) -> float:
        """Called by the loop at each turn: it is alive.

        Args:
            now: monotonic seconds.

        Returns:
            When the next call is due.
        """
        if now >= self._due:
            self._send("WATCHDOG=1")
            self._due = now + self._every
        return self._due

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()

    def _send(self, text: str) -> None:
        if self._socket is not None:
            # A service manager that does not listen is no reason to end or to wait.
            with suppress(OSError):
                self._socket.sendto(text.encode(), socket.MSG_DONTWAIT, self._address)
