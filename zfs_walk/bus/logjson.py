"""The JSON of the stream: one line a record or a gap, in log files and of ``zfs-ctl tail --json``.

docs/json.md describes it.
"""

import datetime as dt
import json
from typing import Any, Final

from zfs_walk.bus.gaps import Gap
from zfs_walk.protocol.messages import LogRecord
from zfs_walk.protocol.statistics import Origin

SCHEMA: Final = 1


def time_text(time_ns: int) -> str:
    """UTC, with microseconds, as in RFC 3339."""
    seconds, rest = divmod(time_ns, 10**9)
    whole = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{rest // 1000:06}Z"


def record_line(record: LogRecord) -> str:
    """A record as one line of JSON, without the line's end."""
    return _line({
        "schema": SCHEMA,
        "kind": "record",
        "time": time_text(record.time_ns),
        "time_ns": record.time_ns,
        "level": record.level,
        **_origin(record.origin),
        "process": record.process,
        "run": record.run,
        "logger": record.logger,
        "seq": record.seq,
        "message": record.text,
        "fields": dict(record.fields),
        "exception": record.exception or None,
    })  # fmt: skip


def gap_line(gap: Gap) -> str:
    """Records that are missing here, as one line of JSON."""
    return _line({
        "schema": SCHEMA,
        "kind": "gap",
        "lost": gap.lost,
        "level": gap.level,
        **_origin(gap.origin),
        "seq": gap.first,
    })  # fmt: skip


def _origin(origin: Origin) -> dict[str, Any]:
    return {
        "role": origin.role,
        "host": origin.host,
        "name": origin.name,
        "pid": origin.pid,
        "session": origin.session,
        "publisher": origin.publisher,
    }


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
