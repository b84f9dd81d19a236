"""The operations, each timed: what a consumer does to its files."""

import errno
import os
import time
from collections.abc import Callable, Sequence
from itertools import chain, islice, takewhile
from operator import sub
from typing import Final, NamedTuple

from zfs_walk.load.buffers import Buffer
from zfs_walk.load.content import Content, Fault
from zfs_walk.load.figures import (
    CLOSE,
    MOST_FAULTS,
    OPEN,
    READ,
    RESPONSE,
    SYNC,
    VERIFY,
    WRITE,
    Figures,
    Recorder,
)
from zfs_walk.load.spec import LoadSpec, Order, Sync, Work

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_OLD: Final = os.O_CLOEXEC | os.O_NOFOLLOW
_MODE: Final = 0o640
_ADVICE: Final = {
    Order.SEQUENTIAL: os.POSIX_FADV_SEQUENTIAL,
    Order.RANDOM: os.POSIX_FADV_RANDOM,
}


class Blocks(NamedTuple):
    """Blocks to be read one after the other, in columns, as they cost the least so.

    Attributes:
        descriptors: of each one's file.
        offsets: in bytes; ``lengths`` likewise.
    """

    descriptors: Sequence[int]
    offsets: Sequence[int]
    lengths: Sequence[int]

    def after(self, number: int) -> "Blocks":
        """Those that are left when so many were read."""
        return Blocks(*(column[number:] for column in self))


