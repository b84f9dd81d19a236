"""YAML files that give a command's options their defaults."""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zfs_walk.errors import WrongUseError

if TYPE_CHECKING:
    import yaml


@dataclass(frozen=True, slots=True)
class Setting:
    """A value of a file.

    Attributes:
        value: as YAML has it.
        origin: the file and the line.
        key: as it is written there.
        node: YAML's own, for whoever reads deeper.
    """

    value: Any
    origin: str
    key: str
    node: "yaml.Node" = field(repr=False, compare=False)


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

    settings: dict[str, Setting] = {}
    try:
        root = yaml.compose(_read(path), Loader=yaml.SafeLoader)
        if root is None or root.value == "":
            return {}
        if not isinstance(root, yaml.MappingNode):
            raise WrongUseError(reason=f"{path}: a map is wanted, a line `key: value` an option")
        for key_node, value_node in root.value:
            key = str(key_node.value)
            name = key.replace("-", "_")
            origin = f"{path}, line {key_node.start_mark.line + 1}"
            if name not in known:
                keys = [option.replace("_", "-") for option in known]
                said = f"unknown key {key}{advice(name.replace('_', '-'), keys)}"
                raise WrongUseError(reason=f"{origin}: {said}")
            if name in settings:
                first = settings[name].origin.rpartition(", ")[2]
                raise WrongUseError(reason=f"{origin}: {key} is there twice, first in {first}")
            value = yaml.constructor.SafeConstructor().construct_document(value_node)
            settings[name] = Setting(value, origin, key, value_node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        reason = f"{path}, line {line}: it is not YAML: {error.problem}"
        raise WrongUseError(reason=reason) from error
    except yaml.reader.ReaderError as error:
        raise WrongUseError(reason=f"{path}: it is not YAML: {error.reason}") from error
    return settings


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise WrongUseError(reason=f"{path} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise WrongUseError(reason=f"{path}, line {line}: it is not UTF-8") from error


def advice(name: str, known: Collection[str]) -> str:
    """What to write instead of an unknown key, for the end of a message.

    Args:
        name: the key.
        known: those that there are, as they are to be shown.
    """
    import difflib  # noqa: PLC0415 -- only on the way out

    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f"; the nearest is {nearest[0]}" if nearest else ""
    return f"{hint}; accepted: {', '.join(sorted(known))}"
