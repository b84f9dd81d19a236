"""A worker process: reads directories for its agent.

Two threads. The scanning one does what tasks say and sends their results. The other one takes the
messages of the agent and writes finished rows; it never touches the walked file system, so it
answers a flush while the scanning thread is stuck in the kernel.
"""

import errno
import gc
import logging
import os
import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from zfs_walk.agents.sending.place import SendingPlace
from zfs_walk.agents.walker.blackbox import Slot
from zfs_walk.agents.walker.room import SEGMENTS, RefusedError, RunRoom
from zfs_walk.agents.walker.spool import Spool, SpoolError, deal
from zfs_walk.agents.walker.staging import Staged, Staging, held, write
from zfs_walk.agents.walker.tasks import (
    LINK,
    CloseRun,
    Flush,
    Flushed,
    Forget,
    Listed,
    ListParts,
    OpenRun,
    Ready,
    ScanPart,
    SetLevel,
    Task,
    Walk,
    Walked,
)
from zfs_walk.agents.walker.worker_log import log_to_agent
from zfs_walk.bus.ends import Pull, Push, Waiter
from zfs_walk.bus.logrecord import set_level
from zfs_walk.bus.sockets import Bus
from zfs_walk.catalog.totals import Totals
from zfs_walk.errors import ZfsWalkError
from zfs_walk.protocol.messages import Message
from zfs_walk.protocol.records import Problem, Segment
from zfs_walk.scan.interface import (
    Budget,
    Directory,
    NameBlock,
    Scan,
    Scanner,
    UnreachableError,
)

LOG = logging.getLogger("zfs_walk.worker")

GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
DENIED = (errno.EACCES, errno.EPERM)


@dataclass(frozen=True, slots=True)
class Rows:
    """Where the rows of a run go, and whether they have more than names; the writing thread's."""

    catalog: Path
    stated: bool


