"""Where things live on a host: state folders, slots in them, and folders for ipc sockets."""

import os
import stat
import tempfile
from pathlib import Path

from zfs_walk.errors import StateError, StateInUseError
from zfs_walk.scan.roots import identify, is_network
from zfs_walk.storage import lock

LONGEST_IPC = 90
"""Bytes of an ipc folder's path: the system takes 107 with the socket's name."""

SENDING = "sending"
"""The folder in a state folder with notes of what walks send."""

FALLBACK = "/var/tmp/zfs_walk"  # noqa: S108 -- made with mode 0700, and its owner is checked
"""Where state goes without a state folder of the user's; survives a reboot."""


def state_base(given: str | None) -> Path:
    """The first local folder of ``--state``, $XDG_STATE_HOME, /var/tmp/zfs_walk-UID.

    Home directories are on NFS at most sites, and SQLite's locks do not work there.

    Raises:
        StateError: the folder is another user's, not local, or can't be made.
    """
    if given:
        return private_folder(Path(given).resolve(), must_be_local=True)
    home = os.environ.get("XDG_STATE_HOME")
    if home:
        folder = Path(home).absolute() / "zfs_walk"
        try:
            return private_folder(folder, must_be_local=True)
        except StateError:
            pass
    return private_folder(Path(f"{FALLBACK}-{os.getuid()}"), must_be_local=True)


def private_folder(folder: Path, *, must_be_local: bool = False) -> Path:
    """Make a folder that only this user can enter, or check that it is one.

    Raises:
        StateError: it is not, and can't be made so.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode):
            raise StateError(path=folder, reason="it is not a directory")
        if found.st_uid != os.geteuid():
            raise StateError(path=folder, reason=f"it belongs to uid {found.st_uid}")
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise StateError(path=folder, reason="others may write to it")
        if must_be_local:
            fstype = identify(os.fsencode(folder)).fstype
            if is_network(fstype):
                reason = f"it is on {fstype}, where SQLite's locks do not work; take a local one"
                raise StateError(path=folder, reason=reason)
    except OSError as error:
        raise StateError(path=folder, reason=error.strerror) from error
    return folder


def free_slot(folder: Path, role: str) -> tuple[str, int]:
    """The lowest name ``<role>-<n>`` that no agent on this host has, and its lock."""
    number = 1
    while True:
        try:
            return f"{role}-{number}", lock(folder, f"{role}-{number}.lock")
        except StateInUseError:
            number += 1


def ipc_folder() -> str:
    """A fresh folder of this user's for ipc sockets, short enough for the system.

    Raises:
        StateError: there is no room for it.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    usable = runtime and len(os.fsencode(runtime)) < LONGEST_IPC and os.access(runtime, os.W_OK)
    parent = runtime if usable else "/tmp"  # noqa: S108 -- mkdtemp makes it 0700
    try:
        return tempfile.mkdtemp(prefix="zw-", dir=parent)
    except OSError as error:
        raise StateError(path=parent, reason=error.strerror) from error
