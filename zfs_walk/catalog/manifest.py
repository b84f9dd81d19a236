"""The manifest: what a catalog is. What it does not name is not in the catalog."""

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from zfs_walk import names
from zfs_walk.catalog.durable import replace
from zfs_walk.catalog.segment import SegmentInfo
from zfs_walk.catalog.totals import Totals
from zfs_walk.errors import CatalogError
from zfs_walk.scan.interface import ScanError

SCHEMA: Final = 1
"""The number of the form that `save` writes."""

MANIFEST: Final = "manifest.json"
SUMMARY: Final = "summary.json"
SEGMENTS: Final = "segments"

_MIGRATIONS: Final[dict[int, Callable[[dict[str, Any]], dict[str, Any]]]] = {}
"""Schema -> what makes the next one of it, in memory; the file changes when it is next saved."""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """The run that a catalog was made by.

    Attributes:
        number: the run's number on its bus.
        roots: the absolute paths that were walked.
        options: the run's options as submitted, JSON values.
        state: the run's last state, such as ``DONE`` or ``DONE_WITH_ERRORS``.
        submitted: when, in ISO 8601 with the offset.
        finished: likewise; None if the run did not end.
        versions: program -> version of those that took part.
    """

    number: int
    roots: tuple[bytes, ...]
    options: Mapping[str, Any]
    state: str
    submitted: str
    finished: str | None
    versions: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON; each root has ``path`` and, if it is not UTF-8, ``path_b64``."""
        return {
            "number": self.number,
            "roots": [names.to_json(root) for root in self.roots],
            "options": dict(self.options),
            "state": self.state,
            "submitted": self.submitted,
            "finished": self.finished,
            "versions": dict(self.versions),
        }

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Self:
        """Return what `to_json` made the JSON of.

        Raises:
            KeyError, TypeError, ValueError: it is no such JSON.
        """
        roots = tuple(names.from_json(root) for root in item["roots"])
        return cls(**{**item, "roots": roots})


@dataclass(frozen=True, slots=True)
class Manifest:
    """A catalog: its run, what was found, and the segments that hold it.

    Attributes:
        run: the run it was made by.
        totals: of the whole run.
        examples: some of the entries that could not be read or listed; all are in the segments
            of kind ``errors``.
        segments: the segments, each of them and no other.
        merged: name of a segment that a merge made -> names of the committed ones it replaced.
    """

    run: RunInfo
    totals: Totals
    examples: tuple[ScanError, ...]
    segments: tuple[SegmentInfo, ...]
    merged: Mapping[str, tuple[str, ...]]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON, as `docs/catalog.md` describes it."""
        return {
            "schema": SCHEMA,
            "run": self.run.to_json(),
            "totals": self.totals.as_dict() | {"excluded_default": self.totals.excluded_default},
            "errors": {
                "by_class": dict(self.totals.error_classes),
                "examples": [_example(error) for error in self.examples],
            },
            "segments": [asdict(segment) for segment in self.segments],
            "merged": {name: list(sources) for name, sources in self.merged.items()},
        }

    @classmethod
    def from_json(cls, item: Mapping[str, Any]) -> Self:
        """Return what `to_json` made the JSON of.

        Raises:
            KeyError, TypeError, ValueError: it is no such JSON.
        """
        kept = {key: item["totals"][key] for key in Totals.__slots__ if key != "error_classes"}
        return cls(
            run=RunInfo.from_json(item["run"]),
            totals=Totals(**kept, error_classes=Counter(item["errors"]["by_class"])),
            examples=tuple(_example_of(error) for error in item["errors"]["examples"]),
            segments=tuple(SegmentInfo(**segment) for segment in item["segments"]),
            merged={name: tuple(sources) for name, sources in item["merged"].items()},
        )


def load(folder: str | Path) -> Manifest:
    """Return the manifest of the catalog ``folder``.

    Raises:
        CatalogError: there is none, it can't be read, or it has a newer schema.
    """
    try:
        content = (Path(folder) / MANIFEST).read_bytes()
    except FileNotFoundError as error:
        reason = f"it has no {MANIFEST}: not a catalog, or its run is not finished"
        raise CatalogError(path=folder, reason=reason) from error
    except OSError as error:
        raise CatalogError(path=folder, reason=f"{MANIFEST}: {error.strerror}") from error
    try:
        return Manifest.from_json(_migrated(folder, json.loads(content)))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = f"{MANIFEST} is damaged ({type(error).__name__}: {error})"
        raise CatalogError(path=folder, reason=reason) from error


def save(folder: str | Path, manifest: Manifest) -> None:
    """Replace the manifest of ``folder``, atomically and durably.

    Raises:
        OSError: it was not replaced.
    """
    replace(Path(folder) / MANIFEST, _encoded(manifest.to_json()))


def save_summary(folder: str | Path, summary: Mapping[str, Any]) -> None:
    """Replace ``summary.json``, the same JSON as ``zfs-walk --json`` prints, atomically.

    Raises:
        OSError: it was not replaced.
    """
    replace(Path(folder) / SUMMARY, _encoded(summary))


def check_size(folder: str | Path, segment: SegmentInfo) -> None:
    """Check that a segment is there, and as long as it was written.

    Raises:
        CatalogError: it is not.
    """
    try:
        size = (Path(folder) / SEGMENTS / segment.name).stat().st_size
    except OSError as error:
        reason = f"its segment {segment.name} is missing ({error.strerror})"
        raise CatalogError(path=folder, reason=reason) from error
    if size != segment.bytes:
        reason = f"its segment {segment.name} has {size} bytes and not {segment.bytes}"
        raise CatalogError(path=folder, reason=reason)


def _encoded(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def _example(error: ScanError) -> dict[str, Any]:
    message = error.reason or os.strerror(error.errno)
    told = {"errno": error.errno, "class": error.kind, "message": message}
    return names.to_json(error.path) | told


def _example_of(item: Mapping[str, Any]) -> ScanError:
    errno, message = int(item["errno"]), str(item["message"])
    reason = "" if message == os.strerror(errno) else message
    return ScanError(names.from_json(item), errno, str(item["class"]), reason)


def _migrated(folder: str | Path, document: dict[str, Any]) -> dict[str, Any]:
    schema = int(document["schema"])
    if schema > SCHEMA:
        reason = f"it has schema {schema}, this zfs_walk knows up to {SCHEMA}; install a newer one"
        raise CatalogError(path=folder, reason=reason)
    while schema < SCHEMA:
        document = _MIGRATIONS[schema](document)
        schema += 1
    return document
