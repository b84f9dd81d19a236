"""A broker and an agent for one run, inside this process: the same classes over inproc sockets."""

import contextlib
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from zfs_walk import __version__
from zfs_walk.agents.core import AgentSettings
from zfs_walk.agents.link import Identity
from zfs_walk.agents.loop import AgentLoop
from zfs_walk.agents.pool import Nursery
from zfs_walk.broker.loop import BrokerLoop
from zfs_walk.broker.sqlite import SqliteJournal
from zfs_walk.broker.state import Settings
from zfs_walk.bus.client import Client
from zfs_walk.bus.sockets import Bus
from zfs_walk.cli.state import ipc_folder, lock, private_folder
from zfs_walk.errors import StateError
from zfs_walk.protocol.messages import WALKER

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
        self.over = False

    def run(self) -> None:
        """Run the loop to its end."""
        try:
            self._run_loop()
        except BaseException as error:  # noqa: BLE001 -- raised again where it is awaited
            self.error = error
        self.over = True

    def check(self) -> None:
        """Raise what ended the loop, if something did."""
        if self.error is not None:
            raise self.error


@dataclass(slots=True)
class PrivateBus:
    """What a private run talks to, and where its state is."""

    client: Client
    state: Path
    broker: BrokerLoop


def state_of(base: Path, run: int) -> Path:
    """Where a private run keeps its journal."""
    return base / "runs" / str(run)


def new_state(base: Path, first: int) -> tuple[int, Path]:
    """A fresh folder for a private run, and the number that the run will have."""
    private_folder(base / "runs")
    number = first
    while True:
        try:
            state_of(base, number).mkdir(mode=0o700)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise StateError(path=base, reason=error.strerror) from error
        else:
            return number, state_of(base, number)


@contextmanager
def private_bus(
    state: Path, run: int, workers: int, host: str, dir_timeout: float
) -> Iterator[PrivateBus]:
    """Start a broker and an agent for one run; both have ended when the context is left.

    The workers' zygote is forked first, before there is a second thread or a ZeroMQ context.
    """
    nursery = Nursery(workers, ipc_folder(), str(state))
    lock(state)
    bus = Bus()
    threads: list[LoopThread] = []
    with contextlib.ExitStack() as stack:
        stack.callback(bus.close)
        journal = SqliteJournal(state / "journal.db", first_run=run)
        router = bus.router(ENDPOINT)
        # Whoever holds the state's lock knows that the process before it, and with it every agent
        # of its private bus, is dead.
        broker = BrokerLoop(router, journal, Settings(), agents_are_dead=True)
        identity = Identity(
            WALKER, host, f"private-{os.getpid()}", secrets.token_hex(8), os.getpid(),
            __version__, workers,
        )  # fmt: skip
        agent = AgentLoop(nursery, bus, ENDPOINT, AgentSettings(identity), dir_timeout)
        broker_thread = LoopThread("broker", broker.run)
        agent_thread = LoopThread("agent", agent.run)
        threads += [broker_thread, agent_thread]

        def check() -> None:
            for thread in threads:
                thread.check()

        client = Client(bus, ENDPOINT, host, __version__, timeout=60.0, check=check)
        for thread in threads:
            thread.start()
        try:
            yield PrivateBus(client, state, broker)
        finally:
            client.close()
            if agent_thread.is_alive():
                agent.drain("the run is over")
                _join(agent_thread, broker_thread)
            if broker_thread.is_alive():
                broker.stop()
                broker_thread.join(JOIN_PATIENCE)
        check()


def _join(agent: LoopThread, broker: LoopThread) -> None:
    """Wait for the agent; without a broker it can't say BYE, and need not."""
    waited = 0.0
    while agent.is_alive() and waited < JOIN_PATIENCE and not broker.over:
        agent.join(0.05)
        waited += 0.05


def remove_state(state: Path) -> None:
    """A finished run needs its journal no more."""
    shutil.rmtree(state, ignore_errors=True)
