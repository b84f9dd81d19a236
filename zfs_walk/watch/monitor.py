"""What every monitor offers: the events of one folder, in the order in which they happened.

Paths are relative to the folder, as bytes; ``b""`` is the folder itself. A monitor may merge a
burst on one name within one `Monitor.read` into one event, but it never loses a name: what it
can't report in particular becomes `Lost`.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Looked:
    """Something happened to this name: look at it.

    It was created, deleted or moved away, or its attributes changed; it may be a directory.
    """

    path: bytes


@dataclass(frozen=True, slots=True)
class Writing:
    """A file was created or written to, and is open."""

    path: bytes


@dataclass(frozen=True, slots=True)
class Written:
    """A file that was open for writing was closed."""

    path: bytes


@dataclass(frozen=True, slots=True)
class Moved:
    """A file or a directory got another name within the folder."""

    old: bytes
    new: bytes
    directory: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """The system lost events: compare everything."""

    why: str


@dataclass(frozen=True, slots=True)
class RootGone:
    """The folder itself was moved, deleted or unmounted."""

    why: str


Event = Looked | Writing | Written | Moved | Lost | RootGone


class Monitor(Protocol):
    """Tells what happens in one folder. Not thread-safe: one thread uses it."""

    name: str
    """``fanotify``, ``watchdog`` or ``poll``."""

    def add(self, directory: bytes) -> bool:
        """Watch a directory, before it is read.

        Returns:
            False: the system's limit is reached, and the directory must be polled.
        """
        ...

    def forget(self, directory: bytes) -> None:
        """A directory is not below the folder any more, nor is anything that was below it."""
        ...

    def fileno(self) -> int:
        """A descriptor that can be read when `read` has something."""
        ...

    def read(self) -> list[Event]:
        """What happened since the last call; never waits."""
        ...

    def close(self) -> None:
        """Stop watching, and give back what the system lent."""
        ...
