"""The folder of a catalog: whose it is, and whether a host sees the same one."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from zfs_walk.catalog.durable import fsync_folder
from zfs_walk.catalog.manifest import MANIFEST, SEGMENTS, load
from zfs_walk.errors import CatalogError

TOKEN: Final = ".zfs_walk-token"  # noqa: S105 -- proves which folder this is; no secret
LOCK: Final = ".zfs_walk-lock"

_TOKEN_BYTES: Final = 16
"""Random, so that no two folders have the same by chance."""


def prepare(folder: str | Path, *, resume: str | None = None) -> str:
    """Make ``folder`` ready for the segments of a run; returns the token that it holds.

    It must not exist (its parent must), or be empty, or, to go on with a run, hold the token
    ``resume`` that this function returned when the run began.

    Raises:
        CatalogError: it is something else, or can't be written.
    """
    folder = Path(folder)
    if resume is not None:
        check_token(folder, resume)
        return resume
    token = secrets.token_hex(_TOKEN_BYTES)
    try:
        folder.mkdir(exist_ok=True)
        _refuse_used(folder)
        # Exclusive: of two that prepare one folder at the same moment, one is refused.
        with (folder / TOKEN).open("x") as file:
            file.write(token + "\n")
            file.flush()
            os.fsync(file.fileno())
        (folder / SEGMENTS).mkdir()
        fsync_folder(folder)
        fsync_folder(folder.parent)
    except FileExistsError as error:
        raise CatalogError(path=folder, reason="it exists and is not a catalog") from error
    except OSError as error:
        raise CatalogError(path=folder, reason=error.strerror) from error
    return token


def check_token(folder: str | Path, token: str) -> None:
    """Check that this host sees the folder that `prepare` returned ``token`` for, and may write.

    Raises:
        CatalogError: it does not, or may not.
    """
    segments = Path(folder) / SEGMENTS
    try:
        found = (Path(folder) / TOKEN).read_text("ascii", "replace").strip()
    except OSError as error:
        reason = f"this host does not see the run's token in it ({error.strerror})"
        raise CatalogError(path=folder, reason=reason) from error
    if found != token:
        raise CatalogError(path=folder, reason="it holds the token of another run")
    if not os.access(segments, os.W_OK | os.X_OK):
        raise CatalogError(path=folder, reason=f"this user can't write to {segments}")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: two that finish one catalog would delete each other's segments.

    Where the file system has no locks (ENOLCK, EOPNOTSUPP) there is none, and no error.

    Raises:
        CatalogError: another process holds it, or the folder can't be written.
    """
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise CatalogError(path=folder, reason=error.strerror) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            reason = "another process is finishing it"
            raise CatalogError(path=folder, reason=reason) from error
        except OSError:
            pass
        yield
    finally:
        os.close(descriptor)


def _refuse_used(folder: Path) -> None:
    used = {path.name for path in folder.iterdir()}
    if MANIFEST in used:
        reason = f"it already holds the catalog of run {load(folder).run.number}"
    elif TOKEN in used:
        reason = "it already holds the catalog of a run that is not finished"
    elif used:
        reason = "it exists and is not a catalog"
    else:
        return
    raise CatalogError(path=folder, reason=reason)
