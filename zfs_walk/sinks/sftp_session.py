"""A conversation with an SFTP server: many requests under way, each answer to the one that waits."""

from typing import Final, Protocol

from zfs_walk.sinks import sftp_wire as wire
from zfs_walk.sinks.sftp_wire import Answer, Request

GATHERED: Final = 32_000
"""Bytes of requests that go as one: a little less than one packet of SSH."""

_CAUTIOUS: Final = 32_768
"""Bytes of one write that every server must take (filexfer-02, 3)."""

_GENEROUS: Final = 261_120
"""Bytes of one write that are useful: what OpenSSH takes."""


class LostError(Exception):
    """The connection is no more.

    Args:
        reason: in words.
        corrupted: what came was not what was sent.
    """

    def __init__(self, reason: str, *, corrupted: bool = False) -> None:
        self.corrupted = corrupted
        super().__init__(reason)


class Stream(Protocol):
    """Bytes there and back; both directions give up after the connection's timeout."""

    def send(self, data: bytes) -> None:
        """Raises `LostError`."""
        ...

    def receive(self) -> bytes:
        """At least one byte.

        Raises:
            LostError: none will come.
        """
        ...

    def close(self) -> None:
        """Hold nothing open."""
        ...


class Session:
    """One conversation, used by one thread.

    Attributes:
        block: bytes that a write may have.

    Raises:
        LostError: the connection is no more (every method).
        GarbledError: what answers is no SFTP server (every method).
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._inbox = wire.Inbox()
        self._number = 0
        self._gathered: list[bytes] = []
        self._weight = 0
        self._waiting: set[int] = set()
        self._unwanted: set[int] = set()
        self._answers: dict[int, Answer] = {}
        stream.send(wire.hello())
        extensions = None
        while extensions is None:
            extensions = self._inbox.greeting(stream.receive())
        self._extensions = frozenset(extensions)
        self.block = _CAUTIOUS
        if self.offers(b"limits@openssh.com"):
            told = wire.largest_write_of(self.do(wire.limits()))
            self.block = max(_CAUTIOUS, min(told, _GENEROUS))

    def offers(self, extension: bytes) -> bool:
        """Whether the server has said so."""
        return extension in self._extensions

    def ask(self, request: Request) -> int:
        """Send a request, perhaps together with later ones; returns its number."""
        self._number = self._number + 1 & 0xFFFFFFFF
        self._waiting.add(self._number)
        packet = request.packet(self._number)
        self._gathered.append(packet)
        self._weight += len(packet)
        if self._weight > GATHERED:
            self.flush()
        return self._number

    def flush(self) -> None:
        """Have all requests under way."""
        if self._gathered:
            data = b"".join(self._gathered)
            self._gathered.clear()
            self._weight = 0
            self._stream.send(data)

    def answer(self, number: int) -> Answer:
        """Wait for the answer to a request."""
        self.flush()
        while number not in self._answers:
            for arrived, answer in self._inbox.feed(self._stream.receive()):
                if arrived not in self._waiting:
                    raise wire.GarbledError("an answer to what nobody has asked")
                self._waiting.remove(arrived)
                if arrived in self._unwanted:
                    self._unwanted.remove(arrived)
                else:
                    self._answers[arrived] = answer
        return self._answers.pop(number)

    def do(self, request: Request) -> Answer:
        """Ask, and wait for the answer."""
        return self.answer(self.ask(request))

    def forget(self, number: int) -> None:
        """Nobody wants the answer to a request any more."""
        if self._answers.pop(number, None) is None:
            self._unwanted.add(number)

    def close(self) -> None:
        """End the conversation."""
        self._stream.close()
