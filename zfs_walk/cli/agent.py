"""``zfs-agent``: what runs on a host."""

import os
import re
import secrets
import signal
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from zfs_walk import __version__
from zfs_walk.cli.command import (
    SECONDS,
    broker_option,
    host_name,
    run_command,
    shared,
)
from zfs_walk.cli.logs import begin_logging, close_log, log_options, open_log
from zfs_walk.cli.notify import ServiceManager
from zfs_walk.config.values import Described
from zfs_walk.errors import StateInUseError, WrongUseError

if TYPE_CHECKING:
    from zfs_walk.agents.walker.loop import AgentLoop

FOREVER = 10.0 * 366 * 86_400

WALKER = "walker"
"""The role's name in `zfs_walk.protocol.messages`, which --help need not wait for."""


class AgentName(Described):
    """The type of ``--name``."""

    name = "name"
    wanted = "up to 100 letters, digits, '.', '_' and '-', a letter or digit first"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check a name."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", value):
            self.fail(f"{value!r}: {self.wanted} are wanted", param, ctx)
        return value


@click.command(
    epilog="""Examples:

\b
  zfs-agent --role walker
  zfs-agent --role walker --broker tcp://127.0.0.1:5570 --workers 8 --wait

The first SIGTERM or Ctrl-C gives all work back and ends; a second one ends at once (the broker
grants the work anew).

Exit codes: 0 drained, 2 wrong use or refused, 4 no broker, 5 another protocol version, 13 workers
can't live, 14 no usable key."""
)
@click.option("--role", type=click.Choice([WALKER]), required=True, help="What this agent does.")
@broker_option
@click.option(
    "--workers", type=click.IntRange(1, 1024), default=os.cpu_count() or 1,
    help="Worker processes; default: one per core.",
)  # fmt: skip
@click.option(
    "--allow", multiple=True, metavar="DIR", default=("/",), show_default=True,
    help="Walk, and write catalogs, only below this folder; may be given several times.",
)  # fmt: skip
@click.option("--name", type=AgentName(), metavar="NAME",
              help="Unique on this host; default: the role and a free number.")  # fmt: skip
@click.option("--host", metavar="NAME", help="This host's name, if not the system's.")
@click.option("--state", metavar="DIR", type=click.Path(),
              help="Folder for locks and temporary files.")  # fmt: skip
@click.option("--wait", is_flag=True, help="Wait for a broker that is not there, for ever.")
@click.option("--timeout", type=SECONDS, default=10.0, show_default=True,
              help="Seconds to wait for a broker.")  # fmt: skip
@click.option("--dir-timeout", type=SECONDS, default=300.0, show_default=True,
              help="Seconds that one directory may take.")  # fmt: skip
@log_options
@shared
def main(  # noqa: PLR0913, PLR0917 -- one argument an option
    role: str,
    broker: str,
    workers: int,
    allow: tuple[str, ...],
    name: str | None,
    host: str | None,
    state: str | None,
    timeout: float,
    dir_timeout: float,
    log_size: int,
    log_count: int,
    verbose: int,
    *,
    wait: bool,
) -> None:
    """Serve a bus as one of its agents, until SIGTERM."""
    # Whoever asks for --help does not wait for ZeroMQ.
    from zfs_walk.agents.link import Identity  # noqa: PLC0415
    from zfs_walk.agents.walker.core import AgentSettings  # noqa: PLC0415
    from zfs_walk.agents.walker.loop import AgentLoop  # noqa: PLC0415
    from zfs_walk.agents.walker.pool import Nursery  # noqa: PLC0415
    from zfs_walk.bus.sockets import Bus  # noqa: PLC0415
    from zfs_walk.cli.connection import find_target  # noqa: PLC0415
    from zfs_walk.cli.state import ipc_folder, state_base  # noqa: PLC0415
    from zfs_walk.protocol.statistics import Origin  # noqa: PLC0415

    begin_logging(verbose)
    target = find_target(broker)
    folder = state_base(state)
    manager = ServiceManager.of_this_process()
    with ExitStack() as stack:
        stack.callback(manager.close)
        nursery = Nursery(ipc_folder(), str(folder), _real_folders(allow))
        stack.callback(nursery.close)
        # Locks come after the fork: workers would hold them on after this process's death.
        identity = Identity(
            role, host_name(host), _locked_name(folder, role, name), secrets.token_hex(8),
            os.getpid(), __version__, workers,
        )  # fmt: skip
        settings = AgentSettings(identity, patience=FOREVER if wait else timeout)
        bus = Bus(target.curve)
        stack.callback(bus.close)
        origin = Origin(
            identity.boot, role, identity.host, identity.name, identity.pid, 0, __version__
        )
        log = open_log(bus, "", origin, folder, log_size, log_count)
        stack.callback(close_log, log)
        loop = AgentLoop(nursery, bus, target.endpoint, settings, dir_timeout, log)
        _handle_signals(loop, manager)
        loop.run(partial(_pulse, loop, manager, target.endpoint))


def _real_folders(allow: tuple[str, ...]) -> tuple[bytes, ...]:
    """Where the allowed folders really are; nothing if everything is allowed."""
    missing = [folder for folder in allow if not Path(folder).is_dir()]
    if missing:
        raise WrongUseError(reason=f"--allow {missing[0]}: there is no such folder")
    real = tuple(os.fsencode(Path(folder).resolve()) for folder in allow)
    return () if b"/" in real else real


def _locked_name(folder: Path, role: str, name: str | None) -> str:
    """The agent's name, which no other agent with this state folder has as long as it lives."""
    from zfs_walk.cli.state import free_slot, lock  # noqa: PLC0415

    if name is None:
        return free_slot(folder, role)[0]
    try:
        lock(folder, f"{name}.lock")
    except StateInUseError as error:
        raise WrongUseError(
            reason=f"an agent named {name} is running already (pid {error.fields['pid']})"
        ) from error
    return name


def _pulse(loop: "AgentLoop", manager: ServiceManager, broker: str, now: float) -> float:
    """Tell the service manager how it goes; returns when it must be told again."""
    if loop.live:
        manager.ready(f"serving {broker}")
    else:
        manager.status(f"waiting for the broker at {broker}")
    return manager.pulse(now)


def _handle_signals(loop: "AgentLoop", manager: ServiceManager) -> None:
    """First: give everything back. Second: end at once; the zygote cleans up after us."""
    from zfs_walk.agents.signals import HANDLED  # noqa: PLC0415

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


def run() -> None:
    """Console entry point."""
    run_command(main, "zfs-agent")


if __name__ == "__main__":
    run()
