"""A mapping in the terms of a mirror's parts, and what of it is wrong."""

import os
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from zfs_walk.errors import WrongUseError
from zfs_walk.mirror.handling import HandlerOptions
from zfs_walk.mirror.mapper import PARTIAL
from zfs_walk.mirror.mapping import Mapping
from zfs_walk.mirror.pace import WINDOW_FORM, Window, parse_window
from zfs_walk.watch.watch import WatchOptions


def keep_apart(mapping: Mapping, folder: bytes, state: Path) -> None:
    """See that a mirror does not mirror itself.

    Args:
        mapping: what is mirrored.
        folder: of it, without links.
        state: the mirror's own folder.

    Raises:
        WrongUseError: the state lies in the folder, or one side in the other.
    """
    if _is_in(os.path.realpath(os.fsencode(state)), folder):
        shown = os.fsdecode(folder)
        reason = f"{mapping.name}: the state {state} lies in the mirrored folder {shown}"
        raise WrongUseError(reason=reason)
    keep_sides_apart(mapping, folder)


def keep_sides_apart(mapping: Mapping, folder: bytes) -> None:
    """See that neither side lies in the other.

    Args:
        mapping: what is mirrored.
        folder: of it, without links.

    Raises:
        WrongUseError: one does.
    """
    url = urlsplit(mapping.url)
    if url.scheme == "file":
        other = os.path.realpath(unquote_to_bytes(url.path))
        if _is_in(other, folder) or _is_in(folder, other):
            shown = f"{os.fsdecode(folder)} and {os.fsdecode(other)}"
            reason = f"{mapping.name}: {shown} lie in each other"
            raise WrongUseError(reason=reason)


def _is_in(path: bytes, folder: bytes) -> bool:
    return (path + b"/").startswith(folder.rstrip(b"/") + b"/")


def watch_options(mapping: Mapping) -> WatchOptions:
    """How a mapping's folder is watched.

    Raises:
        WrongUseError: a pattern is none.
    """
    options = WatchOptions(
        recursive=True,
        hidden=True,
        includes=mapping.includes,
        excludes=(*mapping.excludes, PARTIAL),
        poll=mapping.poll,
        settle=mapping.settle,
        monitor=mapping.monitor,
        modes=True,
    )
    try:
        options.rules()
    except ValueError as error:
        raise WrongUseError(reason=f"{mapping.name}: {error}") from error
    return options


def windows(mapping: Mapping) -> list[Window]:
    """When a mapping's files are sent.

    Raises:
        WrongUseError: a window is none.
    """
    found: list[Window] = []
    for text in mapping.windows:
        try:
            found += parse_window(text)
        except ValueError as error:
            reason = f"{mapping.name}: {text!r} is no window: it has the form {WINDOW_FORM}"
            raise WrongUseError(reason=reason) from error
    return found


def handler_options(mapping: Mapping) -> HandlerOptions:
    """How a mapping's files are sent."""
    return HandlerOptions(
        complete_sync=mapping.complete_sync,
        symlinks=mapping.symlinks,
        transfers=mapping.transfers,
        order=mapping.order,
        tries=mapping.tries,
        deletion_delay=mapping.deletion_delay,
    )
