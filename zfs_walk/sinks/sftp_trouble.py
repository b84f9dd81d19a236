"""What a server's "no" means: whether it concerns a file, or nothing can be written at all."""

from typing import Final

from zfs_walk.sinks import sftp_wire as wire
from zfs_walk.sinks.errors import (
    FileRefusedError,
    FullSinkError,
    MissingError,
    SinkError,
    SinkRefusedError,
    TransientError,
)
from zfs_walk.sinks.sftp_answers import GarbledError, Status, StatusError, room_of
from zfs_walk.sinks.sftp_session import LostError, Session
from zfs_walk.sinks.sftp_tree import Tree
from zfs_walk.sinks.sftp_wire import Access

_PROBE: Final = b"\0" * 4096
"""What is written to see whether anything can be: a block of most file systems."""


def why(
    session: Session, tree: Tree, error: StatusError, name: bytes, size: int | None
) -> SinkError:
    """The error that a status means: OpenSSH says no more than "failure" of most.

    Args:
        session: in which it came.
        tree: what it concerns.
        error: what the server said.
        name: what it was about.
        size: bytes that were to be written; None: nothing was.
    """
    try:
        if size is not None:
            probe(session, tree, size)
    except SinkError as whole:
        return whole
    except (StatusError, LostError, GarbledError):
        pass
    return _meant(tree.place(name), error)


def probe(session: Session, tree: Tree, size: int = len(_PROBE)) -> None:
    """See that a file can be made and written.

    Raises:
        SinkError: none can.
    """
    place = tree.place()
    free = None
    if session.offers(b"statvfs@openssh.com"):
        room = room_of(session.do(wire.room(tree.root)))
        if room.read_only:
            reason = "its file system can only be read"
            raise SinkRefusedError(place=place, reason=reason)
        free = room.free
    path = tree.unfinished(tree.path(b"x"))
    with tree.passing(path):
        written = _try(session, tree, path, free)
    if not written or (free is not None and free < size):
        reason = f"{size} bytes are needed"
        if free is not None:
            reason += f", and {free} are free"
        raise FullSinkError(place=place, reason=reason)


def _try(session: Session, tree: Tree, path: bytes, free: int | None) -> bool:
    """Make a file and take it away; whether there was room for what it has.

    Raises:
        SinkError: no file can be made.
    """
    place = tree.place()
    access = Access.WRITE + Access.CREATE + Access.EXCLUSIVE
    try:
        handle = session.do(wire.open_file(path, access, 0o600)).handle()
    except StatusError as error:
        reason = f"no file can be made there: {error}"
        if _is_full(error) or free == 0:
            raise FullSinkError(place=place, reason=reason) from error
        raise SinkRefusedError(place=place, reason=reason) from error
    try:
        session.do(wire.write(handle, 0, _PROBE)).done()
    except StatusError as error:
        if not _is_full(error) and free is not None and free >= len(_PROBE):
            raise
        return False
    finally:
        session.do(wire.close(handle))
        session.do(wire.remove(path))
    return True


def _is_full(error: StatusError) -> bool:
    words = error.text.lower()
    full = {Status.NO_SPACE_ON_FILESYSTEM, Status.QUOTA_EXCEEDED}
    return error.status in full or "no space" in words or "quota" in words


def _meant(place: str, error: StatusError) -> SinkError:
    if _is_full(error):
        return FullSinkError(place=place, reason=error)
    kinds: dict[int, type[SinkError]] = {
        Status.NO_SUCH_FILE: MissingError,
        Status.PERMISSION_DENIED: FileRefusedError,
        Status.BAD_MESSAGE: FileRefusedError,
        Status.OP_UNSUPPORTED: FileRefusedError,
    }
    return kinds.get(error.status, TransientError)(place=place, reason=error)
