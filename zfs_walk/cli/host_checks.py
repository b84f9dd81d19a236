"""What `zfs-ctl doctor` looks at on this host: programs, limits, folders, keys."""

import importlib.util
import os
import platform
import resource
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Final

from zfs_walk import __version__
from zfs_walk.bus.versions import versions
from zfs_walk.cli.findings import Finding, bad, ok, warn
from zfs_walk.cli.keyfile import KEYS, SCHEMA, SERVER
from zfs_walk.cli.state import state_base
from zfs_walk.cli.summary import human
from zfs_walk.config.connection import OWN, SYSTEM, read_connection, user_folder
from zfs_walk.config.private import read_private
from zfs_walk.errors import KeyFileError, StateError
from zfs_walk.scan.pure import PureScanner
from zfs_walk.scan.roots import identify
from zfs_walk.watch import fanotify, limits

FILES_PER_SESSION: Final = 3
"""Descriptors that a broker needs for an agent: its session, its publisher, and as a subscriber."""

FILES_BESIDES: Final = 200
"""Descriptors of a broker or an agent for everything else."""

FEW_FILES: Final = 4_096
LITTLE_SPACE: Final = 2**30
NO_SPACE: Final = 100 * 2**20
"""Free bytes under which a journal does not live long."""

EXTRAS: Final = {"catalog": ("pyarrow", "duckdb"), "web": ("aiohttp", "prometheus_client")}


def look_at_host(state: str | None, sessions: int) -> Iterator[Finding]:
    """Look at everything that needs no broker.

    Args:
        state: the folder that ``--state`` names.
        sessions: how many agents the broker has; 0: nobody knows.
    """
    yield from _programs()
    yield from _limits(sessions)
    yield from _watches()
    yield _fanotify()
    yield from _state(state)
    yield from _keys()


def _programs() -> Iterator[Finding]:
    yield ok("zfs_walk", f"{__version__}, scanner: {PureScanner.name}")
    yield ok("python", f"{platform.python_version()} on {platform.system()} {platform.release()}")
    found = versions()
    text = f"pyzmq {found.pyzmq}, libzmq {found.libzmq}, msgpack {version('msgpack')}"
    if found.curve:
        yield ok("libraries", f"{text}, with CURVE")
    else:
        cure = "install pyzmq from PyPI, whose libzmq has libsodium"
        yield bad("libraries", f"{text}, without CURVE: no bus with keys can be used", cure)
    for extra, packages in EXTRAS.items():
        missing = [name for name in packages if importlib.util.find_spec(name) is None]
        if missing:
            cure = f"if it is wanted: pip install 'zfs_walk[{extra}]'"
            yield warn(f"extra {extra}", f"{', '.join(missing)} not installed", cure)
        else:
            there = ", ".join(f"{name} {version(name)}" for name in packages)
            yield ok(f"extra {extra}", there)


def _limits(sessions: int) -> Iterator[Finding]:
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = float("inf") if files == resource.RLIM_INFINITY else files
    needed = FILES_BESIDES + FILES_PER_SESSION * sessions
    text = f"{_number(files)} files may be open"
    cure = "raise it: LimitNOFILE= of the unit, or nofile in /etc/security/limits.conf"
    if most < needed:
        yield bad("open files", f"{text}; a broker of {sessions} agents takes {needed}", cure)
    elif most < FEW_FILES:
        yield warn("open files", f"{text}: enough for {most // FILES_PER_SESSION:.0f} agents", cure)
    else:
        yield ok("open files", text)
    _, processes = resource.getrlimit(resource.RLIMIT_NPROC)
    needed = FILES_BESIDES + (os.cpu_count() or 1)
    text = f"{_number(processes)} processes for this user"
    if processes != resource.RLIM_INFINITY and processes < needed:
        cure = "raise it: TasksMax= of the unit, or nproc in /etc/security/limits.conf"
        yield warn("processes", text, cure)
    else:
        yield ok("processes", text)


def _number(limit: int) -> str:
    return "any number of" if limit == resource.RLIM_INFINITY else f"{limit:,}"


def _watches() -> Iterator[Finding]:
    for name, enough in limits.ENOUGH.items():
        found = limits.limit(name)
        if found is None:
            yield warn(f"inotify {name}", "unknown", "folders are polled where there is no inotify")
        elif found < enough:
            yield warn(f"inotify {name}", f"{found:,}", limits.how_to_raise(name, enough))
        else:
            yield ok(f"inotify {name}", f"{found:,}")


def _fanotify() -> Finding:
    reason = fanotify.unavailable()
    if reason is None:
        return ok("fanotify", "available")
    return warn("fanotify", reason, "nothing, if inotify is enough: it takes a watch a directory")


def _state(given: str | None) -> Iterator[Finding]:
    try:
        folder = state_base(given)
    except StateError as error:
        yield bad("state folder", str(error), "name another one with --state")
        return
    fstype = identify(os.fsencode(folder)).fstype
    free = shutil.disk_usage(folder).free
    text = f"{folder} on {fstype}, {human(free)} free"
    cure = "make room, forget runs (`zfs-ctl run prune`), or name another one with --state"
    if free < NO_SPACE:
        yield bad("state folder", text, cure)
    elif free < LITTLE_SPACE:
        yield warn("state folder", text, cure)
    else:
        yield ok("state folder", text)
    for path in (folder / SERVER, folder / KEYS):
        if path.exists():
            yield _private(path)


def _private(path: Path) -> Finding:
    """A broker's file of keys is its owner's alone."""
    try:
        read_private(path, SCHEMA)
    except KeyFileError as error:
        return bad("broker's keys", str(error), f"chmod 600 {path}, or restore it from a backup")
    return ok("broker's keys", str(path))


def _keys() -> Iterator[Finding]:
    folder = user_folder()
    paths = [folder / OWN, *sorted((folder / "connections").glob("*.json")), SYSTEM]
    found = 0
    for path in paths:
        if not os.access(path, os.R_OK):
            continue
        found += 1
        try:
            connection = read_connection(path)
        except KeyFileError as error:
            yield bad("connection file", str(error), f"chmod 600 {path}, or ask for another one")
            continue
        if connection is not None:
            roles = ", ".join(connection.roles)
            yield ok("connection file", f"{path}: key {connection.name} ({roles})")
    if not found:
        cure = "start zfs-broker, which makes one, or ask for one: `zfs-ctl key add`"
        yield warn("connection file", f"none in {folder}", cure)
