"""The agent's worker processes: starts, messages, deaths. One PUSH per worker, one PULL for all."""

import heapq
import os
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from zfs_walk.agents.sending.place import SendingPlace
from zfs_walk.agents.walker.blackbox import BlackBox
from zfs_walk.agents.walker.crew import MOST_PROCESSES
from zfs_walk.agents.walker.events import WorkerDied
from zfs_walk.agents.walker.spool import Spool
from zfs_walk.agents.walker.tasks import LINK, FromWorker, Logged, Ready, ToWorker
from zfs_walk.agents.walker.worker import run_worker
from zfs_walk.agents.zygote import Death, Zygote
from zfs_walk.bus.ends import Pull, Push, Sent
from zfs_walk.bus.sockets import Bus
from zfs_walk.errors import ProcessDiedError, StateError

CRASHES = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE})
"""Signals that point at what the worker was doing; a SIGKILL or SIGTERM comes from outside."""

SLOTS = MOST_PROCESSES + 4
"""Slots of the black box: one per worker that an agent may ever have at once, as it may be resized
long after the page was made, and some spare: a dead one's is read before it is used again."""


@dataclass(slots=True)
class Member:
    """One worker: its slot, its PUSH, when it last made progress, and why it was killed.

    ``blamed``: the place that it was at is to blame.
    """

    slot: int
    push: Push
    pid: int = 0
    begun: int = 0
    progress_at: float = 0.0
    killed_for: str = ""
    blamed: bool = False


class Nursery:
    """What must exist before an agent has threads or a ZeroMQ context: page, spool and zygote."""

    def __init__(
        self,
        ipc_folder: str,
        spool_folder: str,
        sending: SendingPlace,
        allow: Sequence[bytes] = (),
    ) -> None:
        """Make them; see `Zygote` for the signals.

        Args:
            ipc_folder: for the sockets of the agent and its workers.
            spool_folder: for temporary files.
            sending: what workers are told of sending.
            allow: real paths of the only folders that workers may touch; empty: any.

        Raises:
            StateError: there is no room for the spool.
        """
        self.folder = ipc_folder
        self.box = BlackBox(SLOTS)
        try:
            self.spool = Spool(spool_folder)
        except OSError as error:
            shutil.rmtree(ipc_folder, ignore_errors=True)
            raise StateError(path=spool_folder, reason=error.strerror) from error
        box, spool = self.box, self.spool

        def start(worker: int, slot: int, lifeline: int) -> None:
            run_worker(worker, ipc_folder, box.slot(slot), spool, lifeline, allow, sending)

        self.zygote = Zygote(start, ipc_folder)

    def close(self) -> None:
        """End every worker and the zygote, and remove the sockets."""
        self.zygote.close()
        self.spool.close()
        # A zygote that was killed has not done it.
        shutil.rmtree(self.folder, ignore_errors=True)


class Pool:
    """The workers of one agent, for its loop."""

    def __init__(self, nursery: Nursery, bus: Bus, dir_timeout: float) -> None:
        """Bind the results' end.

        Args:
            nursery: made before the context.
            bus: the agent's context.
            dir_timeout: seconds that one directory may take until its worker counts as hung.
        """
        self.results: Pull = bus.pull(f"ipc://{nursery.folder}/results", bind=True)
        self.zygote = nursery.zygote
        self._nursery = nursery
        self._bus = bus
        self._dir_timeout = dir_timeout
        self._members: dict[int, Member] = {}
        self._free = list(range(nursery.box.slots))

    def spawn(self, worker: int) -> None:
        """Start a worker; messages for it may be sent at once."""
        # The lowest: memory that was used before is used again.
        slot = heapq.heappop(self._free)
        self._nursery.box.clear(slot)
        push = self._bus.push(f"ipc://{self._nursery.folder}/w{worker}", bind=True)
        self._members[worker] = Member(slot, push)
        self.zygote.spawn(worker, slot)

    def tell(self, worker: int, message: ToWorker) -> None:
        """Send to a worker; one that is dead already gets nothing.

        One that has let a whole queue fill up takes no messages any more: it is replaced, and what
        it was told is rolled back with it.
        """
        member = self._members.get(worker)
        if member is None or member.killed_for:
            return
        if member.push.send(LINK.encode(message)) is not Sent.ACCEPTED:
            self._kill(worker, member, "it takes no messages", blamed=False)

    def dismiss(self, worker: int) -> None:
        """End a worker that has nothing in hand."""
        member = self._members.get(worker)
        if member is not None:
            self._kill(worker, member, "it is not needed any more", blamed=False)

    def _kill(self, worker: int, member: Member, why: str, *, blamed: bool) -> None:
        member.killed_for, member.blamed = why, blamed
        self.zygote.kill(worker)

    def statistics(self) -> dict[int, int]:
        """Process ids of the workers by their numbers; 0 until one has said that it is there."""
        return {worker: member.pid for worker, member in self._members.items()}

    def pids(self) -> list[int]:
        """The workers' process ids, of those that have said Ready."""
        return [member.pid for member in self._members.values() if member.pid]

    def hurry(self, worker: int, level: int) -> None:
        """Set how soon a worker is to come back."""
        member = self._members.get(worker)
        if member is not None:
            self._nursery.box.hurry(member.slot, level)

    def receive(self) -> FromWorker | Logged | None:
        """The next message of any worker."""
        frames = self.results.receive()
        if frames is None:
            return None
        message: FromWorker | Logged = LINK.decode(frames)
        if isinstance(message, Ready) and message.worker in self._members:
            self._members[message.worker].pid = message.pid
        return message

    def free_spool(self) -> None:
        """Nothing in the spool is needed any more."""
        self._nursery.spool.free()

    def deaths(self) -> list[WorkerDied]:
        """Workers that ended, with what the black box says.

        Raises:
            ProcessDiedError: the zygote itself is gone.
        """
        deaths = self.zygote.deaths()
        if deaths is None:
            raise ProcessDiedError(what="the zygote of the workers", reason="see the lines above")
        return [self._died(death) for death in deaths if death.worker in self._members]

    def _died(self, death: Death) -> WorkerDied:
        member = self._members.pop(death.worker)
        member.push.close()
        place = self._nursery.box.place(member.slot)
        heapq.heappush(self._free, member.slot)
        cause, pointed = _explain(death.status)
        if member.killed_for:
            cause, pointed = member.killed_for, member.blamed
        return WorkerDied(death.worker, cause, pointed, place)

    def kill_the_hung(self, now: float) -> None:
        """End workers that have been at one directory for longer than ``dir_timeout``."""
        box = self._nursery.box
        for worker, member in self._members.items():
            begun = box.begun(member.slot)
            if begun != member.begun or box.place(member.slot) is None:
                member.begun, member.progress_at = begun, now
            elif now - member.progress_at > self._dir_timeout and not member.killed_for:
                why = f"one directory took more than {self._dir_timeout:g} s"
                self._kill(worker, member, why, blamed=True)

    def close(self) -> None:
        """End every worker and the zygote."""
        for member in self._members.values():
            member.push.close()
        self._members.clear()
        self.results.close()
        self._nursery.close()


def _explain(status: int) -> tuple[str, bool]:
    """A wait status in words, and whether it points at what the worker was doing."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        return name, number in CRASHES
    code = os.waitstatus_to_exitcode(status)
    return f"exit code {code}", code != 0
