"""From Python's logging to the stream and to the local log file."""

import logging

from zfs_walk.bus.gaps import Gap
from zfs_walk.bus.logfile import LogFile
from zfs_walk.bus.logjson import gap_line, record_line
from zfs_walk.bus.logrecord import (
    NAME,
    exception_of,
    fields_of,
    level_name,
    process_of,
    run_of,
    text_of,
)
from zfs_walk.bus.publisher import Publisher
from zfs_walk.protocol.messages import LogRecord
from zfs_walk.protocol.stream import log_topic


class LogHandler(logging.Handler):
    """Numbers every record, writes it to the log file and publishes it.

    Attributes:
        publisher: of this process.
    """

    def __init__(self, publisher: Publisher, file: LogFile) -> None:
        """Nothing is said yet.

        Args:
            publisher: of this process.
            file: the local log.
        """
        super().__init__()
        self.publisher = publisher
        self._file = file

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record; `logging` holds this handler's lock, so lines are in order."""
        try:
            self._say(record)
        except Exception:  # noqa: BLE001 -- a log line is no reason to end whatever logs it
            self.handleError(record)

    def _say(self, record: logging.LogRecord) -> None:
        origin = self.publisher.origin
        level = level_name(record.levelno)
        # Before the publisher holds its lock: a field's __str__ may log something itself.
        said = text_of(record), fields_of(record), exception_of(record)

        def make(seq: int) -> LogRecord:
            made = LogRecord(
                origin, seq, round(record.created * 1e9), process_of(record), run_of(record),
                level, record.name[:NAME], *said,
            )  # fmt: skip
            self._file.write(record_line(made))
            return made

        self.publisher.publish(log_topic(level, origin.role, origin.host), make)

    def skip(self, level: str, lost: int) -> None:
        """So many records of a level were lost before they came here."""
        origin = self.publisher.origin
        self.acquire()
        try:
            topic = log_topic(level, origin.role, origin.host)
            first = self.publisher.skip(topic, lost)
            self._file.write(gap_line(Gap(origin, level, first, lost)))
        finally:
            self.release()

    def close(self) -> None:
        """Publish what waits, and close the file."""
        self.publisher.close()
        self._file.close()
        super().close()
