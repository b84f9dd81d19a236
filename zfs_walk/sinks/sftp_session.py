"""A conversation with an SFTP server, many requests under way at a time.

It is our own because paramiko's client waits for the answer to each request but writes, takes no
names that are not UTF-8, and hangs when two threads use it.

What needs several answers one after the other is a `Talk`: a generator that yields before it waits,
so that other talks can have their requests under way meanwhile.
"""

import os
from collections import deque
from collections.abc import Generator, Iterable
from typing import Final, NoReturn, Protocol, TypeVar

from zfs_walk.sinks import sftp_wire as wire
from zfs_walk.sinks.sftp_answers import Answer, GarbledError, Inbox, largest_write_of
from zfs_walk.sinks.sftp_wire import Bulk, Request, Slice

T = TypeVar("T")

Talk = Generator[None, None, T]
"""Requests and answers about one thing; it yields where others may go on meanwhile."""

GATHERED: Final = 32_000
"""Bytes of requests that go as one: a little less than one packet of SSH."""

_BULKY: Final = 1 << 14
"""Bytes of one write's data that are not worth copying."""

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

    @property
    def alive(self) -> bool:
        """Whether nothing is known of its end."""
        ...

    def send(self, data: bytes, bulk: Bulk = b"") -> None:
        """Send bytes, and then more of them: apart, so that they need not be copied.

        What can't be read of a file, or is not there any more, is sent as zeros: the other side
        expects so many bytes.

        Raises:
            LostError: the connection is no more.
            OSError: the file could not be read.
        """
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


def filled(piece: Slice) -> tuple[bytes, OSError | None]:
    """The bytes of a file, with zeros for what is not there; and why they could not be read."""
    data, failure = b"", None
    try:
        while more := os.pread(piece.descriptor, piece.size - len(data), piece.offset + len(data)):
            data += more
    except OSError as error:
        failure = error
    return data.ljust(piece.size, b"\0"), failure


class Session:
    """One conversation, used by one thread.

    Attributes:
        block: bytes that a write may have.

    Raises:
        LostError: the connection is no more (every method, from then on).
        GarbledError: what answers is no SFTP server (every method, from then on).
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._inbox = Inbox()
        self._number = 0
        self._gathered: list[bytes] = []
        self._weight = 0
        self._waiting: set[int] = set()
        self._unwanted: set[int] = set()
        self._answers: dict[int, Answer] = {}
        self._end: LostError | GarbledError | None = None
        stream.send(wire.hello())
        extensions = None
        while extensions is None:
            extensions = self._inbox.greeting(stream.receive())
        self._extensions = frozenset(extensions)
        self.block = _CAUTIOUS
        if self.offers(b"limits@openssh.com"):
            told = largest_write_of(self.do(wire.limits()))
            self.block = max(_CAUTIOUS, min(told, _GENEROUS))

    @property
    def alive(self) -> bool:
        """Whether nothing is known of its end."""
        return self._end is None and self._stream.alive

    def offers(self, extension: bytes) -> bool:
        """Whether the server has said so."""
        return extension in self._extensions

    def ask(self, request: Request) -> int:
        """Send a request, perhaps together with later ones; returns its number."""
        self._number = number = self._number + 1 & 0xFFFFFFFF
        self._waiting.add(number)
        head, data = request.head(number), request.data
        self._gathered.append(head)
        if isinstance(data, Slice) or len(data) > _BULKY:
            self._flush(data)
            return number
        if data:
            self._gathered.append(data)
        self._weight += len(head) + len(data)
        if self._weight > GATHERED:
            self.flush()
        return number

    def flush(self) -> None:
        """Have all requests under way."""
        if self._end is not None:
            raise self._end
        if self._gathered:
            self._flush(b"")

    def _flush(self, bulk: Bulk) -> None:
        if self._end is not None:
            raise self._end
        data = b"".join(self._gathered)
        self._gathered.clear()
        self._weight = 0
        try:
            self._stream.send(data, bulk)
        except LostError as error:
            self._ended(error)

    def answer(self, number: int) -> Answer:
        """Wait for the answer to a request."""
        while number not in self._answers:
            self.flush()
            self._receive()
        return self._answers.pop(number)

    def _receive(self) -> None:
        try:
            for arrived, answer in self._inbox.feed(self._stream.receive()):
                self._arrived(arrived, answer)
        except (LostError, GarbledError) as error:
            self._ended(error)

    def _arrived(self, number: int, answer: Answer) -> None:
        if number not in self._waiting:
            what = "an answer to what nobody has asked"
            raise GarbledError(what)
        self._waiting.remove(number)
        if number in self._unwanted:
            self._unwanted.remove(number)
        else:
            self._answers[number] = answer

    def _ended(self, error: LostError | GarbledError) -> NoReturn:
        # Whoever else waits is not to wait for the timeout again.
        self._end = error
        raise error

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


def alone(talk: Talk[T]) -> T:
    """Do what a talk is about, and nothing meanwhile; returns and raises what it does."""
    while True:
        try:
            next(talk)
        except StopIteration as end:
            result: T = end.value
            return result


def together(talks: Iterable[Talk[T]]) -> list[T | Exception]:
    """Do what many talks are about, in turns; returns what each returns or raises."""
    results: dict[int, T | Exception] = {}
    going = deque(enumerate(talks))
    while going:
        index, talk = going.popleft()
        try:
            next(talk)
        except StopIteration as end:
            results[index] = end.value
        except Exception as error:  # noqa: BLE001 -- it is returned
            results[index] = error
        else:
            going.append((index, talk))
    return [result for _, result in sorted(results.items(), key=lambda each: each[0])]
