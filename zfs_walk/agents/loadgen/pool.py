"""The load generator's processes: one PUSH each, one PULL for what all of them say."""

import os
import shutil
import signal

from zfs_walk.agents.loadgen.events import Died
from zfs_walk.agents.loadgen.process import Process, run_process
from zfs_walk.agents.loadgen.tasks import LINK, FromProcess, ToProcess
from zfs_walk.agents.zygote import Zygote
from zfs_walk.bus.ends import Push, Sent
from zfs_walk.bus.sockets import Bus
from zfs_walk.errors import ProcessDiedError


class Nursery:
    """What must exist before the agent has threads or a ZeroMQ context: the zygote.

    What a process is to be, it is told later: a run is made when it is wanted.

    Args:
        folder: for the sockets of the agent and its processes.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

        def start(worker: int, _slot: int, lifeline: int) -> None:
            run_process(Process(worker, folder, lifeline))

        self.zygote = Zygote(start, folder)

    def close(self) -> None:
        """End every process and the zygote, and remove the sockets."""
        self.zygote.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Pool:
    """The processes, for the agent's loop.

    Args:
        nursery: made before the context.
        bus: the agent's context.
    """

    def __init__(self, nursery: Nursery, bus: Bus) -> None:
        self.results = bus.pull(f"ipc://{nursery.folder}/results", bind=True)
        self.zygote = nursery.zygote
        self._nursery = nursery
        self._bus = bus
        self._pushes: dict[int, Push] = {}

    def spawn(self, worker: int) -> None:
        """Start a process; it says when it is there."""
        self._pushes[worker] = self._bus.push(f"ipc://{self._nursery.folder}/w{worker}", bind=True)
        self.zygote.spawn(worker, worker)

    def tell(self, worker: int, message: ToProcess) -> None:
        """Send to a process; one that is dead gets nothing.

        No queue should fill up, as a process that does not answer is asked nothing more.
        """
        push = self._pushes.get(worker)
        if push is not None and push.send(LINK.encode(message)) is not Sent.ACCEPTED:
            self.kill(worker)

    def kill(self, worker: int) -> None:
        """End a process."""
        self.zygote.kill(worker)

    def receive(self) -> FromProcess | None:
        """The next message of any process."""
        frames = self.results.receive()
        if frames is None:
            return None
        message: FromProcess = LINK.decode(frames)
        return message

    def deaths(self) -> list[Died]:
        """Processes that have ended.

        Raises:
            ProcessDiedError: the zygote itself is gone.
        """
        deaths = self.zygote.deaths()
        if deaths is None:
            raise ProcessDiedError(what="the zygote of the consumers", reason="see the lines above")
        for death in deaths:
            self._pushes.pop(death.worker).close()
        return [Died(death.worker, _explain(death.status)) for death in deaths]

    def close(self) -> None:
        """End every process and the zygote."""
        for push in self._pushes.values():
            push.close()
        self._pushes.clear()
        self.results.close()
        self._nursery.close()


def _explain(status: int) -> str:
    """A wait status in words."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            return f"it was ended by {signal.Signals(number).name}"
        except ValueError:
            return f"it was ended by signal {number}"
    return f"it ended with exit code {os.waitstatus_to_exitcode(status)}"
