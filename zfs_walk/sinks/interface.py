"""What every sink offers.

A sink puts files somewhere else and keeps them true there. It is one class, found by the scheme of
its URL in the entry point group ``zfs_walk.sinks``; `zfs_walk.sinks.conformance` is what each must
pass.

Names are relative to the sink's root, as bytes, their parts separated by ``/``; no part is empty,
``.`` or ``..``, none holds NUL. Nothing that is half sent ever shows under a name. What goes wrong
is raised, as one of the errors of `zfs_walk.sinks.errors`: the sink does not try again by itself,
but for what its library does within one call.
"""

import stat
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, ClassVar, Final, NamedTuple, Protocol, Self, runtime_checkable

from zfs_walk.sinks.source import Source

Report = Callable[[int], None]
"""Told of bytes that are about to be sent. It may wait, for a limit, and may raise
`zfs_walk.sinks.errors.StoppedError` when the transfer is to end now."""


@runtime_checkable
class PartsReport(Protocol):
    """What a `Report` may offer besides, for a sink that sends a file in parts."""

    def __call__(self, passing: int) -> None:
        """As of any `Report`."""
        ...

    def parts(self, done: int, of: int) -> None:
        """So many of its parts are there, those of an earlier try among them.

        It does not wait, and raises nothing.
        """
        ...


class Remote(NamedTuple):
    """A file on the other side.

    Attributes:
        name: below the sink's root.
        size: bytes.
        mtime_ns: of the local file that it is a copy of, ns since the epoch; None: the sink does
            not keep it, or only `Sink.look` tells it.
        tag: becomes another one with every new content, such as an ETag; empty: there is none.
        mode: the nine bits of its permissions; None: the sink does not keep them, or only
            `Sink.look` tells them.
    """

    name: bytes
    size: int
    mtime_ns: int | None
    tag: str
    mode: int | None = None


def permissions(mode: int) -> int | None:
    """What `Remote.mode` says of a file with this ``st_mode``; None: it is a symbolic link."""
    return None if stat.S_ISLNK(mode) else mode & 0o777


class Memory(Protocol):
    """What is known of a transfer that was begun, kept durably until it ends.

    It belongs to one name and one fingerprint of the local file: of a file that has changed a sink
    sees an empty one, after it was told to `Sink.abandon` what was begun.
    """

    def load(self) -> dict[str, str]:
        """Everything that was stored."""
        ...

    def store(self, key: str, value: str) -> None:
        """Keep a value; it is durable when this returns."""
        ...


class Sink(Protocol):
    """One place, used by one thread at a time; `fork` makes one for another thread.

    Args:
        url: names the place.
        options: an instance of `Options`.

    Raises:
        WrongUseError: the URL is none of this sink's.
    """

    Options: ClassVar[type[Any]]
    """The pydantic model of a mapping's ``options:``; it forbids what it does not know."""

    granularity_ns: int
    """Times of the local file are kept to so many ns: 1, or 1,000,000,000."""

    def __init__(self, url: str, options: Any) -> None: ...

    def fork(self) -> Self:
        """Another one of the same place, for another thread; it shares what may be shared."""
        ...

    def place(self, name: bytes) -> str:
        """Where a name goes, in the form that people of this place write.

        Raises:
            NameRefusedError: such a name can't be there; the reason says why.
        """
        ...

    def check(self) -> None:
        """See whether files can be sent: it is there, lets us in, and lets us write.

        Raises:
            SinkError: they can't; `again` tells whether waiting helps.
        """
        ...

    def send(self, source: Source, name: bytes, memory: Memory, report: Report) -> Remote:
        """Put a file's content there, in place of what has the name; parents are made as needed.

        It goes on with what an earlier try, perhaps of a process that was killed, has left there.
        Before the name shows the new content, `Source.check` was called.

        Raises:
            ChangedError: the file has changed meanwhile.
            SinkError: it could not be sent.
        """
        ...

    def abandon(self, name: bytes, memory: Memory) -> None:
        """Take away what a transfer has begun that nobody will go on with."""
        ...

    def delete(self, name: bytes) -> None:
        """Take a file away, and parents that are empty by that; it is no error if it is gone."""
        ...

    def move(self, old: bytes, new: bytes) -> Remote:
        """Give a file another name, in place of what has it; doing it again is no error.

        Raises:
            MissingError: neither ``old`` nor a finished move is there.
        """
        ...

    def look(self, name: bytes) -> Remote | None:
        """What has this name, with all that the sink keeps; None: nothing."""
        ...

    def matches(self, source: Source, remote: Remote) -> bool:
        """Whether both have the same content by a checksum that the sink keeps.

        False also if it keeps none.
        """
        ...

    def list(self, prefix: bytes) -> Iterator[Remote]:
        """The files at a name or below it, in any order; ``b""``: all.

        What is half sent, and what is no file, is not among them. Names that this sink would not
        have given are left out.
        """
        ...

    def sweep(self, known: frozenset[str]) -> int:
        """Take away what dead transfers of ours have left; returns how many.

        Nothing of ours is being sent meanwhile. A sink that has just been listed as a whole may
        believe what it has seen then.

        Args:
            known: all values that live transfers have stored in their `Memory`.
        """
        ...

    def close(self) -> None:
        """Hold nothing open."""
        ...


LARGEST_PARCEL: Final = 1 << 20
"""Bytes of a small file, and of all that are sent together."""


class Parcel(NamedTuple):
    """A small file that is sent together with others.

    Attributes:
        source: the open file.
        name: where it goes.
        report: is told of its bytes before they are sent.
    """

    source: Source
    name: bytes
    report: Report


@runtime_checkable
class Together(Protocol):
    """What a sink may offer besides `Sink`: many small files on their way at once, by one thread.

    Where each file costs round trips, that hides them.
    """

    together: int
    """As many parcels are worth while at once."""

    def send_together(self, parcels: Sequence[Parcel]) -> list[Remote | Exception]:
        """Do for each what `Sink.send` does for one.

        None of them was begun before, and none is larger than `LARGEST_PARCEL`: nothing is noted of
        them. What concerns all (`zfs_walk.sinks.errors.SinkError.whole`) is not found out for each
        anew: the rest is given the same error.

        Returns:
            In their order, what is there now, or what `Sink.send` would have raised; one's error
            changes nothing of the others.
        """
        ...


@runtime_checkable
class Folders(Protocol):
    """What a sink may offer besides `Sink`, if a look at a file costs it a round trip."""

    def files_in(self, folder: bytes, most: int) -> Generator[Remote]:
        """The files right in a folder, in any order, as `Sink.list` tells of them.

        Of a folder that is not there, none; ``b""`` is the sink's root.

        Args:
            folder: its name.
            most: files that are wanted at most; no more of the list need be asked for.

        Raises:
            SinkError: it can't be listed.
        """
        ...


@runtime_checkable
class Dialing(Protocol):
    """What a sink may offer besides `Sink`, if to connect takes it a while."""

    def dial(self) -> None:
        """Begin to connect, without waiting; what goes wrong is told by whatever is done first."""
        ...
