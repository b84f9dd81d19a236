"""Work that writes one new file after the other."""

import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from zfs_walk.load.hands import Hands
from zfs_walk.load.job import Job, Steps
from zfs_walk.load.spec import KEEP_ALL, LoadSpec, Sync
from zfs_walk.load.witness import What


class WriteFiles(Job):
    """Writes one new file after the other."""

    def __init__(
        self, spec: LoadSpec, seed: str, folder: str, hands: Hands, guard: Callable[[], str]
    ) -> None:
        super().__init__(spec, seed, folder, hands, guard)
        self._file = 0
        self._descriptor = -1
        self._size = self._done = 0
        # The file in hand is there, and neither kept nor removed yet.
        self._there = False
        self._whole: deque[tuple[int, int]] = deque()

    def run(self) -> Steps:
        """Do it."""
        while not self.enough:
            self._abandon()
            why = self.guard()
            if why:
                self.hands.figures.stopped = why
                return
            begun = time.perf_counter_ns()
            self._begin()
            for offset, length in self.cut(self._file, self._size):
                yield length
                self.hands.write(self._descriptor, offset, length)
                self._done = offset + length
            if not self._size:
                yield 0  # nobody would be heard while files are empty
            self._end_file()
            self.rolled_over(self._file, self._size, begun)
            if self.spec.verify:
                yield from self._verify()
            self._keep()

    def _begin(self) -> None:
        self._file += 1
        self._size, self._done = self._sizes.roll(), 0
        self.hands.content.take(self._file, 0, self._size)
        self._descriptor = self.hands.create(self.path(self._file))
        self.told(What.CREATED, self._file)
        self._there = True

    def _end_file(self) -> None:
        if self.spec.sync is Sync.FILE or self.spec.verify:
            self.hands.sync(self._descriptor)
        descriptor, self._descriptor = self._descriptor, -1
        self.hands.close(descriptor)
        self.told(What.CLOSED, self._file, self._done)

    def _verify(self) -> Steps:
        """Of the last file, as far as it was written."""
        try:
            descriptor = self.hands.open_cold(self.path(self._file))
        except FileNotFoundError:
            self.hands.missing(self.path(self._file))
            return
        try:
            for offset, length in self.cut(self._file, self._size):
                if offset < self._done:
                    yield length
                    self.hands.verify(descriptor, offset, length)
            self.hands.check_size(descriptor, self._done)
        finally:
            os.close(descriptor)

    def _keep(self) -> None:
        """The last file stays, or an older one goes."""
        size = 0
        with suppress(FileNotFoundError):
            # A block that failed may have been written in part.
            size = Path(self.path(self._file)).stat().st_size
        self.hands.figures.kept += size
        self._whole.append((self._file, size))
        self._there = False
        while self.spec.keep != KEEP_ALL and len(self._whole) > self.spec.keep:
            self.remove(*self._whole.popleft())

    def _abandon(self) -> None:
        """After an error: what is there of the file counts as it is."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            with suppress(OSError):
                os.close(descriptor)
                self.told(What.CLOSED, self._file)
        if self._there:
            self._keep()

    def finish(self) -> Steps:
        """The file that was begun is verified as far as it was written."""
        if self._descriptor >= 0:
            self._end_file()
        if self._there:
            if self.spec.verify:
                yield from self._verify()
            self._keep()
