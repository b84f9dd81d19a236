"""The end of a run that stores rows: small segments merged, the manifest swapped, the rest gone.

The order is what makes a crash harmless: new segments are durable before the manifest names them,
and nothing is removed before the manifest that no longer needs it is durable.
"""

import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

from zfs_walk.catalog.extras import require
from zfs_walk.catalog.folder import locked
from zfs_walk.catalog.manifest import (
    MANIFEST,
    SEGMENTS,
    Manifest,
    RunInfo,
    check_size,
    load,
    save,
    save_summary,
)
from zfs_walk.catalog.schema import COLUMNS
from zfs_walk.catalog.segment import SegmentInfo, checksum, read_batches, write_batches
from zfs_walk.catalog.totals import Totals
from zfs_walk.errors import CatalogError
from zfs_walk.scan.interface import ScanError

SMALL_BYTES: Final = 16 * 2**20
"""A segment below this is merged: a query opens every file, and 8,000 small ones cost 20 times."""

MERGED_BYTES: Final = 128 * 2**20
"""A merge ends at this: large enough to be few, small enough that engines read them in parallel."""

LEAST_ROWS: Final = 500_000
"""What keeps the promise of at most rows / 500,000 + workers segments where rows are long."""

_THREADS: Final = 4
"""At most so many merges at a time: Arrow works without the GIL, and each holds two row groups."""


def finish(  # noqa: PLR0913 -- what a catalog consists of
    folder: str | Path,
    run: RunInfo,
    totals: Totals,
    segments: Iterable[SegmentInfo],
    *,
    examples: Sequence[ScanError] = (),
    summary: Mapping[str, Any],
) -> Manifest:
    """Make the catalog of a run from its committed ``segments``; returns its manifest.

    May be called again, after a crash at any point or when a finished run got more segments: with
    all that the run ever committed. Whatever else is in the folder ``segments`` is removed.

    Raises:
        CatalogError: a segment is missing, short or damaged; it is another run's catalog; another
            process is finishing it; or it can't be written (the message says which).
        MissingExtraError: there is something to merge, and pyarrow is not installed.
    """
    folder = Path(folder)
    with locked(folder):
        try:
            present = _Present.of(folder, run, {segment.name: segment for segment in segments})
            merged = _merged(folder, present)
            manifest = Manifest(run, totals, tuple(examples), merged.segments, merged.sources)
            save_summary(folder, summary)
            save(folder, manifest)
            _remove_garbage(folder / SEGMENTS, {segment.name for segment in manifest.segments})
        except OSError as error:
            reason = f"{error.strerror or error}; nothing is lost, repair that and finish again"
            raise CatalogError(path=folder, reason=reason) from error
    return manifest


@dataclass(frozen=True, slots=True)
class _Present:
    """Segments that together hold each committed row once, and what those of a merge replaced."""

    segments: tuple[SegmentInfo, ...]
    sources: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, folder: Path, run: RunInfo, committed: Mapping[str, SegmentInfo]) -> "_Present":
        """Return the committed segments, or what an earlier finish has merged them into."""
        earlier = _earlier(folder, run)
        known = {} if earlier is None else {segment.name: segment for segment in earlier.segments}
        sources = {} if earlier is None else dict(earlier.merged)
        left = dict(committed)
        segments = []
        for name, replaced in list(sources.items()):
            if not left.keys() >= set(replaced):
                del sources[name]
                continue
            segments.append(known[name])
            for source in replaced:
                del left[source]
        segments.extend(left.values())
        for segment in segments:
            check_size(folder, segment)
        return cls(tuple(segments), sources)


def _earlier(folder: Path, run: RunInfo) -> Manifest | None:
    """Return the manifest that an earlier finish of this run wrote, if one did."""
    if not (folder / MANIFEST).exists():
        return None
    earlier = load(folder)
    if earlier.run.number != run.number:
        reason = f"it already holds the catalog of run {earlier.run.number}"
        raise CatalogError(path=folder, reason=reason)
    return earlier


def _merged(folder: Path, present: _Present) -> _Present:
    """Merge the small segments of ``present``; the files of the others stay as they are."""
    groups = [
        group
        for kind in COLUMNS
        for group in _groups(segment for segment in present.segments if segment.kind == kind)
    ]
    threads = min(_THREADS, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads, thread_name_prefix="merge") as pool:
        made = list(pool.map(lambda group: _merge(folder, group), groups))
    gone = {segment.name for group in groups for segment in group}
    sources = {name: old for name, old in present.sources.items() if name not in gone}
    for info, group in zip(made, groups, strict=True):
        old = (present.sources.get(segment.name, (segment.name,)) for segment in group)
        sources[info.name] = tuple(chain.from_iterable(old))
    kept = [segment for segment in present.segments if segment.name not in gone]
    return _Present((*kept, *made), sources)


def _groups(segments: Iterable[SegmentInfo]) -> Iterator[list[SegmentInfo]]:
    """Yield lists of small segments, each to become one file; one alone stays what it is."""
    group: list[SegmentInfo] = []
    size = rows = 0
    for segment in segments:
        if segment.bytes >= SMALL_BYTES and segment.rows >= LEAST_ROWS:
            continue
        group.append(segment)
        size += segment.bytes
        rows += segment.rows
        if size >= MERGED_BYTES and rows >= LEAST_ROWS:
            yield group
            group, size, rows = [], 0, 0
    if len(group) > 1:
        yield group


def _merge(folder: Path, group: Sequence[SegmentInfo]) -> SegmentInfo:
    """Write the rows of ``group`` as one new segment, a row group at a time."""
    arrow = require("pyarrow", "Merging the segments of a catalog")
    # Never a name that a finish before this one may have left behind.
    path = folder / SEGMENTS / f"merged-{secrets.token_hex(8)}.parquet"

    def batches() -> Iterator[Any]:
        for segment in group:
            source = folder / SEGMENTS / segment.name
            # A merge must not give damaged rows a checksum that fits them.
            if checksum(source) != segment.checksum:
                reason = f"its segment {segment.name} is damaged"
                raise CatalogError(path=folder, reason=reason)
            try:
                yield from read_batches(source)
            except arrow.ArrowException as error:
                reason = f"its segment {segment.name} is not readable: {error}"
                raise CatalogError(path=folder, reason=reason) from error

    return write_batches(path, group[0].kind, batches())


def _remove_garbage(segments: Path, valid: set[str]) -> None:
    for path in segments.iterdir():
        if path.name not in valid:
            path.unlink(missing_ok=True)
