"""The broker's files of keys, in its state folder: its own, and the public ones that it lets in."""

import time
from dataclasses import asdict, replace
from pathlib import Path

from zfs_walk.broker.keys import Key
from zfs_walk.bus.curve import Curve, new_pair
from zfs_walk.config.connection import KEY
from zfs_walk.config.private import read_private, write_private
from zfs_walk.errors import KeyFileError

SCHEMA = 1
SERVER = "server.json"
KEYS = "keys.json"


def server_curve(state: Path) -> Curve:
    """The broker's own keys, made when there are none.

    Raises:
        KeyFileError: the file is no good, or not safe.
    """
    path = state / SERVER
    content = read_private(path, SCHEMA)
    if content is None:
        public, secret = new_pair()
        write_private(path, SCHEMA, {"public": public, "secret": secret}, replace=False)
        return Curve(public, secret, public)
    public, secret = str(content.get("public")), str(content.get("secret"))
    if not (KEY.fullmatch(public) and KEY.fullmatch(secret)):
        raise KeyFileError(path=path, reason="it is no file of a broker's keys")
    return Curve(public, secret, public)


class KeyFile:
    """A `zfs_walk.broker.keys.KeyStore` in ``keys.json``, which is replaced as a whole."""

    def __init__(self, state: Path) -> None:
        """Name the folder; nothing is read yet."""
        self.path = state / KEYS

    def load(self) -> tuple[Key, ...]:
        """Every key, revoked ones too.

        Raises:
            KeyFileError: the file is no good, or not safe.
        """
        content = read_private(self.path, SCHEMA)
        if content is None:
            return ()
        try:
            return tuple(
                Key(
                    str(row["name"]), str(row["public"]), tuple(map(str, row["roles"])),
                    int(row["created_ns"]), int(row["revoked_ns"]),
                )
                for row in content["keys"]
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise KeyFileError(
                path=self.path, reason=f"it is no list of keys ({error!r})"
            ) from error

    def add(self, name: str, public: str, roles: tuple[str, ...]) -> Key:
        """Keep a new key.

        Raises:
            KeyFileError: the file can't be written.
        """
        key = Key(name, public, roles, time.time_ns())
        self._save((*self.load(), key))
        return key

    def revoke(self, name: str) -> Key:
        """Keep that a valid key is none any more.

        Raises:
            KeyFileError: the file can't be written, or somebody has taken the key out of it.
        """
        keys = self.load()
        key = next((key for key in keys if key.name == name and not key.revoked_ns), None)
        if key is None:
            reason = f"it holds no valid key {name} any more: it was changed; restart the broker"
            raise KeyFileError(path=self.path, reason=reason)
        revoked = replace(key, revoked_ns=time.time_ns())
        self._save(tuple(revoked if each is key else each for each in keys))
        return revoked

    def _save(self, keys: tuple[Key, ...]) -> None:
        rows = [asdict(key) for key in keys]
        write_private(self.path, SCHEMA, {"keys": rows}, replace=True)
