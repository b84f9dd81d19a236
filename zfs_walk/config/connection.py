"""Connection files: where a broker is, its key, and the own one (docs/security.md)."""

import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from zfs_walk.config.private import read_private, write_private
from zfs_walk.errors import KeyFileError

SCHEMA = 1
SYSTEM = Path("/etc/zfs_walk/connection.json")
OWN = "connection.json"
"""In the user's folder: the broker that is meant when none is named."""

KEY = re.compile(r"[0-9a-zA-Z.:+=^!/*?&<>()\[\]{}@%$#-]{40}")
"""32 bytes in Z85 (ZeroMQ's RFC 32)."""


@dataclass(frozen=True, slots=True)
class Connection:
    """How to come to a broker.

    Attributes:
        endpoint: where it listens.
        server: its public key, in Z85.
        public: the own public key; ``secret`` belongs to it.
        name: of the own key, as the broker has it.
        roles: what the own key is for.
        further: where it may be as well, tried in turn after ``endpoint``.
    """

    endpoint: str
    server: str
    public: str
    secret: str = field(repr=False)
    name: str
    roles: tuple[str, ...]
    further: tuple[str, ...] = ()

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Everywhere it may be, the first one first."""
        return (self.endpoint, *self.further)

    def write(self, path: Path, *, replace: bool = False) -> None:
        """Write a connection file.

        Raises:
            KeyFileError: it can't be written, or is there already.
        """
        content = asdict(self)
        if not self.further:
            del content["further"]
        write_private(path, SCHEMA, content, replace=replace)


def read_connection(path: Path) -> Connection | None:
    """What a connection file says; None: there is none.

    Raises:
        KeyFileError: it is no good, or not safe.
    """
    content = read_private(path, SCHEMA)
    if content is None:
        return None
    values = {
        name: content.get(name) for name in ("endpoint", "server", "public", "secret", "name")
    }
    roles, further = content.get("roles"), content.get("further", [])
    keys = (values["server"], values["public"], values["secret"])
    if (
        not all(isinstance(value, str) for value in values.values())
        or not isinstance(roles, list)
        or not isinstance(further, list)
        or not all(isinstance(endpoint, str) for endpoint in further)
        or not all(KEY.fullmatch(str(key)) for key in keys)
    ):
        raise KeyFileError(path=path, reason="it is no connection file")
    words = {name: str(value) for name, value in values.items()}
    return Connection(**words, roles=tuple(map(str, roles)), further=tuple(further))


def user_folder() -> Path:
    """Where this user's connection files are."""
    given = os.environ.get("XDG_CONFIG_HOME")
    if given:
        return Path(given).absolute() / "zfs_walk"
    try:
        return Path.home() / ".config/zfs_walk"
    except RuntimeError:  # a user without a home, as some services'; it has no files there
        return Path("/.config/zfs_walk")


def file_for(endpoint: str) -> Path:
    """Where this user's connection to a broker is kept that was started here."""
    name = re.sub(r"[^A-Za-z0-9.]+", "-", plain(endpoint).removeprefix("tcp://")).strip("-")
    return user_folder() / "connections" / f"{name}.json"


def stored_for(endpoint: str) -> Connection | None:
    """This user's connection to a broker, else the system's.

    Raises:
        KeyFileError: a file that may be the one is no good, or not safe.
    """
    own = file_for(endpoint)
    for path in (own, user_folder() / OWN, *_others(own), SYSTEM):
        found = _readable(path)
        if found is not None and plain(endpoint) in map(plain, found.endpoints):
            return found
    return None


def stored_default(default: str) -> Connection | None:
    """The connection that is meant when no broker is named.

    It is the user's ``connection.json``, the one to the broker at ``default``, the only one that
    there is, the system's.

    Raises:
        KeyFileError: a file that may be the one is no good, or not safe.
    """
    own = file_for(default)
    for path in (user_folder() / OWN, own):
        found = read_connection(path)
        if found is not None:
            return found
    others = [found for found in map(read_connection, _others(own)) if found is not None]
    return others[0] if len(others) == 1 else _readable(SYSTEM)


def _others(own: Path) -> Iterator[Path]:
    return (path for path in sorted(own.parent.glob("*.json")) if path != own)


def _readable(path: Path) -> Connection | None:
    """What a file says; the system's is for its owner only, and no error for others."""
    if path == SYSTEM and not os.access(path, os.R_OK):
        return None
    return read_connection(path)


def plain(endpoint: str) -> str:
    """An endpoint, with one name for the loopback."""
    return endpoint.replace("tcp://localhost:", "tcp://127.0.0.1:")