class Worker:
    """Both threads of a worker, and what they share."""

    def __init__(  # noqa: PLR0913, PLR0917 -- what a worker has of its agent
        self,
        number: int,
        folder: str,
        slot: Slot,
        spool: Spool,
        lifeline: int,
        allow: Sequence[bytes],
        place: SendingPlace,
    ) -> None:
        """Connect to the agent.

        Args:
            number: this worker's, never given twice.
            folder: of the agent's ipc sockets.
            slot: of the black box.
            spool: for names of wide directories.
            lifeline: a pipe that ends when the zygote does.
            allow: real paths of the only folders that may be touched; empty: any.
            place: what is told of sending.
        """
        self._allow = allow
        self._place = place
        self._number = number
        self._slot = slot
        self._spool = spool
        self._lifeline = lifeline
        self._staging = Staging()
        self._tasks: queue.SimpleQueue[OpenRun | CloseRun | Task] = queue.SimpleQueue()
        self._rows: dict[int, Rows] = {}
        self._rooms: dict[int, RunRoom] = {}
        self._results = 0
        bus = Bus()
        self._inbox = bus.pull(f"ipc://{folder}/w{number}", bind=False)
        self._flush_out = bus.push(f"ipc://{folder}/results", bind=False)
        self._result_out = bus.push(f"ipc://{folder}/results", bind=False)
        log_to_agent(number, bus.push(f"ipc://{folder}/results", bind=False))

    def run(self) -> None:
        """Work until the agent is gone."""
        threading.Thread(target=self._serve, daemon=True, name="rows").start()
        LOG.debug("process %d is there", os.getpid())
        self._send(self._result_out, Ready(self._number, os.getpid()))
        while True:
            self._do(self._tasks.get())

    def _send(self, push: Push, message: Message) -> None:
        push.send_waiting(LINK.encode(message))

    # ------------------------------------------------------------------ the writing thread

    def _serve(self) -> None:
        try:
            self._serve_inbox(self._inbox)
        except BaseException:  # noqa: BLE001 -- the process ends here, whatever it was
            # Without this thread the process would look alive and answer nothing.
            traceback.print_exc()
        os._exit(1)

    def _serve_inbox(self, inbox: Pull) -> None:
        waiter = Waiter()
        waiter.add(inbox)
        waiter.add(self._lifeline)
        while True:
            frames = inbox.receive()
            if frames is None:
                if self._lifeline in waiter.wait(3600.0):
                    os._exit(1)
                continue
            message = LINK.decode(frames)
            match message:
                case Flush():
                    self._flush(message)
                case Forget(uid, epoch, roll):
                    self._staging.forget((uid, epoch), roll)
                case SetLevel(level, logger):
                    set_level(level, logger)
                case _:
                    self._note(message)
                    self._tasks.put(message)

    def _note(self, message: OpenRun | CloseRun | Task) -> None:
        """Know where rows go as long as a flush of them may come."""
        match message:
            case OpenRun(run, _, options) if options.catalog:
                folder = Path(os.fsdecode(options.catalog))
                self._rows[run] = Rows(folder, stated=not options.names_only)
            case CloseRun(run):
                self._rows.pop(run, None)

    def _flush(self, flush: Flush) -> None:
        rows = self._staging.take((flush.uid, flush.epoch), flush.roll, flush.upto)
        goal = self._rows[flush.run]
        failed = ""
        segments: tuple[Segment, ...] = ()
        try:
            with held(goal.catalog / SEGMENTS, self._allow) as folder:
                segments = tuple(write(folder, flush.name, rows, stated=goal.stated))
        except (OSError, ZfsWalkError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            failed = f"the catalog {goal.catalog} can't be written: {reason}"
            LOG.info("%s", failed, extra={"run": flush.run})
        LOG.debug(
            "wrote %d segments of unit %x as %s", len(segments), flush.uid, flush.name,
            extra={"run": flush.run},
        )  # fmt: skip
        self._send(
            self._flush_out,
            Flushed(self._number, flush.cut, flush.uid, flush.epoch, failed[:4000], segments),
        )

    # ------------------------------------------------------------------ the scanning thread

    def _do(self, message: OpenRun | CloseRun | Task) -> None:
        match message:
            case OpenRun():
                self._rooms[message.run] = RunRoom(message, self._slot, self._allow, self._place)
            case CloseRun(run):
                room = self._rooms.pop(run, None)
                if room is not None:
                    room.close()
            case Walk():
                self._task(message, lambda scanner: self._walk(message, scanner))
            case ScanPart():
                self._task(message, lambda scanner: self._scan_part(message, scanner))
            case ListParts():
                self._list(message)

    def _task(self, task: Walk | ScanPart, scan_it: Callable[[Scanner], Scan]) -> None:
        begun = time.monotonic_ns()
        room = self._rooms[task.run]
        refused = room.refused
        scan: Scan | None = None
        sent: dict[str, int] | None = {}
        if not refused:
            try:
                scan = scan_it(room.scanner)
                sent = room.send(scan)
            except (UnreachableError, SpoolError, RefusedError) as error:
                scan = None
                refused = str(error) or "the root is not the recorded one on this host"
        self._slot.done()
        micros = (time.monotonic_ns() - begun) // 1000
        if sent is None:
            self._send(self._result_out, self._undone(task))
            return
        self._send(self._result_out, self._result(task, scan, refused, micros, sent))
        self._say(task, scan, refused, micros)
        gc.collect(0)

    def _say(self, task: Walk | ScanPart, scan: Scan | None, refused: str, micros: int) -> None:
        if scan is None:
            LOG.info("task %d was not done: %s", task.task, refused, extra={"run": task.run})
            return
        if scan.failed:
            LOG.info(
                "task %d: %d directories could not be read and are tried again",
                task.task, len(scan.failed), extra={"run": task.run},
            )  # fmt: skip
        LOG.debug(
            "task %d: %d directories, %d entries, %d errors in %.1f ms",
            task.task, scan.listed, len(scan.columns), len(scan.errors), micros / 1000,
            extra={"run": task.run},
        )  # fmt: skip

    def _walk(self, task: Walk, scanner: Scanner) -> Scan:
        budget = Budget(
            seconds=task.budget_ms / 1000,
            hurry=self._slot.hurry,
            avoid=frozenset(Directory(*place) for place in task.avoid),
        )
        self._slot.part = 0
        return scanner.scan([Directory(*place) for place in task.batch], budget)

    def _scan_part(self, task: ScanPart, scanner: Scanner) -> Scan:
        self._slot.part = task.part
        names = self._spool.read(task.extents)
        return scanner.scan_names(Directory(*task.place), names, own=task.own)

    def _undone(self, task: Walk | ScanPart) -> Walked:
        """The worker was called back in the middle: nothing of the task counts, and it waits anew.

        Files that were sent already will be found there.
        """
        untouched = len(task.batch) if isinstance(task, Walk) else 1
        return Walked(
            self._number, task.task, self._results, "", 0, 0, untouched, 0, 0, (0, b""), 0, {},
            (), (), (), (),
        )  # fmt: skip

    def _result(
        self,
        task: Walk | ScanPart,
        scan: Scan | None,
        refused: str,
        micros: int,
        sent: dict[str, int],
    ) -> Walked:
        if scan is None:
            return Walked(
                self._number, task.task, 0, refused[:4000], 0, 0, 0, 0, micros, (0, b""), 0, {},
                (), (), (), (),
            )  # fmt: skip
        self._results += 1
        totals = Totals()
        totals.add_scan(scan)
        room = self._rooms[task.run]
        rows = 0
        if room.stores_rows:
            rows = len(scan.columns) + len(scan.errors)
            self._staging.stage(
                (task.uid, task.epoch), Staged(task.roll, self._results, scan.columns, scan.errors)
            )
        wide = scan.wide
        return Walked(
            self._number, task.task, self._results, "", scan.listed, scan.found, scan.untouched,
            rows, micros, _place(wide.directory) if wide else (0, b""), wide.parts if wide else 0,
            totals.counters() | sent, tuple(Problem(*error) for error in scan.errors[:100]),
            tuple((depth, read, found) for depth, (read, found) in scan.levels.items()),
            tuple(_place(directory) for directory in scan.left),
            tuple((_place(directory), code) for directory, code in scan.failed),
        )  # fmt: skip

    def _noted(self, directory: Directory, scanner: Scanner) -> Iterator[NameBlock]:
        """The names of a directory, each block a sign of progress in the black box."""
        for block in scanner.list_names(directory):
            self._slot.note(directory)
            yield block

    def _list(self, task: ListParts) -> None:
        begun = time.monotonic_ns()
        room = self._rooms[task.run]
        refused, code, kind, gone = room.refused, 0, "", False
        extents: dict[int, list[tuple[int, int]]] = {}
        names = 0
        if not refused:
            try:
                blocks = self._noted(Directory(*task.place), room.scanner)
                extents, names = deal(
                    blocks, task.parts, task.wanted, self._spool, task.base,
                    files_apart=task.files_apart,
                )  # fmt: skip
            except (UnreachableError, SpoolError) as error:
                refused = str(error) or "the root is not the recorded one on this host"
            except OSError as error:
                code, gone = error.errno or errno.EIO, error.errno in GONE
                kind = "denied" if error.errno in DENIED else "io"
        self._slot.done()
        micros = (time.monotonic_ns() - begun) // 1000
        dealt = tuple(tuple(extents.get(part, ())) for part in task.wanted)
        LOG.debug(
            "task %d: dealt %d names to %d parts in %.1f ms",
            task.task, names, len(task.wanted), micros / 1000, extra={"run": task.run},
        )  # fmt: skip
        self._send(
            self._result_out,
            Listed(self._number, task.task, refused[:4000], code, kind, gone, names, micros, dealt),
        )


def run_worker(  # noqa: PLR0913, PLR0917 -- what a worker has of its agent
    number: int,
    folder: str,
    slot: Slot,
    spool: Spool,
    lifeline: int,
    allow: Sequence[bytes],
    place: SendingPlace,
) -> None:
    """What a worker's process does from its fork to its end."""
    # Columns hold no cycles; a collection of everything would cost more than it frees.
    gc.freeze()
    gc.disable()
    Worker(number, folder, slot, spool, lifeline, allow, place).run()


def _place(directory: Directory) -> tuple[int, bytes]:
    return directory.root, directory.path
