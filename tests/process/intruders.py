"""Those who knock at a broker's port and have no business there."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zmq

from zfs_walk.bus.curve import new_pair

Content = dict[str, Any]


def changed(path: Path, content: Content, **changes: object) -> Path:
    """A connection file with something else in it."""
    path.touch(0o600)
    path.write_text(json.dumps(content | changes))
    return path


def with_a_key_of_its_own(path: Path, content: Content) -> Path:
    """A connection file with a key that the broker has never seen."""
    public, secret = new_pair()
    return changed(path, content, public=public, secret=secret)


def address(endpoint: str) -> tuple[str, int]:
    """Host and port of a TCP endpoint."""
    host, port = endpoint.removeprefix("tcp://").rsplit(":", 1)
    return host, int(port)


@contextlib.contextmanager
def dealer(endpoint: str, keys: Content | None) -> Iterator["zmq.Socket[bytes]"]:
    """A raw socket, with the keys of a connection file, or in plain text."""
    context = zmq.Context()
    made = context.socket(zmq.DEALER)
    made.setsockopt(zmq.LINGER, 0)
    if keys is not None:
        made.setsockopt(zmq.CURVE_SERVERKEY, keys["server"].encode())
        made.setsockopt(zmq.CURVE_PUBLICKEY, keys["public"].encode())
        made.setsockopt(zmq.CURVE_SECRETKEY, keys["secret"].encode())
    made.connect(endpoint)
    try:
        yield made
    finally:
        made.close()
        context.term()


class Recorder:
    """A TCP proxy that keeps what the connecting side of each connection says."""

    def __init__(self, endpoint: str) -> None:
        self._to = address(endpoint)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self.said: list[bytearray] = []
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def _start(self, target: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._to)
                self._ends += [near, far]
                self.said.append(bytearray())
                self._start(self._carry, near, far, self.said[-1])
                self._start(self._carry, far, near, None)

    def _carry(self, source: socket.socket, sink: socket.socket, kept: bytearray | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if kept is not None:
                    kept += data
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Listen no more, and wait for what is carried."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(20)
        for end in self._ends:
            end.close()
