"""A server whose connections are each limited, as many are: python bench/throttle.py PORT RATE.

A proxy before a server at 127.0.0.1: it passes RATE bytes a second on, of each connection and each
direction. It prints its own port, and ends with its stdin.
"""

import asyncio
import contextlib
import sys
from functools import partial

CHUNK = 16_384


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rate: float) -> None:
    """Pass on what comes, no faster than the rate."""
    loop = asyncio.get_running_loop()
    free_at = loop.time()
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            free_at = max(free_at, loop.time()) + len(data) / rate
            await asyncio.sleep(free_at - loop.time())
            writer.write(data)
            await writer.drain()
    writer.close()


async def connected(
    port: int, rate: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """A connection through the proxy."""
    there, back = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.gather(pass_on(reader, back, rate), pass_on(there, writer, rate))


async def serve(port: int, rate: float) -> None:
    """Listen until stdin ends."""
    server = await asyncio.start_server(partial(connected, port, rate), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
