"""A copy of every served list, fed by a broker's stream and its answers; no I/O, no clock.

Nothing here depends on how fast or in which order stream and answers come, or on what is lost of
the stream: editions (``generation``) are never used twice and versions have no holes, so that a
copy knows what it has. `Check`, given now and then, finds what a lost last message leaves behind.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat, tee

from zfs_walk.lists.differences import differences
from zfs_walk.lists.events import (
    Answered,
    Appeared,
    Ask,
    AskClaims,
    AskPage,
    Changed,
    Check,
    Event,
    Joined,
    Left,
    News,
)
from zfs_walk.lists.filelist import ROW, Columns, FileList
from zfs_walk.lists.merging import Packed, merged
from zfs_walk.lists.reading import Reading
from zfs_walk.protocol.files import ClaimLine, ClaimList, ClaimStatus, FileChanges, FilePage

Key = tuple[str, bytes]
"""A claim's name: host and folder."""

Row = tuple[bytes, str, bytes, int, int, int]
"""Name, host, folder, size in bytes, mtime in ns since the epoch, flags."""


@dataclass(slots=True)
class Copy:
    """One claim as far as it is known.

    Attributes:
        line: what the broker said of it last.
        files: its list; None: it is not known, or has none.
        edition: of ``files``, at ``version``.
        reading: the list that is to take the place of ``files``, or None.
        behind: the version that the broker had at the last check, if ours was older, else 0.
    """

    line: ClaimLine
    files: FileList | None = None
    edition: int = 0
    version: int = 0
    reading: Reading | None = None
    behind: int = 0

    @property
    def answers(self) -> bool:
        """Its files are in the answers."""
        return self.line.serving and self.files is not None

    @property
    def settled(self) -> bool:
        """It is known to be what the broker has, or not to be in the answers."""
        return not self.line.serving or (
            self.files is not None
            and self.reading is None
            and not self.behind
            and self.edition == self.line.generation
        )


