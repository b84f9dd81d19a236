"""Judges whoever reports files by what a witness says was done to them. No I/O, no clock."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from zfs_walk.load.witness import Told, What

MOST_EXAMPLES: Final = 100
"""Names of each kind of fault that a verdict lists; all are counted."""


@dataclass(slots=True)
class _Life:
    """A file, as it is and as it is reported.

    Attributes:
        closed_ns: when it was whole; 0: it has not been.
        size: bytes that it has then; -1: nobody knows.
        gone: it was deleted, or has another name.
        told: the witness knows of it.
        listed: it is reported; ``shown``: with so many bytes; -1: as being written.
        whole: bytes that it was reported with when nobody wrote it; -1: it never was.
        whole_ns: since when with so many; 0: nobody knows.
    """

    closed_ns: int = 0
    size: int = -1
    gone: bool = False
    told: bool = False
    listed: bool = False
    shown: int = -1
    whole: int = -1
    whole_ns: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """How good the reports are.

    Attributes:
        closed: files that were whole at any time; ``deleted``: of them, those that are not there
            any more, also under another name.
        there: files that are there; ``seen``: of them, those that are reported as they are.
        missing: that are not reported; ``other_size``: that are, with another size, or as if
            somebody still wrote them.
        superfluous: that are reported, and are not there.
        deleted_seen: of those that are not there any more, how many were reported in their time.
        delays: nanoseconds from each file's close until it was reported whole, ascending; of those
            whose time is known.
        examples: paths, by the kind of fault.
        keeps: what is not there any more may stay reported.
    """

    closed: int
    deleted: int
    there: int
    seen: int
    missing: int
    other_size: int
    superfluous: int
    deleted_seen: int
    delays: Sequence[int]
    examples: dict[str, tuple[bytes, ...]]
    keeps: bool = False

    @property
    def recall(self) -> float:
        """Files that are reported as they are, by those that are there; 1 if none is."""
        return self.seen / self.there if self.there else 1.0

    @property
    def ok(self) -> bool:
        """Whether what is there is reported, and nothing else but what may be."""
        return not (self.missing or self.other_size or (self.superfluous and not self.keeps))

    def delay(self, percent: float) -> int:
        """The delay that so many percent of the files have at most, in nanoseconds; 0: none has."""
        if not self.delays:
            return 0
        rank = -(-len(self.delays) * percent // 100)
        return self.delays[max(0, min(len(self.delays), int(rank)) - 1)]


class Judge:
    """Takes what a witness tells and what is reported, in any order of the two.

    Each of both must come in its own: rows as they were written, reports as they were made.
    """

    def __init__(self, *, keeps: bool = False) -> None:
        """Nothing is known.

        Args:
            keeps: what is not there any more may stay reported: a mirror need not delete.
        """
        self._keeps = keeps
        self._files: dict[bytes, _Life] = {}
        self._targets: dict[str, bytes] = {}
        self._folders: list[bytes] = []
        self._ended: set[str] = set()

    @property
    def is_over(self) -> bool:
        """Whether every consumer has ended; one that was killed never does."""
        return bool(self._targets) and self._ended >= self._targets.keys()

    @property
    def targets(self) -> list[bytes]:
        """The folders that are loaded."""
        return sorted(set(self._targets.values()))

    def concerns(self, path: bytes) -> bool:
        """Whether an absolute path is below the folder of a consumer that was told of."""
        return any(path.startswith(folder) for folder in self._folders)

    # ------------------------------------------------------------------ the witness

    def witnessed(self, told: Told) -> None:
        """Take a row."""
        if told.what is What.BEGAN:
            target = self._targets[told.consumer] = told.path
            self._folders.append(target.rstrip(b"/") + b"/" + told.folder + b"/")
            return
        if told.what is What.ENDED:
            self._ended.add(told.consumer)
            return
        above = self._targets.get(told.consumer, b"").rstrip(b"/") + b"/"
        life = self._life(above + told.path)
        life.told = True
        match told.what:
            case What.CREATED:
                life.gone = False
            case What.CLOSED:
                life.closed_ns, life.size, life.gone = told.time_ns, told.size, False
            case What.DELETED:
                life.gone = True
            case What.RENAMED:
                life.gone = True
                other = self._life(above + told.to)
                other.told = True
                other.closed_ns, other.size, other.gone = told.time_ns, life.size, False
            case _:
                pass  # neither its name nor its size is another one

    def closed_ns(self, path: bytes) -> int:
        """When a file was whole; 0: it has not been, as far as is known."""
        life = self._files.get(path)
        return life.closed_ns if life is not None else 0

    # ------------------------------------------------------------------ reports

    def reported(self, path: bytes, size: int, time_ns: int) -> bool:
        """A file is reported, or with another size than before; returns whether it matters.

        Args:
            path: its absolute one; what is below no consumer's folder is left alone.
            size: bytes; -1: it is being written.
            time_ns: since the epoch; 0: it has been before it was looked at.
        """
        if not self.concerns(path):
            return False
        life = self._life(path)
        life.listed, life.shown = True, size
        # What went, or was written over, and is back as it was, had been there before.
        if size not in {-1, life.whole}:
            life.whole, life.whole_ns = size, time_ns
        return True

    def withdrawn(self, path: bytes) -> bool:
        """A file is not reported any more; returns whether it matters."""
        life = self._files.get(path)
        if life is None:
            return False
        life.listed = False
        return True

    def withdrawn_below(self, folder: bytes) -> bool:
        """Nothing of a folder is reported any more; returns whether it matters."""
        above = folder.rstrip(b"/") + b"/"
        below = [life for path, life in self._files.items() if path.startswith(above)]
        for life in below:
            life.listed = False
        return bool(below)

    def _life(self, path: bytes) -> _Life:
        try:
            return self._files[path]
        except KeyError:
            life = self._files[path] = _Life()
            return life

    # ------------------------------------------------------------------ the verdict

    @property
    def agrees(self) -> bool:
        """Whether the verdict is good, as far as both are known."""
        fine = {None, "superfluous"} if self._keeps else {None}
        return all(_fault(life) in fine for life in self._files.values())

    def verdict(self) -> Verdict:
        """As of now."""
        counts = dict.fromkeys(("missing", "other_size", "superfluous"), 0)
        examples: dict[str, list[bytes]] = {kind: [] for kind in counts}
        closed = deleted = there = seen = deleted_seen = 0
        delays = array("q")
        for path, life in self._files.items():
            fault = _fault(life)
            if fault is not None:
                counts[fault] += 1
                if len(examples[fault]) < MOST_EXAMPLES:
                    examples[fault].append(path)
            if not life.closed_ns:
                continue
            closed += 1
            if life.gone:
                deleted += 1
                deleted_seen += life.whole >= 0
            else:
                there += 1
                seen += fault is None
            if life.whole_ns and life.size in {-1, life.whole}:
                delays.append(max(0, life.whole_ns - life.closed_ns))
        return Verdict(
            closed=closed, deleted=deleted, there=there, seen=seen, deleted_seen=deleted_seen,
            delays=sorted(delays), **counts,
            examples={kind: tuple(sorted(paths)) for kind, paths in examples.items()},
            keeps=self._keeps,
        )  # fmt: skip


def _fault(life: _Life) -> str | None:
    """What is wrong with how a file is reported."""
    if life.gone or not life.told:
        return "superfluous" if life.listed else None
    if not life.closed_ns:
        # It is being written: nobody is to be blamed for either.
        return None
    if not life.listed:
        return "missing"
    return "other_size" if life.size not in {-1, life.shown} else None
