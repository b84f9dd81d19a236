"""Tries what was answered: the connection, and the names that files would get."""

import os
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from zfs_walk.mirror.mapping import Mapping as FolderMapping
from zfs_walk.mirror.terms import keep_sides_apart, watch_options
from zfs_walk.scan.filters import Filter, Verdict, matcher
from zfs_walk.sinks.choose import open_sink
from zfs_walk.sinks.errors import NameRefusedError

WANTED: Final = 3
"""Files that are shown."""

MOST: Final = 10_000
"""Entries of the folder that are looked at for them: a fraction of a second, on a disk."""


def check(mapping: FolderMapping) -> None:
    """See whether files can be sent.

    Raises:
        ZfsWalkError: they can't.
    """
    if mapping.local:
        keep_sides_apart(mapping, os.path.realpath(mapping.local))
    sink = open_sink(mapping.url, mapping.options)
    try:
        sink.check()
    finally:
        sink.close()


@contextmanager
def lent(variables: Mapping[str, str]) -> Iterator[None]:
    """Have these environment variables for a while; afterwards they are as they were."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def places(mapping: FolderMapping) -> list[tuple[bytes, str]]:
    """Some files of the folder, and where they would go, or why they can't.

    Raises:
        WrongUseError: the URL or the options are none.
    """
    sink = open_sink(mapping.url, mapping.options)
    try:
        found = []
        for name in some_files(mapping.local, watch_options(mapping).rules()):
            try:
                found.append((name, sink.place(name)))
            except NameRefusedError as error:
                found.append((name, str(error)))
        return found
    finally:
        sink.close()


def some_files(folder: bytes, rules: Filter) -> list[bytes]:
    """A few regular files, of different directories if that is possible; names below the folder.

    What is unreadable is passed over, and a large folder is not read to its end.

    Args:
        folder: where they are.
        rules: of what is left out.
    """
    waiting, left = deque([b""]), MOST
    first: list[bytes] = []
    more: list[bytes] = []
    while waiting and left > 0 and len(first) < WANTED:
        within = waiting.popleft()
        here: list[bytes] = []
        for name, is_directory in _entries(folder, within, rules, left):
            left -= 1
            if is_directory:
                waiting.append(name)
            elif is_directory is False and len(here) < WANTED:
                here.append(name)
        first += here[:1]
        more += here[1:]
    return (first + more)[:WANTED]


def _entries(
    folder: bytes, within: bytes, rules: Filter, most: int
) -> Iterator[tuple[bytes, bool | None]]:
    """Names below the folder; True: a directory, False: a regular file, None: neither, or left out.

    They come in the order of the file system.
    """
    path = os.path.join(folder, within)  # noqa: PTH118 -- bytes
    parent = os.path.basename(path)  # noqa: PTH119 -- bytes
    try:
        with os.scandir(path) as entries:
            for _, entry in zip(range(most), entries, strict=False):
                is_directory = entry.is_dir(follow_symlinks=False)
                verdict = matcher(rules).judge(
                    *(os.fsdecode(entry.name), os.fsdecode(within), os.fsdecode(parent)),
                    is_directory=is_directory,
                )
                known = is_directory or entry.is_file(follow_symlinks=False)
                name = within + b"/" + entry.name if within else entry.name
                yield name, is_directory if known and verdict is Verdict.KEEP else None
    except OSError:
        return
