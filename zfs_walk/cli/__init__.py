"""The commands: one file a verb. They parse, call and print."""

from typing import Final

COMMANDS: Final = ("walk", "broker", "agent", "ctl", "catalog")
"""Modules of this package that are programs: ``zfs-walk`` is `zfs_walk.cli.walk`."""
