"""What a consumer has done so far. Cumulative: a later one replaces an earlier one."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from zfs_walk.load.content import Fault
from zfs_walk.load.latency import BATCH, Latencies

READ: Final = "read"
WRITE: Final = "write"
VERIFY: Final = "verify"
SYNC: Final = "sync"
OPEN: Final = "open"
CLOSE: Final = "close"
"""Kinds of operations; those of metadata are in `zfs_walk.load.spec.KINDS`."""

RESPONSE: Final = "response"
"""Of every paced operation, counted from its intended start: nothing that waited is left out."""

COUNTED: Final = frozenset({READ, WRITE, VERIFY, "create", "stat", "rename", "delete"})
"""Kinds that are counted as operations; the others belong to one of them."""

MOST_FAULTS: Final = 100
MOST_ERRORS: Final = 100
"""Examples that are kept; all are counted."""

RECENT: Final = 64
"""Rollovers that travel with the figures; a consumer tells of them before there are more."""


@dataclass(frozen=True, slots=True)
class Rollover:
    """A file is whole, or a pass over it, and the next one begins.

    Attributes:
        number: from 1.
        file: its number among the consumer's.
        size: its bytes.
        seconds: since the run began.
        took: seconds from the file's first operation to its last.
    """

    number: int
    file: int
    size: int
    seconds: float
    took: float


@dataclass(frozen=True, slots=True)
class Trouble:
    """An operation that failed.

    Attributes:
        seconds: since the run began.
        what: the operation.
        path: of the file or folder.
        error: the system's words.
        fatal: the consumer ended because of it.
    """

    seconds: float
    what: str
    path: str
    error: str
    fatal: bool


@dataclass(slots=True)
class Figures:
    """One consumer's.

    Attributes:
        seconds: since the run began, of the consumer's own clock; when it ends, until its last
            operation, so that no rate knows how long it took to remove the files.
        written: bytes; ``read``; ``verified``: that were read again and compared.
        operations: reads, writes, verifications, and operations of metadata.
        kept: bytes that are on the disk because of this run.
        rollovers: so many; ``recent``: the last of them.
        faults: sectors' faults that verification found; ``found``: the first of them.
        errors: operations that failed; ``troubles``: the first of them.
        stopped: why the consumer ended before it was told to; empty: it did not.
        latencies: durations by the kind of operation.
    """

    seconds: float = 0.0
    written: int = 0
    read: int = 0
    verified: int = 0
    operations: int = 0
    kept: int = 0
    rollovers: int = 0
    recent: list[Rollover] = field(default_factory=list)
    faults: int = 0
    found: list[Fault] = field(default_factory=list)
    errors: int = 0
    troubles: list[Trouble] = field(default_factory=list)
    stopped: str = ""
    latencies: dict[str, Latencies] = field(default_factory=dict)

    @property
    def moved(self) -> int:
        """Bytes that were written and read, verification's too."""
        return self.written + self.read + self.verified


class Recorder:
    """Keeps durations until there are enough of them to be recorded at once."""

    def __init__(self, latencies: dict[str, Latencies]) -> None:
        """Record into these; kinds are added as they come."""
        self._latencies = latencies
        self._waiting: dict[str, list[int]] = {}

    def note(self, kind: str, duration: int) -> None:
        """An operation has taken so many nanoseconds."""
        try:
            waiting = self._waiting[kind]
        except KeyError:
            waiting = self._waiting[kind] = []
        waiting.append(duration)
        if len(waiting) >= BATCH:
            self._flush(kind, waiting)

    def note_all(self, kind: str, durations: Sequence[int]) -> None:
        """Operations of a kind have taken so many nanoseconds each."""
        waiting = self._waiting.setdefault(kind, [])
        waiting += durations
        if len(waiting) >= BATCH:
            self._flush(kind, waiting)

    def flush(self) -> None:
        """Record what waits."""
        for kind, waiting in self._waiting.items():
            self._flush(kind, waiting)

    def _flush(self, kind: str, waiting: list[int]) -> None:
        if waiting:
            self._latencies.setdefault(kind, Latencies()).record(waiting)
            waiting.clear()


def packed(figures: Figures) -> bytes:
    """As JSON, histograms encoded; what `unpacked` takes."""
    return json.dumps(
        {
            **{name: getattr(figures, name) for name in _PLAIN},
            "recent": [_values(each) for each in figures.recent],
            "found": [_values(each) for each in figures.found],
            "troubles": [_values(each) for each in figures.troubles],
            "latencies": {
                kind: each.encoded().decode() for kind, each in figures.latencies.items()
            },
        }
    ).encode()


def unpacked(text: bytes) -> Figures:
    """What `packed` gave.

    Raises:
        ValueError: it is something else.
    """
    try:
        given: Any = json.loads(text)
        return Figures(
            **{name: given[name] for name in _PLAIN},
            recent=[Rollover(*row) for row in given["recent"]],
            found=[Fault(*row) for row in given["found"]],
            troubles=[Trouble(*row) for row in given["troubles"]],
            latencies={
                kind: Latencies.decoded(each.encode()) for kind, each in given["latencies"].items()
            },
        )  # fmt: skip
    except (AttributeError, KeyError, TypeError) as error:
        message = "these are no figures"
        raise ValueError(message) from error


_PLAIN: Final = (
    "seconds", "written", "read", "verified", "operations", "kept", "rollovers", "faults",
    "errors", "stopped",
)  # fmt: skip


def _values(row: Rollover | Fault | Trouble) -> list[object]:
    return [getattr(row, name) for name in row.__slots__]
