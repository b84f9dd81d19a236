"""The last changes of all lists, for the readers of ``/files/changes``. No I/O, no clock.

A reader is a place in the ring: whoever is slow holds nothing, and is told to begin anew once the
ring has overtaken him.
"""

from dataclasses import dataclass
from typing import Any, Final

MOST_CHANGES: Final = 65_536
"""Changes that are kept: trees of some 10,000 files are moved while a reader's network hangs."""

MOST_BYTES: Final = 16 * 2**20
"""Bytes of the names in them; the longest names have 4 KiB."""


@dataclass(slots=True)
class Change:
    """One numbered change.

    Attributes:
        number: counts from 1.
        event: its kind, as in the stream.
        name: of the file; None if a claim as a whole has changed.
        host: of the scout.
        fields: what JSON says of it, or what it is made from.
        wire: as in the stream, once a reader has wanted it: the same bytes for all.
    """

    number: int
    event: str
    name: bytes | None
    host: str
    fields: Any
    wire: bytes = b""


class Ring:
    """Keeps changes, and gives each reader those after his place."""

    def __init__(self, boot: str, most: int = MOST_CHANGES, most_bytes: int = MOST_BYTES) -> None:
        """Nothing has changed yet.

        Args:
            boot: of this process: an id from before its start is no place in this ring.
            most: changes that are kept at most, with ``most_bytes`` of names.
            most_bytes: the other bound.
        """
        self._boot = boot
        self._most, self._most_bytes = most, most_bytes
        self._kept: dict[int, Change] = {}
        self._bytes = 0
        self._first = 1
        self.last = 0

    def add(self, event: str, name: bytes | None, host: str, fields: Any) -> None:
        """Something has changed."""
        self.last += 1
        self._kept[self.last] = Change(self.last, event, name, host, fields)
        self._bytes += len(name or b"")
        while len(self._kept) > self._most or self._bytes > self._most_bytes:
            oldest = self._kept.pop(self._first)
            self._bytes -= len(oldest.name or b"")
            self._first += 1

    def after(self, place: int, limit: int) -> list[Change] | None:
        """The next changes, at most ``limit``; None: some of them are not there any more."""
        if place + 1 < self._first:
            return None
        upto = min(self.last, place + limit)
        return [self._kept[number] for number in range(place + 1, upto + 1)]

    def name(self, place: int) -> str:
        """A place as a reader remembers it."""
        return f"{self._boot}-{place}"

    def place(self, name: str) -> int | None:
        """The place that a reader remembers; None: it is none, or is of another process."""
        boot, _, number = name.rpartition("-")
        # Numbers are short: Python refuses to read the longest.
        if boot != self._boot or not (number.isascii() and number.isdecimal()) or len(number) > 18:  # noqa: PLR2004
            return None
        place = int(number)
        return place if self._first <= place + 1 and place <= self.last else None
