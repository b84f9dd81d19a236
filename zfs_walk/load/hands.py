"""The operations, each timed: what a consumer does to its files."""

import errno
import os
import time
from collections.abc import Callable, Sequence
from itertools import chain, islice, takewhile
from typing import Final

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


Block = tuple[int, int, int]
"""A block to be read: descriptor of its file, offset and length in bytes. A plain tuple, as one is
made for each block that a fast device reads."""


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

    def read_each(self, blocks: Sequence[Block]) -> int:
        """Read one block after the other, and do not look at them, until others have their turn.

        To come back for each of them would cost more than a fast device takes.

        Returns:
            How many were read: one at least.
        """
        self.doing = READ
        descriptors, offsets, lengths = zip(*blocks, strict=True)
        known = self._views
        views = [known.get(length) or self._cut(length) for length in lengths]
        # Iterators that call each other need no bytecode between two blocks: what waited for a
        # device finds the caches cold, and each block was 3 to 4 us longer with a loop.
        ticks = iter(self._clock, None)
        begins = chain(islice(ticks, 1), takewhile(self.until.__gt__, ticks))
        found: list[tuple[int, int, int]] = []
        try:
            found.extend(
                zip(begins, map(os.preadv, descriptors, views, offsets), ticks, strict=False)
            )
        except OSError:
            # Those before it are in the list.
            self.path = self._opened[descriptors[len(found)]]
            raise
        finally:
            self._note_reads(found, blocks)
        return len(found)

    def _note_reads(self, found: Sequence[tuple[int, int, int]], blocks: Sequence[Block]) -> None:
        """Count blocks by when each was begun, how much of it came, and when it ended."""
        if not found:
            return
        durations = [end - begin for begin, _, end in found]
        self.now = found[-1][2]
        self.figures.read += sum(done for _, done, _ in found)
        self.figures.operations += len(found)
        try:
            for at, (_, done, _) in enumerate(found):
                descriptor, offset, length = blocks[at]
                if 0 < done < length:
                    begin = self._clock()
                    self.path = self._opened[descriptor]
                    rest = self._buffer.view[done:length]
                    self.figures.read += _read_on(descriptor, rest, offset + done)
                    durations[at] += self._clock() - begin
        finally:
            self._recorder.note_all(READ, durations)

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
