"""What every command shares: exit codes, options, the way it ends."""

import functools
import io
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import click
from click.core import ParameterSource

from zfs_walk import __version__
from zfs_walk.cli import COMMANDS
from zfs_walk.config.values import Described
from zfs_walk.errors import InternalError, WrongUseError, ZfsWalkError
from zfs_walk.faults import VARIABLE as FAILPOINT

if TYPE_CHECKING:
    from zfs_walk.config.files import Setting

DEFAULT_BROKER: Final = "tcp://127.0.0.1:5570"
PREFIX: Final = "ZFS_WALK"
"""Every option can be set in the environment: ``ZFS_WALK_WORKERS`` is ``--workers``."""

ENVIRONMENT: Final = {"auto_envvar_prefix": PREFIX}
"""Context settings of a verb: without them its variables would have the verb in their names."""

INSECURE: Final = "zfs_walk.insecure"
"""Key of a click context's meta: no key is wanted."""

SECONDS: Final = click.FloatRange(0.0, 1e9, min_open=True)
"""The type of options that are times."""

RUN: Final = click.IntRange(1, 2**63 - 1)
"""The type of arguments and options that are numbers of runs."""

CLOSED_PIPE: Final = 141
"""What a shell reports of a program that SIGPIPE ended: whoever read our output has enough."""

INTERRUPTED: Final = 130

SETTINGS: Final = "zfs_walk.settings"
"""Where a command's context keeps what its file set."""

CONFIG: Final = "zfs_walk.config"
"""Where it keeps the file's name."""

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
    """Take a file's values as defaults, checked as those of the command line are."""
    if value:
        take_defaults(context, value)


def take_defaults(context: click.Context, file: str) -> None:
    """Take what a file sets as the defaults of the command's parameters.

    Raises:
        WrongUseError: as `read_settings`.
    """
    context.meta[CONFIG] = file
    settings = context.meta[SETTINGS] = read_settings(context, file)
    context.default_map = {name: setting.value for name, setting in settings.items()}


def read_settings(context: click.Context, file: str) -> dict[str, "Setting"]:
    """What a file sets, by the names of the command's parameters.

    Raises:
        WrongUseError: it can't be read, or something in it is not what an option takes.
    """
    from zfs_walk.config.files import load_settings  # noqa: PLC0415 -- only --config needs it
    from zfs_walk.config.show import file_options  # noqa: PLC0415
    from zfs_walk.config.values import is_accepted, key_of, refusal  # noqa: PLC0415

    options = {key_of(option).replace("-", "_"): option for option in file_options(context.command)}
    settings = {}
    for key, setting in load_settings(file, options).items():
        option = options[key]
        if not is_accepted(option, setting.value, context):
            where = f"{setting.origin}: {setting.key}"
            raise WrongUseError(reason=refusal(where, option, setting.value))
        settings[option.name or key] = setting
    return settings


def _wrong_variable(error: click.BadParameter) -> WrongUseError | None:
    """If a value from the environment is wrong, the error that names the variable."""
    option, context = error.param, error.ctx
    if not isinstance(option, click.Option) or context is None:
        return None
    if context.get_parameter_source(option.name or "") is not ParameterSource.ENVIRONMENT:
        return None
    from zfs_walk.config.show import variable_of  # noqa: PLC0415 -- on the way out
    from zfs_walk.config.values import refusal  # noqa: PLC0415

    name = variable_of(context, option)
    return WrongUseError(
        reason=refusal(f"the environment variable {name}", option, os.environ.get(name, ""))
    )


def version_option(function: Decorated) -> Decorated:
    """``--version``, for commands and for groups of verbs."""
    return click.option(
        "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version,
        help="Print the version and the scanner in use.",
    )(function)  # fmt: skip


def shared(function: Callable[..., int | None]) -> Callable[..., int | None]:
    """Options that are the same everywhere."""
    return shared_with(_read_config, function)


def shared_with(
    read: Callable[[click.Context, click.Parameter, str | None], None],
    function: Callable[..., int | None],
) -> Callable[..., int | None]:
    """The same, for a command whose ``--config`` is read in another way."""

    @functools.wraps(function)
    def run_or_show(*, print_config: bool, **given: Any) -> int | None:
        if not print_config:
            return function(**given)
        from zfs_walk.config.show import as_yaml  # noqa: PLC0415 -- only this option needs it

        context = click.get_current_context()
        click.echo(as_yaml(context, context.meta.get(SETTINGS, {})), nl=False)
        return 0

    decorated: Callable[..., int | None] = run_or_show
    for option in (
        click.option("-v", "--verbose", count=True, help="Say more on stderr; twice: everything."),
        click.option(
            "--print-config", is_flag=True, is_eager=True,
            help="Print each option's value and where it comes from, as a file for --config.",
        ),
        click.option(
            "--config", metavar="FILE", type=click.Path(readable=False), is_eager=True,
            expose_value=False, callback=read,
            help="YAML file with defaults: one key per option.",
        ),
        version_option,
    ):  # fmt: skip
        decorated = option(decorated)
    return decorated


