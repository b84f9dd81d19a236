"""The keys of servers that are believed."""

import base64
import contextlib
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zfs_walk.sinks.errors import SinkRefusedError, UnknownHostError
from zfs_walk.sinks.sftp_options import PORT, Address, SftpOptions

if TYPE_CHECKING:
    import paramiko


class Believed:
    """The host keys that are believed.

    Args:
        address: of the server.
        options: name them, or the files that have them.

    Attributes:
        place: for messages.
        kinds: of keys that are known; a server with several is to show one of these.

    Raises:
        SinkRefusedError: a file can't be read.
    """

    def __init__(self, address: Address, options: SftpOptions) -> None:
        import paramiko  # noqa: PLC0415 -- an extra

        self.place = address.text()
        self._fingerprints = {text.rstrip("=") for text in options.fingerprint}
        self._name = address.host if address.port == PORT else f"[{address.host}]:{address.port}"
        self._keys: list[bytes] = []
        self._revoked: list[bytes] = []
        self.kinds: set[str] = set()
        for path in () if self._fingerprints else options.known_hosts:
            for line in _lines(path.expanduser(), self.place):
                revoked = line.startswith("@revoked ")
                if line.startswith("@") and not revoked:
                    continue
                with contextlib.suppress(paramiko.hostkeys.InvalidHostKey):
                    entry = paramiko.hostkeys.HostKeyEntry.from_line(
                        line.removeprefix("@revoked ").strip()
                    )
                    if entry is not None and self._is_meant(entry):
                        self._add(entry.key, revoked=revoked)

    def _is_meant(self, entry: "paramiko.hostkeys.HostKeyEntry") -> bool:
        import paramiko  # noqa: PLC0415 -- an extra

        keys = paramiko.HostKeys()
        keys._entries.append(entry)  # noqa: SLF001 -- what `load` does, which can't tell a revoked one
        return keys.lookup(self._name) is not None

    def _add(self, key: Any, *, revoked: bool) -> None:
        if revoked:
            self._revoked.append(key.asbytes())
            return
        self._keys.append(key.asbytes())
        self.kinds.update(signatures(key.get_name()))

    def check(self, key: Any) -> None:
        """See that a server is the right one.

        Raises:
            UnknownHostError: nothing is known of it; the field ``fingerprint`` has that of its key.
            SinkRefusedError: it is known to be another one.
        """
        raw = key.asbytes()
        digest = base64.b64encode(hashlib.sha256(raw).digest()).decode().rstrip("=")
        shown = f"SHA256:{digest}"
        if raw in self._revoked:
            reason = f"its host key {shown} is revoked in known_hosts"
        elif raw in self._keys or shown in self._fingerprints:
            return
        elif self._keys or self._fingerprints:
            reason = (
                f"its host key {shown} ({key.get_name()}) is not the one that is known:"
                " it is another server, or it was given a new key; ask who runs it before you"
                " change known_hosts or the option `fingerprint`"
            )
        else:
            reason = (
                f"its host key {shown} ({key.get_name()}) is unknown: compare it with what who"
                " runs it says, and add it to known_hosts, or name it by the option `fingerprint`"
            )
            raise UnknownHostError(place=self.place, reason=reason, fingerprint=shown)
        raise SinkRefusedError(place=self.place, reason=reason)


def _lines(path: Path, place: str) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SinkRefusedError(place=place, reason=f"{path}: {error.strerror}") from error
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def signatures(kind: str) -> tuple[str, ...]:
    """What a kind of key signs as, best first: an RSA key under other names than its own."""
    return ("rsa-sha2-512", "rsa-sha2-256") if kind == "ssh-rsa" else (kind,)
