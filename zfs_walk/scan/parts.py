"""Into how many parts a directory is cut that is too much for one worker."""

from typing import Final

from zfs_walk.scan.interface import ScanOptions
from zfs_walk.scan.loads import MOST_PARTS, OTHERS, load_of, parts_of
from zfs_walk.scan.looking import Looked

_DIRENT_BYTES: Final = 24
"""About what a file system spends on a name: 8 to 12 bytes and the name itself."""

_NAMES_PER_PART: Final = 16_384
_LEAST: Final = 8
_UNKNOWN: Final = 64


def parts_unread(size: int, options: ScanOptions) -> int:
    """Of a directory with more names than a part may have, which were not read to their end.

    Args:
        size: its st_size.
        options: of the run.
    """
    if options.sends:
        # Nobody knows yet how large its files are.
        return MOST_PARTS
    if size <= _DIRENT_BYTES * options.part_limit:
        # Says nothing: tmpfs, btrfs, ZFS and others count in other units.
        return _UNKNOWN
    return _clamped(size // _DIRENT_BYTES // _NAMES_PER_PART)


def parts_read(looked: Looked, length: int, options: ScanOptions) -> int:
    """Of a directory that was read; 0: it is not cut. Notes its load in a run that sends.

    Args:
        looked: what is in it.
        length: bytes of its path.
        options: of the run.
    """
    parts = 0
    if options.sends and looked.stats is not None:
        looked.load, files = load_of(looked.modes, looked.stats)
        parts = parts_of(looked.load, files)
    if looked.walk:
        paths = (length + 1) * len(looked.walk) + sum(map(len, looked.walk))
        if paths > options.wide_bytes:
            # Names hash evenly: parts of half the limit stay below it.
            wanted = 2 * paths // max(1, options.wide_bytes)
            parts = max(parts, _clamped(wanted * (OTHERS if options.sends else 1)))
    return parts


def _clamped(parts: int) -> int:
    return max(_LEAST, min(parts, MOST_PARTS))
