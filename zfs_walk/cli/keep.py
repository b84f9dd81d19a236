"""The catalog of a walk, from the client's side: prepared before the run, finished after it."""

import contextlib
import importlib.util
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from zfs_walk import __version__
from zfs_walk.bus.client import Client
from zfs_walk.catalog.totals import Totals
from zfs_walk.errors import MissingExtraError
from zfs_walk.protocol.messages import RunStatus, SegmentList, Segments

if TYPE_CHECKING:
    from zfs_walk.catalog.schema import Kind

PAGE = 1_000
"""Segments that one request asks for."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A folder that is ready for a run's segments; `undo` if there will be no run."""

    folder: Path
    token: str
    existed: bool

    def undo(self) -> None:
        """There is no run: leave nothing behind."""
        if not self.existed:
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        for path in list(self.folder.iterdir()):
            with contextlib.suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def prepare_catalog(output: str | None) -> Prepared | None:
    """Make the folder of ``--output`` ready, if it was given.

    Raises:
        CatalogError: it exists and is not free.
        MissingExtraError: pyarrow is not installed.
    """
    if not output:
        return None
    from zfs_walk.catalog.folder import prepare  # noqa: PLC0415 -- a walk without rows needs none

    if importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError(feature="Writing a catalog", package="pyarrow", extra="catalog")
    folder = Path(output).absolute()
    existed = folder.exists()
    return Prepared(folder, prepare(folder), existed)


def finish_catalog(client: Client, status: RunStatus, summary: dict[str, Any]) -> None:
    """Merge the run's segments and write its manifest, if it stores rows.

    Raises:
        CatalogError: a segment is missing, or the folder can't be written.
    """
    if not status.options.catalog:
        return
    from zfs_walk.catalog.finish import finish  # noqa: PLC0415 -- a walk without rows needs none
    from zfs_walk.catalog.manifest import RunInfo  # noqa: PLC0415
    from zfs_walk.scan.interface import ScanError  # noqa: PLC0415

    finished = datetime.now(UTC)
    begun = finished - timedelta(milliseconds=status.elapsed_ms)
    options = asdict(status.options)
    for name in ("catalog", "token"):
        del options[name]
    info = RunInfo(
        status.run,
        tuple(root.path for root in status.roots),
        options,
        status.state,
        begun.isoformat(timespec="seconds"),
        finished.isoformat(timespec="seconds"),
        {"zfs_walk": __version__},
    )
    finish(
        os.fsdecode(status.options.catalog),
        info,
        Totals.from_counters(status.counters),
        _segments(client, status.run),
        examples=[
            ScanError(problem.path, problem.errno, problem.kind, problem.reason)
            for problem in status.errors
        ],
        summary=summary,
    )


def _segments(client: Client, run: int) -> Iterator[Any]:
    from zfs_walk.catalog.segment import SegmentInfo  # noqa: PLC0415

    after = ""
    while True:
        last = after
        page: SegmentList = client.ask(
            lambda name, deadline: Segments(name, deadline, run, last, PAGE)  # noqa: B023
        )
        for segment in page.segments:
            yield SegmentInfo(
                segment.name,
                cast("Kind", segment.kind),
                segment.rows,
                segment.size,
                segment.checksum,
            )
            after = segment.name
        if not page.more:
            return
