"""How programs that stay log: to stderr as they are told, to a local file, and to the bus."""
# ruff: noqa: PLC0415 -- whoever asks for --help does not wait for ZeroMQ

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from zfs_walk.cli.command import Decorated, set_up_logging

if TYPE_CHECKING:
    from zfs_walk.bus.loghandler import LogHandler
    from zfs_walk.bus.sockets import Bus
    from zfs_walk.protocol.statistics import Origin

FOLDER: Final = "log"
"""The folder of log files below the state folder."""

SUFFIX: Final = ".jsonl"

MIB: Final = 2**20


def log_options(function: Decorated) -> Decorated:
    """How large the local log may grow."""
    for option in (
        click.option("--log-count", type=click.IntRange(1, 1000), default=5, show_default=True,
                     help="Log files that are kept, the current one included."),
        click.option("--log-size", type=click.IntRange(1, 100_000), default=16, show_default=True,
                     metavar="MIB", help="Size after which a log file is rotated."),
    ):  # fmt: skip
        function = option(function)
    return function


def begin_logging(verbose: int) -> None:
    """Log to stderr as other commands do, but let the file and the bus have more.

    They get what the loggers let through, ``info`` and above until ``zfs-ctl log level`` says
    otherwise; -v concerns stderr alone. Called before workers are forked, who inherit it.
    """
    from zfs_walk.bus.logrecord import ROOT

    set_up_logging(verbose)
    root = logging.getLogger()
    for handler in root.handlers:
        handler.setLevel(root.level)
    logging.getLogger(ROOT).setLevel(min(logging.INFO, root.level))


def log_path(folder: Path, role: str, name: str) -> Path:
    """Where a process logs: ``log/<name>.jsonl``, the role in front if the name has it not.

    No name of an agent has a ``+``, so that the walkers ``1`` and ``walker-1`` have their own ones.
    """
    full = name if name.startswith(role) else f"{role}+{name}"
    return folder / FOLDER / f"{full}{SUFFIX}"


def open_log(  # noqa: PLR0913, PLR0917 -- who logs where, and how much
    bus: "Bus", endpoint: str, origin: "Origin", folder: Path, size: int, count: int
) -> "LogHandler":
    """Write every record to the local log and publish it, from now on.

    Args:
        bus: the process's context.
        endpoint: of the relay; empty: to be learnt from the broker.
        origin: who publishes.
        folder: the state folder.
        size: MiB of a file.
        count: files that are kept.
    """
    from zfs_walk.bus.logfile import LogFile
    from zfs_walk.bus.loghandler import LogHandler
    from zfs_walk.bus.publisher import Publisher

    file = LogFile(log_path(folder, origin.role, origin.name), size * MIB, count)
    handler = LogHandler(Publisher(bus, endpoint, origin), file)
    logging.getLogger().addHandler(handler)
    return handler


def close_log(handler: "LogHandler") -> None:
    """Publish what waits, and log to stderr only."""
    logging.getLogger().removeHandler(handler)
    handler.close()
