"""Files that only their owner may read or write, most of them JSON with keys; they are whole."""

import contextlib
import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

from zfs_walk.errors import KeyFileError

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def read_private(path: Path, schema: int) -> dict[str, Any] | None:
    """The object in a file, without its schema number; None: there is no such file.

    Raises:
        KeyFileError: it belongs to somebody else, others may read or write it, it is broken, or a
            newer release has written it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeyFileError(path=path, reason=error.strerror) from error
    try:
        _check(path, os.fstat(descriptor))
        with os.fdopen(descriptor, encoding="utf-8", closefd=False) as file:
            content = json.load(file)
    except (ValueError, OSError) as error:
        raise KeyFileError(path=path, reason=f"it is broken ({error})") from error
    finally:
        os.close(descriptor)
    if not isinstance(content, dict) or not isinstance(content.get("schema"), int):
        raise KeyFileError(path=path, reason="it holds no keys")
    if content["schema"] != schema:
        raise KeyFileError(
            path=path,
            reason=f"it has schema {content['schema']}, this release knows {schema}; use the"
            " release that wrote it, or a newer one",
        )
    return content


def _check(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise KeyFileError(path=path, reason="it is no file")
    if found.st_uid != os.geteuid():
        raise KeyFileError(
            path=path,
            reason=f"it belongs to uid {found.st_uid}; have a key made for this user with"
            " `zfs-ctl key add`",
        )
    if found.st_mode & OTHERS:
        raise KeyFileError(path=path, reason=f"others may read it; run: chmod 600 {path}")


def write_private(path: Path, schema: int, content: dict[str, Any], *, replace: bool) -> None:
    """Write a file, durably, that only this user can read.

    Args:
        path: the file; its folder is made if need be.
        schema: number of the file's schema.
        content: what it holds.
        replace: if there is one already; else it is left alone.

    Raises:
        KeyFileError: it can't be written, or is there already.
    """
    text = json.dumps({"schema": schema, **content}, indent=2) + "\n"
    try:
        write_private_text(path, text, replace=replace)
    except FileExistsError as error:
        raise KeyFileError(
            path=path, reason="it is there already and is not overwritten; name another file"
        ) from error
    except OSError as error:
        raise KeyFileError(path=path, reason=error.strerror) from error


def write_private_text(path: Path, text: str, *, replace: bool) -> None:
    """Write a file, durably and as a whole, that only this user can read.

    Args:
        path: the file; its folder is made if need be.
        text: what it holds.
        replace: if there is one already; else it is left alone.

    Raises:
        FileExistsError: it is there already.
        OSError: it can't be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _make_folder(path.parent)
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        if replace:
            temporary.replace(path)
        else:
            os.link(temporary, path)
        _sync(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError as error:
        # Not to be taken for a file that is there already.
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder) from error


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
