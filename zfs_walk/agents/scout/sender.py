"""Brings one folder's list to the broker and keeps it true there (docs/protocol.md section 7).

A whole list first, a piece at a time, then changes. No I/O, no clock.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

from zfs_walk.agents.events import CommonInstruction, Send
from zfs_walk.agents.scout.events import Row, Source
from zfs_walk.protocol.files import MOST_ROWS, ROW_BYTES, Files

WINDOW: Final = 4
"""Messages on their way: 16 MiB of names at most, and the line is busy while the broker applies."""


class Sender:
    """One claim's list on its way.

    Attributes:
        generation: of the list that is being sent; 0: none was yet.
        version: of the last message of it.
        serving: the source is complete; while it is not, nothing new is sent.
        caught_up: the broker has had all there was to tell since the source is complete.
    """

    def __init__(self, claim: int, source: Source, out: list[CommonInstruction]) -> None:
        """Nothing was sent yet.

        Args:
            claim: its number.
            source: the list.
            out: where instructions go.
        """
        self.generation = 0
        self.version = 0
        self.serving = False
        self.caught_up = False
        self._claim = claim
        self._source = source
        self._out = out
        self._open = False
        self._anew = True
        self._after: bytes | None = None
        self._drawn: deque[tuple[Sequence[bytes], Sequence[Row]]] = deque()
        self._unacked: deque[Files] = deque()
        self._sent = 0.0
        self._level: int | None = None

    @property
    def unsent(self) -> int:
        """Rows that were taken from the source, and that the broker may not have."""
        drawn = sum(len(removed) + len(rows) for removed, rows in self._drawn)
        return drawn + sum(len(files.removed) + len(files.names) for files in self._unacked)

    # ------------------------------------------------------------------ the session

    def pause(self) -> None:
        """The broker is away, or the claim does not stand: hold everything back."""
        self._open = False

    def claimed(self, generation: int, version: int, now: float) -> None:
        """The claim stands, and so much of the list is there: go on, or begin anew.

        After a `pause` the first answer counts: a later one is older than what was sent. But if
        the broker has none of a list of which it has acknowledged something, the list is lost.
        """
        if self._open and (generation or not self._acked):
            return
        self._open = True
        anew, self._anew = self._anew, False
        if not anew and self.generation == generation and self._acked <= version <= self.version:
            self._forget(version)
            self._resend(now)
        else:
            self._begin(max(self.generation, generation) + 1)

    def acked(self, generation: int, version: int, now: float) -> None:
        """The broker has the list up to there."""
        if self._open and generation == self.generation and self._acked < version <= self.version:
            self._forget(version)
            self._sent = now

    def resync(self) -> None:
        """Something is missing there, perhaps the claim itself: once it stands, begin anew."""
        if self._open:
            self._open, self._anew = False, True

    def is_serving(self, *, serving: bool) -> None:
        """The source is complete, or no more."""
        self.serving = serving
        if not serving:
            self.caught_up, self._level = False, None

    # ------------------------------------------------------------------ sending

    def advance(self, now: float) -> None:
        """Send what there is, as far as the window goes."""
        while self._open and self.serving and len(self._unacked) < WINDOW:
            files = self._next()
            if files is None:
                if self._level is None:
                    self._level = self.version
                break
            if not self._unacked:
                self._sent = now
            self.version = files.version
            self._unacked.append(files)
            self._out.append(Send(files))
        self._look_whether_level()

    def resend_overdue(self, patience: float, now: float) -> None:
        """Send again what the broker has said nothing about for ``patience`` seconds."""
        if self._open and self._unacked and now - self._sent >= patience:
            self._resend(now)

    def shift(self, gap: float) -> None:
        """The process slept for ``gap`` seconds: the broker had no time to answer."""
        self._sent += gap

    @property
    def _acked(self) -> int:
        return self.version - len(self._unacked)

    def _forget(self, version: int) -> None:
        while self._unacked and self._unacked[0].version <= version:
            self._unacked.popleft()
        self._look_whether_level()

    def _look_whether_level(self) -> None:
        if self._level is not None and self._acked >= self._level:
            self.caught_up = True

    def _resend(self, now: float) -> None:
        self._sent = now
        self._out.extend(Send(files) for files in self._unacked)

    def _begin(self, generation: int) -> None:
        """What was drawn and is not there yet is in the pages that will be drawn."""
        self.generation, self.version = generation, 0
        self._unacked.clear()
        self._drawn.clear()
        self._after = b""
        self._level = None

    def _next(self) -> Files | None:
        """The next message; None: there is nothing to tell."""
        if self._after is not None:
            rows = self._source.page(self._after, MOST_ROWS)
            piece = rows[: _fitting([row.name for row in rows])]
            last = len(piece) == len(rows) < MOST_ROWS
            self._after = None if last else piece[-1].name
            return self._files((), piece, whole=True, last=last)
        if not self._drawn:
            self._drawn.extend(_parts(*self._source.changes(MOST_ROWS)))
        if not self._drawn:
            return None
        return self._files(*self._drawn.popleft(), whole=False, last=False)

    def _files(
        self, removed: Sequence[bytes], rows: Sequence[Row], *, whole: bool, last: bool
    ) -> Files:
        return Files(
            self._claim, self.generation, self.version + 1, whole, last, tuple(removed),
            tuple(row.name for row in rows), tuple(row.size for row in rows),
            tuple(row.mtime_ns for row in rows), tuple(row.flags for row in rows),
        )  # fmt: skip


def _fitting(names: Sequence[bytes]) -> int:
    """How many of these names go into one message: at least one, if there is one."""
    room = ROW_BYTES
    for number, name in enumerate(names[:MOST_ROWS]):
        room -= len(name)
        if room < 0 and number:
            return number
    return min(len(names), MOST_ROWS)


def _parts(
    removed: Sequence[bytes], rows: Sequence[Row]
) -> Iterator[tuple[Sequence[bytes], Sequence[Row]]]:
    """Changes as parts that go into one message each."""
    names = [*removed, *(row.name for row in rows)]
    while names:
        number = _fitting(names)
        gone = min(number, len(removed))
        yield removed[:gone], rows[: number - gone]
        removed, rows, names = removed[gone:], rows[number - gone :], names[number:]
