"""What one consumer is to do."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from zfs_walk.load.content import GRAIN, SECTOR
from zfs_walk.load.shape import Shape


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
        like: folder of a catalog that the sizes and depths of files are taken from; empty: none is.
        like_max: bytes that its larger files are made with; 0: no limit.
        shape: of the tree that was walked into it, once it is known.
        block: bytes of one operation, likewise.
        files: files that are laid out before the run to be read, or written in random order; with
            `Work.METADATA`: about so many are there at any time.
        count: rollovers after which it has done enough; 0: no number is.
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
        witness: file that tells of each thing that was done to a file, and when; empty: none does.
    """

    name: str
    target: str
    work: Work = Work.WRITE
    order: Order = Order.SEQUENTIAL
    file_size: Sizes = ((64 << 20, 1),)
    like: str = ""
    like_max: int = 0
    shape: Shape | None = None
    block: Sizes = ((1 << 20, 1),)
    files: int = 4
    count: int = 0
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
    witness: str = ""

    @property
    def largest_block(self) -> int:
        """Bytes of the largest operation."""
        return max(size for size, _ in self.block)

    @property
    def sizes(self) -> Sizes:
        """Bytes of a file: the catalog's, if it is like one."""
        return self.file_size if self.shape is None else self.shape.sizes

    @property
    def largest_file(self) -> int:
        """Bytes of the largest file."""
        return max(size for size, _ in self.sizes)

    @property
    def usual_file(self) -> int:
        """Bytes of a file that others are judged by: the largest; of a catalog's the mean."""
        if self.shape is None:
            return self.largest_file
        return max(1, -(-round(self.shape.mean) // GRAIN)) * GRAIN

    @property
    def is_paced(self) -> bool:
        """Whether operations have a time at which they are meant to begin."""
        return bool(self.rate or self.bandwidth)

    @property
    def lays_out(self) -> bool:
        """Whether files are there before the run begins, and are read or written over in it."""
        if self.work is Work.WRITE:
            return self.order is Order.RANDOM
        return self.work is not Work.METADATA

    @property
    def rolls_over(self) -> bool:
        """Whether it comes to the end of a file, or of a pass over it."""
        return self.work is not Work.METADATA and (
            self.work is not Work.READ or self.order is Order.SEQUENTIAL
        )

    @property
    def at_once(self) -> int:
        """Files that are there at any time, about; 0: all that are written stay."""
        if self.work is Work.METADATA:
            return self.files + self.files // 2 + 1
        if self.lays_out:
            return self.files
        return 0 if self.keep == KEEP_ALL else self.keep + 1

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
            "like-max: there is no catalog that it limits (like)": self.like_max and not self.like,
            "count: this work does not come to the end of a file": self.count
            and not self.rolls_over,
        }
        return next((text for text, applies in wrong.items() if applies), "")
