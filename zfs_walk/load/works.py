"""The kinds of work: what is done to which file.

Each is a generator that yields the bytes of the operation that comes next, and does it when it is
resumed: whoever runs it decides when.
"""

import os
import random
import time
from abc import ABC, abstractmethod
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from zfs_walk.load.draw import Dice, Pass, cut
from zfs_walk.load.figures import RECENT, Rollover
from zfs_walk.load.hands import Hands
from zfs_walk.load.spec import KEEP_ALL, KINDS, LoadSpec, Order, Sync, Work

Steps = Iterator[int]
"""Bytes of the operation that comes next."""

TORN: Final = 0xFFFFFFFF
"""In place of a block's pass: writing it failed, so nobody knows what is there."""

PER_FOLDER: Final = 1_000
"""Small files of one folder."""

_NS: Final = 1_000_000_000


class Job(ABC):
    """One consumer's work in its folder.

    Args:
        spec: what is wanted.
        seed: of the whole run.
        folder: that the consumer has for itself.
        hands: that do and count it.
        guard: says why no further file may be written; empty: it may.
    """

    def __init__(
        self, spec: LoadSpec, seed: str, folder: str, hands: Hands, guard: Callable[[], str]
    ) -> None:
        self.spec = spec
        self.hands = hands
        self.guard = guard
        self.begun = 0
        self._seed = f"{seed} {spec.name}"
        self._folder = folder
        self._sizes = Dice(f"sizes {self._seed}", spec.file_size)

    @abstractmethod
    def run(self) -> Steps:
        """Do it until nobody resumes it any more; after an error it is called again."""

    @abstractmethod
    def finish(self) -> Steps:
        """Verify what has not been, and remove what is not kept."""

    def lay_out(self, _hands: Hands) -> Steps:
        """Make what must be there before the run, with other hands: it is not counted."""
        yield from ()

    def path(self, file: int) -> str:
        """Of a file of this consumer."""
        return f"{self._folder}/{file:08d}"

    def cut(self, file: int, size: int) -> Iterator[tuple[int, int]]:
        """The blocks of a file from its begin to its end."""
        return cut(f"cut {self._seed} {file}", size, self.spec.block)

    def lay_out_file(self, hands: Hands, file: int, size: int) -> Steps:
        """Write a file that is to be there before the run."""
        hands.content.take(file, 0, size)
        descriptor = hands.create(self.path(file))
        try:
            for offset, length in self.cut(file, size):
                yield length
                hands.write(descriptor, offset, length)
            hands.sync(descriptor)
        finally:
            os.close(descriptor)
        self.hands.figures.kept += size

    def rolled_over(self, file: int, size: int, begun: int) -> None:
        """Note that a file, or a pass over it, is whole."""
        figures, now = self.hands.figures, time.perf_counter_ns()
        figures.rollovers += 1
        figures.recent.append(
            Rollover(
                figures.rollovers, file, size, (now - self.begun) / _NS, (now - begun) / _NS
            )
        )  # fmt: skip
        del figures.recent[:-RECENT]

    def remove(self, file: int, size: int) -> None:
        """Delete a file; it may be gone already."""
        with suppress(FileNotFoundError):
            Path(self.path(file)).unlink()
        self.hands.figures.kept -= size


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
        while True:
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
        self._there = True

    def _end_file(self) -> None:
        if self.spec.sync is Sync.FILE or self.spec.verify:
            self.hands.sync(self._descriptor)
        descriptor, self._descriptor = self._descriptor, -1
        self.hands.close(descriptor)

    def _verify(self) -> Steps:
        """Of the last file, as far as it was written."""
        try:
            descriptor = self.hands.open(self.path(self._file))
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


class LaidOut(Job):
    """Works on files that are there before the run."""

    def __init__(
        self, spec: LoadSpec, seed: str, folder: str, hands: Hands, guard: Callable[[], str]
    ) -> None:
        super().__init__(spec, seed, folder, hands, guard)
        self.files = [self._sizes.roll() for _ in range(spec.files)]
        # So many are there, of which the last one may not be whole.
        self._begun = self._whole = 0

    def lay_out(self, hands: Hands) -> Steps:
        """Write them."""
        for file, size in enumerate(self.files):
            self._begun += 1
            yield from self.lay_out_file(hands, file, size)
            self._whole += 1

    def finish(self) -> Steps:
        """Remove them, unless they are kept."""
        if not self.spec.keep:
            for file in range(self._begun):
                yield 0
                self.remove(file, self.files[file] if file < self._whole else 0)


