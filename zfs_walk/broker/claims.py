"""Who may have which folder, who is told, and who may read it (docs/protocol.md section 7)."""

from dataclasses import replace
from typing import Final

from zfs_walk.broker.events import Publish
from zfs_walk.broker.journal import Journal, StoredClaim
from zfs_walk.broker.registry import Held, Registry
from zfs_walk.broker.state import Session, SessionState, State
from zfs_walk.protocol.files import MOST_CLAIMS, ClaimLine, ClaimStatus, files_topic
from zfs_walk.protocol.messages import SCOUT, Claim, Claimed, ClaimList, ClaimRefused, Claims, Error
from zfs_walk.protocol.statistics import Origin

DEEPEST: Final = 256
"""Directories above a folder that can be claimed: all of them are kept, for every claim."""

MOST_OF_A_SESSION: Final = 1_024
"""Claims of one scout; its status has room for as many."""

LONGEST_WHY: Final = 200
"""Characters that are kept of a scout's reason why it does not serve."""

LONGEST_PATH: Final = 4_096
"""Bytes of a folder's path, the longest that Linux takes."""

LIST_BYTES: Final = 12 * 2**20
LINE_BYTES: Final = 4 * LONGEST_WHY + 200
"""All claims must fit into one CLAIM_LIST, so their names take no more than the first; each one
counts for the second beside its names."""


