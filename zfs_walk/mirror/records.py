"""What the parts of a mirror tell each other."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What was seen of a name when its action was queued.

    What is done is decided when it is taken, by what is there then: a file that is there is sent,
    or moved if it is known under another name that is gone; one that is not is deleted.
    """

    SEND = "send"
    DELETE = "delete"


class State(StrEnum):
    """Of an action."""

    READY = "ready"
    """Taken when its time has come and a transfer is free."""

    TAKEN = "taken"
    """A transfer has it in hand, or a process that was killed had."""

    HELD = "held"
    """A deletion that waits until somebody confirms it."""

    ASIDE = "aside"
    """It failed too often, or can't succeed; `Action.error` says why."""


class Change(NamedTuple):
    """What was seen of a name.

    Attributes:
        path: below the mirrored folder.
        kind: whether it is there.
        size: bytes, as it was seen; 0 of one that is gone.
        not_before: seconds since the epoch: when it may be taken.
    """

    path: bytes
    kind: Kind
    size: int
    not_before: float


@dataclass(frozen=True, slots=True)
class Action:
    """One name's row of the queue.

    Attributes:
        path: below the mirrored folder.
        kind: what was seen last.
        state: where it stands.
        generation: grows with every change; what is acknowledged is one generation.
        size: bytes, as it was seen.
        added: when the first change was queued that is not done yet, seconds since the epoch.
        not_before: when it may be taken, seconds since the epoch.
        tries: that have failed.
        error: of the last one.
        unsure: it was in hand when a process ended without saying how it went, or a try failed in
            the middle, so the other side may be before or after it.
        confirmed: somebody has confirmed this deletion: it is not held again.
    """

    path: bytes
    kind: Kind
    state: State
    generation: int
    size: int
    added: float
    not_before: float
    tries: int
    error: str
    unsure: bool
    confirmed: bool = False


class Entry(NamedTuple):
    """What is on the other side, as far as we know: what was sent or found there.

    Attributes:
        path: below the mirrored folder; where it goes to is the sink's matter.
        size: bytes.
        mtime_ns: of the local file that it is a copy of.
        dev: of that file; ``ino``: by these a file that has another name now is known.
        ino: see ``dev``.
        mode: of that file.
        tag: the sink's (see `zfs_walk.sinks.interface.Remote`).
        born_ns: when that file's inode was made, ns since the epoch; 0: nobody knows.
    """

    path: bytes
    size: int
    mtime_ns: int
    dev: int
    ino: int
    mode: int
    tag: str
    born_ns: int = 0


class Known(NamedTuple):
    """What a journal knows of a name that is in hand.

    Attributes:
        entry: of the name; None: there is none.
        noted: notes of a transfer of it are kept.
        candidates: entries that have the content of the file that has the name now, in the order
            of their names; of a file with many names some are missing.
    """

    entry: Entry | None = None
    noted: bool = False
    candidates: tuple[Entry, ...] = ()


class Identity(NamedTuple):
    """What a file is known by under whatever name.

    Attributes:
        dev: ``st_dev``.
        ino: ``st_ino``.
        size: bytes.
        mtime_ns: ns since the epoch.
    """

    dev: int
    ino: int
    size: int
    mtime_ns: int


class Counts(NamedTuple):
    """How many actions are in each state, and the bytes of those that are to be sent."""

    ready: int
    taken: int
    held: int
    aside: int
    bytes: int


class Order(StrEnum):
    """Which of the files that are to be sent, and are due, is taken first."""

    OLDEST = "oldest"
    SMALLEST = "smallest"
    """By their number of binary digits; of those that are as large as that, the oldest."""


class Done(NamedTuple):
    """How an action ended well.

    Attributes:
        action: as it was taken.
        entry: what is on the other side under its name now; None: as the index had it.
        gone: names that are no longer there on the other side.
    """

    action: Action
    entry: Entry | None
    gone: tuple[bytes, ...] = ()
