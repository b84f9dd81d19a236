"""Where an SFTP sink is, and how it is to be used."""

import getpass
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import quote, unquote_to_bytes, urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from zfs_walk.errors import WrongUseError
from zfs_walk.sinks.kept_secret import Reference

PORT: Final = 22

Fingerprint = Annotated[str, StringConstraints(pattern=r"^SHA256:[A-Za-z0-9+/]{43}=?$")]


class SftpOptions(BaseModel):
    """The ``options:`` of a mapping to SFTP; docs/sftp.md explains them."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    known_hosts: list[Path] = [Path("~/.ssh/known_hosts"), Path("/etc/ssh/ssh_known_hosts")]
    """Files with the host keys that are believed; those that are not there are passed over."""

    fingerprint: list[Fingerprint] = []
    """Of the host keys that are believed, instead of those of ``known_hosts``."""

    key_file: list[Path] = []
    """Private keys; none: those of the agent, then the usual ones of ``~/.ssh``."""

    agent: bool = True
    """Whether the agent of ``SSH_AUTH_SOCK`` is asked, when no ``key_file`` is named."""

    password_file: Path | None = None
    """A file; its first line is the password, or that of an encrypted key."""

    password_env: str | None = None
    """The environment variable that holds it instead."""

    password_keyring: Reference | None = None
    """SERVICE/USER of the keyring that has it instead."""

    transport: Literal["auto", "paramiko", "openssh"] = "auto"
    """What speaks SSH: paramiko, or OpenSSH's client where that can be used."""

    ciphers: list[str] = []
    """In order of preference; none: what is fastest of what is safe."""

    key_exchange: list[str] = []
    """How keys are agreed upon, in order of preference; none: as OpenSSH or paramiko prefers."""

    connect_timeout: float = Field(default=20, gt=0, le=600)
    """Seconds that connecting may take, each step of it."""

    timeout: float = Field(default=60, gt=0, le=3600)
    """Seconds without an answer, after which the connection counts as lost."""

    fsync: bool = True
    """Whether a file must be on the server's disk before it gets its name."""

    verify: bool = False
    """Whether each file is read back and compared before it gets its name."""

    client: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,32}$")] | None = None
    """Whose unfinished files are whose: differs between those who send to one folder."""


@dataclass(frozen=True, slots=True)
class Address:
    """What a URL names.

    Attributes:
        user: who logs in.
        host: name or number.
        port: of TCP.
        folder: absolute, or relative to where the server lets the user in; without a slash at the
            end; empty: the very folder where the user is let in.
    """

    user: str
    host: str
    port: int
    folder: bytes

    def text(self, name: bytes = b"") -> str:
        """A name below the folder, as a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == PORT else f":{self.port}"
        folder = self.folder if self.folder[:1] == b"/" else (b"/~/" + self.folder).rstrip(b"/")
        path = quote(folder.rstrip(b"/") + (b"/" + name if name else b""), safe="/~") or "/"
        return f"sftp://{quote(self.user)}@{host}{port}{path}"


def parse(url: str) -> Address:
    """Read ``sftp://USER@HOST:PORT/FOLDER``; ``/~/FOLDER`` is relative to the user's own.

    Raises:
        WrongUseError: it is no such URL.
    """
    try:
        found = urlsplit(url)
        port = found.port or PORT
    except ValueError as error:
        raise WrongUseError(reason=f"the URL of an SFTP sink can't be read: {error}") from error
    if found.scheme != "sftp" or not found.hostname:
        raise WrongUseError(reason="an SFTP sink's URL is sftp://USER@HOST:PORT/FOLDER")
    # Neither message shows the URL: it has a password in it, or what may be one.
    if found.password is not None:
        reason = "an SFTP sink's URL holds no password: use the option password_file"
        raise WrongUseError(reason=reason)
    if found.query or found.fragment:
        reason = "`?` and `#` in the folder of an SFTP sink's URL are written as %3F and %23"
        raise WrongUseError(reason=reason)
    folder = unquote_to_bytes(found.path or "/")
    parts = [part for part in folder.split(b"/") if part not in {b"", b"."}]
    if b".." in parts or b"\0" in folder:
        raise WrongUseError(reason="the folder of an SFTP sink's URL has `..` or NUL in it")
    relative = parts[:1] == [b"~"]
    joined = b"/".join(parts[1:]) if relative else b"/" + b"/".join(parts)
    user = unquote_to_bytes(found.username or "").decode() or getpass.getuser()
    return Address(user, found.hostname, port, joined)
