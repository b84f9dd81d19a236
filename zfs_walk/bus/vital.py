"""Threads without which a process would look alive and do half of its work."""

import logging
import os
from collections.abc import Callable

from zfs_walk.errors import InternalError

LOG = logging.getLogger("zfs_walk.bus")


def run_vital(what: str, target: Callable[[], None]) -> None:
    """Run what must not end by an exception: the process ends with it, loudly."""
    try:
        target()
    except BaseException:
        LOG.exception("this is a bug in zfs_walk, please report it: %s has failed", what)
        os._exit(InternalError.exit_code)
