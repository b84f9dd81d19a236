"""What one consumer is to do."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from zfs_walk.load.content import GRAIN, SECTOR


class Work(StrEnum):
    """What is done to files."""

    WRITE = "write"
    READ = "read"
    MIXED = "mixed"
    METADATA = "metadata"


class Order(StrEnum):
    """The order of the blocks of a file."""

    SEQUENTIAL = "sequential"
    RANDOM = "random"


class Sync(StrEnum):
    """When data must be on the disk before it goes on."""

    NONE = "none"
    FILE = "file"
    BLOCK = "block"


KEEP_ALL: Final = -1

Sizes = tuple[tuple[int, int], ...]
"""Sizes in bytes, each with its weight; one at least."""

KINDS: Final = ("create", "stat", "rename", "delete")
"""Operations of `Work.METADATA`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSpec:
    """One consumer's load.

    Attributes:
        name: in reports and in the folder below the target; unique in one agent.
        target: the folder that is loaded.
        work: what is done.
        order: of the blocks.
        file_size: bytes of a file; of several, drawn by their weights.
        block: bytes of one operation, likewise.
        files: files that are laid out before the run to be read, or written in random order; with
            `Work.METADATA`: about so many are there at any time.
        read_percent: of `Work.MIXED`'s operations, those that read.
        direct: past the page cache (O_DIRECT).
        sync: when data must be on the disk.
        rate: operations a second at most; 0: no limit.
        bandwidth: bytes a second at most; 0: no limit.
        ramp: seconds in which these limits rise from nothing.
        keep: newest files that stay, after the run, too; `KEEP_ALL`: all of them.
        verify: what was written is read again and compared, and so is what is read.
        zeros: percent of the content that compresses to nothing.
        duplicates: percent of its blocks of 4 KiB that are found elsewhere, too.
        metadata: weights of `KINDS`.
    """

    name: str
    target: str
    work: Work = Work.WRITE
    order: Order = Order.SEQUENTIAL
    file_size: Sizes = ((64 << 20, 1),)
    block: Sizes = ((1 << 20, 1),)
    files: int = 4
    read_percent: int = 70
    direct: bool = False
    sync: Sync = Sync.NONE
    rate: float = 0.0
    bandwidth: int = 0
    ramp: float = 0.0
    keep: int = 0
    verify: bool = False
    zeros: int = 0
    duplicates: int = 0
    metadata: tuple[int, ...] = (1, 1, 1, 1)

    @property
    def largest_block(self) -> int:
        """Bytes of the largest operation."""
        return max(size for size, _ in self.block)

    @property
    def largest_file(self) -> int:
        """Bytes of the largest file."""
        return max(size for size, _ in self.file_size)

    @property
    def is_paced(self) -> bool:
        """Whether operations have a time at which they are meant to begin."""
        return bool(self.rate or self.bandwidth)

    @property
    def lays_out(self) -> bool:
        """Whether files are there before the run begins."""
        return self.work in {Work.READ, Work.MIXED} or self.order is Order.RANDOM

    def wrong(self) -> str:
        """What is wrong with it, for whoever wrote it; empty: nothing."""
        unit = GRAIN if self.direct else SECTOR
        small = self.work is Work.METADATA
        block = next((size for size, _ in self.block if size % unit), 0)
        file = next((size for size, _ in self.file_size if size % unit), 0)
        why = "O_DIRECT takes" if self.direct else "content is made of"
        wrong = {
            f"block {block}: {why} multiples of {unit} bytes": block and not small,
            f"file-size {file}: {why} multiples of {unit} bytes": file and self.direct,
            "direct: small files are not written past the page cache": self.direct and small,
            "metadata: one of the weights at least must not be 0": not any(self.metadata),
            "ramp: there is no rate or bandwidth that could rise": self.ramp and not self.is_paced,
            "file-size: files of 0 bytes are for `work: metadata`": not small
            and not min(size for size, _ in self.file_size),
        }
        return next((text for text, applies in wrong.items() if applies), "")