class BrokerPlace(Described):
    """The type of ``--broker``; a list of a file is put together as the command line has it."""

    name = "broker"
    wanted = "endpoints, as a list or with commas between them, or a connection file"

    def is_typed(self, value: Any) -> bool:
        """Take a list of texts, too."""
        listed = isinstance(value, list) and all(isinstance(each, str) for each in value)
        return listed or super().is_typed(value)

    def convert(
        self, value: Any, _param: click.Parameter | None, _ctx: click.Context | None
    ) -> str:
        """Take what there is; `zfs_walk.cli.connection.find_target` tells what it means."""
        return ",".join(value) if isinstance(value, list) else str(value)


def broker_option(function: Decorated) -> Decorated:
    """``--broker`` and ``--insecure``, for `zfs_walk.cli.connection.find_target`."""
    return broker_option_from(None)(function)


def broker_option_from(variables: Sequence[str] | None) -> Callable[[Decorated], Decorated]:
    """The same, from these variables of the environment, the first one that is set."""
    option = click.option(
        "--broker", metavar="ENDPOINT[,...]|FILE", type=BrokerPlace(), callback=_text,
        envvar=variables,
        help="Where the broker listens, several endpoints are tried in turn; or a connection file;"
        " default: the stored connection (docs/security.md), such as that to"
        f" {DEFAULT_BROKER}.",
    )  # fmt: skip
    return lambda function: option(insecure_option(function))


def insecure_option(function: Decorated) -> Decorated:
    """``--insecure`` of whoever connects; `find_target` asks for it."""
    return click.option(
        "--insecure", is_flag=True, expose_value=False, callback=_note_insecure,
        help="Talk to a broker without keys. Not as root.",
    )(function)  # fmt: skip


def _text(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str:
    return value or ""


def _note_insecure(context: click.Context, _parameter: click.Parameter, value: object) -> None:
    if value:
        refuse_root()
        context.meta[INSECURE] = True


def refuse_root() -> None:
    """Whoever runs without keys obeys every user of the network.

    Raises:
        WrongUseError: this is root.
    """
    if os.geteuid() == 0:
        raise WrongUseError(reason="--insecure is refused as root")


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
    variable = f"_{name.replace('-', '_').upper()}_COMPLETE"
    if variable in os.environ:
        _end(_complete(command, name, variable))
    _escape_output()
    try:
        _check_environment(command)
        # Not `command.main`: that turns a closed pipe into exit code 1.
        with command.make_context(name, sys.argv[1:], auto_envvar_prefix=PREFIX) as context:
            code = command.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as done:
        code = done.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        _say(f"{name}: interrupted")
        code = INTERRUPTED
    except click.ClickException as error:
        wrong = _wrong_variable(error) if isinstance(error, click.BadParameter) else None
        if wrong is None:
            error.show()
        else:
            _say(f"{name}: {wrong}")
        code = WrongUseError.exit_code
    except ZfsWalkError as error:
        _say(f"{name}: {error}")
        code = error.exit_code
    except BrokenPipeError:
        code = CLOSED_PIPE
    except OSError as error:
        # Such as a full disk under our output; whatever else we touch has errors of its own.
        logging.getLogger("zfs_walk").debug("where it happened", exc_info=True)
        _say(f"{name}: {error}")
        code = ZfsWalkError.exit_code
    except Exception as error:  # noqa: BLE001 -- code 1 would mean a walk with unreadable entries
        import traceback  # noqa: PLC0415 -- on the way out

        traceback.print_exc()
        _say(f"{name}: {InternalError(reason=f'{type(error).__name__}: {error}')}")
        code = InternalError.exit_code
    _end(code if isinstance(code, int) else 0)


def _complete(command: click.Command, name: str, variable: str) -> int:
    """Print a shell's script for completion, or what a half-typed line may become."""
    from click.shell_completion import shell_complete  # noqa: PLC0415 -- only a shell asks for it

    return shell_complete(command, {}, name, variable, os.environ[variable])


def _escape_output() -> None:
    """What the encoding of a terminal or pipe can't show is escaped, and no bug."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _say(text: str) -> None:
    click.echo(text, err=True)


def _end(code: int) -> NoReturn:
    """Leave; what can't be written any more is no news to whoever closed the pipe."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # Else Python would try again at its exit, and complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            code = code or CLOSED_PIPE
    # Everything was closed by who had it. To take the interpreter apart as well takes up to 0.3 s.
    os._exit(code)


def _check_environment(command: click.Command) -> None:
    """Refuse variables that look like ours and are no option of any command."""
    own = {*_options(command), FAILPOINT.removeprefix(f"{PREFIX}_").lower()}
    ours = {name for name in os.environ if name.startswith(f"{PREFIX}_")}
    if all(name.removeprefix(f"{PREFIX}_").lower() in own for name in ours):
        return
    import importlib  # noqa: PLC0415 -- a command alone knows its own options

    from zfs_walk.config.environment import check_variables  # noqa: PLC0415

    for name in COMMANDS:
        own.update(_options(importlib.import_module(f"zfs_walk.cli.{name}").main))
    check_variables(ours, own)


def _options(command: click.Command) -> Iterator[str]:
    """The names of a command's options, and of its verbs'."""
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.name:
            yield parameter.name
    if isinstance(command, click.Group):
        for verb in command.commands.values():
            yield from _options(verb)
