"""Endpoints as others must write them, and those that a broker makes up from its ROUTER's."""

from collections.abc import Sequence
from typing import Final

ANYWHERE: Final = ("0.0.0.0", "*", "[::]")  # noqa: S104 -- recognised, not bound
TCP: Final = "tcp://"
IPC: Final = "ipc://"


class InTurn:
    """The endpoints of one broker: one is in use, and when it fails the next one's turn comes."""

    def __init__(self, endpoints: Sequence[str]) -> None:
        """The first one is in use.

        Args:
            endpoints: one at least, before it is asked whose turn it is.
        """
        self._endpoints = tuple(endpoints)
        self._number = 0

    def __len__(self) -> int:
        return len(self._endpoints)

    def __str__(self) -> str:
        """All of them, for messages."""
        return ", ".join(self._endpoints)

    @property
    def in_use(self) -> str:
        """Whose turn it is."""
        return self._endpoints[self._number]

    def advance(self) -> bool:
        """The next one's turn comes; True if each had it, and the first one's comes again."""
        self._number = (self._number + 1) % len(self._endpoints)
        return self._number == 0


def reachable(announced: str, through: str) -> str:
    """Where an endpoint is for whoever reaches the broker ``through`` another one.

    A broker that is bound to all its addresses can't know by which one it is reached.

    Args:
        announced: in WELCOME.
        through: the ROUTER's, as this process connects to it.
    """
    host, _, port = announced.removeprefix(TCP).rpartition(":")
    if not announced.startswith(TCP) or host not in ANYWHERE or not through.startswith(TCP):
        return announced
    used, _, _ = through.removeprefix(TCP).rpartition(":")
    return f"{TCP}{used}:{port}"


def beside(router: str, number: int, name: str) -> str:
    """A further endpoint of a broker: the ``number``-th port after the ROUTER's, or a free one.

    Args:
        router: as it is to be bound.
        number: 1, 2 ...
        name: of the socket, for ``ipc://``.
    """
    if router.startswith(IPC):
        return f"{router}-{name}"
    host, _, port = router.removeprefix(TCP).rpartition(":")
    if not router.startswith(TCP) or not port.isdecimal() or int(port) == 0:
        return f"{TCP}{host}:*"
    return f"{TCP}{host}:{int(port) + number}"
