"""What consumers did to files and when, a line of JSON each: written by them, read by a judge.

A row is one system call that appends, so a consumer that is killed has lost none, nothing is kept
in memory, and all consumers of a host share one file.
"""

import json
import os
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from zfs_walk import names
from zfs_walk.errors import WrongUseError

SCHEMA: Final = 1
"""Of the rows."""

_MODE: Final = 0o640


class What(StrEnum):
    """What happened.

    Attributes:
        BEGAN: a consumer begins; the path is its target's, ``folder`` the one that it has below.
        CREATED: a file is there, and is being written.
        CLOSED: a new file is whole, or as far as it will be written, and closed.
        REWRITTEN: some of a file was written over, and it is closed.
        RENAMED: a file has another name, ``to``.
        DELETED: it is gone.
        ENDED: the consumer does nothing more.
    """

    BEGAN = "began"
    CREATED = "created"
    CLOSED = "closed"
    REWRITTEN = "rewritten"
    RENAMED = "renamed"
    DELETED = "deleted"
    ENDED = "ended"


class Witness:
    """Writes down what one consumer does.

    Args:
        file: that is appended to; it is made when there is something to be said.
        consumer: its name.
        target: the folder that it loads; ``folder``: its own, below that.
    """

    def __init__(self, file: str, consumer: str, target: str, folder: str) -> None:
        self._file = file
        self._consumer = consumer
        self._target = target
        self._folder = folder[len(target) :].lstrip("/")
        self._cut = len(folder) - len(self._folder)
        self._heads = {what: f',"event":"{what}","consumer":"{consumer}"' for what in What}
        self._descriptor = -1

    def begin(self) -> None:
        """The consumer begins."""
        target = os.fsencode(os.path.realpath(self._target))
        row = {
            "schema": SCHEMA,
            "time_ns": time.time_ns(),
            "event": What.BEGAN,
            "consumer": self._consumer,
            **names.to_json(target),
            "folder": self._folder,
        }
        self._write(json.dumps(row, ensure_ascii=False, separators=(",", ":")))

    def end(self) -> None:
        """The consumer has done what it does."""
        if self._descriptor >= 0:
            self._write(f'{{"time_ns":{time.time_ns()}{self._heads[What.ENDED]}}}')
            os.close(self._descriptor)
            self._descriptor = -1

    def note(self, what: What, file: int, path: str, size: int | None = None, to: str = "") -> None:
        """Something was done to a file just now.

        Args:
            what: it was.
            file: its number among the consumer's.
            path: below the consumer's folder; of names of our own, which need no quoting.
            size: bytes that it has; None: that is not known, or does not matter.
            to: its new path.
        """
        head = f'{{"time_ns":{time.time_ns()}{self._heads[what]}'
        row = f'{head},"file":{file},"path":"{path[self._cut :]}"'
        if size is not None:
            row += f',"size":{size}'
        if to:
            row += f',"to":"{to[self._cut :]}"'
        self._write(row + "}")

    def _write(self, row: str) -> None:
        if self._descriptor < 0:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._descriptor = os.open(self._file, flags, _MODE)
        try:
            os.write(self._descriptor, row.encode() + b"\n")
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._file) from error


@dataclass(frozen=True, slots=True)
class Told:
    """A row.

    Attributes:
        what: happened.
        time_ns: since the epoch, right after the system call.
        consumer: its name.
        path: below the consumer's target; of `What.BEGAN`: the target's own, resolved.
        size: bytes of the file; -1: it is not told.
        to: the new path.
        folder: of the consumer, below its target.
    """

    what: What
    time_ns: int
    consumer: str
    path: bytes = b""
    size: int = -1
    to: bytes = b""
    folder: bytes = b""


def told(line: bytes) -> Told:
    """What a line says.

    Raises:
        ValueError: it is no row of a witness, or of a newer release's.
    """
    try:
        row: Any = json.loads(line)
        if row.get("schema", SCHEMA) > SCHEMA:
            message = f"schema {row['schema']} is newer than this release, which knows {SCHEMA}"
            raise ValueError(message)
        return Told(
            What(row["event"]), int(row["time_ns"]), str(row["consumer"]),
            names.from_json(row) if "path" in row else b"", int(row.get("size", -1)),
            str(row.get("to", "")).encode(), str(row.get("folder", "")).encode(),
        )  # fmt: skip
    except (AttributeError, KeyError, TypeError) as error:
        message = "it is no row of a witness"
        raise ValueError(message) from error


class WitnessFile:
    """Reads a witness that may still be written, or will be.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._lines = 0

    def new(self) -> list[Told]:
        """What was written since the last call; a line that is not whole yet is left for the next.

        Raises:
            WrongUseError: it can't be read, or is no witness.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                text = file.read()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise WrongUseError(reason=f"{self._path}: {error.strerror}") from error
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        found = []
        for line in whole.splitlines():
            self._lines += 1
            try:
                found.append(told(line))
            except ValueError as error:
                reason = f"{self._path}, line {self._lines}: {error}"
                raise WrongUseError(reason=reason) from error
        return found
