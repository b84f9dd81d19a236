"""The limits of inotify, and how an operator raises them."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

WATCHES: Final = "max_user_watches"
"""Directories that one user may watch; the kernel's default is by memory, 8,192 on old systems."""

INSTANCES: Final = "max_user_instances"
"""Processes, roughly, of one user that may watch."""

QUEUE: Final = "max_queued_events"
"""Events that may wait to be read; more are lost, and everything is compared."""

ENOUGH: Final[Mapping[str, int]] = MappingProxyType(
    {WATCHES: 65_536, INSTANCES: 128, QUEUE: 16_384}
)
"""What a host should allow at least; a large tree wants one watch a directory."""

_INOTIFY: Final = Path("/proc/sys/fs/inotify")


def limit(name: str) -> int | None:
    """A limit of inotify as it is now; None: this system has no inotify."""
    try:
        return int((_INOTIFY / name).read_text())
    except (OSError, ValueError):
        return None


def how_to_raise(name: str, value: int) -> str:
    """What an operator does for a limit of inotify to be ``value``."""
    return f"sysctl fs.inotify.{name}={value}, and keep it in /etc/sysctl.d"


def how_to_get_more(name: str, missing: int) -> str:
    """What an operator does where a limit of inotify is reached.

    Args:
        name: of the limit.
        missing: how much more is needed, at least.
    """
    found = limit(name) or 0
    enough = max(ENOUGH[name], 1 << (found + missing - 1).bit_length())
    return f"fs.inotify.{name} is {found}: {how_to_raise(name, enough)}"
