"""The metadata of an object that tells of the local file; rclone reads and writes the same."""

import decimal
import functools
import mimetypes
from collections.abc import Mapping
from typing import Any, Final

from zfs_walk.sinks.interface import permissions
from zfs_walk.sinks.source import Source

_NS: Final = 1_000_000_000
_UNKNOWN_TYPE: Final = "application/octet-stream"


def of(source: Source) -> dict[str, str]:
    """The metadata of a file: ``mtime`` in seconds with nine decimals, ``mode`` in octal."""
    ns = source.stat.st_mtime_ns
    sign = "-" if ns < 0 else ""
    seconds, rest = divmod(abs(ns), _NS)
    return {"mtime": f"{sign}{seconds}.{rest:09d}", "mode": f"0{source.stat.st_mode:o}"}


def read(head: Mapping[str, Any]) -> dict[str, str]:
    """The metadata in an answer, with names in lower case: some servers capitalise them."""
    return {name.lower(): value for name, value in head.get("Metadata", {}).items()}


def mtime_ns(metadata: Mapping[str, str]) -> int | None:
    """The time of the local file, ns since the epoch; None: it is not told."""
    try:
        return int(decimal.Decimal(metadata["mtime"]) * _NS)
    except (KeyError, ArithmeticError, ValueError):
        return None


def mode(metadata: Mapping[str, str]) -> int | None:
    """The permissions of the local file, as `Remote.mode` has them; None: they are not told."""
    try:
        return permissions(int(metadata["mode"], 8))
    except (KeyError, ValueError):
        return None


def content_type(source: Source, name: bytes) -> str:
    """What the end of a name tells of its content."""
    stem, _, ending = name.rpartition(b"/")[2].rpartition(b".")
    return _type_of(ending) if stem and source.target is None else _UNKNOWN_TYPE


@functools.lru_cache(1000)
def _type_of(ending: bytes) -> str:
    guessed, packed = mimetypes.guess_type(f"name.{ending.decode(errors='replace')}")
    return guessed if guessed and not packed else _UNKNOWN_TYPE
