"""What the suite works with: a folder whose files are sent, and a place to which they go."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import ClassVar, Final

import pytest

from zfs_walk.sinks.errors import StoppedError
from zfs_walk.sinks.interface import Remote, Report, Sink
from zfs_walk.sinks.source import Source

Content = Callable[[bytes], bytes | None]
"""What lies under a name, by another program or library; None: nothing."""

SECOND: Final = 1_000_000_000
MTIME: Final = 1_600_000_000_123_456_789


class Notes:
    """A `Memory` that lasts as long as the test."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def load(self) -> dict[str, str]:
        return dict(self.values)

    def store(self, key: str, value: str) -> None:
        self.values[key] = value

    @property
    def known(self) -> frozenset[str]:
        """As `Sink.sweep` takes it."""
        return frozenset(self.values.values())


class Origin:
    """The folder that is mirrored."""

    def __init__(self, folder: Path) -> None:
        self.folder = os.fsencode(folder)
        self._root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self._open: list[Source] = []

    def path(self, name: bytes) -> bytes:
        return self.folder + b"/" + name

    def write(self, name: bytes, content: bytes, mtime_ns: int = MTIME) -> None:
        """Make a file, in place of another one."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        os.utime(path, ns=(mtime_ns, mtime_ns))

    def open(self, name: bytes, *, link: bool = False) -> Source:
        source = Source(self._root, name, link=link)
        self._open.append(source)
        return source

    def made(self, name: bytes, content: bytes, mtime_ns: int = MTIME) -> Source:
        """A file that was just made."""
        self.write(name, content, mtime_ns)
        return self.open(name)

    def close(self) -> None:
        for source in self._open:
            source.close()
        os.close(self._root)


def freely(size: int) -> None:
    """Report without a limit."""


def once(action: Callable[[], object]) -> Report:
    """Report that does something when the first bytes go."""
    left = [action]

    def report(size: int) -> None:  # noqa: ARG001 -- what a report is
        with contextlib.suppress(IndexError):
            left.pop()()

    return report


def stop_after(limit: int) -> Report:
    """Report that ends the transfer when so many bytes have gone."""
    lock = threading.Lock()
    sent = [0]

    def report(size: int) -> None:
        with lock:
            sent[0] += size
            if sent[0] > limit:
                raise StoppedError

    return report


def counting(sent: list[int]) -> Report:
    """Report that keeps what went."""
    return sent.append


def names(found: Iterable[Remote]) -> set[bytes]:
    """Names of a list."""
    return {remote.name for remote in found}


class Place:
    """What a test module says of its sink, beside its fixtures ``sink`` and ``content``.

    Attributes:
        large: bytes of a file that the sink sends in several parts, if it does that at all.
        resumes: a transfer of such a file that was ended is gone on with.
        checksums: the sink keeps them, so that `Sink.matches` can say yes.
        permissions: the sink keeps them, and tells them.
        many: files of a listing that takes more than one answer.
    """

    large: ClassVar[int] = 24 << 20
    resumes: ClassVar[bool] = True
    checksums: ClassVar[bool] = False
    permissions: ClassVar[bool] = True
    many: ClassVar[int] = 1100

    @pytest.fixture
    def origin(self, tmp_path: Path) -> Iterator[Origin]:
        folder = tmp_path / "origin"
        folder.mkdir()
        made = Origin(folder)
        yield made
        made.close()

    @pytest.fixture
    def put(self, sink: Sink, origin: Origin) -> Callable[..., Remote]:
        """Send a file that is made for it."""

        def put(name: bytes, content: bytes = b"content", mtime_ns: int = MTIME) -> Remote:
            return sink.send(origin.made(name, content, mtime_ns), name, Notes(), freely)

        return put
