"""YAML files that give a command's options their defaults."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zfs_walk.errors import WrongUseError


@dataclass(frozen=True, slots=True)
class Setting:
    """A value of a file.

    Attributes:
        value: as YAML has it.
        where: the file, the line and the key, for messages.
    """

    value: Any
    where: str


def load_settings(path: str, known: Collection[str]) -> dict[str, Setting]:
    """The options that a file sets; command line and environment go before them.

    Args:
        path: the file.
        known: names of the command's options, with underscores.

    Raises:
        WrongUseError: the file can't be read, is no YAML map, or has a key that is no option or is
            there twice; the message names the file, the line and the nearest known key.
    """
    import yaml  # noqa: PLC0415 -- a walk without a file does not pay for it

    try:
        with Path(path).open(encoding="utf-8") as file:
            text = file.read()
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUseError(reason=f"{path} can't be read: {error}") from error
    except yaml.YAMLError as error:
        raise WrongUseError(reason=f"{path} is not YAML: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict) or not isinstance(node, yaml.MappingNode):
        raise WrongUseError(reason=f"{path}: a map of options is wanted")
    settings: dict[str, Setting] = {}
    for key, (key_node, _) in zip(values, node.value, strict=False):
        name = str(key).replace("-", "_")
        where = f"{path}, line {key_node.start_mark.line + 1}"
        if name not in known:
            raise WrongUseError(reason=f"{where}: unknown key {key}{_advice(name, known)}")
        settings[name] = Setting(values[key], f"{where}: {key}")
    if len(settings) != len(node.value):
        raise WrongUseError(reason=f"{path}: a key is there twice")
    return settings


def _advice(name: str, known: Collection[str]) -> str:
    import difflib  # noqa: PLC0415 -- only on the way out

    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f"; the nearest is {nearest[0].replace('_', '-')}" if nearest else ""
    accepted = ", ".join(sorted(option.replace("_", "-") for option in known))
    return f"{hint}; accepted: {accepted}"
