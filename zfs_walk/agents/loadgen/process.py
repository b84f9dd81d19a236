"""What a consumer's process and the monitor's do: one thread, which works and answers in turn.

So a heartbeat that is missed says that for so long no operation came back: the process was stopped,
or the kernel kept it.
"""

import gc
import os
import time
from collections.abc import Iterator
from typing import Final

from zfs_walk.agents.loadgen.tasks import (
    LINK,
    Ask,
    Beat,
    Check,
    Checked,
    Consume,
    Done,
    Finish,
    FromProcess,
    Go,
    LaidOut,
    LayOut,
    Ready,
    Report,
    Sampled,
    ToProcess,
    Watch,
)
from zfs_walk.bus.ends import Waiter
from zfs_walk.bus.sockets import Bus
from zfs_walk.load.consumer import Consumer
from zfs_walk.load.figures import RECENT, packed
from zfs_walk.load.monitor_sample import packed as packed_sample
from zfs_walk.load.packing import unpacked_spec

SLICE: Final = 50_000_000
"""Nanoseconds between two looks at what the agent says, before the run and after it."""

REPORT_EVERY: Final = 500_000_000
"""Nanoseconds between two reports."""

LOOK_EVERY: Final = 3600.0
"""Seconds that a process with nothing to do waits at once."""

_NS: Final = 1_000_000_000


class Process:
    """The link to the agent.

    Args:
        number: of this process.
        folder: of the ipc sockets.
        lifeline: a pipe that ends when the zygote does.
    """

    def __init__(self, number: int, folder: str, lifeline: int) -> None:
        self.number = number
        bus = Bus()
        self._lifeline = lifeline
        self._inbox = bus.pull(f"ipc://{folder}/w{number}", bind=False)
        self._results = bus.push(f"ipc://{folder}/results", bind=False)
        self._waiter = Waiter()
        self._waiter.add(self._inbox)
        self._waiter.add(lifeline)
        self.say(Ready(number, os.getpid()))

    def say(self, message: FromProcess) -> None:
        """Tell the agent."""
        self._results.send_waiting(LINK.encode(message))

    def hear(self, seconds: float) -> ToProcess | None:
        """What the agent says within so many seconds; an `Ask` is answered."""
        until = time.monotonic() + seconds
        while True:
            frames = self._inbox.receive()
            if frames is not None:
                message: ToProcess = LINK.decode(frames)
                if not isinstance(message, Ask):
                    return message
                self.say(Beat(self.number, message.n))
                continue
            left = until - time.monotonic()
            if left <= 0:
                return None
            if self._lifeline in self._waiter.wait(min(left, LOOK_EVERY)):
                os._exit(1)


class ConsumerProcess:
    """Runs one consumer.

    Args:
        process: the link to the agent.
        consumer: not begun.
    """

    def __init__(self, process: Process, consumer: Consumer) -> None:
        self._process = process
        self._consumer = consumer
        self._seq = 0
        self._rollovers = 0
        self._report_at = 0
        self._finishing = False

    def run(self) -> None:
        """Do what the agent says until there is nothing more to do."""
        process, consumer = self._process, self._consumer
        while not self._finishing:
            match process.hear(LOOK_EVERY):
                case Check():
                    self._check()
                case LayOut():
                    self._step(consumer.lay_out())
                    if consumer.over:
                        break
                    if not self._finishing:
                        process.say(LaidOut(process.number))
                case Go() as go:
                    self._go(go)
                case Finish():
                    break
        self._finishing = True
        self._step(consumer.finish())
        self._report()
        process.say(Done(process.number))
        while True:  # until the agent has no further use for its processes
            process.hear(LOOK_EVERY)

    def _check(self) -> None:
        self._step(self._consumer.measure())
        if self._finishing:
            return
        found = self._consumer.measured
        self._process.say(
            Checked(
                self._process.number, found.block, round(found.seconds * _NS), found.device,
                found.total, found.free, found.failed[:4096],
            )
        )  # fmt: skip

    def _go(self, go: Go) -> None:
        consumer = self._consumer
        # No cycles are made in the run, and a look for some would be a stall.
        gc.freeze()
        gc.disable()
        time.sleep(max(0, go.at_ns - time.perf_counter_ns()) / _NS)
        consumer.begin(go.at_ns)
        while not consumer.over:
            now = time.perf_counter_ns()
            if now >= go.until_ns:
                break
            consumer.run(min(now + go.turn_ns, max(now, self._report_at), go.until_ns))
            unsaid = consumer.figures.rollovers - self._rollovers
            if time.perf_counter_ns() >= self._report_at or unsaid > RECENT // 2:
                self._report()
            if isinstance(self._process.hear(0.0), Finish):
                break
        self._finishing = True

    def _step(self, steps: Iterator[None]) -> None:
        """Go through what takes long, and answer meanwhile."""
        look_at = 0
        for _ in steps:
            now = time.perf_counter_ns()
            if now >= look_at:
                look_at = now + SLICE
                if now >= self._report_at:
                    self._report()
                if isinstance(self._process.hear(0.0), Finish) and not self._finishing:
                    self._finishing = True
                    return

    def _report(self) -> None:
        self._report_at = time.perf_counter_ns() + REPORT_EVERY
        self._seq += 1
        figures = self._consumer.snapshot()
        self._rollovers = figures.rollovers
        self._process.say(Report(self._process.number, self._seq, packed(figures)))


def run_monitor(process: Process, watch: Watch) -> None:
    """Sample what `Watch` names, until the agent ends.

    Args:
        process: the link to the agent.
        watch: what it has said.
    """
    # A consumer needs none of it.
    from zfs_walk.load.monitor import Monitor  # noqa: PLC0415

    every = watch.every_ms / 1000
    monitor: Monitor | None = Monitor(dict(watch.processes), watch.targets)
    look_at = time.monotonic() + every
    seq = 0
    while True:
        wait = LOOK_EVERY if monitor is None else max(0.0, look_at - time.monotonic())
        if isinstance(process.hear(wait), Finish):
            process.say(Done(process.number))
            monitor = None
        if monitor is not None and time.monotonic() >= look_at:
            look_at += every
            seq += 1
            process.say(Sampled(process.number, seq, packed_sample(monitor.look())))


def run_process(process: Process) -> None:
    """Be what the agent wants, until it has no further use for this process."""
    while True:
        match process.hear(LOOK_EVERY):
            case Consume(seed, folder, max_fill, load):
                spec = unpacked_spec(load)
                place = f"{spec.target}/{folder}"
                ConsumerProcess(process, Consumer(spec, seed, place, max_fill / 1000)).run()
            case Watch() as watch:
                run_monitor(process, watch)
            case Finish():
                process.say(Done(process.number))