class Replica:
    """The copies; give it events, and ask what it wants asked.

    Attributes:
        copies: by host and folder.
        stamp: another number after every change of what `merged` says.
        listeners: called with what changes in the answers, within `handle`.
    """

    def __init__(self) -> None:
        """Nothing is known: begin with `Joined`."""
        self.copies: dict[Key, Copy] = {}
        self.stamp = 0
        self.listeners: list[Callable[[News], None]] = []
        self._number = 0
        self._known = False
        self._open: AskClaims | None = None
        self._eager = False
        self._spoken: set[Key] = set()
        self._out: list[Ask] = []

    @property
    def ready(self) -> bool:
        """`merged` leaves nothing out: the claims are known, and the list of each that serves."""
        return self._known and all(
            copy.files is not None for copy in self.copies.values() if copy.line.serving
        )

    @property
    def settled(self) -> bool:
        """It is ready, and as far as it knows nothing has changed since."""
        return self._known and all(copy.settled for copy in self.copies.values())

    # ------------------------------------------------------------------ reading

    def merged(
        self,
        prefix: bytes = b"",
        host: str = "",
        after: tuple[bytes, str, bytes] = (b"", "", b""),
        limit: int = sys.maxsize,
    ) -> list[Row]:
        """Rows in the order of name, host and folder; O(claims * log n + rows).

        Args:
            prefix: of the names.
            host: of the claims; empty: all of them.
            after: name, host and folder of the last row that is not wanted any more.
            limit: rows at most.
        """
        sources = [
            _rows(key, copy.files, prefix, after)
            for key, copy in self.copies.items()
            if copy.line.serving and copy.files is not None and host in {"", key[0]}
        ]
        unpack = ROW.unpack
        return [(name, at, path, *unpack(row)) for name, at, path, row in merged(sources, limit)]

    def count(self) -> int:
        """Rows that `merged` has without arguments."""
        return sum(len(copy.files or ()) for copy in self.copies.values() if copy.answers)

    # ------------------------------------------------------------------ events

    def handle(self, event: Event) -> list[Ask]:
        """Take an event; returns what is to be asked now."""
        match event:
            case Joined():
                for copy in self.copies.values():
                    copy.reading = None
                self._ask_claims(eager=True)
            case Check() if self._open is None:
                self._ask_claims(eager=False)
            case ClaimStatus():
                self._on_status(event)
            case FileChanges():
                self._on_changes(event)
            case Answered(AskClaims() as ask, answer) if ask == self._open:
                self._open = None
                if isinstance(answer, ClaimList):
                    self._on_list(answer)
            case Answered(AskPage() as ask, answer):
                self._on_page(ask, answer if isinstance(answer, FilePage) else None)
        out, self._out = self._out, []
        return out

    def _ask_claims(self, *, eager: bool) -> None:
        """Ask for the claims.

        Args:
            eager: whoever is behind has missed something; else it may be on its way.
        """
        self._number += 1
        self._open = AskClaims(self._number)
        self._eager = eager
        self._spoken.clear()
        self._out.append(self._open)

    def _on_list(self, answer: ClaimList) -> None:
        """What the stream has said since the question was sent is newer, or it says more soon."""
        self._known = True
        lines = {(line.host, line.path): line for line in answer.claims}
        for key in self.copies.keys() - lines.keys() - self._spoken:
            self._leave(key)
        for key in lines.keys() - self._spoken:
            self._stand(key, lines[key], eager=self._eager)

    def _on_status(self, status: ClaimStatus) -> None:
        key = status.claim.host, status.claim.path
        self._spoken.add(key)
        if not status.gone:
            self._stand(key, status.claim, eager=True)
        elif key in self.copies:
            self._leave(key)

    def _leave(self, key: Key) -> None:
        if self.copies.pop(key).answers:
            self._tell(Left(*key))

    def _stand(self, key: Key, line: ClaimLine, *, eager: bool) -> None:
        """A claim stands like this; ``eager`` as for `_ask_claims`."""
        copy = self.copies.setdefault(key, Copy(line))
        answered = copy.answers
        copy.line = line
        if not line.serving:
            copy.reading, copy.behind = None, 0
            if copy.edition != line.generation:
                copy.files, copy.edition, copy.version = None, 0, 0
        if answered != copy.answers:
            self._tell(Appeared(*key) if copy.answers else Left(*key))
        if not line.serving:
            return
        if copy.reading is not None:
            self._look_at(key, copy, copy.reading, eager=eager)
        elif copy.files is None or copy.edition != line.generation:
            self._read(key, copy)
        elif copy.version >= line.version:
            copy.behind = 0
        elif eager or copy.version < copy.behind:
            self._read(key, copy)
        else:
            copy.behind = line.version

    def _look_at(self, key: Key, copy: Copy, reading: Reading, *, eager: bool) -> None:
        """Begin again if it reads an earlier list, or waits for what does not come any more."""
        if 0 < reading.edition < copy.line.generation:
            self._read(key, copy)
        elif reading.waiting and not eager:
            if reading.overdue:
                self._read(key, copy)
            reading.overdue = True

    def _read(self, key: Key, copy: Copy) -> None:
        self._number += 1
        copy.reading, copy.behind = Reading(self._number), 0
        self._out.append(AskPage(self._number, *key, b""))

    def _on_page(self, ask: AskPage, page: FilePage | None) -> None:
        key = ask.host, ask.path
        copy = self.copies.get(key)
        reading = copy.reading if copy is not None else None
        if copy is None or reading is None or (reading.number, reading.after) != (
            ask.number, ask.after,
        ):  # fmt: skip
            return
        if page is None:
            # It does not serve any more, as the stream or the next check will say.
            copy.reading = None
        elif not reading.take(page):
            self._read(key, copy)
        elif reading.whole:
            self._swap(key, copy, reading)
        elif not reading.waiting:
            self._out.append(AskPage(reading.number, *key, reading.after))

    def _on_changes(self, change: FileChanges) -> None:
        key = change.host, change.path
        copy = self.copies.get(key)
        if copy is None:
            return
        if not copy.line.serving:
            # It serves again, and that was missed: an answer that is older than this may say so.
            if (change.generation, change.version) > (copy.edition, copy.version):
                copy.files, copy.edition, copy.version = None, 0, 0
        elif copy.reading is not None:
            if not copy.reading.hear(change):
                self._read(key, copy)
            elif copy.reading.whole:
                self._swap(key, copy, copy.reading)
        elif copy.files is None or (change.generation, change.version) > (
            copy.edition, copy.version + 1,
        ):  # fmt: skip
            self._read(key, copy)
        elif (change.generation, change.version) == (copy.edition, copy.version + 1):
            files, rows = (
                copy.files,
                Columns(change.names, change.sizes, change.mtimes, change.flags),
            )
            removed = tuple(name for name in change.removed if name in files)
            added = frozenset(name for name in change.names if name not in files)
            copy.files.remove(change.removed)
            copy.files.put(*rows)
            copy.version = change.version
            if copy.version >= copy.behind:
                copy.behind = 0
            self._tell(Changed(*key, removed, rows, added))

    def _swap(self, key: Key, copy: Copy, reading: Reading) -> None:
        old, copy.files = copy.files, reading.finish()
        copy.edition, copy.version, copy.reading = reading.edition, reading.version, None
        self.stamp += 1
        if old is None:
            self._tell(Appeared(*key))
        elif self.listeners:
            for removed, rows in differences(old, copy.files):
                added = frozenset(name for name in rows.names if name not in old)
                self._tell(Changed(*key, removed, rows, added))

    def _tell(self, news: News) -> None:
        self.stamp += 1
        for listener in self.listeners:
            listener(news)


def _rows(
    key: Key, files: FileList, prefix: bytes, after: tuple[bytes, str, bytes]
) -> Iterator[Packed]:
    host, path = key
    # A million rows go through here at once: what is chained in C takes half the time.
    names, again = tee(files.names(prefix, after[0], inclusive=key > after[1:]))
    return zip(names, repeat(host), repeat(path), files.packed(again), strict=False)
