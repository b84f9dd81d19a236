"""YAML files that give a command's options their defaults."""

import difflib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from zfs_walk.errors import WrongUseError


def load_defaults(path: str, known: Collection[str]) -> dict[str, Any]:
    """The options that a file sets; command line and environment go before them.

    Args:
        path: the file.
        known: names of the command's options, with underscores.

    Raises:
        WrongUseError: the file can't be read, is no YAML map, or has a key that is no option; the
            message names the file, the line and the nearest known key.
    """
    import yaml  # noqa: PLC0415 -- a walk without a file does not pay for it

    try:
        text = Path(path).read_text(encoding="utf-8")
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
    defaults: dict[str, Any] = {}
    for key_node, _ in node.value:
        key = str(key_node.value)
        name = key.replace("-", "_")
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {nearest[0].replace('_', '-')}?" if nearest else ""
            accepted = ", ".join(sorted(option.replace("_", "-") for option in known))
            line = key_node.start_mark.line + 1
            raise WrongUseError(
                reason=f"{path}, line {line}: unknown key {key}{hint} Accepted: {accepted}"
            )
        defaults[name] = values[key]
    return defaults