class Hands:
    """Does one thing after the other, and counts and times it.

    Args:
        spec: how.
        content: what is written.
        figures: where it is counted.

    Attributes:
        intended: when the operation was meant to begin, in the clock's nanoseconds; None: nobody
            has set a time.
        until: when others have their turn, in the clock's nanoseconds.
        now: when the last operation that counts ended, in the clock's nanoseconds.
        doing: the last operation's kind; ``path``: of its file.
    """

    def __init__(self, spec: LoadSpec, content: Content, figures: Figures) -> None:
        self.content = content
        self.figures = figures
        self.intended: int | None = None
        self.doing = self.path = ""
        self.until = self.now = 0
        self._recorder = Recorder(figures.latencies)
        self._clock = time.perf_counter_ns
        small = spec.work is Work.METADATA
        self._direct = os.O_DIRECT if spec.direct else 0
        self._sync_blocks = spec.sync is Sync.BLOCK
        self._buffer = Buffer(max(spec.largest_block, spec.largest_file if small else 1))
        # Of each length that was read so far: to cut one takes as long as to look up a dozen.
        self._views: dict[int, list[memoryview]] = {}
        self._opened: dict[int, str] = {}

    def flush(self) -> None:
        """Have every duration in the histograms."""
        self._recorder.flush()

    # ------------------------------------------------------------------ files

    def create(self, path: str) -> int:
        """A new file; returns its descriptor."""
        self.path = path
        return self.timed(OPEN, lambda: os.open(path, _NEW | self._direct, _MODE))

    def open(self, path: str, mode: int = os.O_RDONLY) -> int:
        """A file that is there."""
        self.path = path
        descriptor = self.timed(OPEN, lambda: os.open(path, mode | _OLD | self._direct))
        self._opened[descriptor] = path
        return descriptor

    def open_cold(self, path: str, mode: int = os.O_RDONLY, order: Order = Order.SEQUENTIAL) -> int:
        """A file that is there, and of which the disk is to be read, not the page cache.

        The kernel is told in which order, as fio does: it reads further ahead, or not at all.
        """
        descriptor = self.open(path, mode)
        self.chill(descriptor)
        if not self._direct:
            os.posix_fadvise(descriptor, 0, 0, _ADVICE[order])
        return descriptor

    def chill(self, descriptor: int) -> None:
        """Drop from the page cache what is on the disk as well."""
        if not self._direct:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def sync(self, descriptor: int) -> None:
        """Have the data on the disk."""
        self.timed(SYNC, lambda: os.fdatasync(descriptor))

    def close(self, descriptor: int) -> None:
        """Close a file: some file systems write only now."""
        self.timed(CLOSE, lambda: os.close(descriptor))

    def timed(self, kind: str, do: Callable[[], int | None]) -> int:
        """Do something that is timed; returns what it does, or 0."""
        self.doing = kind
        begin = self._clock()
        result = do()
        self._recorder.note(kind, self._clock() - begin)
        return result or 0

    def counted(self, kind: str, do: Callable[[], object]) -> None:
        """Do an operation of metadata."""
        self.doing = kind
        begin = self._clock()
        do()
        self._note(kind, begin, self._clock())

    # ------------------------------------------------------------------ blocks

    def write(self, descriptor: int, offset: int, length: int) -> None:
        """Write a block of the file that the content has taken."""
        block = self.content.block(offset, length)
        self.doing = WRITE
        begin = self._clock()
        done = os.pwrite(descriptor, block, offset)
        end = self._clock()
        self.figures.written += done
        while done < length:
            # A disk that is full takes a part first, and says why only then.
            more = os.pwrite(descriptor, block[done:], offset + done)
            end = self._clock()
            self.figures.written += more
            done += more
        self._note(WRITE, begin, end)
        if self._sync_blocks:
            self.sync(descriptor)

    def read(self, descriptor: int, offset: int, length: int) -> None:
        """Read a block, and do not look at it."""
        self.figures.read += self._read(READ, descriptor, offset, length)

    def read_each(self, blocks: Blocks) -> int:
        """Read one block after the other, and do not look at them, until others have their turn.

        To come back for each of them would cost more than a fast device takes.

        Returns:
            How many were read: one at least.
        """
        self.doing = READ
        for length in set(blocks.lengths):
            self._cut(length)
        views = list(map(self._views.__getitem__, blocks.lengths))
        # Iterators that call each other: what waited for a device finds the caches cold, and a loop
        # here makes the rate of one process 3 % lower.
        ticks = iter(self._clock, None)
        begins = chain(islice(ticks, 1), takewhile(self.until.__gt__, ticks))
        read = map(os.preadv, blocks.descriptors, views, blocks.offsets)
        found: list[tuple[int, int, int]] = []
        try:
            found.extend(zip(begins, read, ticks, strict=False))
        except OSError:
            # Those before it are in the list.
            self.path = self._opened[blocks.descriptors[len(found)]]
            raise
        finally:
            if found:
                self._note_reads(found, blocks)
        return len(found)

    def _note_reads(self, found: Sequence[tuple[int, int, int]], blocks: Blocks) -> None:
        """Count blocks by when each was begun, how much of it came, and when it ended."""
        begins, sizes, ends = zip(*found, strict=True)
        durations = list(map(sub, ends, begins))
        got = sum(sizes)
        self.now = ends[-1]
        self.figures.read += got
        self.figures.operations += len(found)
        try:
            if got < sum(islice(blocks.lengths, len(found))):
                self._read_rests(sizes, durations, blocks)
        finally:
            self._recorder.note_all(READ, durations)

    def _read_rests(self, sizes: Sequence[int], durations: list[int], blocks: Blocks) -> None:
        """Read what is left of blocks of which a part came; it takes its time, too."""
        for at, (done, descriptor, offset, length) in enumerate(zip(sizes, *blocks, strict=False)):
            if 0 < done < length:
                begin = self._clock()
                self.path = self._opened[descriptor]
                rest = self._buffer.view[done:length]
                self.figures.read += _read_on(descriptor, rest, offset + done)
                durations[at] += self._clock() - begin

    def read_and_check(self, descriptor: int, offset: int, length: int) -> None:
        """Read a block of the file that the content has taken, and compare it."""
        done = self._read(READ, descriptor, offset, length)
        self.figures.read += done
        self._check(offset, length, done)

    def verify(self, descriptor: int, offset: int, length: int) -> None:
        """Read again what was written, and compare it."""
        done = self._read(VERIFY, descriptor, offset, length)
        self.figures.verified += done
        self._check(offset, length, done)

    def _read(self, kind: str, descriptor: int, offset: int, length: int) -> int:
        """Into the buffer; returns how much there was."""
        views = self._cut(length)
        clock = self._clock
        self.doing = kind
        begin = clock()
        done = os.preadv(descriptor, views, offset)
        end = clock()
        if 0 < done < length:
            done += _read_on(descriptor, views[0][done:], offset + done)
            end = clock()
        self._note(kind, begin, end)
        return done

    def _cut(self, length: int) -> list[memoryview]:
        try:
            return self._views[length]
        except KeyError:
            views = self._views[length] = [self._buffer.view[:length]]
            return views

    def _note(self, kind: str, begin: int, end: int) -> None:
        self.now = end
        self._recorder.note(kind, end - begin)
        self.figures.operations += 1
        if self.intended is not None:
            self._recorder.note(RESPONSE, end - self.intended)

    # ------------------------------------------------------------------ faults

    def _check(self, offset: int, length: int, found: int) -> None:
        if found and not self.content.is_at(offset, self._buffer, found):
            for fault in self.content.faults(self.path, offset, self._buffer.view[:found]):
                self.fault(fault)
        if found < length:
            missing = length - found
            self.fault(
                Fault(
                    self.path, offset + found, missing, "truncated",
                    f"the file ends here; {missing} bytes of the block are missing",
                )
            )  # fmt: skip

    def check_size(self, descriptor: int, size: int) -> None:
        """See that a file ends where it should; that it ends before shows when it is read."""
        found = os.fstat(descriptor).st_size
        if found > size:
            detail = f"the file should end here; {found - size} bytes follow"
            self.fault(Fault(self.path, size, found - size, "grown", detail))

    def missing(self, path: str) -> None:
        """A file that was written is not there."""
        self.fault(Fault(path, 0, 0, "missing", "the file is not there any more"))

    def fault(self, fault: Fault) -> None:
        """Count what verification found."""
        self.figures.faults += 1
        if len(self.figures.found) < MOST_FAULTS:
            self.figures.found.append(fault)


def _read_on(descriptor: int, view: memoryview, offset: int) -> int:
    """Fill a view, as far as the file goes; returns how much there was."""
    done = 0
    while done < len(view):
        more = os.preadv(descriptor, [view[done:]], offset + done)
        if not more:
            break
        done += more
    return done


FATAL: Final = frozenset({
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM,
    errno.ESTALE, errno.ENODEV, errno.ENOTCONN, errno.EMFILE, errno.ENFILE, errno.EINVAL,
    errno.EEXIST,
})  # fmt: skip
"""Errors that the next file would meet, too: the consumer ends. After others it goes on with the
next file."""
