"""Which monitor watches a folder: the best one that the system allows, or the one that is named."""

import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from zfs_walk.errors import MonitorError
from zfs_walk.watch.monitor import Monitor
from zfs_walk.watch.quiet import QuietMonitor

AUTO: Final = "auto"


def _fanotify(folder: bytes, *, recursive: bool) -> Monitor:
    from zfs_walk.watch.fanotify import FanotifyMonitor  # noqa: PLC0415 -- ctypes

    return FanotifyMonitor(folder, recursive=recursive)


def _watchdog(folder: bytes, *, recursive: bool) -> Monitor:  # noqa: ARG001 -- add() tells it
    try:
        from zfs_walk.watch.inotify import InotifyMonitor  # noqa: PLC0415 -- heavy
    except (ImportError, AttributeError) as error:
        reason = f"it takes Linux and watchdog 7.1 or newer ({error})"
        name = os.fsdecode(folder)
        raise MonitorError(folder=name, monitor="watchdog", reason=reason) from error
    return InotifyMonitor(folder)


def _poll(folder: bytes, *, recursive: bool) -> Monitor:  # noqa: ARG001 -- it watches nothing
    return QuietMonitor()


MONITORS: Final[Mapping[str, Callable[..., Monitor]]] = MappingProxyType(
    {"fanotify": _fanotify, "watchdog": _watchdog, "poll": _poll}
)
"""By name, the best first."""


def open_monitor(wanted: str, folder: bytes, *, recursive: bool) -> tuple[Monitor, str]:
    """Begin to watch a folder.

    Args:
        wanted: a name of `MONITORS`, or `AUTO`.
        folder: absolute path.
        recursive: what is below its directories is wanted too.

    Returns:
        The monitor, and for the log why a better one was not taken (empty: it is the best, or the
        wanted one).

    Raises:
        MonitorError: the named one can't be had.
    """
    if wanted != AUTO:
        return MONITORS[wanted](folder, recursive=recursive), ""
    reasons: list[str] = []
    for begin in (_fanotify, _watchdog):
        try:
            return begin(folder, recursive=recursive), "; ".join(reasons)
        except MonitorError as error:
            reasons.append(f"no {error.fields['monitor']}: {error.fields['reason']}")
    return _poll(folder, recursive=recursive), "; ".join(reasons)
