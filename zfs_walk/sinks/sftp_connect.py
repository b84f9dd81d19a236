"""A connection to an SSH server that is believed, and that lets us in."""

import base64
import contextlib
import hashlib
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from zfs_walk.errors import MissingExtraError
from zfs_walk.sinks.errors import SinkRefusedError, UnreachableSinkError
from zfs_walk.sinks.sftp_options import PORT, Address, SftpOptions
from zfs_walk.sinks.sftp_session import LostError

if TYPE_CHECKING:
    import paramiko

_CIPHERS: Final = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
"""Fastest first; with AES-GCM a packet needs no second pass for its checksum."""

_DIGESTS: Final = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)

_USUAL_KEYS: Final = ("id_ed25519", "id_ecdsa", "id_rsa")

_KEEPALIVE: Final = 15
"""Seconds of silence after which the server is spoken to, so that nothing between forgets us."""

_WINDOW: Final = 8 << 20
"""Bytes that the server may send ahead, when files are read back."""

_RECEIVE: Final = 1 << 18

_LOG: Final = logging.getLogger("zfs_walk.sinks.sftp.transport")
# What concerns the user is in the errors; a program without logging is not to print this.
_LOG.addHandler(logging.NullHandler())


class Connection:
    """A `zfs_walk.sinks.sftp_session.Stream` through SSH."""

    def __init__(
        self, transport: "paramiko.Transport", channel: "paramiko.Channel", timeout: float
    ) -> None:
        self._transport = transport
        self._channel = channel
        self._timeout = timeout
        channel.settimeout(timeout)
        # Longer pieces would be cut by paramiko, which copies the rest for each cut.
        self._piece = channel.out_max_packet_size - 64

    @property
    def alive(self) -> bool:
        """Whether nothing is known of its end."""
        return self._transport.is_active() and not self._channel.closed

    def send(self, data: bytes) -> None:
        """Have bytes under way, when the server takes them.

        Raises:
            LostError: the connection is no more.
        """
        with self._losing():
            for start in range(0, len(data), self._piece):
                piece = data[start : start + self._piece]
                while piece:
                    sent = self._channel.send(piece)
                    if not sent:
                        raise EOFError
                    piece = piece[sent:]

    def receive(self) -> bytes:
        """At least one byte.

        Raises:
            LostError: none will come.
        """
        with self._losing():
            data: bytes = self._channel.recv(_RECEIVE)
            if not data:
                raise EOFError
            return data

    @contextlib.contextmanager
    def _losing(self) -> Iterator[None]:
        import paramiko  # noqa: PLC0415 -- an extra

        try:
            yield
        except TimeoutError as error:
            raise LostError(f"no answer for {self._timeout:.0f} s") from error
        except (OSError, EOFError, paramiko.SSHException) as error:
            cause = self._transport.get_exception() or error
            raise LostError(_words(cause), corrupted=_is_corruption(cause)) from error

    def close(self) -> None:
        """End the connection."""
        self._transport.close()


def _words(error: BaseException) -> str:
    if _is_corruption(error):
        return "what came was altered on the way"
    if isinstance(error, EOFError) or str(error) == "Socket is closed":
        return "the connection was lost"
    return str(error) or type(error).__name__


def _is_corruption(error: BaseException) -> bool:
    # Of paramiko (a text) and of cryptography.
    return "Mismatched MAC" in str(error) or type(error).__name__ == "InvalidTag"


def connect(address: Address, options: SftpOptions) -> Connection:
    """Connect, see that the server is the right one, log in, ask for SFTP.

    Raises:
        UnreachableSinkError: nothing answers there.
        SinkRefusedError: it is not believed, or it does not let us in.
        MissingExtraError: paramiko is not installed.
    """
    try:
        import paramiko  # noqa: PLC0415 -- an extra
    except ImportError as error:
        raise MissingExtraError(feature="SFTP", package="paramiko", extra="sftp") from error
    place = address.text()
    believed = _Believed(address, options)
    line = _line(address, options)
    transport = None
    try:
        transport = paramiko.Transport(line, default_window_size=_WINDOW)
        transport.set_log_channel(_LOG.name)
        transport.banner_timeout = options.connect_timeout
        transport.auth_timeout = options.connect_timeout
        _prefer(transport, options, believed)
        transport.start_client(timeout=options.connect_timeout)
        believed.check(transport.get_remote_server_key())
        _log_in(transport, address, options)
        transport.set_keepalive(_KEEPALIVE)
        channel = transport.open_session(timeout=options.connect_timeout)
        channel.settimeout(options.connect_timeout)
        channel.invoke_subsystem("sftp")
        return Connection(transport, channel, options.timeout)
    except BaseException as error:
        if transport is not None:
            transport.close()
        line.close()
        if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
            raise SinkRefusedError(place=place, reason=f"no common ground: {error}") from error
        if isinstance(error, paramiko.ChannelException):
            raise SinkRefusedError(place=place, reason=f"it offers no SFTP: {error}") from error
        if isinstance(error, OSError | EOFError | paramiko.SSHException):
            raise UnreachableSinkError(place=place, reason=_words(error)) from error
        raise


