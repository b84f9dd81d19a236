"""Environment variables that look like ours and are not: a typing error must not be silent."""

import difflib
from collections.abc import Collection, Iterable

from zfs_walk.errors import WrongUseError

PREFIX = "ZFS_WALK_"


def check_variables(names: Iterable[str], known: Collection[str]) -> None:
    """Refuse variables with our prefix that stand for no option.

    Args:
        names: of the environment's variables.
        known: names of options, with underscores, of all commands.

    Raises:
        WrongUseError: one is unknown; the message names the nearest known one.
    """
    for name in sorted(names):
        option = name.removeprefix(PREFIX).lower()
        if name.startswith(PREFIX) and option not in known:
            nearest = difflib.get_close_matches(option, known, n=1)
            hint = f"; the nearest is {PREFIX}{nearest[0].upper()}" if nearest else ""
            raise WrongUseError(reason=f"the environment variable {name} is no option{hint}")
