"""Writes a file whole or not at all, and keeps the one that it takes the place of."""

import contextlib
import os
from itertools import chain, count
from pathlib import Path

from zfs_walk.config.private import write_private_text


def free_backup(file: Path) -> Path:
    """Where a file is kept when another one takes its place: a name that nothing has."""
    endings = chain([""], map(str, count(2)))
    paths = (file.with_name(f"{file.name}.bak{ending}") for ending in endings)
    return next(path for path in paths if not os.path.lexists(path))


def save(file: Path, text: str, *, replace: bool) -> Path | None:
    """Write a file for this user's eyes only; at no moment is there none, or half of one.

    Args:
        file: its path.
        text: what it holds.
        replace: if there is one already; that is kept.

    Returns:
        Where the one is now that was there before.

    Raises:
        FileExistsError: it is there, and is not to be replaced.
        OSError: it can't be written.
    """
    kept = _keep(file) if replace else None
    try:
        write_private_text(file, text, replace=replace)
    except BaseException:
        if kept is not None:
            kept.unlink()
        raise
    return kept


def _keep(file: Path) -> Path | None:
    """Give a file a second name; None: it has gone meanwhile."""
    path = free_backup(file)
    with contextlib.suppress(FileNotFoundError):
        os.link(file, path)
        return path
    return None