def _line(address: Address, options: SftpOptions) -> socket.socket:
    """A TCP connection that notices when the other side is gone."""
    try:
        line = socket.create_connection((address.host, address.port), options.connect_timeout)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UnreachableSinkError(place=address.text(), reason=reason) from error
    # Without this each small request waits until the one before was acknowledged.
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; elsewhere the timeouts of the channel remain
        milliseconds = int(options.timeout * 1000)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
    return line


def _prefer(transport: "paramiko.Transport", options: SftpOptions, believed: "_Believed") -> None:
    security = transport.get_security_options()
    try:
        security.ciphers = tuple(options.ciphers) or _CIPHERS
    except ValueError as error:
        reason = f"ciphers: {' '.join(options.ciphers)}: known are {' '.join(_CIPHERS)}"
        raise SinkRefusedError(place=believed.place, reason=reason) from error
    security.digests = _DIGESTS
    # A server with several keys is to show the one that is known.
    known = [kind for kind in security.key_types if kind in believed.kinds]
    others = [kind for kind in security.key_types if kind not in believed.kinds]
    security.key_types = tuple(known + others)


class _Believed:
    """The host keys that are believed."""

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
        # An RSA key signs under other names than its own.
        rsa = {"rsa-sha2-512", "rsa-sha2-256"}
        self.kinds |= rsa if key.get_name() == "ssh-rsa" else {key.get_name()}

    def check(self, key: Any) -> None:
        """See that a server is the right one.

        Raises:
            SinkRefusedError: it is not known to be.
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


def _log_in(transport: "paramiko.Transport", address: Address, options: SftpOptions) -> None:
    """Try the keys, then the password.

    Raises:
        SinkRefusedError: none is accepted.
    """
    import paramiko  # noqa: PLC0415 -- an extra

    place = address.text()
    password = _password(options, place)
    tried: list[str] = []
    for label, key in _keys(options, password, place):
        tried.append(label)
        try:
            missing = transport.auth_publickey(address.user, key)
        except paramiko.AuthenticationException:
            missing = ["another key"]
        if not missing:
            return
        if not transport.is_active():
            break
    if password is not None and transport.is_active():
        tried.append("the password")
        try:
            missing = transport.auth_password(address.user, password)
        except paramiko.AuthenticationException:
            missing = ["another password"]
        if not missing:
            return
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
    return None


def _keys(options: SftpOptions, password: str | None, place: str) -> Iterator[tuple[str, Any]]:
    import paramiko  # noqa: PLC0415 -- an extra

    if options.key_file:
        for path in options.key_file:
            yield f"the key {path}", _key(path.expanduser(), password, place)
        return
    if options.agent:
        agent = paramiko.Agent()
        try:
            for key in agent.get_keys():
                yield f"the agent's key {key.comment or key.get_name()}", key
        finally:
            agent.close()
    for name in _USUAL_KEYS:
        path = Path("~/.ssh").expanduser() / name
        # One that can't be used is no error: nobody has named it.
        if path.is_file():
            with contextlib.suppress(SinkRefusedError):
                yield f"the key {path}", _key(path, password, place)


def _key(path: Path, password: str | None, place: str) -> Any:
    import paramiko  # noqa: PLC0415 -- an extra

    try:
        return paramiko.PKey.from_path(path, password.encode() if password else None)
    except OSError as error:
        reason = f"the key {path}: {error.strerror}"
    except paramiko.PasswordRequiredException:
        reason = f"the key {path} is encrypted: give its password (password_file)"
    except (TypeError, ValueError, paramiko.SSHException) as error:
        reason = f"the key {path} can't be read (is its password right?): {error}"
    raise SinkRefusedError(place=place, reason=reason)
