"""One consumer: does its work in slices, so that whoever runs it can answer in between."""

import errno
import os
import statistics
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from zfs_walk.load.content import GRAIN, SECTOR, Content, Texture, owner_of
from zfs_walk.load.figures import MOST_ERRORS, Figures, Trouble
from zfs_walk.load.hands import FATAL, Hands
from zfs_walk.load.job import LAID_OUT_BY, Steps
from zfs_walk.load.pace import Pace
from zfs_walk.load.preflight import Measured
from zfs_walk.load.spec import LoadSpec, Work
from zfs_walk.load.works import job_for

_NS: Final = 1_000_000_000

CHUNKS: Final = 3
"""Blocks that the pre-flight check writes: the first one pays for what is made only once."""


class Consumer:
    """One process's load.

    Args:
        spec: what it does.
        seed: of the whole run.
        folder: of this run, below the target; the consumer has one of its own in it.
        max_fill: percent of the target's file system that may be in use.

    Attributes:
        figures: what it has done so far.
        over: it has ended by itself, because of an error or a full disk.
        measured: what `measure` found, once it has gone through.
    """

    def __init__(self, spec: LoadSpec, seed: str, folder: str, max_fill: float) -> None:
        self.figures = Figures()
        self.over = False
        self.measured = Measured()
        self._spec = spec
        self._run_folder = folder
        self._folder = f"{folder}/{spec.name}"
        self._max_fill = max_fill
        self._seed = seed
        largest = spec.largest_file if spec.work is Work.METADATA else spec.largest_block
        self._content = self._content_of(largest)
        self._hands = Hands(spec, self._content, self.figures)
        self._job = job_for(spec, seed, self._folder, self._hands, self._full)
        self._pace = Pace(spec.rate, spec.bandwidth, spec.ramp) if spec.is_paced else None
        self._steps: Steps = iter(())
        # Bytes of the operation that comes next, once the work has come to one.
        self._size, self._ready = 0, False
        self._begun = self._ended = 0

    def _content_of(self, largest: int) -> Content:
        spec = self._spec
        in_grains = not spec.verify and not any(size % GRAIN for size, _ in spec.block)
        texture = Texture(spec.zeros, spec.duplicates, GRAIN if in_grains else SECTOR)
        owner = owner_of(self._seed, spec.name)
        return Content(self._seed, owner, max(largest, 1), texture)

    # ------------------------------------------------------------------ before the run

    def measure(self) -> Iterator[None]:
        """Write some blocks into the target, as the run will, and remove them; goes on in steps."""
        spec, hands = self._spec, Hands(self._spec, self._content, Figures())
        size = min(spec.largest_block, spec.usual_file) or 1
        self._content.take(0, 0, size * CHUNKS)
        path = f"{self._folder}/measured"
        took = []
        try:
            Path(self._folder).mkdir(parents=True, exist_ok=True)
            descriptor = hands.create(path)
            try:
                for at in range(CHUNKS):
                    begin = time.perf_counter()
                    hands.write(descriptor, at * size, size)
                    took.append(time.perf_counter() - begin)
                    yield
            finally:
                os.close(descriptor)
                Path(path).unlink()
            space = os.statvfs(self._folder)
            device = Path(self._folder).stat().st_dev
        except OSError as error:
            self._leave()
            self.measured = Measured(failed=self._explain(error))
            return
        self.measured = Measured(
            size, statistics.median(took), device, space.f_blocks * space.f_frsize,
            space.f_bavail * space.f_frsize,
        )  # fmt: skip

    def _explain(self, error: OSError) -> str:
        text = f"{self._spec.target}: {error.strerror}"
        if error.errno == errno.EINVAL and self._spec.direct:
            text += "; this file system takes no O_DIRECT of such blocks (direct: false)"
        return text

    def lay_out(self) -> Iterator[None]:
        """Make the files that must be there; goes on in steps. What fails ends the consumer."""
        try:
            Path(self._folder).mkdir(parents=True, exist_ok=True)
            self._job.begin()
            spec, content = self._spec, self._content
            if spec.lays_out:
                # By the page cache, which puts a file on the disk in one piece.
                spec, content = replace(spec, direct=False), self._content_of(LAID_OUT_BY)
            for _ in self._job.lay_out(Hands(spec, content, Figures())):
                yield
        except OSError as error:
            self._failed(error)

    # ------------------------------------------------------------------ the run

    def begin(self, now: int) -> None:
        """Start, in nanoseconds of `time.perf_counter_ns`."""
        self._begun = self._job.begun = now
        self._steps = self._job.run()
        if self._pace is not None:
            self._pace.begin(now)

    def run(self, until: int) -> None:
        """Work until then at the latest, in nanoseconds; one operation at least, if it is due."""
        clock, pace, hands = time.perf_counter_ns, self._pace, self._hands
        hands.until = until
        try:
            while not self.over:
                if pace is not None and self._ready:
                    due, now = pace.due, clock()
                    if due > now:
                        time.sleep(max(0, min(due, until) - now) / _NS)
                        if due > until:
                            return
                        continue
                    hands.intended = due
                    pace.spend(self._size)
                self._resume(self._steps)
                # Of the operation that was just done: to look once more costs 1 % of a fast one.
                if hands.now >= hands.until or (not self._size and clock() >= hands.until):
                    return
        except OSError as error:
            self._failed(error)

    def _resume(self, steps: Steps) -> None:
        size = next(steps, None)
        if size is None:
            self.over = True
        else:
            self._size, self._ready = size, True

    def _failed(self, error: OSError) -> None:
        """Count an error; the work goes on with the next file, unless that would meet it, too."""
        figures = self.figures
        figures.errors += 1
        fatal = error.errno in FATAL or figures.errors >= MOST_ERRORS
        reason = error.strerror or str(error)
        if len(figures.troubles) < MOST_ERRORS:
            path = str(error.filename or self._hands.path or self._folder)
            figures.troubles.append(
                Trouble(self._elapsed(), self._hands.doing, path, reason, fatal)
            )  # fmt: skip
        if fatal:
            figures.stopped = f"{self._hands.doing}: {reason}"
            self.over = True
        else:
            self._steps, self._ready = self._job.run(), False

    def _full(self) -> str:
        """Why no further file may be written; empty: it may."""
        space = os.statvfs(self._folder)
        used = 100 * (1 - space.f_bavail / space.f_blocks) if space.f_blocks else 0.0
        if used > self._max_fill:
            return f"{used:.1f} % of the target are in use (--max-fill {self._max_fill:g})"
        return ""

    # ------------------------------------------------------------------ after the run

    def finish(self) -> Iterator[None]:
        """Verify what has not been, remove what is not kept; goes on in steps."""
        self._ended = time.perf_counter_ns()
        self._hands.intended = None
        if isinstance(self._steps, Generator):
            # What it has open is to be closed now, not when somebody collects it.
            self._steps.close()
        try:
            for _ in self._job.finish():
                yield
            yield from self._job.tidy()
            self._job.end()
        except OSError as error:
            self._failed(error)
        self._leave()

    def _leave(self) -> None:
        """Folders go that nothing is in."""
        with suppress(OSError):
            Path(self._folder).rmdir()
        with suppress(OSError):
            Path(self._run_folder).rmdir()

    @property
    def seconds(self) -> float:
        """Since the run began; at its end, until its last operation: to remove files is no work."""
        if self._begun and self._ended:
            return (max(self._ended, self._hands.now) - self._begun) / _NS
        return self._elapsed()

    def _elapsed(self) -> float:
        return (time.perf_counter_ns() - self._begun) / _NS if self._begun else 0.0

    def snapshot(self) -> Figures:
        """The figures, every duration in them."""
        self._hands.flush()
        self.figures.seconds = self.seconds
        return self.figures
