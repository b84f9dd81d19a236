"""Prints files for `zfs-ctl files`: names as they are, bytes and all; on a terminal, harmless."""

import json
import sys
from collections.abc import Mapping
from typing import Any, Final

from zfs_walk.bus.filesjson import claim_place, file_fields, row_fields
from zfs_walk.cli.summary import show_path, show_text
from zfs_walk.lists.events import Changed, News
from zfs_walk.lists.replica import Row

SIGNS: Final = {"added": b"+ ", "changed": b"~ ", "removed": b"- "}


class FilePrinter:
    """Writes to stdout, which its user flushes."""

    def __init__(self, *, null: bool, json_: bool, events: bool) -> None:
        """Print.

        Args:
            null: a zero byte ends each name.
            json_: a line of JSON a file.
            events: say what happened to each file.
        """
        self._end = b"\0" if null else b"\n"
        self._json, self._events = json_, events
        self._harmless = sys.stdout.isatty() and not null
        self._write = sys.stdout.buffer.write

    def file(self, row: Row) -> None:
        """A file that is there from the beginning."""
        self._show("added", row[0], row_fields(*row) if self._json else {})

    def news(self, news: News, prefix: bytes, *, serving: bool) -> None:
        """What happened to one claim.

        Args:
            news: what.
            prefix: of the names that are wanted.
            serving: the claim is in the answers now.
        """
        host, path = news.host, news.path
        if not isinstance(news, Changed):
            self._claim(host, path, serving=serving)
            return
        for name in news.removed:
            if name.startswith(prefix):
                self._show("removed", name, file_fields(name, host, path) if self._json else {})
        for row in zip(*news.rows, strict=True):
            name = row[0]
            if name.startswith(prefix):
                event = "added" if name in news.added else "changed"
                fields = row_fields(name, host, path, *row[1:]) if self._json else {}
                self._show(event, name, fields)

    def _show(self, event: str, name: bytes, fields: Mapping[str, Any]) -> None:
        if self._json:
            self._line({"event": event, **fields} if self._events else fields)
            return
        sign = SIGNS[event] if self._events else b""
        if self._harmless:
            name = show_path(name).encode()
        self._write(sign + name + self._end)

    def _claim(self, host: str, path: bytes, *, serving: bool) -> None:
        """All of its files came, or went: for people, a line on stderr."""
        if self._json:
            self._line({"event": "claim", **claim_place(host, path), "serving": serving})
            return
        sys.stdout.flush()
        what = "its files are listed again" if serving else "its files are left out from now on"
        sys.stderr.write(f"zfs-ctl: {show_path(path)} on {show_text(host)}: {what}\n")

    def _line(self, fields: Mapping[str, Any]) -> None:
        self._write(json.dumps(fields).encode() + b"\n")
