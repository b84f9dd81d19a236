"""Takes the shape of a walked tree from its catalog."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from zfs_walk.catalog.query import query
from zfs_walk.errors import CatalogError, WrongUseError
from zfs_walk.load.content import GRAIN
from zfs_walk.load.shape import MOST_DEPTH, Shape
from zfs_walk.load.spec import LoadSpec, Work

EXACT: Final = 512
"""Smaller sizes are kept as they are."""

FINE: Final = 4
"""Larger ones are counted in 2**FINE bins an octave, as the mean of each."""

MOST_AT_ONCE: Final = 64 << 20
"""Bytes of the largest file that `work: metadata` makes: it writes each in one piece."""

# The logarithm of the largest integers rounds up; so it is seen whether it did. Whatever the number
# of rows, there are at most 512 + 55 * 16 sizes for each depth.
_SHAPE: Final = f"""
SELECT type, depth,
       CASE WHEN type <> 'f' THEN 0 WHEN size < {EXACT} THEN size
            ELSE (size >> (octave - {FINE})) << (octave - {FINE}) END AS bin,
       count(*), sum(size)
FROM (SELECT type, depth, size, about - CASE WHEN (1::BIGINT << about) > size THEN 1 ELSE 0 END
             AS octave
      FROM (SELECT type, greatest(0, least({MOST_DEPTH}, depth)) AS depth, size,
                   least(62, floor(log2(greatest(size, 1))))::INTEGER AS about
            FROM files WHERE type = 'd' OR (type = 'f' AND size IS NOT NULL)))
GROUP BY ALL
"""  # noqa: S608 -- of constants

_Row = tuple[str, int, int, int, int]


def shape_of(catalog: str) -> Shape:
    """The shape of the tree that was walked into a catalog, by one query that aggregates.

    Regular files count, by every name that they have.

    Raises:
        CatalogError: it is none, is damaged, or has no files with sizes.
        MissingExtraError: duckdb is not installed.
    """
    _, rows = query(catalog, _SHAPE)
    shape = _shape(rows)
    if shape is None:
        reason = "it has no files whose sizes are known (was it a walk with --names-only?)"
        raise CatalogError(path=Path(catalog), reason=reason)
    return shape


def _shape(rows: Iterable[_Row]) -> Shape | None:
    depths: Counter[int] = Counter()
    folders: Counter[int] = Counter()
    numbers: Counter[int] = Counter()
    totals: Counter[int] = Counter()
    for kind, depth, at_least, number, total in rows:
        if kind == "d":
            folders[depth] += number
            continue
        # A root may be a file itself.
        depths[max(1, depth)] += number
        numbers[at_least] += number
        totals[at_least] += int(total)
    if not depths:
        return None
    # The mean, rounded: it is still in its bin.
    sizes = sorted(
        ((2 * totals[least] + number) // (2 * number), number) for least, number in numbers.items()
    )
    return Shape(
        tuple(sizes), tuple(sorted(depths.items())),
        tuple(folders[depth] for depth in range(max(depths))),
    )  # fmt: skip


def shaped(
    specs: Iterable[LoadSpec], known: Mapping[str, Shape] = MappingProxyType({})
) -> list[LoadSpec]:
    """The loads, those that are like a catalog with its shape.

    Args:
        specs: the loads.
        known: shapes of catalogs that are known already.

    Raises:
        CatalogError: a catalog is none, or can't be taken.
        MissingExtraError: duckdb is not installed.
        WrongUseError: a load can't be of that shape.
    """
    shapes = dict(known)
    found = []
    for spec in specs:
        if not spec.like:
            found.append(spec)
            continue
        if spec.like not in shapes:
            shapes[spec.like] = shape_of(spec.like)
        shape = shapes[spec.like].limited(spec.like_max)
        if spec.work is Work.METADATA and shape.largest > MOST_AT_ONCE:
            reason = (
                f"{spec.name}: the largest file of {spec.like} has {shape.largest:,} bytes, and"
                " work: metadata writes each one in one piece; like-max:"
                f" {MOST_AT_ONCE >> 20}M or less is wanted"
            )
            raise WrongUseError(reason=reason)
        found.append(replace(spec, shape=shape.rounded(GRAIN) if spec.direct else shape))
    return found
