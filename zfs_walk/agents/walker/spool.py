"""The file without a name that names of wide directories go through on their way between workers.

Opened before the zygote is forked, so that every worker has it; gone with the last process.
"""

import os
import tempfile
import zlib
from collections.abc import Iterator

from zfs_walk.agents.walker.tasks import Extent
from zfs_walk.scan.interface import NameBlock
from zfs_walk.scan.loads import part_of

WRITE_BYTES = 2**20
"""Names that a listing keeps in memory before it writes them out."""


class SpoolError(Exception):
    """The spool can't be written or read; nothing of the directory is lost by that."""


class Spool:
    """One file, shared by all workers of an agent."""

    def __init__(self, folder: str) -> None:
        """Open it in a folder of a local disk.

        Raises:
            OSError: it can't be made there.
        """
        self._folder = folder
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 -- lives as long as we do
        self._descriptor = self._file.fileno()

    def free(self) -> None:
        """Nothing in it is needed any more."""
        os.ftruncate(self._descriptor, 0)

    def close(self) -> None:
        """Close this process's descriptor."""
        self._file.close()

    def write(self, at: int, block: NameBlock) -> Extent:
        """Write a block of names; returns where it is.

        Raises:
            SpoolError: it can't be written in full.
        """
        data = len(block.types).to_bytes(8, "little") + block.types + b"\0".join(block.names)
        rest, to = memoryview(data), at
        try:
            while rest:
                written = os.pwrite(self._descriptor, rest, to)
                rest, to = rest[written:], to + written
        except OSError as error:
            text = f"names can't be kept in {self._folder}: {error.strerror}"
            raise SpoolError(text) from error
        return at, len(data)

    def read(self, extents: tuple[Extent, ...]) -> NameBlock:
        """All names of some extents.

        Raises:
            SpoolError: they can't be read back in full.
        """
        names: list[bytes] = []
        types = bytearray()
        for at, length in extents:
            data = self._read(at, length)
            count = int.from_bytes(data[:8], "little")
            types += data[8 : 8 + count]
            names += data[8 + count :].split(b"\0")
        return NameBlock(names, bytes(types))

    def _read(self, at: int, length: int) -> bytes:
        try:
            data = os.pread(self._descriptor, length, at)
        except OSError as error:
            text = f"names kept in {self._folder} can't be read: {error.strerror}"
            raise SpoolError(text) from error
        if len(data) != length:
            text = f"names kept in {self._folder} are gone: {len(data)} of {length} bytes are there"
            raise SpoolError(text)
        return data


def deal(  # noqa: PLR0913 -- what a listing is dealt by
    blocks: Iterator[NameBlock],
    parts: int,
    wanted: tuple[int, ...],
    spool: Spool,
    base: int,
    *,
    files_apart: bool = False,
) -> tuple[dict[int, list[Extent]], int]:
    """Deal names to parts by their hash, into the spool; returns extents and how many names.

    Args:
        blocks: the names.
        parts: into how many parts the directory is cut.
        wanted: those that are kept.
        spool: where to.
        base: offset there.
        files_apart: by `zfs_walk.scan.loads.part_of`, as a run that sends wants them.

    Raises:
        SpoolError: the spool is full.
    """
    crc32 = zlib.crc32
    buckets: dict[int, tuple[list[bytes], bytearray]] = {part: ([], bytearray()) for part in wanted}
    extents: dict[int, list[Extent]] = {part: [] for part in wanted}
    at = base
    seen = held = 0

    def flush() -> None:
        nonlocal at, held
        for part, (names, types) in buckets.items():
            if names:
                extent = spool.write(at, NameBlock(names, bytes(types)))
                extents[part].append(extent)
                at += extent[1]
                buckets[part] = ([], bytearray())
        held = 0

    for names, types in blocks:
        seen += len(names)
        for i, name in enumerate(names):
            which = part_of(name, types[i], parts) if files_apart else crc32(name) % parts
            bucket = buckets.get(which)
            if bucket is not None:
                bucket[0].append(name)
                bucket[1].append(types[i])
                held += len(name) + 9
        if held >= WRITE_BYTES:
            flush()
    flush()
    return extents, seen
