"""The lists themselves: FILES goes in, pages and changes come out (docs/protocol.md section 7)."""

from typing import Final

from zfs_walk.broker.claims import ClaimDesk
from zfs_walk.broker.events import Publish
from zfs_walk.broker.registry import Held
from zfs_walk.broker.state import Session, State
from zfs_walk.errors import InternalError
from zfs_walk.lists.filelist import FileList
from zfs_walk.protocol.files import MOST_ROWS, files_topic
from zfs_walk.protocol.messages import (
    SCOUT,
    ClaimRefused,
    Error,
    FileChanges,
    FilePage,
    Files,
    FilesAck,
    FilesQuery,
    Resync,
)
from zfs_walk.protocol.statistics import Origin

EDITION_BITS: Final = 28
"""As in the journal's numbers: ``term << 28 | counter`` fits 63 bits for 800 years."""


class Lists:
    """Applies FILES, answers FILES_QUERY, publishes what changes."""

    def __init__(self, state: State, desk: ClaimDesk) -> None:
        self._state = state
        self._desk = desk
        self._editions = 0

    # ------------------------------------------------------------------ FILES

    def on_files(self, session: Session, message: Files, now: float) -> None:
        """A piece of a whole list, or a change."""
        if session.role != SCOUT:
            detail = f"a {session.role} has no lists; only a scout does"
            self._state.send(session.route, Error("not-allowed", detail))
            return
        names = len(message.names)
        if not names == len(message.sizes) == len(message.mtimes) == len(message.flags):
            detail = "FILES: its columns have different lengths"
            self._state.send(session.route, Error("malformed", detail))
            return
        held = self._desk.registry.numbered(session.id, message.claim)
        if held is None:
            if self._may_ask_again(session, now):
                self._state.send(session.route, Resync(message.claim))
        elif message.generation == held.generation and message.version <= held.version:
            self._acknowledge(held)
        elif not _follows(held, message):
            if self._may_ask_again(held, now):
                self._state.send(session.route, Resync(message.claim))
        elif self._has_room(held, message, now):
            self._apply(held, message, now)
            self._acknowledge(held)
        else:
            self._refuse(held, now)

    def _may_ask_again(self, whom: Held | Session, now: float) -> bool:
        """One RESYNC a heartbeat: what is on its way already can't be stopped."""
        if now < whom.resync_at + self._state.heartbeat:
            return False
        whom.resync_at = now
        return True

    def _acknowledge(self, held: Held) -> None:
        message = FilesAck(held.number, held.generation, held.version)
        self._state.send(held.session.route, message)

    def _has_room(self, held: Held, message: Files, now: float) -> bool:
        """Whether the rows fit; an earlier list gives way to the one that is built beside it."""
        if not self._fits(held, message) and message.whole and held.files is not None:
            self._desk.registry.count(held, -1)
            held.files, held.edition, held.files_version = None, 0, 0
            if message.version == 1:
                held.aside = None
            self._desk.registry.count(held, 1)
            self._desk.tell(held, now)
        return self._fits(held, message)

    def _fits(self, held: Held, message: Files) -> bool:
        registry, settings = self._desk.registry, self._state.settings
        known = held.aside if message.whole else held.files
        new = [name for name in message.names if known is None or name not in known]
        return not new or (
            registry.rows + len(new) <= settings.most_files
            and registry.name_bytes + sum(map(len, new)) <= settings.most_name_bytes
        )

    def _refuse(self, held: Held, now: float) -> None:
        """The broker's memory is not for one scout alone: this one's list must go."""
        settings = self._state.settings
        detail = (
            f"the broker keeps {settings.most_files:,} files and"
            f" {settings.most_name_bytes / 2**30:.1f} GiB of names at most, of all scouts together;"
            " watch less, or use a second broker"
        )
        self._state.send(held.session.route, ClaimRefused(held.number, "too-many-files", detail))
        self._desk.drop(held, now)

    def _apply(self, held: Held, message: Files, now: float) -> None:
        self._desk.registry.count(held, -1)
        if message.whole and message.version == 1:
            held.aside = FileList()
        target = held.aside if message.whole else held.files
        if target is None:
            raise InternalError(reason="FILES for a list that is not there")
        if not message.whole:
            target.remove(message.removed)
        target.put(message.names, message.sizes, message.mtimes, message.flags)
        held.generation, held.version = message.generation, message.version
        if not message.whole:
            held.files_version = message.version
            if not held.why_not:
                self._tell(held, message)
        elif message.last:
            held.files, held.aside = target, None
            held.edition, held.files_version = self._next_edition(), message.version
        self._desk.registry.count(held, 1)
        if message.whole and message.last:
            self._desk.tell(held, now)

    def _next_edition(self) -> int:
        """A number that no list of any scout or term has had; who has that edition has its list."""
        self._editions = (self._editions + 1) % 2**EDITION_BITS
        return self._state.term << EDITION_BITS | self._editions

    def _tell(self, held: Held, message: Files) -> None:
        """Publish what a change was."""
        host, path, edition = held.session.host, held.path, held.edition

        def make(origin: Origin, seq: int) -> FileChanges:
            return FileChanges(
                origin, seq, host, path, edition, message.version, message.removed, message.names,
                message.sizes, message.mtimes, message.flags,
            )  # fmt: skip

        self._state.out.append(Publish(files_topic(host), make))

    # ------------------------------------------------------------------ readers

    def on_request(self, route: bytes, query: FilesQuery) -> None:
        """Answer with a page of a list."""
        held = self._desk.registry.named(query.host, query.path)
        where = f"{query.path.decode(errors='backslashreplace')} on {query.host}"
        if held is None:
            self._state.refuse(route, query, "no-such-claim", f"no scout watches {where}")
        elif held.why_not or held.files is None:
            detail = f"the list of {where} is not served: {held.why_not}"
            self._state.refuse(route, query, "not-serving", detail)
        else:
            limit = min(max(1, query.limit), MOST_ROWS)
            rows, more = held.files.rows(query.prefix, query.after, limit)
            self._state.send(
                route, FilePage(query.request, held.edition, held.files_version, more, *rows)
            )


def _follows(held: Held, message: Files) -> bool:
    """Whether this is what comes next."""
    if message.generation != held.generation:
        return message.generation > held.generation and message.whole and message.version == 1
    if message.version != held.version + 1:
        return False
    if message.whole:
        return held.aside is not None
    return held.aside is None and held.files is not None
