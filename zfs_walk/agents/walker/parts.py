"""Wide directories of a unit: their PART items, and where in the spool their names are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from zfs_walk.agents.walker.tasks import Extent
from zfs_walk.protocol.records import Item

LISTING_SHARE = 0.2
"""Cost of listing a name over cost of looking at it, before either was measured: 0.45 us and 2.2 us
with the pure-Python scanner on a warm local file system (bench/RESULTS.md)."""


@dataclass(slots=True)
class WideDirectory:
    """The parts of one directory that this unit has.

    Attributes:
        root: index of its root.
        path: below that root.
        parts: into how many parts the whole directory was cut.
        waiting: items of parts that nobody works on, by part.
        finder: the worker that found it to be wide and may have its listing still open; 0: none.
        listing: the task that lists it now; 0: none.
        wanted: the parts that it is listed for, in the order of the task.
        extents: part -> where its names are; None: it is to be listed first.
        list_micros: what its listing took, per name.
        scan_micros: what looking at its names took, per name.
    """

    root: int
    path: bytes
    parts: int
    waiting: dict[int, Item] = field(default_factory=dict)
    finder: int = 0
    listing: int = 0
    wanted: tuple[int, ...] = ()
    extents: dict[int, tuple[Extent, ...]] | None = None
    list_micros: float = 0.0
    scan_micros: float = 0.0

    @property
    def to_list(self) -> bool:
        """Somebody has to list it before anything else can be done."""
        return self.extents is None and not self.listing and bool(self.waiting)

    @property
    def to_scan(self) -> bool:
        """A part's names are there and nobody works on them."""
        return self.extents is not None and bool(self.waiting)

    def listed(self, dealt: Sequence[tuple[Extent, ...]], names: int, micros: int) -> None:
        """Its names are in the spool."""
        self.list_micros = micros / max(1, names)
        # Parts that were given away since are not in `waiting`; their names are of no use here.
        extents = dict(zip(self.wanted, dealt, strict=True))
        self.extents = extents if self.waiting.keys() <= extents.keys() else None

    @property
    def listing_share(self) -> float:
        """What listing a name costs over what looking at it does."""
        if self.list_micros and self.scan_micros:
            return self.list_micros / self.scan_micros
        return LISTING_SHARE

    def giveable(
        self, thieves: int, stays: Callable[[Item], bool], share: float
    ) -> list[list[Item]]:
        """One group of parts for each thief, if a listing of its own is worth it for the thief.

        What is given away takes nothing along, so a thief lists the directory anew: the work in
        its parts must exceed twice a listing (docs/protocol.md section 3). Parts for which
        ``stays`` is true are not given. ``share`` is what listing a name costs over what is done
        with it.
        """
        waiting = [self.waiting[part] for part in sorted(self.waiting)]
        waiting = [item for item in waiting if not stays(item)]
        each = len(waiting) // (thieves + 1)
        while thieves > 1 and each / self.parts <= 2 * share:
            thieves -= 1
            each = len(waiting) // (thieves + 1)
        if not each or each / self.parts <= 2 * share:
            return []
        return [waiting[i * each : (i + 1) * each] for i in range(thieves)]
