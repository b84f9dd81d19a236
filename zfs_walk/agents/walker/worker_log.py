"""How log records of workers come to their agent, which numbers, writes and publishes them."""

import logging

from zfs_walk.agents.walker.tasks import LINK, Logged
from zfs_walk.bus.ends import Push, Sent
from zfs_walk.bus.logrecord import (
    NAME,
    WORKER,
    exception_of,
    fields_of,
    level_name,
    level_number,
    run_of,
    text_of,
)


class LinkHandler(logging.Handler):
    """A worker's handler: sends records to its agent, and drops what finds no room.

    It has a PUSH of its own, which only the holder of the handler's lock touches: both threads of a
    worker log, and neither may wait.
    """

    def __init__(self, worker: int, push: Push) -> None:
        """Nothing is said yet.

        Args:
            worker: its number.
            push: to the agent; nobody else's.
        """
        super().__init__()
        self._worker = worker
        self._push = push
        self._skipped: dict[str, int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record, or count it."""
        try:
            self._say(record)
        except Exception:  # noqa: BLE001 -- a log line is no reason to end whatever logs it
            self.handleError(record)

    def _say(self, record: logging.LogRecord) -> None:
        level = level_name(record.levelno)
        message = Logged(
            self._worker, round(record.created * 1e9), run_of(record), level, record.name[:NAME],
            text_of(record), fields_of(record), exception_of(record),
            tuple(self._skipped.items()),
        )  # fmt: skip
        if self._push.send(LINK.encode(message)) is Sent.ACCEPTED:
            self._skipped.clear()
        else:
            self._skipped[level] = self._skipped.get(level, 0) + 1


def log_to_agent(worker: int, push: Push) -> None:
    """In a worker: every record goes to the agent, and nowhere else."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    root.addHandler(LinkHandler(worker, push))


def log_for_worker(message: Logged) -> None:
    """In the agent: give a worker's record to the agent's own handlers."""
    record = logging.makeLogRecord({
        **dict(message.fields),
        "name": message.logger,
        "levelno": level_number(message.level),
        "levelname": message.level.upper(),
        "msg": message.text,
        "created": message.time_ns / 1e9,
        "run": message.run,
        "exc_text": message.exception or None,
        "processName": f"{WORKER}{message.worker}",
    })  # fmt: skip
    logging.getLogger(message.logger).handle(record)