class ReadFiles(LaidOut):
    """Reads one file after the other, again and again."""

    def run(self) -> Steps:
        """Do it."""
        hands = self.hands
        read = hands.read_and_check if self.spec.verify else hands.read
        while True:
            for file, size in enumerate(self.files):
                begun = time.perf_counter_ns()
                hands.content.take(file, 0, size)
                descriptor = hands.open(self.path(file))
                try:
                    for offset, length in self.cut(file, size):
                        yield length
                        read(descriptor, offset, length)
                finally:
                    os.close(descriptor)
                self.rolled_over(file, size, begun)


class ReadAnywhere(LaidOut):
    """Reads blocks of all files, wherever they are."""

    def run(self) -> Steps:
        """Do it."""
        hands, blocks = self.hands, Dice(f"blocks {self._seed}", self.spec.block)
        draw = random.Random(f"places {self._seed}").random  # noqa: S311 -- no secret
        descriptors: list[int] = []
        try:
            descriptors.extend(hands.open(self.path(file)) for file in range(len(self.files)))
            while True:
                file = int(draw() * len(self.files))
                size, length = self.files[file], blocks.roll()
                length = min(length, size)
                offset = int(draw() * (size // length)) * length
                yield length
                if self.spec.verify:
                    hands.path = self.path(file)
                    hands.content.take(file, 0, size, once=True)
                    hands.read_and_check(descriptors[file], offset, length)
                else:
                    hands.read(descriptors[file], offset, length)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


class Rewrite(LaidOut):
    """Goes over its files again and again; each block is written anew, or read."""

    def __init__(
        self, spec: LoadSpec, seed: str, folder: str, hands: Hands, guard: Callable[[], str]
    ) -> None:
        super().__init__(spec, seed, folder, hands, guard)
        self._smallest = min(size for size, _ in spec.block)
        # Of each block, by the place where it begins, how often it was written over.
        self._passes = [
            array("I", bytes(4 * (size // self._smallest + 1))) for size in self.files
        ]  # fmt: skip
        self._reads = spec.read_percent / 100 if spec.work is Work.MIXED else 0.0
        self._scattered = spec.order is Order.RANDOM or self._reads > 0
        self._rounds = 0
        self._next = 0

    def run(self) -> Steps:
        """Do it."""
        draw = random.Random(f"mixed {self._seed} {self._rounds}").random  # noqa: S311 -- no secret
        while True:
            file, size = self._next, self.files[self._next]
            self._next = (self._next + 1) % len(self.files)
            self._rounds += 1
            begun = time.perf_counter_ns()
            descriptor = self.hands.open(self.path(file), os.O_RDWR)
            try:
                for offset, length in self._blocks(file, size):
                    yield length
                    if draw() < self._reads:
                        self._read(descriptor, file, offset, length)
                    else:
                        self._write(descriptor, file, offset, length)
                if self.spec.sync is Sync.FILE or self.spec.verify:
                    self.hands.sync(descriptor)
            finally:
                os.close(descriptor)
            self.rolled_over(file, size, begun)
            if self.spec.verify:
                yield from self._verify(file)

    def _blocks(self, file: int, size: int) -> Iterator[tuple[int, int]]:
        if self.spec.order is Order.SEQUENTIAL:
            return self.cut(file, size)
        seed = f"order {self._seed} {file} {self._rounds}"
        return iter(Pass(seed, self.cut(file, size)))

    def _write(self, descriptor: int, file: int, offset: int, length: int) -> None:
        passes, at = self._passes[file], offset // self._smallest
        generation = 0 if passes[at] == TORN else passes[at] + 1
        self._take(file, generation)
        passes[at] = TORN
        self.hands.write(descriptor, offset, length)
        passes[at] = generation

    def _read(self, descriptor: int, file: int, offset: int, length: int) -> None:
        generation = self._passes[file][offset // self._smallest]
        if not self.spec.verify or generation == TORN:
            self.hands.read(descriptor, offset, length)
            return
        self._take(file, generation)
        self.hands.read_and_check(descriptor, offset, length)

    def _verify(self, file: int) -> Steps:
        """Every block of a file, of whatever pass it is."""
        size, passes = self.files[file], self._passes[file]
        try:
            descriptor = self.hands.open(self.path(file))
        except FileNotFoundError:
            self.hands.missing(self.path(file))
            return
        try:
            for offset, length in self.cut(file, size):
                generation = passes[offset // self._smallest]
                if generation != TORN:
                    yield length
                    self._take(file, generation)
                    self.hands.verify(descriptor, offset, length)
            self.hands.check_size(descriptor, size)
        finally:
            os.close(descriptor)

    def _take(self, file: int, generation: int) -> None:
        """Another pass than the last block's costs a stamp of that block, or of all of them."""
        self.hands.content.take(file, generation, self.files[file], once=self._scattered)

    def finish(self) -> Steps:
        """All of them are verified once more, as a pass may have been half done."""
        if self.spec.verify:
            for file in range(self._whole):
                yield from self._verify(file)
        yield from super().finish()


class Metadata(Job):
    """Creates, looks at, renames and deletes small files."""

    def __init__(
        self, spec: LoadSpec, seed: str, folder: str, hands: Hands, guard: Callable[[], str]
    ) -> None:
        super().__init__(spec, seed, folder, hands, guard)
        self._random = random.Random(f"metadata {self._seed}")  # noqa: S311 -- no secret
        # The number that a file's content has, the one that its name has, and its size.
        self._there: list[tuple[int, int, int]] = []
        self._names = 0
        self._folders: set[str] = set()

    def path(self, file: int) -> str:
        """Of a name, in a folder that has `PER_FOLDER` of them."""
        return f"{self._folder}/{file // PER_FOLDER:06d}/{file:09d}"

    def lay_out(self, hands: Hands) -> Steps:
        """As many as there shall be on average."""
        for _ in range(self.spec.files):
            yield 0
            self._create(hands)

    def run(self) -> Steps:
        """Do it."""
        bounds = self.spec.metadata
        while True:
            kind = self._random.choices(KINDS, bounds)[0]
            kind = self._balanced(kind)
            yield 0
            match kind:
                case "create":
                    self._create(self.hands)
                case "stat":
                    self._stat()
                case "rename":
                    self._rename()
                case _:
                    yield from self._delete()

    def _balanced(self, kind: str) -> str:
        """So that about as many files are there as were laid out."""
        create, _, _, delete = self.spec.metadata
        if kind == "create" and delete and 2 * len(self._there) > 3 * self.spec.files:
            return "delete"
        if not self._there or (
            kind == "delete" and create and 2 * len(self._there) < self.spec.files
        ):
            return "create"
        return kind

    def _name(self) -> int:
        """A new one; its folder is there."""
        self._names += 1
        folder = self.path(self._names).rpartition("/")[0]
        if folder not in self._folders:
            Path(folder).mkdir(exist_ok=True)
            self._folders.add(folder)
        return self._names

    def _create(self, hands: Hands) -> None:
        name, size = self._name(), self._sizes.roll()
        path = hands.path = self.path(name)
        hands.content.take(name, 0, size, once=True)
        data = hands.content.block(0, size)

        def create() -> None:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
            try:
                if size:
                    os.pwrite(descriptor, data, 0)
                if self.spec.sync is not Sync.NONE:
                    os.fdatasync(descriptor)
            finally:
                os.close(descriptor)

        hands.counted("create", create)
        hands.figures.written += size
        self._there.append((name, name, size))
        self.hands.figures.kept += size

    def _pick(self) -> int:
        return int(self._random.random() * len(self._there))

    def _stat(self) -> None:
        self.hands.path = path = self.path(self._there[self._pick()][1])
        self.hands.counted("stat", lambda: os.stat(path))  # noqa: PTH116 -- what is measured

    def _rename(self) -> None:
        at = self._pick()
        file, name, size = self._there[at]
        self.hands.path = old = self.path(name)
        new_name = self._name()
        new = self.path(new_name)
        self.hands.counted("rename", lambda: os.rename(old, new))  # noqa: PTH104 -- likewise
        self._there[at] = file, new_name, size

    def _delete(self) -> Steps:
        at = self._pick()
        file, name, size = self._there[at]
        path = self.path(name)
        if self.spec.verify and size:
            self._there[at] = file, name, size
            yield from self._verify(file, path, size)
        self._there[at] = self._there[-1]
        self._there.pop()
        self.hands.path = path
        self.hands.counted("delete", lambda: os.unlink(path))  # noqa: PTH108 -- likewise
        self.hands.figures.kept -= size

    def _verify(self, file: int, path: str, size: int) -> Steps:
        descriptor = self.hands.open(path)
        try:
            yield size
            self.hands.content.take(file, 0, size, once=True)
            self.hands.verify(descriptor, 0, size)
            self.hands.check_size(descriptor, size)
        finally:
            os.close(descriptor)

    def finish(self) -> Steps:
        """Remove them, unless they are kept."""
        if self.spec.keep:
            return
        for _, name, size in self._there:
            yield 0
            self.remove(name, size)
        for folder in self._folders:
            with suppress(OSError):
                Path(folder).rmdir()


def job_for(spec: LoadSpec, seed: str, folder: str, hands: Hands, guard: Callable[[], str]) -> Job:
    """The work that is wanted."""
    kinds: dict[tuple[Work, Order], type[Job]] = {
        (Work.WRITE, Order.SEQUENTIAL): WriteFiles,
        (Work.READ, Order.SEQUENTIAL): ReadFiles,
        (Work.READ, Order.RANDOM): ReadAnywhere,
        (Work.METADATA, Order.SEQUENTIAL): Metadata,
        (Work.METADATA, Order.RANDOM): Metadata,
    }
    return kinds.get((spec.work, spec.order), Rewrite)(spec, seed, folder, hands, guard)
