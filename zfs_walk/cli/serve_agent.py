"""An agent's process, whatever its role: identity, bus, log, signals, service manager."""

import os
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any

from zfs_walk import __version__
from zfs_walk.agents.link import Identity
from zfs_walk.agents.loop import AgentLoop
from zfs_walk.agents.signals import HANDLED
from zfs_walk.bus.loghandler import LogHandler
from zfs_walk.bus.sockets import Bus
from zfs_walk.cli.agent_arguments import AgentArguments
from zfs_walk.cli.command import host_name
from zfs_walk.cli.connection import find_target
from zfs_walk.cli.logs import close_log, open_log
from zfs_walk.cli.notify import ServiceManager
from zfs_walk.cli.state import free_slot, state_base
from zfs_walk.errors import StateInUseError, WrongUseError
from zfs_walk.protocol.statistics import Origin
from zfs_walk.storage import lock


@dataclass(frozen=True, slots=True)
class Opened:
    """What an agent's loop is made of.

    Attributes:
        bus: the process's context.
        endpoints: of the broker, tried in turn; none: none was looked for yet.
        identity: who the agent is.
        handler: what numbers and publishes its log records.
    """

    bus: Bus
    endpoints: tuple[str, ...]
    identity: Identity
    handler: LogHandler


class AgentProcess:
    """Holds what ends with the process.

    Attributes:
        state: the folder of locks, logs and temporary files.
    """

    def __init__(self, arguments: AgentArguments, *, needs_broker: bool = True) -> None:
        """Find the broker and the state folder; nothing is opened that children must not have.

        Args:
            arguments: the options.
            needs_broker: False: which one there is, the agent asks for later, again and again.

        Raises:
            ZfsWalkError: there is no key, or the state folder can't be used.
        """
        self._arguments = arguments
        self._target = find_target(arguments.broker) if needs_broker else None
        self.state = state_base(arguments.state)
        self._manager = ServiceManager.of_this_process()

    @contextmanager
    def opened(self, capacity: int) -> Iterator[Opened]:
        """The agent's name is locked, its context and its log are open; after any fork only.

        Args:
            capacity: number of workers at the start.
        """
        arguments = self._arguments
        with ExitStack() as stack:
            stack.callback(self._manager.close)
            identity = Identity(
                arguments.role, host_name(arguments.host), self._locked_name(),
                secrets.token_hex(8), os.getpid(), __version__, capacity,
            )  # fmt: skip
            target = self._target
            bus = Bus(target.curve if target else None)
            stack.callback(bus.close)
            origin = Origin(
                identity.boot, identity.role, identity.host, identity.name, identity.pid, 0,
                __version__,
            )  # fmt: skip
            log = open_log(bus, "", origin, self.state, arguments.log_size, arguments.log_count)
            stack.callback(close_log, log)
            yield Opened(bus, target.endpoints if target else (), identity, log)

    def run(self, loop: AgentLoop[Any, Any]) -> None:
        """Run the agent until it has left.

        Raises:
            ZfsWalkError: as `AgentLoop.run`.
        """
        _handle_signals(loop, self._manager)
        wanted = self._target.named if self._target else ""
        loop.run(partial(_pulse, loop, self._manager, wanted))

    def _locked_name(self) -> str:
        """The agent's name, which no other agent with this state folder has as long as it lives."""
        name = self._arguments.name
        if name is None:
            return free_slot(self.state, self._arguments.role)[0]
        try:
            lock(self.state, f"{name}.lock")
        except StateInUseError as error:
            raise WrongUseError(
                reason=f"an agent named {name} is running already (pid {error.fields['pid']})"
            ) from error
        return name


def _pulse(loop: AgentLoop[Any, Any], manager: ServiceManager, wanted: str, now: float) -> float:
    """Tell the service manager how it goes; returns when it must be told again."""
    if loop.ready:
        manager.ready(loop.doing)
    else:
        manager.status(f"waiting for the broker at {wanted}")
    return manager.pulse(now)


def _handle_signals(loop: AgentLoop[Any, Any], manager: ServiceManager) -> None:
    """First: give everything back. Second: end at once; the zygote cleans up after us."""

    def first(number: int, _frame: FrameType | None) -> None:
        for each in HANDLED:
            signal.signal(each, second)
        manager.stopping()
        loop.drain(f"drained by {signal.Signals(number).name}")

    def second(number: int, _frame: FrameType | None) -> None:
        sys.stderr.flush()
        os._exit(128 + number)

    for number in HANDLED:
        signal.signal(number, first)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
