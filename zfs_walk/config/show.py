"""The configuration that is in effect, as a file that can be loaded again."""

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import click
from click.core import ParameterSource

from zfs_walk.config.files import Setting
from zfs_walk.config.values import key_of


def as_yaml(context: click.Context, settings: Mapping[str, Setting]) -> str:
    """A line for every option, with a comment that says where its value comes from.

    No option takes a secret itself (those that need one take the name of a file), so nothing here
    is one. Options without a value are commented out.

    Args:
        context: of a command whose line has been parsed.
        settings: what its file set.
    """
    lines = [f"# {context.command_path}: each option, its value, and where that comes from."]
    for option in file_options(context.command):
        value = _plain(_value(context, option))
        key = _scalar(key_of(option))
        line = f"# {key}:" if value is None else f"{key}: {_scalar(value)}"
        lines.append(f"{line}  # {_origin(context, option, settings)}")
    return "\n".join(lines) + "\n"


def file_options(command: click.Command) -> Iterator[click.Option]:
    """The options that a file may set: those that are not about the command line itself."""
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.name and not parameter.is_eager:
            yield parameter


def variable_of(context: click.Context, option: click.Option) -> str:
    """The environment variable that sets an option; of several, the one that does."""
    if isinstance(option.envvar, str):
        return option.envvar
    if option.envvar:
        return next((name for name in option.envvar if os.environ.get(name)), option.envvar[0])
    return f"{context.auto_envvar_prefix}_{option.name}".upper()


def _value(context: click.Context, option: click.Option) -> Any:
    """The value in effect; flags that only a callback sees are found as click finds them."""
    name = option.name or ""
    if option.expose_value:
        return context.params[name]
    given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    raw, _ = option.consume_value(context, {name: option.flag_value} if given else {})
    return option.type_cast_value(context, raw)


def _origin(context: click.Context, option: click.Option, settings: Mapping[str, Setting]) -> str:
    name = option.name or ""
    match context.get_parameter_source(name):
        case ParameterSource.COMMANDLINE:
            return "command line"
        case ParameterSource.ENVIRONMENT:
            return f"environment variable {variable_of(context, option)}"
        case ParameterSource.DEFAULT_MAP:
            return settings[name].origin
        case _:
            return "default"


def _plain(value: Any) -> Any:
    """What a file would hold: an open file's name, a list for a tuple."""
    if isinstance(value, tuple):
        return list(value)
    if hasattr(value, "read"):
        return "-" if value.name == "<stdin>" else value.name
    return value


def _scalar(value: Any) -> str:
    """A value on one line; YAML reads JSON."""
    import yaml  # noqa: PLC0415 -- only who asks for it waits for it

    if isinstance(value, list):
        return f"[{', '.join(json.dumps(each) for each in value)}]"
    if isinstance(value, str) and not value.isprintable():
        return json.dumps(value)
    text: str = yaml.safe_dump(value, width=float("inf"), allow_unicode=True)
    return text.removesuffix("...\n").strip()
