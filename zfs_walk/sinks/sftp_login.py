"""Keys and passwords, and which of them a server lets in."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from zfs_walk.sinks.errors import SinkRefusedError
from zfs_walk.sinks.kept_secret import secret_of
from zfs_walk.sinks.sftp_options import Address, SftpOptions

if TYPE_CHECKING:
    import paramiko

_USUAL_KEYS: Final = ("id_ed25519", "id_ecdsa", "id_rsa")


class Login(NamedTuple):
    """What a server has accepted; neither is known of what only we can use: a password.

    Attributes:
        file: a private key that is not encrypted.
        agent: the public key of a private one that the agent has.
    """

    file: Path | None = None
    agent: str | None = None

    @property
    def shared(self) -> bool:
        """Whether OpenSSH's client can log in the same way, without being told a secret."""
        return self != Login()


_Key = tuple[str, Any, Login]
"""How messages call it, what paramiko takes, and what it is."""


def log_in(transport: "paramiko.Transport", address: Address, options: SftpOptions) -> Login:
    """Try the keys, then the password; returns what was accepted.

    Raises:
        SinkRefusedError: none is accepted.
    """
    import paramiko  # noqa: PLC0415 -- an extra

    place = address.text()
    password = _password(options, place)
    tried: list[str] = []
    for label, key, login in _keys(options, password, place):
        tried.append(label)
        try:
            missing = transport.auth_publickey(address.user, key)
        except paramiko.AuthenticationException:
            missing = ["another key"]
        if not missing:
            return login
        if not transport.is_active():
            break
    if password is not None and transport.is_active():
        tried.append("the password")
        try:
            missing = transport.auth_password(address.user, password)
        except paramiko.AuthenticationException:
            missing = ["another password"]
        if not missing:
            return Login()
    if not tried:
        reason = (
            "there is nothing to log in with: name a `key_file`, start an agent, or give a password"
        )
    else:
        reason = f"{address.user} is not let in with {', '.join(tried)}"
    raise SinkRefusedError(place=place, reason=reason)


def _password(options: SftpOptions, place: str) -> str | None:
    if options.password_file is not None:
        path = options.password_file.expanduser()
        try:
            return path.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
        except (OSError, UnicodeDecodeError) as error:
            reason = f"password_file {path}: {getattr(error, 'strerror', None) or 'is no text'}"
            raise SinkRefusedError(place=place, reason=reason) from error
    if options.password_env is not None:
        found = os.environ.get(options.password_env)
        if found is None:
            reason = f"password_env: there is no variable {options.password_env}"
            raise SinkRefusedError(place=place, reason=reason)
        return found
    if options.password_keyring is not None:
        return secret_of(options.password_keyring, "password_keyring", place)
    return None


def _keys(options: SftpOptions, password: str | None, place: str) -> Iterator["_Key"]:
    import paramiko  # noqa: PLC0415 -- an extra

    if options.key_file:
        for path in options.key_file:
            yield f"the key {path}", *_key(path.expanduser(), password, place)
        return
    if options.agent:
        agent = paramiko.Agent()
        try:
            for key in agent.get_keys():
                public = f"{key.get_name()} {key.get_base64()}"
                yield f"the agent's key {key.comment or key.get_name()}", key, Login(agent=public)
        finally:
            agent.close()
    for name in _USUAL_KEYS:
        path = Path("~/.ssh").expanduser() / name
        # One that can't be used is no error: nobody has named it.
        if path.is_file():
            with contextlib.suppress(SinkRefusedError):
                yield f"the key {path}", *_key(path, password, place)


def _key(path: Path, password: str | None, place: str) -> tuple[Any, Login]:
    import paramiko  # noqa: PLC0415 -- an extra

    try:
        with contextlib.suppress(TypeError, paramiko.PasswordRequiredException):
            return paramiko.PKey.from_path(path), Login(file=path.absolute())
        return paramiko.PKey.from_path(path, password.encode() if password else None), Login()
    except OSError as error:
        reason = f"the key {path}: {error.strerror}"
    except (TypeError, paramiko.PasswordRequiredException):  # the first is cryptography's
        reason = f"the key {path} is encrypted: give its password (password_file)"
    except (ValueError, paramiko.SSHException) as error:
        reason = f"the key {path} can't be read (is its password right?): {error}"
    raise SinkRefusedError(place=place, reason=reason)
