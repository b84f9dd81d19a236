"""Which key may do what (docs/security.md); no I/O, no clock."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from zfs_walk.bus.verdict import Verdict
from zfs_walk.protocol.messages import (
    AGENT_ROLES,
    CLIENT,
    OPERATOR,
    READER,
    Agents,
    Claims,
    FilesQuery,
    Loads,
    LoadShow,
    LogSince,
    Message,
    Queue,
    Runs,
    Segments,
    Snapshot,
    Status,
    Verify,
)

READING: Final = frozenset(
    {
        Status,
        Runs,
        Agents,
        Verify,
        Segments,
        LogSince,
        Snapshot,
        Claims,
        FilesQuery,
        Queue,
        Loads,
        LoadShow,
    }
)
"""What a reader may ask for: whatever changes nothing."""

GATEWAY: Final = "gateway"
"""The right to publish of a broker's own gateway: no key that is added gets it."""

DOMAINS: Final = {
    "bus": frozenset({*AGENT_ROLES, READER, OPERATOR}),
    "publish": frozenset({*AGENT_ROLES, OPERATOR, GATEWAY}),
    "subscribe": frozenset({READER, OPERATOR}),
}
"""Roles of which a key must have one to connect to the broker's sockets."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key.

    Attributes:
        name: given when it was added; of the valid keys no two have the same.
        public: in Z85.
        roles: what it may be used for.
        created_ns: since the epoch; ``revoked_ns`` 0: it is valid.
    """

    name: str
    public: str
    roles: tuple[str, ...]
    created_ns: int = 0
    revoked_ns: int = 0

    def may_be(self, role: str) -> bool:
        """May say HELLO in this role."""
        if OPERATOR in self.roles:
            return True
        return READER in self.roles if role == CLIENT else role in self.roles

    def may_ask(self, request: type[Message]) -> bool:
        """May, as a client, make this request."""
        return OPERATOR in self.roles or (READER in self.roles and request in READING)


LOCAL: Final = Key("local", "", (OPERATOR,))
"""Whoever comes without a key, where none is demanded: inproc, ipc in a 0700 folder, and
``--insecure``."""


class KeyStore(Protocol):
    """Keeps keys durably and knows the time; writing is durable when the method returns.

    It raises `zfs_walk.errors.KeyFileError` where it can't write, and nothing has changed then.
    """

    def load(self) -> tuple[Key, ...]:
        """Every key, revoked ones too."""
        ...

    def add(self, name: str, public: str, roles: tuple[str, ...]) -> Key:
        """Keep a new key."""
        ...

    def revoke(self, name: str) -> Key:
        """Keep that a valid key is none any more."""
        ...


def _nothing() -> None:
    """There is no relay."""


class Keyring:
    """The keys that a broker knows.

    One thread changes it; others may ask at any time, because what they read is replaced as a
    whole and never changed.
    """

    def __init__(self, store: KeyStore | None = None) -> None:
        """Load the keys.

        Args:
            store: where they are kept; None: no key is demanded.
        """
        self._store = store
        self._keys: tuple[Key, ...] = ()
        self._lent: tuple[Key, ...] = ()
        self._valid: dict[str, Key] = {}
        self._after_revocation = _nothing
        self._load()

    def _load(self) -> None:
        if self._store is None:
            self._valid = {LOCAL.public: LOCAL}
            return
        self._keys = tuple(sorted(self._store.load(), key=lambda key: (key.name, key.created_ns)))
        self._valid = {key.public: key for key in (*self._keys, *self._lent) if not key.revoked_ns}

    def lend(self, key: Key) -> None:
        """Let a key in as long as this broker lives: for a process of its own."""
        self._lent = (*self._lent, key)
        self._load()

    def after_revocation(self, call: Callable[[], None]) -> None:
        """Call this after each revocation: the relay binds anew, which drops its subscribers."""
        self._after_revocation = call

    def all(self) -> tuple[Key, ...]:
        """Every key by name, revoked ones too."""
        return self._keys

    def holder(self, public: str) -> Key | None:
        """The valid key with this public key; that of an empty one is `LOCAL`, if there is one."""
        return self._valid.get(public)

    def named(self, name: str) -> Key | None:
        """The valid key of this name."""
        return next((key for key in self._valid.values() if key.name == name), None)

    def judge(self, domain: str, public: str) -> Verdict:
        """Whether a public key may connect to a socket of this domain; for any thread."""
        key = self._valid.get(public)
        if key is None:
            known = next((key for key in self._keys if key.public == public), None)
            if known is None:
                return Verdict("the broker does not know its key")
            return Verdict("the key was revoked", known.name)
        if DOMAINS[domain].isdisjoint(key.roles):
            return Verdict(f"the key may be {', '.join(key.roles)} only", key.name)
        return Verdict("", key.name)

    def add(self, name: str, public: str, roles: tuple[str, ...]) -> None:
        """Let a key in.

        Raises:
            ValueError: why it can't be added.
        """
        if self._store is None:
            text = "this broker runs without keys (--insecure, or on ipc)"
            raise ValueError(text)
        if not name or name == LOCAL.name or not name.isprintable():
            text = f"{name!r} can't be a key's name"
            raise ValueError(text)
        if not roles:
            text = "a key without a role is good for nothing"
            raise ValueError(text)
        if self.named(name) is not None:
            text = f"there is a key {name} already; revoke it first, or take another name"
            raise ValueError(text)
        if any(key.public == public for key in self._keys):
            text = "this public key was added before; make a new one"
            raise ValueError(text)
        self._store.add(name, public, roles)
        self._load()

    def revoke(self, name: str) -> None:
        """Let a key in no more.

        Raises:
            ValueError: no valid key has this name.
        """
        key = self.named(name)
        if self._store is None or key is None or key in self._lent:
            known = ", ".join(sorted(key.name for key in self._valid.values())[:20])
            text = f"there is no valid key {name}; there are: {known}"
            raise ValueError(text)
        self._store.revoke(name)
        self._load()
        self._after_revocation()
