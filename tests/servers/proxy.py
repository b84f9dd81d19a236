"""A TCP proxy before a real server: it counts, delays, spoils and cuts what goes through it."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine, Iterator
from typing import Any

CHUNK = 65_536
"""Bytes read at a time."""


class Proxy:
    """Listens at a free port of 127.0.0.1 and passes everything on; its loop has its own thread.

    Args:
        port: of the server, at 127.0.0.1.

    Attributes:
        port: of the proxy.
        sent: bytes that went to the server.
        received: bytes that came from it.
        delay: seconds that each piece is held back, in each direction.
        spoiled: bits that were flipped.
        cuts: times that all connections were cut by `cut_after`.
    """

    def __init__(self, port: int) -> None:
        self.sent = self.received = self.spoiled = self.cuts = 0
        self.delay = 0.0
        self._target = port
        self._flip_at: int | None = None
        self._flip_answer = False
        self._cut_at: int | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self._thread.start()
        self._do(self._listen(listener))

    # ------------------------------------------------------------------ what a test does

    def flip_after(self, count: int) -> None:
        """Flip one bit, so many bytes from now on towards the server."""
        self._flip_at = self.sent + count

    def flip_answer(self) -> None:
        """Flip one bit of the next bytes that come from the server."""
        self._flip_answer = True

    def cut_after(self, count: int) -> None:
        """Cut all connections when so many more bytes have gone to the server."""
        self._cut_at = self.sent + count

    def down(self) -> None:
        """Cut all connections and refuse new ones, until `up`."""
        self._do(self._down())

    def up(self) -> None:
        """Listen again, at the same port."""
        self._do(self._listen(socket.create_server(("127.0.0.1", self.port))))

    def close(self) -> None:
        """Cut everything and end the thread."""
        self._do(self._down())
        self._do(self._end_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    # ------------------------------------------------------------------ in its thread

    async def _listen(self, listener: socket.socket) -> None:
        self._server = await asyncio.start_server(self._connected, sock=listener)

    async def _down(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self._cut()

    async def _end_tasks(self) -> None:
        mine = asyncio.current_task()
        tasks = asyncio.all_tasks() - {mine}
        if tasks:
            # They see that their connections are gone. To cancel them would be logged as an error.
            await asyncio.wait(tasks)

    def _cut(self) -> None:
        for writer in self._open:
            # A reset, as of a peer that is gone: not the polite end of a stream.
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, back}
        self._open |= pair
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass_on(reader, back, upwards=True))
                both.create_task(self._pass_on(there, writer, upwards=False))
        except* OSError:
            pass  # one side has gone: so does the other
        finally:
            self._open -= pair
            for end in pair:
                end.transport.abort()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, upwards: bool
    ) -> None:
        while data := await reader.read(CHUNK):
            if self.delay:
                await asyncio.sleep(self.delay)
            data = self._up(data) if upwards else self._back(data)
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()

    def _up(self, data: bytes) -> bytes:
        begin, self.sent = self.sent, self.sent + len(data)
        if self._flip_at is not None and self.sent > self._flip_at:
            spoiled = bytearray(data)
            spoiled[self._flip_at - begin] ^= 1
            data, self._flip_at = bytes(spoiled), None
            self.spoiled += 1
        if self._cut_at is not None and self.sent > self._cut_at:
            self._cut_at = None
            self.cuts += 1
            self._cut()
        return data

    def _back(self, data: bytes) -> bytes:
        self.received += len(data)
        if self._flip_answer:
            self._flip_answer = False
            self.spoiled += 1
            data = data[:-1] + bytes([data[-1] ^ 1])
        return data


@contextlib.contextmanager
def proxied(port: int) -> Iterator[Proxy]:
    """A proxy before a server."""
    proxy = Proxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
