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
    accepted = {PREFIX + option.upper() for option in known}
    for name in sorted(names):
        if name.startswith(PREFIX) and name not in accepted:
            nearest = difflib.get_close_matches(name, accepted, n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            raise WrongUseError(reason=f"the environment variable {name} is no option{hint}")
