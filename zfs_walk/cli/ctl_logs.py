"""``zfs-ctl log``: the logs of a bus."""
# ruff: noqa: PLC0415 -- whoever asks for --help does not wait for ZeroMQ

import json
from typing import TYPE_CHECKING

import click

from zfs_walk.cli.asking import EXIT_CODES, ask, at_a_bus
from zfs_walk.cli.command import ENVIRONMENT, set_up_logging, shared
from zfs_walk.cli.tail import LEVELS, tail

if TYPE_CHECKING:
    from zfs_walk.protocol.messages import Done


@click.group("log")
def log_group() -> None:
    """Logs: tail, level, path."""


log_group.add_command(tail)


@log_group.command(
    "level",
    epilog="Examples:\n\n\b\n  zfs-ctl log level debug --role walker\n  zfs-ctl log level info"
    + EXIT_CODES,
    context_settings=ENVIRONMENT,
)
@click.argument("level", type=click.Choice(LEVELS))
@click.option("--role", default="", help="Of processes in this role only; `broker` is one.")
@click.option("--host", default="", help="Of processes on this host only.")
@click.option("--logger", default="", metavar="NAME", help="Of this logger and those below it.")
@at_a_bus
def log_level(  # noqa: PLR0913, PLR0917 -- one argument an option
    level: str,
    role: str,
    host: str,
    logger: str,
    broker: str,
    timeout: float,
    verbose: int,
    *,
    json_: bool,
) -> None:
    """Set from which level on running processes log, workers included, at once.

    Processes that start later begin with `info`.
    """
    from zfs_walk.protocol.messages import LogLevel

    set_up_logging(verbose)
    reply: Done = ask(
        broker, timeout, lambda name, until: LogLevel(name, until, level, role, host, logger)
    )
    if json_:
        click.echo(json.dumps({"schema": 1, "level": level, "detail": reply.detail}))
    else:
        click.echo(f"{level}: {reply.detail}")


@log_group.command(
    "path", epilog="Example: zfs-ctl log path" + EXIT_CODES, context_settings=ENVIRONMENT
)
@click.option("--state", metavar="DIR", help="The state folder of the program in question.")
@click.option("--json", "json_", is_flag=True, help="JSON instead of text.")
@shared
def log_path(state: str | None, verbose: int, *, json_: bool) -> None:
    """Print the local log files of this host's programs, the older ones too."""
    from zfs_walk.cli.logs import FOLDER, SUFFIX
    from zfs_walk.cli.state import state_base

    set_up_logging(verbose)
    paths = sorted((state_base(state) / FOLDER).glob(f"*{SUFFIX}*"))
    if json_:
        click.echo(json.dumps({"schema": 1, "paths": [str(path) for path in paths]}))
        return
    for path in paths:
        click.echo(path)
