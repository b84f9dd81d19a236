"""Accumulators: what a worker makes of its columns, and what is merged upward.

Nothing here needs more than the standard library: every walk has totals, few have a catalog.
"""

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, Self

from zfs_walk.scan.columns import Columns

if TYPE_CHECKING:
    from zfs_walk.scan.interface import Scan

BLOCK: Final = 512
"""Bytes in a unit of ``st_blocks``, whatever the file system's own block is (stat(2))."""

_TYPE_BYTE: Final = 1 if sys.byteorder == "little" else 2
"""Which of the four bytes of a mode holds bits 8 to 15; the upper four of them are the type."""

_HIGH_NIBBLE: Final = bytes(byte >> 4 for byte in range(256))

_DIRECTORY, _FILE, _SYMLINK = 0o040000 >> 12, 0o100000 >> 12, 0o120000 >> 12


class Accumulator(Protocol):
    """Whatever is summed up over entries: made by workers batch by batch, then merged.

    ``merge`` must not depend on the order or on how the entries were cut into batches.
    """

    def add(self, batch: Columns) -> None:
        """Count every entry of ``batch``."""
        ...

    def merge(self, other: Self) -> None:
        """Count everything that ``other`` counted; ``other`` stays as it is."""
        ...


@dataclass(slots=True)
class Totals:
    """The totals of a walk, defined as find's; every name counts, hard links too.

    Attributes:
        directories: entries of type d.
        files: entries of type f.
        symlinks: entries of type l.
        other: entries of any other type, or of none (devices, sockets, pipes).
        size: the sum of ``st_size``, in bytes.
        allocated: the sum of 512 * ``st_blocks``, in bytes.
        excluded: entries that a filter left out.
        excluded_default: those of them that only the default excludes named.
        vanished: entries that were gone when they were looked at.
        error_classes: entries that could not be read or listed, by class of error (as in
            `zfs_walk.scan.interface.ScanError`).
    """

    directories: int = 0
    files: int = 0
    symlinks: int = 0
    other: int = 0
    size: int = 0
    allocated: int = 0
    excluded: int = 0
    excluded_default: int = 0
    vanished: int = 0
    error_classes: Counter[str] = field(default_factory=Counter)

    @property
    def entries(self) -> int:
        """All entries: directories + files + symlinks + other."""
        return self.directories + self.files + self.symlinks + self.other

    @property
    def errors(self) -> int:
        """All entries that could not be read or listed."""
        return self.error_classes.total()

    def add(self, batch: Columns) -> None:
        """Count every entry of ``batch``."""
        # Counting bytes takes 15 ns an entry, a Counter over the modes 90 ns.
        types = batch.mode.tobytes()[_TYPE_BYTE::4].translate(_HIGH_NIBBLE)
        directories, files, symlinks = map(types.count, (_DIRECTORY, _FILE, _SYMLINK))
        self.directories += directories
        self.files += files
        self.symlinks += symlinks
        self.other += len(types) - directories - files - symlinks
        self.size += sum(batch.size)
        self.allocated += BLOCK * sum(batch.blocks)

    def add_scan(self, scan: "Scan") -> None:
        """Count what one call of a scanner found: entries, errors, vanished and excluded ones."""
        self.add(scan.columns)
        self.excluded += scan.excluded
        self.excluded_default += scan.excluded_default
        self.vanished += scan.vanished
        self.error_classes.update(error.kind for error in scan.errors)

    def merge(self, other: "Totals") -> None:
        """Count everything that ``other`` counted."""
        self.directories += other.directories
        self.files += other.files
        self.symlinks += other.symlinks
        self.other += other.other
        self.size += other.size
        self.allocated += other.allocated
        self.excluded += other.excluded
        self.excluded_default += other.excluded_default
        self.vanished += other.vanished
        self.error_classes.update(other.error_classes)

    def as_dict(self) -> dict[str, int]:
        """Return the ten totals by name, zeros included: what a JSON shows."""
        return {
            "entries": self.entries,
            "directories": self.directories,
            "files": self.files,
            "symlinks": self.symlinks,
            "other": self.other,
            "size": self.size,
            "allocated": self.allocated,
            "errors": self.errors,
            "excluded": self.excluded,
            "vanished": self.vanished,
        }

    def counters(self) -> dict[str, int]:
        """Return the flat map that travels; zeros are left out, and the bus adds such maps.

        Keys: those of `as_dict`, ``excluded.default``, and ``errors.<class>`` for each class.
        """
        classes = {f"errors.{kind}": count for kind, count in self.error_classes.items()}
        everything = self.as_dict() | {"excluded.default": self.excluded_default} | classes
        return {key: count for key, count in everything.items() if count}

    @classmethod
    def from_counters(cls, counters: Mapping[str, int]) -> Self:
        """Return the totals from a sum of such maps; other accumulators' keys are left alone."""
        return cls(
            directories=counters.get("directories", 0),
            files=counters.get("files", 0),
            symlinks=counters.get("symlinks", 0),
            other=counters.get("other", 0),
            size=counters.get("size", 0),
            allocated=counters.get("allocated", 0),
            excluded=counters.get("excluded", 0),
            excluded_default=counters.get("excluded.default", 0),
            vanished=counters.get("vanished", 0),
            error_classes=Counter(
                {
                    key.removeprefix("errors."): count
                    for key, count in counters.items()
                    if key.startswith("errors.")
                },
            ),
        )
