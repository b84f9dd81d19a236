"""What clients ask about logs: read back from the ring, set levels. No I/O, no clock."""

from typing import Final, Protocol

from zfs_walk.broker.events import SetLogLevel
from zfs_walk.broker.state import Session, SessionState, State
from zfs_walk.protocol.messages import Command, Done, Error, LogLevel, LogPage, LogRecord, LogSince

PAGE_RECORDS: Final = 500
"""Records of one page: 10 ms of the broker's loop, in which nobody else is answered."""

PAGE_CHARACTERS: Final = 2 * 2**20
"""Characters of text of one page: 8 MiB at most in UTF-8, half of what a message may have."""

MOST_LEVELS: Final = 100
"""Levels that are remembered for agents that come later; the oldest ones are forgotten."""

BROKER: Final = "broker"
"""The broker's own role, in LOG_LEVEL and in what it publishes."""


class Remembered(Protocol):
    """The part of `History` that the core reads."""

    def logs(
        self, since_ns: int, after: int, limit: int
    ) -> tuple[tuple[LogRecord, ...], int, int, bool]:
        """As `History.logs`."""


class Logs:
    """Answers LOG_SINCE and LOG_LEVEL; remembers levels until the broker ends."""

    def __init__(self, state: State, history: Remembered | None) -> None:
        self._state = state
        self._history = history
        self._levels: list[LogLevel] = []

    def joined(self, session: Session) -> None:
        """Tell an agent that has just been welcomed which levels were set before."""
        for message in self._levels:
            if _concerns(message, session):
                self._state.send(session.route, _command(message))

    def on_request(self, route: bytes, message: LogLevel | LogSince) -> None:
        """Answer a client's request."""
        match message:
            case LogLevel():
                self._set_level(route, message)
            case LogSince():
                self._read_back(route, message)

    def _set_level(self, route: bytes, message: LogLevel) -> None:
        """Tell every process that is meant, and those that come later when they come."""
        told = [
            session
            for session in self._state.sessions.values()
            if session.route
            and session.state is not SessionState.LOST
            and _concerns(message, session)
        ]
        for session in told:
            self._state.send(session.route, _command(message))
        itself = message.role in {"", BROKER} and message.host in {"", self._state.settings.host}
        if itself:
            self._state.out.append(SetLogLevel(message.level, message.logger))
        elif not told:
            there = sorted({BROKER, *(each.role for each in self._state.sessions.values())})
            detail = f"no process of this role and host is there; roles: {', '.join(there)}"
            self._state.refuse(route, message, "nobody", detail)
            return
        self._remember(message)
        workers = sum(session.capacity for session in told)
        processes = len(told) + workers + itself
        detail = f"{processes} processes told: {len(told)} agents with {workers} workers"
        self._state.send(route, Done(message.request, detail + ", the broker" * itself))

    def _remember(self, message: LogLevel) -> None:
        """The last word counts: what it says of everybody that an earlier one was about."""
        self._levels = [
            each
            for each in self._levels
            if each.logger != message.logger
            or message.role not in {"", each.role}
            or message.host not in {"", each.host}
        ]
        self._levels.append(message)
        del self._levels[:-MOST_LEVELS]

    def _read_back(self, route: bytes, message: LogSince) -> None:
        if self._history is None:
            detail = "nothing is published on this bus"
            self._state.send(route, Error("no-stream", detail, message.request))
            return
        limit = min(max(message.limit, 1), PAGE_RECORDS)
        records, following, lost, more = _page(
            self._history, message.since_ns, message.after, limit
        )
        page = LogPage(message.request, following, lost, more, records)
        self._state.send(route, page)


def _concerns(message: LogLevel, session: Session) -> bool:
    return message.role in {"", session.role} and message.host in {"", session.host}


def _command(message: LogLevel) -> Command:
    return Command(0, "set-log-level", level=message.level, logger=message.logger)


def _page(
    history: Remembered, since_ns: int, after: int, limit: int
) -> tuple[tuple[LogRecord, ...], int, int, bool]:
    """A page that the wire takes: fewer records, if they are long."""
    while True:
        page = history.logs(since_ns, after, limit)
        if limit == 1 or sum(map(_characters, page[0])) <= PAGE_CHARACTERS:
            return page
        limit = max(1, limit // 2)


def _characters(record: LogRecord) -> int:
    fields = sum(len(name) + len(value) for name, value in record.fields)
    return len(record.text) + len(record.exception) + fields
