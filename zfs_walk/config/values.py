"""Which values an option takes, in words; and that a file's value is one of them."""

import json
from typing import Any

import click


class Described(click.ParamType):  # type: ignore[type-arg]  # generic in new releases of click
    """A type of option with a form of its own.

    Attributes:
        wanted: the form in words, for messages.
    """

    wanted: str

    def is_typed(self, value: Any) -> bool:
        """Whether a value of a file is what `convert` can be asked about."""
        return isinstance(value, str)


def key_of(option: click.Option) -> str:
    """The option's key in files: its long name without the dashes in front."""
    return (option.name or "").rstrip("_").replace("_", "-")


def accepted(option: click.Option) -> str:
    """What the option takes."""
    one = _accepted(option)
    return f"a list, each {one}" if option.multiple else one


def _accepted(option: click.Option) -> str:
    kind = option.type
    if option.is_flag:
        return "true or false"
    if isinstance(kind, Described):
        return kind.wanted
    if isinstance(kind, click.Choice):
        return " or ".join(map(str, kind.choices))
    if isinstance(kind, click.types.IntParamType):
        return f"a whole number{_range(kind)}"
    if isinstance(kind, click.types.FloatParamType):
        return f"a number{_range(kind)}"
    return "text"


def _range(kind: object) -> str:
    least, most = getattr(kind, "min", None), getattr(kind, "max", None)
    words = []
    if least is not None:
        word = "greater than" if getattr(kind, "min_open", False) else "at least"
        words.append(f" {word} {least:.12g}")
    if most is not None:
        words.append(f" at most {most:.12g}")
    return ",".join(words)


def is_accepted(option: click.Option, value: Any, context: click.Context) -> bool:
    """Whether a file's value is what the option takes; click alone would take true for 1."""
    if option.multiple:
        if not isinstance(value, list) or not all(_is_typed(option, each) for each in value):
            return False
    elif not _is_typed(option, value):
        return False
    try:
        option.type_cast_value(context, value)
    except click.BadParameter:
        return False
    return True


def _is_typed(option: click.Option, value: Any) -> bool:
    if option.is_flag:
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    if isinstance(option.type, click.types.IntParamType):
        return isinstance(value, int)
    if isinstance(option.type, click.types.FloatParamType):
        return isinstance(value, int | float)
    if isinstance(option.type, Described):
        return option.type.is_typed(value)
    return isinstance(value, str)


def refusal(where: str, option: click.Option, value: Any) -> str:
    """The message about a value that the option does not take."""
    plain = value is None or isinstance(value, str | bool | int | float)
    shown = json.dumps(value, ensure_ascii=False) if plain else repr(value)
    return f"{where}: {shown:.100} is not accepted; accepted: {accepted(option)}"
