"""Takes the shape of a walked tree from its catalog: ``python -m zfs_walk.load.shaping CATALOG``.

It is a program, too, as DuckDB leaves threads behind and memory taken, and whoever wants a shape is
about to fork its consumers.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from zfs_walk import errors
from zfs_walk.catalog.query import query
from zfs_walk.errors import CatalogError, WrongUseError, ZfsWalkError
from zfs_walk.load.content import GRAIN
from zfs_walk.load.shape import MOST_DEPTH, Shape
from zfs_walk.load.spec import LoadSpec, Work

PROGRAM: Final = (sys.executable, "-P", "-m", "zfs_walk.load.shaping")
"""-P: nothing is imported from the folder that it happens to be started in."""

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


def _shape_apart(catalog: str) -> Shape:
    """The same as `shape_of`, in a process of its own."""
    with subprocess.Popen(
        [*PROGRAM, catalog], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:  # fmt: skip
        try:
            # Its stdin is left open: it ends when this process does.
            text = process.stdout.read() if process.stdout is not None else b""
        except BaseException:
            process.kill()
            raise
    try:
        answer = json.loads(text)
    except ValueError as error:
        reason = f"the process that read it ended with {process.returncode}"
        raise CatalogError(path=catalog, reason=reason) from error
    if "error" in answer:
        kind: type[ZfsWalkError] = getattr(errors, answer["error"])
        raise kind(**answer["fields"])
    return Shape.of(answer["sizes"], answer["depths"], answer["folders"])


def _main() -> None:
    """Print the shape of a catalog, or what is wrong with it, as JSON."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        shape = shape_of(sys.argv[1])
        answer: dict[str, object] = asdict(shape)
    except ZfsWalkError as error:
        answer = {"error": type(error).__name__, "fields": error.fields}
    sys.stdout.write(json.dumps(answer, default=str))


def _end_with_parent() -> None:
    # Not by sys.stdin, whose lock would be asked for at the end of the process.
    os.read(0, 1)
    os._exit(1)


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
            shapes[spec.like] = _shape_apart(spec.like)
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


if __name__ == "__main__":
    _main()
