"""What an agent remembers of the places where workers died or reading failed.

It outlives rollbacks, so that a place that kills its workers is given up whatever else happens.
"""

from dataclasses import dataclass, field

Key = tuple[int, bytes, int]
"""Root, path and part of a place; part `LISTING` is the listing of a wide directory."""

LISTING = -1

FATAL = 3
"""Deaths or failures over a place after which it is given up (docs/protocol.md, Poison)."""

RISKY = 2
"""Deaths after which a place is walked alone, when everything else of the unit is sealed."""


@dataclass(slots=True)
class Book:
    """Deaths and failures by place."""

    deaths: dict[Key, int] = field(default_factory=dict)
    failures: dict[Key, int] = field(default_factory=dict)

    def died(self, key: Key) -> None:
        """A worker died over this place."""
        self.deaths[key] = self.deaths.get(key, 0) + 1

    def failed(self, key: Key) -> bool:
        """The place could not be read; True if it is to be given up."""
        self.failures[key] = self.failures.get(key, 0) + 1
        return self.failures[key] >= FATAL

    def deadly(self, key: Key) -> bool:
        """True if the place is to be given up for the deaths over it."""
        return self.deaths.get(key, 0) >= FATAL

    def risky(self, key: Key) -> bool:
        """True if the place is to be walked alone."""
        return self.deaths.get(key, 0) >= RISKY

    def avoid(self, batch: set[tuple[int, bytes]]) -> tuple[tuple[int, bytes], ...]:
        """Directories that a task is not to open when it finds them: they come back as items."""
        return tuple(
            (root, path)
            for root, path, part in self.deaths
            if part == 0 and (root, path) not in batch
        )
