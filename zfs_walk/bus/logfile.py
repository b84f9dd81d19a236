"""The local log: JSON lines in a file that is rotated. The truth, where the bus is best effort."""

import contextlib
import errno
import os
import sys
from pathlib import Path
from typing import Final

SIZE: Final = 16 * 2**20
"""Bytes after which a file is rotated: about 50,000 records."""

COUNT: Final = 5
"""Files that are kept, the current one included: 80 MiB a process at most."""


class LogFile:
    """``<role>-<name>.jsonl`` and older ones with ``.1``, ``.2`` ... behind; one process's own.

    Attributes:
        path: of the current file.
        lost: lines that could not be written; the process never stops for one.
    """

    def __init__(self, path: Path, size: int = SIZE, count: int = COUNT) -> None:
        """Open the file and go on at its end.

        Args:
            path: of the current file; its folder is made.
            size: bytes after which it is rotated.
            count: files that are kept, this one included.
        """
        self.path = path
        self.lost = 0
        self._most, self._count = size, count
        self._descriptor: int | None = None
        self._size = 0
        self._complained = False

    def write(self, line: str) -> None:
        """Append a line, before this returns; one that can't be written is counted."""
        data = line.encode() + b"\n"
        try:
            if self._descriptor is None:
                self._open()
            elif self._size and self._size + len(data) > self._most:
                self._rotate()
            self._append(data)
        except OSError as error:
            self.lost += 1
            if not self._complained:
                self._complained = True
                self._complain(error)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> None:
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(self.path, flags, 0o600)
        self._size = os.fstat(self._descriptor).st_size

    def _append(self, data: bytes) -> None:
        if self._descriptor is None:
            return
        written = os.write(self._descriptor, data)
        if written < len(data):
            # The disk is full: half a line would spoil the next one as well.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += written

    def _rotate(self) -> None:
        self.close()
        for number in range(self._count - 1, 0, -1):
            older = self._numbered(number - 1)
            with contextlib.suppress(FileNotFoundError):
                older.replace(self._numbered(number))
        if self._count == 1:
            self.path.unlink(missing_ok=True)
        self._open()

    def _numbered(self, number: int) -> Path:
        return self.path if number == 0 else self.path.with_name(f"{self.path.name}.{number}")

    def _complain(self, error: OSError) -> None:
        """Once, and not through the loggers: they lead here."""
        text = f"the log {self.path} can't be written: {error.strerror}; going on without it\n"
        with contextlib.suppress(OSError):
            sys.stderr.write(text)
            sys.stderr.flush()
