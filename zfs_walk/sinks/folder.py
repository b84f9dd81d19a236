"""A folder of files as a sink sees it: its names, what is there, what dead transfers left."""

import contextlib
import hashlib
import os
import socket
import stat
from collections.abc import Iterator, Sequence
from typing import Final, Self
from urllib.parse import unquote_to_bytes

from zfs_walk.errors import WrongUseError
from zfs_walk.sinks.beneath import Beneath, shown, translated
from zfs_walk.sinks.errors import FileRefusedError, NameRefusedError
from zfs_walk.sinks.interface import Remote, permissions
from zfs_walk.sinks.names import parts
from zfs_walk.sinks.part import PATTERN, Part, new_name
from zfs_walk.sinks.source import Source

_NAME_MAX: Final = 255  # bytes, of Linux' file systems
_PATH_MAX: Final = 4095  # bytes, of a path that its users can still open


class Folder:
    """The part of a sink that sends nothing.

    Args:
        url: ``file:///path``.
        mount: as `zfs_walk.sinks.beneath.Beneath` takes it.

    Raises:
        WrongUseError: it is no such URL.
    """

    granularity_ns: int = 1

    def __init__(self, url: str, mount: bytes | None) -> None:
        self._path = _folder_of(url)
        self._root = Beneath(self._path, mount)
        # Others may send into the same folder, or into one below.
        whose = socket.gethostname().encode() + b"\0" + self._path
        self._client = hashlib.sha256(whose).hexdigest()[:8]

    def fork(self) -> Self:
        """Another one for another thread; it has nothing of its own."""
        return self

    def close(self) -> None:
        """Hold nothing open."""

    # ------------------------------------------------------------------ names

    def place(self, name: bytes) -> str:
        """The path."""
        return shown(self._full(self._parts(name)))

    def _parts(self, name: bytes) -> list[bytes]:
        found = parts(name, shown(self._path))
        reason = ""
        if any(len(part) > _NAME_MAX for part in found):
            reason = f"a part of it has more than {_NAME_MAX} bytes"
        elif len(self._full(found)) > _PATH_MAX:
            reason = f"its path has more than {_PATH_MAX} bytes"
        elif any(map(PATTERN.fullmatch, found)):
            reason = "such are the names of files that are being sent"
        if reason:
            raise NameRefusedError(place=shown(self._full(found))[:_NAME_MAX], reason=reason)
        return found

    def _full(self, found: Sequence[bytes]) -> bytes:
        return b"/".join([self._path, *found])

    @contextlib.contextmanager
    def _work(self, name: bytes) -> Iterator[None]:
        """Translate errors; what the whole folder refuses is told of the folder.

        Raises:
            SinkError: what went wrong.
        """
        try:
            with translated(self._path + b"/" + name):
                yield
        except FileRefusedError:
            self.check()
            raise

    def check(self) -> None:
        """A file is written and taken away again."""
        with (
            translated(self._path, whole=True),
            self._root.root() as folder,
            Part(folder, new_name(self._client), make=True) as part,
        ):
            try:
                # So much that a full disk has no room for it.
                part.write(b"\0" * 4096, 0)
                os.fsync(part.descriptor)
            finally:
                part.remove()

    # ------------------------------------------------------------------ looking

    def look(self, name: bytes) -> Remote | None:
        """A file, or a link as such."""
        *above, last = self._parts(name)
        with self._work(name):
            try:
                with self._root.folder(above) as chain:
                    found = stat_of(chain.last, last)
            except (FileNotFoundError, NotADirectoryError):
                return None
        return remote_of(name, found) if is_file(found) else None

    def matches(self, source: Source, remote: Remote) -> bool:  # noqa: ARG002 -- keeps none
        """No checksum is kept."""
        return False

    def list(self, prefix: bytes) -> Iterator[Remote]:
        """A walk, folder by folder."""
        start = self._parts(prefix) if prefix else []
        found = self.look(prefix) if prefix else None
        if found is not None:
            yield found
            return
        for _, name, entry in self._walk(start):
            if not PATTERN.fullmatch(os.fsencode(entry.name)):
                with self._work(name), contextlib.suppress(FileNotFoundError):
                    yield remote_of(name, entry.stat(follow_symlinks=False))

    def _walk(self, start: Sequence[bytes]) -> Iterator[tuple[int, bytes, os.DirEntry[str]]]:
        """Files and links: the descriptor of their folder, their name, their entry."""
        waiting = [tuple(start)]
        while waiting:
            above = waiting.pop()
            with self._work(b"/".join(above)), contextlib.ExitStack() as held:
                try:
                    chain = held.enter_context(self._root.folder(above))
                except (FileNotFoundError, NotADirectoryError):
                    continue
                for entry in held.enter_context(os.scandir(chain.last)):
                    below = (*above, os.fsencode(entry.name))
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(below)
                    elif entry.is_file(follow_symlinks=False) or entry.is_symlink():
                        yield chain.last, b"/".join(below), entry

    def sweep(self, known: frozenset[str]) -> int:
        """Remove parts of ours that nobody has locked."""
        dead = []
        for folder, name, entry in self._walk([]):
            last = os.fsencode(entry.name)
            match = PATTERN.fullmatch(last)
            ours = match is not None and match[1].decode() == self._client
            if ours and entry.name not in known and _remove_dead(folder, last):
                dead.append(name)
        for name in dead:
            self._root.prune(name.split(b"/")[:-1])
        return len(dead)


def _folder_of(url: str) -> bytes:
    scheme, _, path = url.partition("://")
    raw = unquote_to_bytes(path.removeprefix("localhost"))
    if scheme != "file" or not raw.startswith(b"/") or b"\0" in raw:
        reason = "the URL of a folder is file:///path, its path absolute"
        raise WrongUseError(reason=reason)
    return os.path.normpath(raw)


def _remove_dead(folder: int, name: bytes) -> bool:
    try:
        if stat.S_ISLNK(stat_of(folder, name).st_mode):
            os.unlink(name, dir_fd=folder)
        else:
            with Part(folder, name, make=False) as part:
                part.remove()
    except OSError:
        return False
    return True


def stat_of(folder: int, name: bytes) -> os.stat_result:
    """Of a name as such, in a folder."""
    return os.stat(name, dir_fd=folder, follow_symlinks=False)


def is_file(found: os.stat_result) -> bool:
    """Whether it is something that a sink keeps: a file, or a link as such."""
    return stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)


def remote_of(name: bytes, found: os.stat_result) -> Remote:
    """A file that is there."""
    # A file that takes its place has another inode, or, if that is used again, another time.
    tag = f"{found.st_ino:x}-{found.st_ctime_ns:x}"
    return Remote(name, found.st_size, found.st_mtime_ns, tag, permissions(found.st_mode))
