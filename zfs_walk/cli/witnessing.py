"""What scouts and uploaders report of files, for a judge: from a bus, and from a database."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

from zfs_walk import __version__
from zfs_walk.cli.command import host_name
from zfs_walk.cli.connection import find_target
from zfs_walk.errors import WrongUseError
from zfs_walk.load.judge import Judge

if TYPE_CHECKING:
    from zfs_walk.lists.events import News

Report = Callable[[Judge], bool]
"""Something that was reported; returns whether it matters to the judge."""

OVERLAP: Final = timedelta(seconds=60)
"""What is told to a database late was done before what is there already: so far is read again."""

THERE: Final = ("sent", "moved", "unchanged")
"""How an action ends after which the file is on the other side."""

_US: Final = 1_000


class Source(Protocol):
    """Where reports come from."""

    def take(self) -> list[Report]:
        """What is new, in its order."""

    def close(self) -> None:
        """It is not needed any more."""


class Lists:
    """The lists that scouts have at a broker, followed from now on.

    Args:
        broker: as of ``--broker``.
        timeout: seconds that the broker may take for its first answer.
        say: takes what a user should know of the connection.

    Raises:
        NoBrokerError: nobody answers.
        ZfsWalkError: the broker does not want us.
    """

    def __init__(self, broker: str, timeout: float, say: Callable[[str], None]) -> None:
        # Whoever judges uploads alone does not need ZeroMQ.
        from zfs_walk.bus.client import Client  # noqa: PLC0415
        from zfs_walk.bus.files_follower import FilesFollower  # noqa: PLC0415
        from zfs_walk.bus.sockets import Bus  # noqa: PLC0415

        self._reports: deque[Report] = deque()
        self._woken = threading.Event()
        target = find_target(broker)
        self._bus = Bus(target.curve)
        who = (self._bus, target.endpoints, host_name(None), __version__)
        try:
            first = Client(*who, timeout, lambda: None)
            try:
                first.greet()
            finally:
                first.close()
            self._follower = FilesFollower(*who, say, self._woken.set)
            self._follower.start()
        except BaseException:
            self._bus.close()
            raise
        try:
            self._begin(timeout)
        except BaseException:
            self.close()
            raise

    def _begin(self, timeout: float) -> None:
        """Take the lists as they are: since when, nobody knows."""
        until = time.monotonic() + timeout
        replica = self._follower.replica
        while True:
            self._woken.clear()
            with self._follower.lock:
                if replica.ready:
                    replica.listeners.append(self._heard)
                    for name, _, path, size, _, flags in replica.merged():
                        self._reports.append(_listed(path, name, size, flags, 0))
                    return
            self._check()
            if time.monotonic() > until:
                reason = "the broker does not give its lists whole (zfs-ctl claims shows them)"
                raise WrongUseError(reason=reason)
            self._woken.wait(0.2)

    def _check(self) -> None:
        if self._follower.error is not None:
            raise self._follower.error

    def _heard(self, news: "News") -> None:
        """Called in the follower's thread, which holds the lock."""
        from zfs_walk.lists.events import Appeared, Changed, Left  # noqa: PLC0415

        now = time.time_ns()
        path = news.path
        match news:
            case Appeared(host):
                for name, _, folder, size, _, flags in self._follower.replica.merged(host=host):
                    if folder == path:
                        self._reports.append(_listed(path, name, size, flags, now))
            case Left():
                self._reports.append(lambda judge: judge.withdrawn_below(path))
            case Changed(removed=removed, rows=rows):
                for name in removed:
                    self._reports.append(_gone(os.path.join(path, name)))  # noqa: PTH118 -- bytes
                for name, size, _, flags in zip(*rows, strict=True):
                    self._reports.append(_listed(path, name, size, flags, now))

    def take(self) -> list[Report]:
        """What is new, in its order."""
        self._check()
        return [self._reports.popleft() for _ in range(len(self._reports))]

    def close(self) -> None:
        """Follow no longer."""
        self._follower.close()
        self._bus.close()


def _listed(folder: bytes, name: bytes, size: int, flags: int, now: int) -> Report:
    from zfs_walk.protocol.files import WRITING  # noqa: PLC0415

    path = os.path.join(folder, name)  # noqa: PTH118 -- of bytes
    shown = -1 if flags & WRITING else size
    return lambda judge: judge.reported(path, shown, now)


def _sent(path: bytes, size: int, ended: datetime) -> Report:
    when = ended if ended.tzinfo is not None else ended.replace(tzinfo=UTC)
    time_ns = round(when.timestamp() * 1e6) * _US

    def report(judge: Judge) -> bool:
        # What was sent before the file was whole is no copy of it.
        return time_ns + _US > judge.closed_ns(path) and judge.reported(path, size, time_ns)

    return report


def _gone(path: bytes) -> Report:
    return lambda judge: judge.withdrawn(path)


class Uploads:
    """What uploaders told a database of actions that have ended (docs/notify.md).

    Args:
        url: of the database, as of an uploader's ``--notify``.

    Raises:
        MissingExtraError: what the database needs is not installed.
        WrongUseError: it is no URL of one; it does not answer, or no uploader has told it anything.
    """

    def __init__(self, url: str) -> None:
        from zfs_walk.notify.database import has_password, open_engine, parse  # noqa: PLC0415

        if has_password(url):
            reason = "--uploads: no password in the URL (PGPASSFILE has it, for example)"
            raise WrongUseError(reason=reason)
        self._engine = open_engine(parse(url))
        self._seen: dict[tuple[str, int], datetime] = {}
        self._last: datetime | None = None
        self._rows()

    def take(self) -> list[Report]:
        """What is new, in its order."""
        reports = []
        for mapping, number, local, name, stage, size, ended, detail in self._rows():
            self._last = ended if self._last is None else max(self._last, ended)
            if (mapping, number) in self._seen:
                continue
            self._seen[mapping, number] = ended
            folder = os.path.realpath(local)
            path = os.path.join(folder, name)  # noqa: PTH118 -- of bytes
            if stage == "moved":
                reports.append(_gone(os.path.join(folder, detail.encode())))  # noqa: PTH118 -- bytes
            reports.append(_gone(path) if stage == "deleted" else _sent(path, size, ended))
        if self._last is not None:
            since = self._last - OVERLAP
            self._seen = {key: ended for key, ended in self._seen.items() if ended >= since}
        return reports

    def _rows(self) -> list[Any]:
        from sqlalchemy import select  # noqa: PLC0415 -- an extra
        from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

        from zfs_walk.notify.schema import tables  # noqa: PLC0415

        action, mapping = tables().action.c, tables().mapping.c
        query = (
            select(
                action.mapping_id,
                action.number,
                mapping.path,
                action.path,
                action.stage,
                action.size,
                action.ended_at,
                action.detail,
            )
            .where(action.mapping_id == mapping.mapping_id)
            .where(action.stage.in_([*THERE, "deleted"]))
            .order_by(action.ended_at, action.number)
        )
        if self._last is not None:
            query = query.where(action.ended_at >= self._last - OVERLAP)
        try:
            with self._engine.connect() as connection:
                return [tuple(row) for row in connection.execute(query)]
        except SQLAlchemyError as error:
            kind = type(getattr(error, "orig", None) or error).__name__
            reason = f"--uploads: no uploader's actions can be read there ({kind})"
            raise WrongUseError(reason=reason) from error

    def close(self) -> None:
        """Forget it."""
        self._engine.dispose()
