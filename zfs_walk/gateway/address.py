"""Where HTTP is served: HOST:PORT."""

import ipaddress
import socket
from dataclasses import dataclass
from typing import Final

WANTED: Final = "HOST:PORT, or none"
NONE: Final = "none"

BACKLOG: Final = 128
"""Connections that wait while the gateway is being started again."""


@dataclass(frozen=True, slots=True)
class Address:
    """A host (a name or an address) and a port; 0: one that is free."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read HOST:PORT; an IPv6 host is in brackets.

        Raises:
            ValueError: it is none.
        """
        host, colon, port = text.rpartition(":")
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if not colon or not bare or set("[]/") & set(bare) or (":" in bare) != (bare != host):
            raise ValueError(text)
        if not (port.isascii() and port.isdecimal() and int(port) <= 65535):  # noqa: PLR2004 -- TCP
            raise ValueError(text)
        return cls(bare, int(port))

    @property
    def is_loopback(self) -> bool:
        """Only this host's own processes can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def listen(self) -> socket.socket:
        """Bind a socket.

        Raises:
            OSError: it can't be bound.
        """
        [(family, kind, _, _, place), *_] = socket.getaddrinfo(
            self.host, self.port, type=socket.SOCK_STREAM
        )
        listener = socket.socket(family, kind)
        try:
            # Else a broker that is started again would find its port taken for a minute.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(place)
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
        return listener

    def url(self, port: int) -> str:
        """The address for people and for WELCOME, with the port that it got."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{port}"
