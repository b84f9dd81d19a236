"""A broker and an agent for one run, inside this process: the same classes over inproc sockets."""

import faulthandler
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from zfs_walk import __version__
from zfs_walk.agents.link import Identity
from zfs_walk.agents.sending.place import SendingPlace
from zfs_walk.agents.walker.core import AgentSettings
from zfs_walk.agents.walker.loop import WalkerLoop
from zfs_walk.agents.walker.pool import Nursery
from zfs_walk.broker.loop import BrokerLoop
from zfs_walk.broker.settings import Settings
from zfs_walk.broker.sqlite import SqliteJournal
from zfs_walk.bus.client import Client
from zfs_walk.bus.sockets import Bus
from zfs_walk.cli.arguments import WalkArguments
from zfs_walk.cli.state import SENDING, ipc_folder
from zfs_walk.protocol.messages import WALKER
from zfs_walk.storage import lock

LOG = logging.getLogger("zfs_walk.private")

ENDPOINT = "inproc://broker"
JOIN_PATIENCE = 10.0
"""Seconds that a loop may take to end once it was asked to."""


class LoopThread(threading.Thread):
    """Runs a loop; an exception in it is kept for whoever waits."""

    def __init__(self, name: str, target: Callable[[], None]) -> None:
        """Name the thread and what it runs."""
        super().__init__(name=name, daemon=True)
        self._run_loop = target
        self.error: BaseException | None = None

    def run(self) -> None:
        """Run the loop to its end."""
        try:
            self._run_loop()
        except BaseException as error:  # noqa: BLE001 -- raised again where it is awaited
            self.error = error

    def check(self) -> None:
        """Raise what ended the loop, if something did."""
        if self.error is not None:
            raise self.error

    def report_if_alive(self) -> None:
        """Show what keeps a loop that should have ended."""
        if self.is_alive():
            LOG.error("the %s has not ended as it was asked to; please report this", self.name)
            faulthandler.dump_traceback(all_threads=True)


@dataclass(slots=True)
class PrivateBus:
    """Both loops of a private run, each in its thread, and a client of theirs."""

    client: Client
    broker: BrokerLoop
    agent: WalkerLoop
    broker_thread: LoopThread
    agent_thread: LoopThread

    def start(self) -> None:
        """Let both loops run."""
        self.broker_thread.start()
        self.agent_thread.start()

    def check(self) -> None:
        """Raise what ended a loop, if something did; the broker's end is the cause of the other."""
        self.broker_thread.check()
        self.agent_thread.check()

    def stop(self) -> None:
        """Let the agent hand back what it has, and end both.

        An agent whose broker has died has nobody to hand anything back to.
        """
        self.client.close()
        if self.broker_thread.is_alive():
            self.agent.drain("the run is over")
        until = time.monotonic() + JOIN_PATIENCE
        while (
            self.agent_thread.is_alive()
            and self.broker_thread.is_alive()
            and time.monotonic() < until
        ):
            self.agent_thread.join(0.02)
        if self.broker_thread.is_alive():
            self.agent_thread.report_if_alive()
        self.agent.stop()
        self.agent_thread.join(JOIN_PATIENCE)
        self.agent_thread.report_if_alive()
        self.broker.stop()
        self.broker_thread.join(JOIN_PATIENCE)
        self.broker_thread.report_if_alive()


@contextmanager
def private_bus(
    base: Path, state: Path, run: int, host: str, arguments: WalkArguments
) -> Iterator[PrivateBus]:
    """Start a broker and an agent for one run; both have ended when the context is left.

    The workers' zygote is forked first, before there is a second thread or a ZeroMQ context.

    Args:
        base: the user's state folder.
        state: the run's own, in it.
        run: its number.
        host: this one's name.
        arguments: of the command.

    Raises:
        ZfsWalkError: what ended one of them.
    """
    with ExitStack() as stack:
        sending = SendingPlace(base / SENDING, "json" if arguments.json else "text")
        nursery = Nursery(ipc_folder(), str(state), sending)
        stack.callback(nursery.close)
        # Locks come after the fork: workers would hold them on after this process's death.
        lock(state)
        bus = Bus()
        stack.callback(bus.close)
        journal = SqliteJournal(state / "journal.db", first_run=run)
        # Whoever holds the state's lock knows that the process before it, and with it every agent
        # of its private bus, is dead.
        broker = BrokerLoop(bus.router(ENDPOINT), journal, Settings(), agents_are_dead=True)
        identity = Identity(
            WALKER, host, f"private-{os.getpid()}", secrets.token_hex(8), os.getpid(),
            __version__, arguments.workers,
        )  # fmt: skip
        agent = WalkerLoop(
            nursery, bus, (ENDPOINT,), AgentSettings(identity), arguments.dir_timeout
        )
        broker_thread = LoopThread("broker", broker.run)
        agent_thread = LoopThread("agent", agent.run)

        def check() -> None:
            private.check()

        client = Client(bus, (ENDPOINT,), host, __version__, timeout=60.0, check=check)
        private = PrivateBus(client, broker, agent, broker_thread, agent_thread)
        private.start()
        try:
            yield private
        finally:
            private.stop()
        private.check()
