"""What clients ask about logs: read back from the ring, set levels. No I/O, no clock."""

from typing import Final, Protocol

from zfs_walk.broker.events import SetLogLevel
from zfs_walk.broker.state import SessionState, State
from zfs_walk.protocol.messages import Command, Done, Error, LogLevel, LogPage, LogRecord, LogSince

PAGE_RECORDS: Final = 500
"""Records of one page: 10 ms of the broker's loop, in which nobody else is answered."""

PAGE_CHARACTERS: Final = 2 * 2**20
"""Characters of text of one page: 8 MiB at most in UTF-8, half of what a message may have."""

BROKER: Final = "broker"
"""The broker's own role, in LOG_LEVEL and in what it publishes."""


class Remembered(Protocol):
    """The part of `History` that the core reads."""

    def logs(
        self, since_ns: int, after: int, limit: int
    ) -> tuple[tuple[LogRecord, ...], int, int, bool]:
        """As `History.logs`."""


class Logs:
    """Answers LOG_SINCE and LOG_LEVEL."""

    def __init__(self, state: State, history: Remembered | None) -> None:
        self._state = state
        self._history = history

    def on_request(self, route: bytes, message: LogLevel | LogSince) -> None:
        """Answer a client's request."""
        match message:
            case LogLevel():
                self._set_level(route, message)
            case LogSince():
                self._read_back(route, message)

    def _set_level(self, route: bytes, message: LogLevel) -> None:
        """Tell every process that is meant; who comes later begins with its own level."""
        told = [
            session
            for session in self._state.sessions.values()
            if session.route
            and session.state is not SessionState.LOST
            and message.role in {"", session.role}
            and message.host in {"", session.host}
        ]
        for session in told:
            command = Command(0, "set-log-level", level=message.level, logger=message.logger)
            self._state.send(session.route, command)
        itself = message.role in {"", BROKER} and message.host in {"", self._state.settings.host}
        if itself:
            self._state.out.append(SetLogLevel(message.level, message.logger))
        elif not told:
            there = sorted({BROKER, *(each.role for each in self._state.sessions.values())})
            detail = f"no process of this role and host is there; roles: {', '.join(there)}"
            self._state.refuse(route, message, "nobody", detail)
            return
        workers = sum(session.capacity for session in told)
        processes = len(told) + workers + itself
        detail = f"{processes} processes told: {len(told)} agents with {workers} workers"
        self._state.send(route, Done(message.request, detail + ", the broker" * itself))

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
