"""What every command shares: exit codes, options, the way it ends."""

import logging
import os
import socket
import sys
from collections.abc import Callable
from typing import Any, Final, NoReturn, TypeVar

import click

from zfs_walk import __version__
from zfs_walk.config.files import load_defaults
from zfs_walk.errors import WrongUseError, ZfsWalkError

DEFAULT_BROKER: Final = "tcp://127.0.0.1:5570"
PREFIX: Final = "ZFS_WALK"
"""Every option can be set in the environment: ``ZFS_WALK_WORKERS`` is ``--workers``."""

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def version_text() -> str:
    """What ``--version`` prints."""
    from zfs_walk.scan.pure import PureScanner  # noqa: PLC0415 -- only this option needs it

    return f"zfs_walk {__version__}, scanner: {PureScanner.name} (Python {sys.version.split()[0]})"


def _print_version(context: click.Context, _parameter: click.Parameter, value: object) -> None:
    if value and not context.resilient_parsing:
        click.echo(version_text())
        context.exit()


def _read_config(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value:
        known = {
            parameter.name: parameter
            for parameter in context.command.params
            if isinstance(parameter, click.Option) and parameter.name
        }
        context.default_map = load_defaults(value, known)


def shared(function: Decorated) -> Decorated:
    """Options that are the same everywhere."""
    for option in (
        click.option("-v", "--verbose", count=True, help="Say more on stderr; twice: everything."),
        click.option(
            "--config", metavar="FILE", is_eager=True, expose_value=False, callback=_read_config,
            help="YAML file with defaults: one key per option.",
        ),
        click.option(
            "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version,
            help="Print the version and the scanner in use.",
        ),
    ):  # fmt: skip
        function = option(function)
    return function


def broker_option(function: Decorated) -> Decorated:
    """``--broker``, with the default that `zfs-broker` binds."""
    return click.option(
        "--broker", metavar="ENDPOINT", default=DEFAULT_BROKER, show_default=True,
        help="Where the broker listens.",
    )(function)  # fmt: skip


def host_name(given: str | None) -> str:
    """This host's name, or the one that was given."""
    return given or socket.gethostname()


def set_up_logging(verbose: int) -> None:
    """Log to stderr: warnings, with -v what happens, with -vv everything."""
    level = {0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG)
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )


def run_command(command: click.Command, name: str) -> NoReturn:
    """Run a command as a process: errors become one line on stderr and an exit code."""
    try:
        code = command.main(prog_name=name, standalone_mode=False, auto_envvar_prefix=PREFIX)
        _end(code if isinstance(code, int) else 0)
    except click.exceptions.Abort:
        _fail(name, "interrupted", 130)
    except click.ClickException as error:
        error.show()
        _end(WrongUseError.exit_code)
    except ZfsWalkError as error:
        _fail(name, str(error), error.exit_code)
    except BrokenPipeError:
        # Whoever read our output has enough; Python would complain about it at exit once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _end(141)


def _fail(name: str, text: str, code: int) -> NoReturn:
    click.echo(f"{name}: {text}", err=True)
    _end(code)


def _end(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)