class ClaimDesk:
    """Takes claims, and knows of each whether its files are in the answers."""

    def __init__(self, state: State, journal: Journal) -> None:
        self._state = state
        self._journal = journal
        self._line_bytes = 0
        self.registry = Registry()

    def load(self, stored: tuple[StoredClaim, ...], now: float) -> None:
        """Reserve what was claimed before a restart for the sessions that had it."""
        for row in stored:
            held = Held(
                self._state.sessions[row.session], row.claim, row.path, row.place, row.ancestors,
                now - row.age_s,
            )  # fmt: skip
            self._line_bytes += _size_of_line(held.session, held.path)
            self.registry.add(held)

    # ------------------------------------------------------------------ CLAIM

    def on_claim(self, session: Session, claim: Claim, now: float) -> None:
        """A scout claims a folder, or says again how it stands."""
        if session.role != SCOUT:
            detail = f"a {session.role} claims no folders; only a scout does"
            self._state.send(session.route, Error("not-allowed", detail))
            return
        held = self.registry.numbered(session.id, claim.claim)
        if held is not None and (held.path, held.place) != (claim.path, claim.place):
            self.drop(held, now)
            held = None
        if held is None or held.ancestors != claim.ancestors:
            refusal = self._refusal(session, claim, held)
            if refusal is not None:
                self._state.send(session.route, refusal)
                if held is not None:
                    self.drop(held, now)
                return
            held = self._take(session, claim, held, now)
        before = self._line(held, now)
        held.monitor, held.willing = claim.monitor, claim.serving
        held.excuse = claim.why[:LONGEST_WHY]
        after = self._line(held, now)
        if after != before or not held.told:
            self.tell(held, now)
        self._state.send(session.route, Claimed(held.number, held.generation, held.version))

    def _refusal(self, session: Session, claim: Claim, held: Held | None) -> ClaimRefused | None:
        """Why this claim can't stand, if it can't."""
        where = claim.path.decode(errors="backslashreplace")
        code, detail = "", ""
        if not claim.path.startswith(b"/") or len(claim.path) > LONGEST_PATH:
            code, detail = "malformed", "a claim's path is absolute and at most 4,096 bytes long"
        elif len(claim.ancestors) > DEEPEST:
            code = "too-deep"
            detail = f"{where} has more than {DEEPEST} directories above it; watch a higher folder"
        elif held is None and self._full(session, claim):
            code = "too-many"
            detail = (
                f"there are {len(self.registry):,} claims; a scout may have {MOST_OF_A_SESSION:,}"
                f" and a broker {MOST_CLAIMS:,}, fewer if their paths are long; watch a common"
                " folder above them"
            )
        for other in self.registry.overlapping(
            session.host, claim.path, claim.place, claim.ancestors
        ):
            if not code and other is not held and other.session.state is not SessionState.LOST:
                code, detail = "claimed", self._overlap(other, claim)
        return ClaimRefused(claim.claim, code, detail[:4096]) if code else None

    def _full(self, session: Session, claim: Claim) -> bool:
        return (
            len(self.registry) >= MOST_CLAIMS
            or len(self.registry.of(session.id)) >= MOST_OF_A_SESSION
            or self._line_bytes + _size_of_line(session, claim.path) > LIST_BYTES
        )

    @staticmethod
    def _overlap(other: Held, claim: Claim) -> str:
        if other.place == claim.place:
            how = "it is"
        elif other.place in claim.ancestors:
            how = "it is within"
        elif claim.place in other.ancestors:
            how = "it contains"
        else:
            how = "the name is that of"
        folder = other.path.decode(errors="backslashreplace")
        holder = other.session
        return (
            f"{how} {folder}, which the scout {holder.name} (pid {holder.pid}) on {holder.host}"
            " watches"
        )

    def _take(self, session: Session, claim: Claim, held: Held | None, now: float) -> Held:
        """Register a claim that nothing is in the way of but those of the lost."""
        for other in self.registry.overlapping(
            session.host, claim.path, claim.place, claim.ancestors
        ):
            if other is not held:
                self.drop(other, now)
        if held is None:
            held = Held(session, claim.claim, claim.path, claim.place, claim.ancestors, now)
            self._line_bytes += _size_of_line(session, claim.path)
        else:
            self.registry.remove(held)
            held.ancestors = claim.ancestors
        self.registry.add(held)
        self._journal.set_claim(
            StoredClaim(session.id, held.number, held.path, held.place, held.ancestors)
        )
        return held

    def drop(self, held: Held, now: float) -> None:
        """A claim is over, and its list with it."""
        self.registry.remove(held)
        self._line_bytes -= _size_of_line(held.session, held.path)
        self._journal.end_claim(held.session.id, held.number)
        held.files = held.aside = None
        self.tell(held, now, gone=True)

    # ------------------------------------------------------------------ sessions

    def changed(self, session: Session, now: float) -> None:
        """A session is LIVE, SUSPECT or LOST since now: its claims are in the answers or not."""
        for held in self.registry.of(session.id):
            self.tell(held, now)

    def ended(self, session: Session, now: float) -> None:
        """A session has ended, and all its claims with it."""
        for held in self.registry.of(session.id):
            self.drop(held, now)

    # ------------------------------------------------------------------ readers

    def on_request(self, route: bytes, message: Claims, now: float) -> None:
        """List the claims."""
        lines = tuple(self._line(held, now) for held in self.registry.in_order())
        self._state.send(route, ClaimList(message.request, lines))

    def tell(self, held: Held, now: float, *, gone: bool = False) -> None:
        """Publish how a claim stands."""
        held.told = True
        line = self._line(held, now)
        if gone:
            line = replace(line, serving=False, why="the claim has ended")

        def make(origin: Origin, seq: int) -> ClaimStatus:
            return ClaimStatus(origin, seq, line, gone)

        self._state.out.append(Publish(files_topic(held.session.host), make))

    @staticmethod
    def _line(held: Held, now: float) -> ClaimLine:
        session = held.session
        why = held.why_not
        return ClaimLine(
            session.host, held.path, session.name, session.pid, session.id, session.state.value,
            max(0, round((now - held.since) * 1000)), held.monitor, not why, why, held.edition,
            held.files_version, len(held.files or ()),
        )  # fmt: skip


def _size_of_line(session: Session, path: bytes) -> int:
    """The most bytes that a claim can take in CLAIM_LIST."""
    return LINE_BYTES + len(path) + len(session.host.encode()) + len(session.name.encode())
