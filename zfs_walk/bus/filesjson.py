"""The JSON of files and claims: of HTTP, and of ``zfs-ctl files`` and ``claims``.

docs/json.md describes it.
"""

from functools import lru_cache
from typing import Any

from zfs_walk import names
from zfs_walk.protocol.files import LINK, WRITING, ClaimLine


def file_fields(name: bytes, host: str, path: bytes) -> dict[str, Any]:
    """What names a file: its name below the claim's folder, the host, the folder.

    Args:
        name: relative to the folder.
        host: of the scout.
        path: the claim's folder.
    """
    return {**_name_fields(name), **claim_place(host, path)}


def row_fields(  # noqa: PLR0913, PLR0917 -- the columns of a row
    name: bytes, host: str, path: bytes, size: int, mtime_ns: int, flags: int
) -> dict[str, Any]:
    """A file with all that is known of it; sizes in bytes, times since the epoch."""
    fields: dict[str, Any] = {
        **_name_fields(name),
        **claim_place(host, path),
        "size": size,
        "mtime": mtime_ns / 10**9,
        "mtime_ns": mtime_ns,
    }
    if flags & WRITING:
        fields["writing"] = True
    if flags & LINK:
        fields["link"] = True
    return fields


def claim_fields(line: ClaimLine, files: int, age: float) -> dict[str, Any]:
    """Who watches what, how, and how well.

    Args:
        line: what the broker said.
        files: in its list now.
        age: seconds since it was claimed.
    """
    return {
        **claim_place(line.host, line.path),
        "scout": line.scout,
        "pid": line.pid,
        "session": line.session,
        "state": line.state,
        "serving": line.serving,
        "why": line.why,
        "monitor": line.monitor,
        "files": files,
        "generation": line.generation,
        "version": line.version,
        "since_seconds": round(age, 3),
    }


def _name_fields(name: bytes) -> dict[str, str]:
    try:
        return {"filename": name.decode()}
    except UnicodeDecodeError:
        return names.to_json(name, "filename")


@lru_cache(4096)
def claim_place(host: str, path: bytes) -> dict[str, str]:
    """What names a claim; not to be changed: folders are few, and rows many."""
    return {"host": host, **names.to_json(path, "claim")}
