"""Claims by everything that they are looked up by; no rules."""

import math
from dataclasses import dataclass

from zfs_walk.broker.state import Session, SessionState
from zfs_walk.lists.filelist import FileList
from zfs_walk.protocol.files import Place


@dataclass(slots=True, eq=False)
class Held:
    """A claim that stands.

    Attributes:
        session: whose it is; ``number``: its own one for it.
        path: of the folder, ``place`` its identity, ``ancestors`` those of the directories above.
        since: when it was claimed, by the monotonic clock.
        monitor: how the folder is watched.
        willing: its scout says that it serves; ``excuse``: if not, why not.
        generation: of the last FILES that was applied, and its ``version``.
        files: the whole list that stands; None: there is none.
        edition: the number of that list for readers; no other list has or had it.
        files_version: the version that ``files`` is at.
        aside: the list that is being built to take the place of ``files``.
        resync_at: when the last RESYNC was sent.
        told: its first CLAIM_STATUS is published.
    """

    session: Session
    number: int
    path: bytes
    place: Place
    ancestors: tuple[Place, ...]
    since: float
    monitor: str = ""
    willing: bool = False
    excuse: str = "nothing was heard of its scout since the broker began"
    generation: int = 0
    version: int = 0
    files: FileList | None = None
    edition: int = 0
    files_version: int = 0
    aside: FileList | None = None
    resync_at: float = -math.inf
    told: bool = False

    @property
    def why_not(self) -> str:
        """Why its files are in no answer; empty: they are."""
        if self.session.state is not SessionState.LIVE:
            return f"its scout is {self.session.state.value}"
        if not self.willing:
            return self.excuse or "its scout does not serve it"
        return "" if self.files is not None else "its list is not here yet"

    @property
    def rows(self) -> int:
        """Rows that are kept for it."""
        return len(self.files or ()) + len(self.aside or ())

    @property
    def name_bytes(self) -> int:
        """Bytes of the names of these rows."""
        return sum(each.name_bytes for each in (self.files, self.aside) if each is not None)


class Registry:
    """Every claim, and indexes: whoever claims is compared with those that it may meet only.

    Attributes:
        rows: that are kept for all claims, with ``name_bytes`` of names.
    """

    def __init__(self) -> None:
        """Nobody claims anything."""
        self._by_session: dict[int, dict[int, Held]] = {}
        self._by_path: dict[tuple[str, bytes], Held] = {}
        self._by_place: dict[tuple[str, Place], Held] = {}
        self._below: dict[tuple[str, Place], dict[Held, None]] = {}
        self.rows = self.name_bytes = 0

    def __len__(self) -> int:
        return len(self._by_path)

    def add(self, held: Held) -> None:
        """Take a claim in; nothing may be in its way."""
        host = held.session.host
        self._by_session.setdefault(held.session.id, {})[held.number] = held
        self._by_path[host, held.path] = held
        self._by_place[host, held.place] = held
        for above in held.ancestors:
            self._below.setdefault((host, above), {})[held] = None
        self.count(held, 1)

    def remove(self, held: Held) -> None:
        """Take a claim out."""
        host = held.session.host
        mine = self._by_session[held.session.id]
        del mine[held.number]
        if not mine:
            del self._by_session[held.session.id]
        del self._by_path[host, held.path]
        del self._by_place[host, held.place]
        for above in set(held.ancestors):
            below = self._below[host, above]
            del below[held]
            if not below:
                del self._below[host, above]
        self.count(held, -1)

    def count(self, held: Held, sign: int) -> None:
        """Add or take off the rows of a claim: before and after they change."""
        self.rows += sign * held.rows
        self.name_bytes += sign * held.name_bytes

    def of(self, session: int) -> list[Held]:
        """The claims of a session."""
        return list(self._by_session.get(session, {}).values())

    def numbered(self, session: int, number: int) -> Held | None:
        """A session's claim of this number."""
        return self._by_session.get(session, {}).get(number)

    def named(self, host: str, path: bytes) -> Held | None:
        """The claim of this folder of a host."""
        return self._by_path.get((host, path))

    def in_order(self) -> list[Held]:
        """All claims, by host and folder."""
        return [self._by_path[key] for key in sorted(self._by_path)]

    def overlapping(
        self, host: str, path: bytes, place: Place, ancestors: tuple[Place, ...]
    ) -> list[Held]:
        """Claims of that folder, of one above it and of those below it."""
        same = self._by_path.get((host, path)), self._by_place.get((host, place))
        above = (self._by_place.get((host, each)) for each in ancestors)
        met = dict.fromkeys(held for held in (*same, *above) if held is not None)
        return list(met | self._below.get((host, place), {}))
