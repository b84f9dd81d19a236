"""What `logging` records say, as messages take it; and the levels' names."""

import logging
import re
from typing import Final

from zfs_walk.protocol.stream import LEVELS

ROOT: Final = "zfs_walk"
"""The logger above all of ours."""

WORKER: Final = "worker "
"""What the process name of a worker's record begins with; its number follows."""

_OWN: Final = frozenset(
    vars(logging.makeLogRecord({})) | {"message": "", "asctime": "", "taskName": "", "run": 0}
)
"""Attributes of a record that are no fields of its author's."""

TEXT: Final = 65_536
FIELD: Final = 4_096
FIELDS: Final = 64
NAME: Final = 255
"""Characters, and fields, that a record takes; what is longer is cut."""

_FORMATTER: Final = logging.Formatter()
_SURROGATES: Final = re.compile("[\ud800-\udfff]")


def level_name(number: int) -> str:
    """The level's name on the bus; levels in between count as the one below."""
    return LEVELS[min(max(number // 10, 1), len(LEVELS)) - 1]


def level_number(name: str) -> int:
    """The level's number in `logging`.

    Raises:
        KeyError: it has none.
    """
    return logging.getLevelNamesMapping()[name.upper()]


def set_level(level: str, logger: str) -> None:
    """Set the level of a logger and all below it; of all of ours if it has no name."""
    logging.getLogger(logger or ROOT).setLevel(level_number(level))


def _clean(text: str) -> str:
    """Without what is no UTF-8: bytes of file names that Python carries as surrogates."""
    return text if text.isascii() else _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)


def text_of(record: logging.LogRecord) -> str:
    """The message with its arguments; one that can't be formatted says so."""
    try:
        return _clean(record.getMessage()[:TEXT])
    except Exception as error:  # noqa: BLE001 -- whatever the arguments' __str__ raises
        return _clean(f"{record.msg!r} could not be formatted: {error!r}"[:TEXT])


def exception_of(record: logging.LogRecord) -> str:
    """The traceback, if there is one."""
    if record.exc_info and not record.exc_text:
        record.exc_text = _FORMATTER.formatException(record.exc_info)
    return _clean((record.exc_text or "")[-TEXT:])


def fields_of(record: logging.LogRecord) -> tuple[tuple[str, str], ...]:
    """What its author gave as ``extra``, the run left out."""
    extras = [(name, value) for name, value in vars(record).items() if name not in _OWN]
    return tuple((name[:NAME], _clean(str(value)[:FIELD])) for name, value in extras[:FIELDS])


def run_of(record: logging.LogRecord) -> int:
    """The run that it belongs to, from ``extra={"run": n}``; 0: none."""
    run = getattr(record, "run", 0)
    return run if isinstance(run, int) and run >= 0 else 0


def process_of(record: logging.LogRecord) -> str:
    """Which worker it comes from; empty for this process itself."""
    name = record.processName or ""
    return name if name.startswith(WORKER) else ""
